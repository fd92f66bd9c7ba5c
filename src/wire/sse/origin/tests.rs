//! What a stream says about coming back to it, and events with ids put in, against a plain reading of the standard.

use super::oracle::check;
use super::oracle::origin;
use super::*;

#[test]
fn the_last_id_is_that_of_the_last_event_that_ended() {
    for (text, expected) in [
        ("", None),
        ("id: 1\ndata: a\n\n", Some("1")),
        ("data: a\nid: 1\n\ndata: b\n\n", Some("1")),
        ("id: 1\n\n", Some("1")),
        ("id: 1\ndata: a\n", None),
        ("id: 1\n\nid: 2\n", Some("1")),
        ("id: 1\nid: 2\n\n", Some("2")),
        ("id: 1\n\nid\n\n", None),
        ("id: 1\n\nid:\n\n", None),
        ("id: 1\nid: a\0b\n\n", Some("1")),
        ("id: 1\n\nid: \0\n\n", Some("1")),
        ("id:1\r\rid:  2\r\n\r\n", Some(" 2")),
        ("ID: 1\nid : 2\n id: 3\nidx: 4\n: id: 5\n\n", None),
        ("\u{feff}id: 1\n\n", Some("1")),
        ("id: 1\n\n\u{feff}id: 2\n\n", Some("1")),
        ("id: a:b\u{e9}\n\n", Some("a:b\u{e9}")),
        ("id: 1\n\nid: \u{1b}\n\n", None),
        ("id: \u{7f}\n\nid: a\tb\n\n", Some("a\tb")),
    ] {
        assert_eq!(origin(text.as_bytes()).last_id(), expected.map(str::as_bytes), "{text:?}");
        check(text.as_bytes());
    }
    let longest = "x".repeat(ID_BYTES_MAX);
    let origin = origin(format!("id: {longest}\n\n").as_bytes());
    assert_eq!(origin.last_id(), Some(longest.as_bytes()));
    check(format!("id: 1\n\nid: {longest}y\n\n").as_bytes());
}

#[test]
fn the_wait_is_digits_alone() {
    for (text, expected) in [
        ("retry: 1000\n\n", Some(1000)),
        ("retry: 1000\n", Some(1000)),
        ("retry:1\nretry:2\ndata\n\n", Some(2)),
        ("retry: 1\nretry: 1x\nretry\nretry:\nretry: -1\nretry: 1.5\nretry:  3\n\n", Some(1)),
        ("retry: 007\n\n", Some(7)),
        ("retry: 99999999999999999999\n\n", Some(u32::MAX)),
        ("Retry: 5\n\n", None),
    ] {
        assert_eq!(origin(text.as_bytes()).retry(), expected.map(Millis), "{text:?}");
        check(text.as_bytes());
    }
}

#[test]
fn an_id_stands_before_the_blank_line() {
    for (event, expected, bare) in [
        ("data: a\n\n", "data: a\nid: s.7\n\n", "data: a\n\n"),
        ("data: a\r\n\r\n", "data: a\r\nid: s.7\r\n\r\n", "data: a\r\n\r\n"),
        ("data: a\r\r", "data: a\rid: s.7\r\r", "data: a\r\r"),
        ("data: a\n\r\n", "data: a\nid: s.7\r\n\r\n", "data: a\n\r\n"),
        ("data: a\r\r\n", "data: a\rid: s.7\r\n\r\n", "data: a\r\r\n"),
        ("id: 1\ndata: a\nid: 2\n\n", "data: a\nid: s.7\n\n", "data: a\n\n"),
        ("data: a\rid: 1\n\n", "data: a\rid: s.7\n\n", "data: a\r\n\n"),
        ("id\nid:\nid:x\n\n", "id: s.7\n\n", "\n"),
        (
            "idx: 1\n: id: 2\nevent: a\n\n",
            "idx: 1\n: id: 2\nevent: a\nid: s.7\n\n",
            "idx: 1\n: id: 2\nevent: a\n\n",
        ),
        ("\u{feff}id: 1\ndata: a\n\n", "\u{feff}:\ndata: a\nid: s.7\n\n", "\u{feff}:\ndata: a\n\n"),
        ("\n", "\n", "\n"),
        ("\r\n", "\r\n", "\r\n"),
        ("", "", ""),
        ("data: a", "data: a", "data: a"),
        ("id: 1\ndata: a\n", "data: a\n", "data: a\n"),
    ] {
        let mut out = b"kept\r".to_vec();
        with_id(event.as_bytes(), b"s.7", &mut out);
        assert_eq!(String::from_utf8(out.split_off(5)).unwrap(), expected, "{event:?}");
        take_id_lines(event.as_bytes(), &mut out);
        assert_eq!(String::from_utf8(out.split_off(5)).unwrap(), bare, "{event:?}");
    }
}

#[test]
fn what_is_no_event_stands_beside_the_next() {
    for (block, expected) in [
        (": note\n\n", ": note\n"),
        (": note\r\n\r\n", ": note\r\n"),
        ("id: 7\n\n", ""),
        ("id\revent: a\r: b\rretry: 5\ridx: 1\r\r", ": b\rretry: 5\ridx: 1\r"),
        ("\u{feff}: note\n\n", "\u{feff}: note\n"),
        ("\u{feff}id: 7\n: note\n\n", ": note\n"),
        ("\n", ""),
        ("", ""),
    ] {
        let mut out = Vec::new();
        without_event(block.as_bytes(), &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), expected, "{block:?}");
    }
}

#[test]
fn streams_at_random_are_read_as_the_standard_says() {
    const PIECES: [&[u8]; 22] = [
        b"\n",
        b"\n",
        b"\n",
        b"\r",
        b"\r\n",
        b"id",
        b"id: ",
        b"id:7",
        b"data",
        b"data: x",
        b"retry: ",
        b"5",
        b":",
        b" ",
        b"\0",
        b"\xef\xbb\xbf",
        b"event: e",
        b"\x1b",
        b"\xff",
        b"i",
        b"data: {\"id\": 1}\n\n",
        b"id: 9\n\n",
    ];
    let mut seed = 5_u64;
    let mut dice = |bound: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from((seed >> 20) % bound as u64).unwrap()
    };
    for _ in 0..60_000 {
        let parts: Vec<&[u8]> = (0..dice(12)).map(|_| PIECES[dice(PIECES.len())]).collect();
        check(&parts.concat());
    }
}
