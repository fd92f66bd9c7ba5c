//! The clients against a gateway of a few lines, which can be told to do wrong.

use super::*;
use crate::streams::request::tests::course;
use ringway::mock::content::Seal;
use ringway::mock::content::Template;
use std::io::BufRead as _;
use std::io::BufReader;
use std::io::Read as _;
use std::io::Write as _;
use std::net::TcpListener;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::Mutex;
use std::thread;

const ENDING: &str = "data: [DONE]\n\n";

/// What the gateway does wrong for who comes back.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Wrong {
    Nothing,
    Skips,
    Repeats,
    Changes,
    Forgets,
    Misnumbers,
    Renames,
    SaysNothingMore,
    EndsEarly,
}

/// Numbers of the streams that have begun; a stream's name is its place here.
type Streams = Arc<Mutex<Vec<u64>>>;

fn start(wrong: Wrong) -> Destination {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let streams = Streams::default();
    thread::spawn(move || {
        for socket in listener.incoming() {
            let streams = Arc::clone(&streams);
            thread::spawn(move || serve(socket.unwrap(), wrong, &streams));
        }
    });
    Destination { addresses: vec![address], prefix: String::new() }
}

fn serve(socket: TcpStream, wrong: Wrong, streams: &Streams) -> Option<()> {
    let mut reader = BufReader::new(socket.try_clone().ok()?);
    let mut socket = socket;
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head).ok()? == 0 {
                return None;
            }
        }
        let field = |name: &str| {
            let line = head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            line.map(str::to_owned)
        };
        let length = field("content-length").map_or(0, |length| length.parse().unwrap());
        reader.read_exact(&mut vec![0; length]).ok()?;
        let after = field("last-event-id").or_else(|| {
            let path = head.strip_prefix("GET /v1/streams/")?;
            Some(format!("{}.0", path.split(' ').next()?))
        });
        let (place, seq) = match &after {
            None => {
                let number = u64::from_str_radix(&field("x-mock-stream")?, 16).ok()?;
                let mut streams = streams.lock().unwrap();
                streams.push(number);
                (streams.len() - 1, 0)
            }
            Some(after) => {
                let (name, seq) = after.split_once('.')?;
                (usize::from_str_radix(name, 16).ok()?, seq.parse().ok()?)
            }
        };
        let number = streams.lock().unwrap()[place];
        let is_asked = field("x-ringway-resume").is_some() || after.is_some();
        let wrong = if after.is_some() { wrong } else { Wrong::Nothing };
        // A model's pace, where one is asked for: the response in pieces.
        let gap = field("x-mock-gap-ms").map_or(0, |gap| gap.parse().unwrap());
        let response = response(place, number, seq, is_asked, wrong);
        for piece in response.chunks(if gap > 0 { 150 } else { response.len() }) {
            socket.write_all(piece).ok()?;
            thread::sleep(Duration::from_millis(gap));
        }
    }
}

/// All that comes behind event `seq`.
fn response(place: usize, number: u64, seq: usize, is_numbered: bool, wrong: Wrong) -> Vec<u8> {
    let mut events: Vec<Vec<u8>> = (0..4)
        .map(|at| {
            let mut event = Vec::new();
            let seal = Seal { stream: number, number: at, nanos: 1 };
            Template::new("data: {\"content\":\"", "\"}\n\n", 200).write(seal, &mut event);
            event
        })
        .collect();
    events.push(ENDING.into());
    let name = format!("{place:036x}");
    let mut out = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n".to_vec();
    let other = "f".repeat(36);
    let shown = if wrong == Wrong::Renames { &other } else { &name };
    if is_numbered {
        out.extend_from_slice(format!("x-ringway-stream: {shown}\r\n").as_bytes());
    }
    out.extend_from_slice(b"\r\n8\r\n: ping\n\n\r\n");
    match wrong {
        Wrong::Forgets => return b"HTTP/1.1 410 Gone\r\ncontent-length: 2\r\n\r\n{}".to_vec(),
        Wrong::SaysNothingMore => return b"HTTP/1.1 204 No Content\r\n\r\n".to_vec(),
        _ => {}
    }
    if seq == events.len() {
        return b"HTTP/1.1 204 No Content\r\n\r\n".to_vec();
    }
    let first = match wrong {
        Wrong::Skips => seq + 1,
        Wrong::Repeats => seq.saturating_sub(1),
        _ => seq,
    };
    let last = if wrong == Wrong::EndsEarly { events.len() - 1 } else { events.len() };
    for (at, event) in events.iter_mut().enumerate().take(last).skip(first) {
        if wrong == Wrong::Changes && event.len() > 100 {
            event[70] ^= 1;
        }
        if is_numbered {
            event.pop();
            let seq = if wrong == Wrong::Misnumbers { at + 2 } else { at + 1 };
            event.extend_from_slice(format!("id: {shown}.{seq}\n\n").as_bytes());
        }
        out.extend_from_slice(format!("{:x}\r\n", event.len()).as_bytes());
        out.extend_from_slice(event);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"0\r\n\r\n");
    out
}

