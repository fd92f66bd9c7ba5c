//! A plain reading of the standard, to hold origins and numbered events against; shared by the tests and the fuzz target.

use wire::sse::Scanner;
use wire::sse::field::MARK;
use wire::sse::origin::ID_BYTES_MAX;
use wire::sse::origin::Origin;
use wire::sse::origin::take_id_lines;
use wire::sse::origin::with_id;

use super::wire;

/// What a browser has after a whole stream: the events it dispatched, each with its last id, and the time to wait.
#[derive(Debug, Default, PartialEq, Eq)]
struct Read {
    dispatched: Vec<(Vec<u8>, Vec<u8>)>,
    other_lines: Vec<Vec<u8>>,
    last_id: Vec<u8>,
    retry: Option<u64>,
}

/// The standard, line by line, on the whole stream.
fn read(bytes: &[u8]) -> Read {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut read = Read::default();
    let (mut data, mut id): (Option<Vec<u8>>, Vec<u8>) = (None, Vec::new());
    let mut at = 0;
    while let Some(length) = bytes[at..].iter().position(|byte| b"\r\n".contains(byte)) {
        let line = &bytes[at..at + length];
        at += length + if bytes[at + length..].starts_with(b"\r\n") { 2 } else { 1 };
        if line.is_empty() {
            read.last_id.clone_from(&id);
            if let Some(data) = data.take() {
                read.dispatched.push((data, id.clone()));
            }
            continue;
        }
        let colon = line.iter().position(|&byte| byte == b':');
        let (name, value) = colon.map_or((line, &b""[..]), |at| (&line[..at], &line[at + 1..]));
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match name {
            b"data" => {
                let data = data.get_or_insert_default();
                data.extend_from_slice(value);
                data.push(b'\n');
            }
            b"id" if !value.contains(&0) => id = value.to_vec(),
            b"retry" if !value.is_empty() && value.iter().all(u8::is_ascii_digit) => {
                let text = std::str::from_utf8(value).expect("digits are text");
                read.retry = Some(text.parse().unwrap_or(u64::MAX));
            }
            b"id" => {}
            _ => read.other_lines.push(line.to_vec()),
        }
    }
    read
}

/// The whole events (and other runs of lines) of a stream, and what follows them.
fn events(bytes: &[u8]) -> (Vec<&[u8]>, &[u8]) {
    let mut scanner = Scanner::default();
    let (mut events, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let (length, scan) = scanner.feed_event(&bytes[at..]);
        if scan.boundary.is_none() {
            break;
        }
        events.push(&bytes[at..at + length]);
        at += length;
    }
    (events, &bytes[at..])
}

pub(crate) fn origin(bytes: &[u8]) -> Origin {
    let mut origin = Origin::default();
    let (whole, rest) = events(bytes);
    whole.iter().for_each(|event| origin.feed_event(event));
    origin.feed_event(rest);
    origin
}

/// Checks a stream in all that this file promises.
pub(crate) fn check(bytes: &[u8]) {
    let expected = read(bytes);
    let shown = String::from_utf8_lossy(bytes).into_owned();
    let origin = origin(bytes);
    let is_fit = |id: &Vec<u8>| {
        !id.is_empty()
            && id.len() <= ID_BYTES_MAX
            && !id.iter().any(|&byte| byte != b'\t' && byte.is_ascii_control())
    };
    assert_eq!(
        origin.last_id(),
        Some(&expected.last_id).filter(|id| is_fit(id)).map(Vec::as_slice),
        "{shown:?}"
    );
    let retry = expected.retry.map(|retry| u32::try_from(retry).unwrap_or(u32::MAX));
    assert_eq!(origin.retry().map(|wait| wait.0), retry, "{shown:?}");
    let (whole, rest) = events(bytes);
    let (mut numbered, mut bare) = (Vec::new(), Vec::new());
    for (index, event) in whole.iter().enumerate() {
        with_id(event, format!("s.{index}").as_bytes(), &mut numbered);
        take_id_lines(event, &mut bare);
    }
    numbered.extend_from_slice(rest);
    bare.extend_from_slice(rest);
    let numbered = read(&numbered);
    assert_eq!(data(&numbered), data(&expected), "{shown:?}");
    assert_eq!(lines(&numbered), lines(&expected), "{shown:?}");
    assert_eq!(numbered.retry, expected.retry);
    let mut ids = (0..whole.len()).map(|index| format!("s.{index}").into_bytes());
    for (_, id) in &numbered.dispatched {
        assert!(
            ids.any(|other| other == *id),
            "ids are in order, and none is there twice: {shown:?}"
        );
    }
    let bare = read(&bare);
    assert_eq!(data(&bare), data(&expected), "{shown:?}");
    assert_eq!(lines(&bare), lines(&expected), "{shown:?}");
    assert!(bare.last_id.is_empty(), "{shown:?}");
}

fn data(read: &Read) -> Vec<&[u8]> {
    read.dispatched.iter().map(|(data, _)| data.as_slice()).collect()
}

/// Lines that are neither data nor ids nor waits; comments aside, as a mark before an id leaves one.
fn lines(read: &Read) -> Vec<&[u8]> {
    let is_kept = |line: &&[u8]| !line.starts_with(b":") && !line.starts_with(MARK);
    read.other_lines.iter().map(Vec::as_slice).filter(is_kept).collect()
}
