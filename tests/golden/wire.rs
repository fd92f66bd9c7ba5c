//! Files of messages: what is in them must be found, at once, byte by byte, and in random pieces.
//!
//! The files are those of `cases.rs`; the kinds are `request`, `response to METHOD`, `events` and `stream`. With the variable
//! GOLDEN_WRITE set, the lines after the bytes are written anew; read the difference before you commit it.

use std::path::Path;
use std::path::PathBuf;

use ringway::wire::head::Method;
use ringway::wire::sse::Scanner;

use crate::cases;
use crate::cases::Case;
use crate::cases::add_line;
use crate::reader::Side;
use crate::reader::read_in_pieces;
use crate::reader::read_whole;
use crate::sse;

/// What the bytes of a case are.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Message(Side),
    /// Where events end.
    Events,
    /// What they are.
    Stream,
}

/// How far into a case it is cut at every place.
const EVERY_CUT_BYTES_MAX: usize = 600;

#[test]
fn every_file_is_read_as_it_says() {
    let is_writing = std::env::var_os("GOLDEN_WRITE").is_some();
    let mut wrong = String::new();
    let files = files();
    assert!(files.len() >= 25, "one file for each of the cases that must be tested");
    for path in files {
        let text = std::fs::read_to_string(&path).expect("a golden file can be read");
        let (comment, cases) = cases::parse(&text);
        assert!(!cases.is_empty(), "{} has no case", path.display());
        let mut rewritten = comment;
        for case in &cases {
            let found = find_all(case);
            write_case(&mut rewritten, case, &found);
            if found != case.expected {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                add_line(&mut wrong, &format!("{name}: {}\n  found {found:#?}", case.title));
            }
        }
        if is_writing {
            std::fs::write(&path, rewritten).expect("a golden file can be written");
        }
    }
    assert!(is_writing || wrong.is_empty(), "\n{wrong}");
}

/// The bytes of every case that is a message.
pub(crate) fn messages() -> Vec<(Side, Vec<u8>)> {
    let mut messages = Vec::new();
    for path in files() {
        let text = std::fs::read_to_string(&path).expect("a golden file can be read");
        for case in cases::parse(&text).1 {
            if let Kind::Message(side) = parse_kind(&case.title) {
                messages.push((side, case.bytes()));
            }
        }
    }
    messages
}

fn files() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/files");
    let mut files: Vec<PathBuf> = ["wire", "sse"]
        .iter()
        .flat_map(|folder| std::fs::read_dir(root.join(folder)).expect("the folder is there"))
        .map(|entry| entry.expect("the folder can be read").path())
        .collect();
    files.sort();
    files
}

/// What is found in a case; the same however the bytes are cut.
fn find_all(case: &Case) -> Vec<String> {
    let bytes = case.bytes();
    let whole = find(parse_kind(&case.title), &bytes, |_| usize::MAX);
    assert_eq!(find(parse_kind(&case.title), &bytes, |_| 1), whole, "byte by byte: {}", case.title);
    for cut in 1..bytes.len().min(EVERY_CUT_BYTES_MAX) {
        let mut lengths = [cut].into_iter();
        let two = find(parse_kind(&case.title), &bytes, |_| lengths.next().unwrap_or(usize::MAX));
        assert_eq!(two, whole, "cut at {cut}: {}", case.title);
    }
    for seed in 1..=20 {
        let mut dice = Dice::new(seed);
        let pieces =
            find(parse_kind(&case.title), &bytes, |left| dice.up_to(left.min(1 + 40 * seed)));
        assert_eq!(pieces, whole, "in pieces, seed {seed}: {}", case.title);
    }
    whole
}

fn find(kind: Kind, bytes: &[u8], length: impl FnMut(usize) -> usize) -> Vec<String> {
    match kind {
        Kind::Message(side) => {
            read_in_pieces(side, bytes, length).iter().map(ToString::to_string).collect()
        }
        Kind::Events => find_events(bytes, length),
        Kind::Stream => sse::find(bytes, length),
    }
}

fn find_events(bytes: &[u8], mut length: impl FnMut(usize) -> usize) -> Vec<String> {
    let mut scanner = Scanner::default();
    let (mut events, mut boundary, mut is_done) = (0, None, false);
    let mut at = 0;
    while at < bytes.len() {
        let end = at + length(bytes.len() - at).clamp(1, bytes.len() - at);
        let scan = scanner.feed(&bytes[at..end]);
        events += scan.events;
        is_done |= scan.is_done;
        boundary = scan.boundary.map(|offset| at + offset).or(boundary);
        at = end;
    }
    let boundary = boundary.map_or("none".to_owned(), |offset| offset.to_string());
    let done = if is_done { ", done" } else { "" };
    let inside = if scanner.at_boundary() { "" } else { ", inside an event" };
    vec![format!("events {events}, boundary {boundary}{done}{inside}")]
}

fn parse_kind(line: &str) -> Kind {
    let (kind, _) = line.trim_start_matches("== ").split_once(':').expect("a kind and a title");
    match kind {
        "request" => Kind::Message(Side::Request),
        "events" => Kind::Events,
        "stream" => Kind::Stream,
        _ => {
            let method = kind.strip_prefix("response to ").expect("a kind of bytes");
            Kind::Message(Side::Response(Method::from_text(method)))
        }
    }
}

fn write_case(out: &mut String, case: &Case, found: &[String]) {
    if !out.ends_with("\n\n") && !out.is_empty() {
        out.push('\n');
    }
    add_line(out, &case.title);
    for line in &case.lines {
        add_line(out, format!("| {line}").trim_end());
    }
    for line in found {
        add_line(out, &format!("=> {line}"));
    }
}

/// Random numbers that are the same at every run (xorshift).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: usize) -> Self {
        Self(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed as u64 | 1))
    }

    /// From 1 to `most`.
    pub(crate) fn up_to(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        1 + usize::try_from(self.0 >> 33).expect("31 bits fit") % most.max(1)
    }
}

/// The message with one to three changes of the kind that readers disagree about.
pub(crate) fn change(bytes: &[u8], dice: &mut Dice) -> Vec<u8> {
    const PIECES: [&[u8]; 24] = [
        b"\r",
        b"\n",
        b"\r\n",
        b"\r\n\r\n",
        b" ",
        b"\t",
        b":",
        b",",
        b";",
        b"0",
        b"5",
        b"f",
        b"-",
        b"+",
        b"a",
        b"\0",
        b"\x80",
        b"%",
        b"#",
        b"?",
        b"chunked",
        b"Content-Length: 3\r\n",
        b"close",
        b"HTTP/1.1",
    ];
    let mut changed = bytes.to_vec();
    for _ in 0..dice.up_to(3) {
        let at = dice.up_to(changed.len() + 1) - 1;
        let piece = PIECES[dice.up_to(PIECES.len()) - 1];
        let removed = at..changed.len().min(at + dice.up_to(3) - 1);
        match dice.up_to(3) {
            1 => drop(changed.splice(at..at, piece.iter().copied())),
            2 => drop(changed.splice(removed, piece.iter().copied())),
            _ => drop(changed.splice(removed, [])),
        }
    }
    changed
}

#[test]
fn all_at_once_is_the_same_as_in_one_piece() {
    let bytes = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n";
    let found = read_whole(Side::Request, bytes);
    assert_eq!(found.len(), 4);
    assert_eq!(found, read_in_pieces(Side::Request, bytes, |_| 3));
}
