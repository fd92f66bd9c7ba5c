//! Files of messages: what is in them must be found, at once, byte by byte, and in random pieces.
//!
//! A file holds cases: `== request: title` (or `== response to GET: title`, `== events: title`, `== stream: title`), the bytes as
//! lines that begin with `|`, and what is found as lines that begin with `=>`. In the bytes, `\r \n \t \0
//! \xHH \\` are escapes and `\{text*N}` is text N times. With the variable GOLDEN_WRITE set, the lines after
//! the bytes are written anew; read the difference before you commit it.

use std::path::Path;
use std::path::PathBuf;

use ringway::wire::head::Method;
use ringway::wire::sse::Scanner;

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

struct Case {
    /// The first line.
    title: String,
    kind: Kind,
    /// The lines of bytes as written.
    lines: Vec<String>,
    expected: Vec<String>,
}

#[test]
fn every_file_is_read_as_it_says() {
    let is_writing = std::env::var_os("GOLDEN_WRITE").is_some();
    let mut wrong = String::new();
    let files = files();
    assert!(files.len() >= 25, "one file for each of the cases that must be tested");
    for path in files {
        let text = std::fs::read_to_string(&path).expect("a golden file can be read");
        let (comment, cases) = parse_file(&text);
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
        for case in parse_file(&text).1 {
            if let Kind::Message(side) = case.kind {
                messages.push((side, unescape(&case.lines.concat())));
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
    let bytes = unescape(&case.lines.concat());
    let whole = find(case.kind, &bytes, |_| usize::MAX);
    assert_eq!(find(case.kind, &bytes, |_| 1), whole, "byte by byte: {}", case.title);
    for cut in 1..bytes.len().min(EVERY_CUT_BYTES_MAX) {
        let mut lengths = [cut].into_iter();
        let two = find(case.kind, &bytes, |_| lengths.next().unwrap_or(usize::MAX));
        assert_eq!(two, whole, "cut at {cut}: {}", case.title);
    }
    for seed in 1..=20 {
        let mut dice = Dice::new(seed);
        let pieces = find(case.kind, &bytes, |left| dice.up_to(left.min(1 + 40 * seed)));
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

/// The comment at the top, and the cases.
fn parse_file(text: &str) -> (String, Vec<Case>) {
    let mut comment = String::new();
    let mut cases: Vec<Case> = Vec::new();
    for line in text.lines() {
        if line.starts_with("== ") {
            cases.push(Case {
                title: line.to_owned(),
                kind: parse_kind(line),
                lines: Vec::new(),
                expected: Vec::new(),
            });
        } else if let Some(bytes) = line.strip_prefix('|') {
            let case = cases.last_mut().expect("bytes belong to a case");
            case.lines.push(bytes.strip_prefix(' ').unwrap_or(bytes).to_owned());
        } else if let Some(found) = line.strip_prefix("=> ") {
            cases.last_mut().expect("a find belongs to a case").expected.push(found.to_owned());
        } else if cases.is_empty() {
            add_line(&mut comment, line);
        } else {
            assert!(line.is_empty(), "not understood: {line}");
        }
    }
    (comment, cases)
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

fn add_line(out: &mut String, line: &str) {
    out.push_str(line);
    out.push('\n');
}

/// The bytes that escaped text stands for.
fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((plain, escape)) = rest.split_once('\\') {
        bytes.extend_from_slice(plain.as_bytes());
        let mut letters = escape.chars();
        let letter = letters.next().expect("an escape has a letter");
        rest = letters.as_str();
        match letter {
            'r' => bytes.push(b'\r'),
            'n' => bytes.push(b'\n'),
            't' => bytes.push(b'\t'),
            '0' => bytes.push(0),
            '\\' => bytes.push(b'\\'),
            'x' => {
                let (digits, after) = rest.split_at(2);
                bytes.push(u8::from_str_radix(digits, 16).expect("two hexadecimal digits"));
                rest = after;
            }
            '{' => {
                let (repeated, after) = rest.split_once('}').expect("a closing brace");
                let (part, times) = repeated.rsplit_once('*').expect("text and a number");
                let times = times.parse().expect("a number of times");
                bytes.extend_from_slice(&unescape(part).repeat(times));
                rest = after;
            }
            other => panic!("unknown escape {other}"),
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes
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
