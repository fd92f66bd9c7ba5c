//! What becomes of lines when the file is rotated, full, gone, or not read.

use std::path::Path;
use std::path::PathBuf;

use super::*;

fn record(number: u64) -> Record {
    Record { started_unix_ms: number, status: 200, ..Record::default() }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn temporary(name: &str) -> PathBuf {
    let place = std::env::temp_dir().join(format!("ringway-{}-{name}", std::process::id()));
    std::fs::remove_file(&place).ok();
    place
}

fn line_count(path: &Path) -> usize {
    let text = std::fs::read_to_string(path).unwrap();
    for line in text.lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap();
    }
    text.lines().count()
}

async fn settled(log: &mut AccessLog) {
    for _ in 0..500 {
        log.turn_over(Instant::now()).await;
        if log.writing.is_none() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    panic!("the batch was not written");
}

#[test]
fn lines_are_written_in_batches_and_the_file_is_reopened() {
    let path = temporary("access.log");
    let moved = temporary("access.log.1");
    runtime().block_on(async {
        let mut log = AccessLog::default();
        log.write(&record(0), &Names::default(), None);
        assert_eq!(log.waiting.lines, 0, "off until aimed");
        log.aim(Some(LogPath::File(path.clone())));
        for number in 0..1_000 {
            log.write(&record(number), &Names::default(), None);
        }
        settled(&mut log).await;
        assert_eq!(line_count(&path), 1_000);

        std::fs::rename(&path, &moved).unwrap();
        log.write(&record(0), &Names::default(), None);
        settled(&mut log).await;
        assert_eq!(line_count(&moved), 1_001, "still the old file");
        log.reopen();
        log.write(&record(0), &Names::default(), None);
        log.finish(Duration::from_secs(5)).await;
        assert_eq!(line_count(&path), 1);
        assert_eq!(log.counts(), Counts { lines: 1_002, dropped: 0, errors: 0 });
    });
    std::fs::remove_file(path).unwrap();
    std::fs::remove_file(moved).unwrap();
}

#[test]
fn a_full_disk_is_counted_and_tried_again_later() {
    runtime().block_on(async {
        let mut log = AccessLog::default();
        log.aim(Some(LogPath::File("/dev/full".into())));
        log.write(&record(0), &Names::default(), None);
        settled(&mut log).await;
        log.write(&record(1), &Names::default(), None);
        log.turn_over(Instant::now()).await;
        assert!(log.writing.is_none(), "rests before it tries again");
        assert_eq!(log.state, State::Failing);
        log.turn_over(Instant::now() + RETRY_AFTER).await;
        assert!(log.writing.is_some());
        log.settle(Instant::now()).await;
        assert_eq!(log.counts(), Counts { lines: 0, dropped: 2, errors: 2 });

        let path = temporary("recovered.log");
        log.aim(Some(LogPath::File(path.clone())));
        log.write(&record(2), &Names::default(), None);
        settled(&mut log).await;
        assert_eq!(log.state, State::Good);
        assert_eq!(line_count(&path), 1);
        std::fs::remove_file(path).unwrap();
    });
}

#[test]
fn a_path_that_cannot_be_opened_is_an_error_of_the_log_only() {
    runtime().block_on(async {
        let mut log = AccessLog::default();
        log.aim(Some(LogPath::File("/nowhere/at/all.log".into())));
        log.write(&record(0), &Names::default(), None);
        settled(&mut log).await;
        assert_eq!(log.counts(), Counts { lines: 0, dropped: 1, errors: 1 });
    });
}

#[test]
fn a_reader_that_has_stopped_costs_lines_and_no_time() {
    let runtime = runtime();
    runtime.block_on(async {
        let (reader, writer) = io::pipe().unwrap();
        let mut log = AccessLog::default();
        log.aim(Some(LogPath::File("unused".into())));
        log.is_reopening = false;
        log.file = Some(File::from(std::os::fd::OwnedFd::from(writer)));
        for number in 0..60_000 {
            log.write(&record(number), &Names::default(), None);
            if number % 1_000 == 0 {
                log.turn_over(Instant::now()).await;
            }
        }
        assert!(log.waiting.bytes.len() < WAITING_BYTES_MAX + 4096);
        assert!(log.counts().dropped > 0);
        assert_eq!(log.state, State::Behind);
        // Another reader of the same end would keep it alive: with none, the write fails and the batch is lost.
        drop(reader);
        log.settle(Instant::now()).await;
        assert_eq!(log.counts().errors, 1);
    });
    runtime.shutdown_background();
}

#[test]
fn a_torn_line_is_ended_before_the_next() {
    let path = temporary("torn.log");
    std::fs::write(&path, "{\"half").unwrap();
    let batch = Batch { bytes: b"{}\n".to_vec(), lines: 1 };
    let outcome = put(&LogPath::File(path.clone()), None, batch, true);
    assert!(outcome.error.is_none());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "{\"half\n{}\n");
    std::fs::remove_file(path).unwrap();
}