fn told(wrong: Wrong, change: impl FnOnce(&mut Course)) -> Tally {
    let mut course = course();
    course.endings = vec![ENDING.into()];
    change(&mut course);
    let start_at = clock::now();
    if course.until == Moment::NEVER {
        course.until = start_at.after(Duration::from_secs(20));
    } else {
        course.until = start_at.after(course.until.since(Moment::default()));
    }
    let job = Job { course, destination: start(wrong), start: start_at, share: 0, shares: 1 };
    run(job).unwrap()
}

#[test]
fn streams_that_are_cut_and_resumed_are_whole() {
    let tally = told(Wrong::Nothing, |course| course.resumes_max = 2000);
    let counts = &tally.counts;
    assert_eq!((&tally.errors, counts.wrong()), (&std::collections::BTreeMap::new(), 0));
    assert!(counts.resumed >= 2000 && counts.cuts > counts.resumed, "{counts:?}");
    assert_eq!(counts.streams, counts.whole + counts.unnamed, "{counts:?}");
    assert_eq!((counts.unfinished, counts.failed, counts.gone), (0, 0, 0));
    assert!(counts.nothing_more > 0 && counts.unnamed > 0 && counts.dismissed > 0, "{counts:?}");
    // Every kind of place was hit, and every way was gone.
    assert_eq!(
        (tally.places.len(), tally.ways.len()),
        (8, 6),
        "{:?} {:?}",
        tally.places,
        tally.ways
    );
    assert!(tally.back.len() >= counts.resumed && !tally.first.is_empty());
}

#[test]
fn whatever_goes_wrong_is_found() {
    for (wrong, said) in [
        (Wrong::Skips, "events were lost"),
        (Wrong::Repeats, "an event came again"),
        (Wrong::Changes, "an event was changed"),
        (Wrong::Forgets, "status 410"),
        (Wrong::Misnumbers, "an id is"),
        (Wrong::Renames, "a resumed stream has another name"),
        (Wrong::SaysNothingMore, "status 204"),
        (Wrong::EndsEarly, "a response ended before its stream"),
    ] {
        let tally = told(wrong, |course| {
            course.resumes_max = 30;
            course.until = Moment::from_nanos(300_000_000);
        });
        assert!(
            tally.errors.keys().any(|kind| kind.starts_with(said)),
            "{wrong:?}: {:?}",
            tally.errors
        );
        assert!(tally.counts.failed > 0);
    }
}

#[test]
fn what_may_be_gone_is_counted() {
    let tally = told(Wrong::Forgets, |course| {
        course.may_be_gone = true;
        course.until = Moment::from_nanos(300_000_000);
        course.leave = Leave::AtByte { again: 1.0, cuts_max: 1, stays: 0.0 };
    });
    assert!(tally.counts.gone > 0 && tally.errors.is_empty(), "{:?}", tally.errors);
}

#[test]
fn clients_that_leave_at_any_time_come_back_or_not() {
    let tally = told(Wrong::Nothing, |course| {
        course.leave = Leave::AtTime { mean: Duration::from_millis(6), returns: 0.5 };
        course.mock = vec![("gap-ms".to_owned(), "2".to_owned())];
        course.resumable = 0.5;
        course.resumes_max = 200;
    });
    let counts = &tally.counts;
    assert_eq!((&tally.errors, counts.wrong()), (&std::collections::BTreeMap::new(), 0));
    assert!(counts.left > 0 && counts.whole > 0 && counts.resumed >= 200, "{counts:?}");
}

#[test]
fn a_connection_before_must_end_and_be_right() {
    let former = |bytes: &[u8], closes: bool| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut far = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (near, _) = listener.accept().unwrap();
        near.set_nonblocking(true).unwrap();
        far.write_all(bytes).unwrap();
        if closes {
            drop(far.shutdown(std::net::Shutdown::Write));
        }
        // Loopback delivers what was written before anybody reads on.
        let former = Former {
            socket: near.into(),
            reader: Default::default(),
            story: Story::new(7, 4),
            due: Moment::default(),
        };
        let ended = former.end(&[ENDING.into()], &mut [0; 1000]);
        drop(far);
        ended
    };
    let whole = response(1, 7, 0, true, Wrong::Nothing);
    assert_eq!(former(&whole, false), Ok(()));
    assert_eq!(former(&whole[..300], true), Ok(()));
    assert!(former(&whole[..300], false).unwrap_err().contains("not closed"));
    assert!(former(b"", false).unwrap_err().contains("not closed"));
    let changed = response(1, 7, 0, true, Wrong::Changes);
    assert!(former(&changed, true).unwrap_err().contains("changed"));
}
