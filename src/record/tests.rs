//! Is every number of a record counted where it belongs, and nowhere else?

use std::cell::Cell;

use super::*;
use crate::record::counters::LANE_CELLS;

struct Cells(Vec<Cell<u64>>);

impl Row for Cells {
    fn add(&self, cell: LaneCell, n: u64) {
        self.0[cell.index()].update(|sum| sum + n);
    }
}

/// The cells that `record` changes, with their values.
fn counted(record: &Record) -> Vec<(usize, u64)> {
    let cells = Cells(vec![Cell::new(0); LANE_CELLS]);
    apply(record, &cells);
    let cells = cells.0.into_iter().map(Cell::into_inner);
    cells.enumerate().filter(|&(_, n)| n > 0).collect()
}

fn at(cell: impl Into<LaneCell>) -> usize {
    cell.into().index()
}

/// What a record changes beyond what the plainest one does.
fn beyond_plain(record: &Record) -> Vec<(usize, u64)> {
    let plain = counted(&plain());
    counted(record).into_iter().filter(|cell| !plain.contains(cell)).collect()
}

fn plain() -> Record {
    Record { status: 200, attempts: 1, ..Record::default() }
}

#[test]
fn an_id_is_read_as_it_was_written_and_nothing_else_is() {
    let id = RequestId::new(0x0123_4567_89ab_cdef, 0x0011_2233_4455_6677);
    let plain = "0123456789abcdef0011223344556677";
    let uuid = "01234567-89AB-cdef-0011-223344556677";
    assert_eq!(RequestId::parse(plain.as_bytes()), Some(id));
    assert_eq!(RequestId::parse(uuid.as_bytes()), Some(id));
    for other in [
        "",
        "req_1",
        "123456789abcdef0011223344556677",
        "0123456789abcdef001122334455667x",
        &"-".repeat(36),
    ] {
        assert_eq!(RequestId::parse(other.as_bytes()), None, "{other}");
    }
}

#[test]
fn a_plain_request_counts_its_status_and_its_times() {
    let expected = [
        (at(StatusLabel::of(200)), 1),
        (at(LaneCell::bucket(Histogram::Duration, 0)), 1),
        (at(LaneCell::bucket(Histogram::Overhead, 0)), 1),
    ];
    assert_eq!(counted(&plain()), expected);
}

#[test]
fn every_status_has_its_cell() {
    for status in 100..600 {
        let record = Record { status, ..plain() };
        assert!(counted(&record).contains(&(at(StatusLabel::of(status)), 1)), "{status}");
    }
}

#[test]
fn bytes_and_events() {
    let record = Record { bytes_up: 500, bytes_down: 1_000, events: 20, ..plain() };
    let expected = [
        (at(LaneCounter::Events), 20),
        (at(LaneCounter::BytesUp), 500),
        (at(LaneCounter::BytesDown), 1_000),
    ];
    assert_eq!(beyond_plain(&record), expected);
}

#[test]
fn a_cancelled_request() {
    let record = Record { is_cancelled: true, ..plain() };
    assert_eq!(beyond_plain(&record), [(at(LaneCounter::Cancelled), 1)]);
}

#[test]
fn attempts_after_the_first() {
    for (attempts, expected) in
        [(0, vec![]), (1, vec![]), (3, vec![(at(LaneCounter::Repeated), 2)])]
    {
        assert_eq!(beyond_plain(&Record { attempts, ..plain() }), expected);
    }
}

#[test]
fn every_fault_has_its_cell() {
    for &fault in Fault::ALL {
        assert_eq!(beyond_plain(&Record { fault: Some(fault), ..plain() }), [(at(fault), 1)]);
    }
}

#[test]
fn every_time_goes_to_its_histogram() {
    let time = Duration::from_millis(30);
    let nanos = 30_000_000;
    for (histogram, record, bucket) in [
        (Histogram::TimeToFirstToken, Record { ttft: Some(time), ..plain() }, 4),
        (Histogram::Duration, Record { duration: time, ..plain() }, 2),
        (Histogram::Overhead, Record { overhead: time, ..plain() }, 10),
        (Histogram::Connect, Record { upstream_connect: Some(time), ..plain() }, 5),
        (Histogram::Queue, Record { queued_us: 30_000, ..plain() }, 2),
    ] {
        let expected =
            [(at(LaneCell::bucket(histogram, bucket)), 1), (at(LaneCell::sum(histogram)), nanos)];
        assert_eq!(beyond_plain(&record), expected, "{}", histogram.label());
    }
}

#[test]
fn a_request_id_is_32_hexadecimal_digits() {
    let id = RequestId::new(0x0123_4567_89ab_cdef, 0xff);
    assert_eq!(id.to_string(), "0123456789abcdef00000000000000ff");
    assert_eq!(&id.hex(), id.to_string().as_bytes());
}

/// This module may not know the balance, so it repeats its words.
#[test]
fn what_is_not_repeated_is_said_in_the_words_of_the_balance() {
    use crate::balance::retry::GaveUp;
    use crate::record::counters::RetryDenied;

    let said: Vec<_> = GaveUp::ALL.iter().map(|why| why.label()).collect();
    let counted: Vec<_> = RetryDenied::ALL.iter().map(|why| why.label()).collect();
    assert_eq!(said, counted);
}
