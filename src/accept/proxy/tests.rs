//! Headers right and wrong, however they are cut; and who it is that asks.

use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// What every way of cutting the bytes comes to.
fn read(bytes: &[u8]) -> Result<Option<Header>, Wrong> {
    let whole = header(bytes);
    for end in 0..bytes.len() {
        let Some(part) = bytes.get(..end) else { continue };
        match (header(part), whole) {
            (Ok(None), _) => {}
            // Enough is enough, and wrong stays wrong.
            (found, whole) => assert_eq!(found, whole, "{end} of {bytes:?}"),
        }
    }
    whole
}

fn v1_source(line: &str) -> Result<Option<IpAddr>, Wrong> {
    let text = format!("{line}\r\nGET / HTTP/1.1\r\n");
    let header = read(text.as_bytes())?.expect("the line is whole");
    assert_eq!(header.bytes, line.len() + 2);
    Ok(header.source)
}

fn v2_bytes(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [V2_BEGIN, &[command, family], &length, rest].concat()
}

#[test]
fn a_line_names_the_client() {
    let rows = [
        ("PROXY TCP4 192.0.2.1 192.0.2.2 56324 443", Some("192.0.2.1")),
        ("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535", Some("255.255.255.255")),
        ("PROXY TCP4 192.0.2.1 192.0.2.2 0 0", Some("192.0.2.1")),
        ("PROXY TCP6 2001:db8::1 ::1 1 2", Some("2001:db8::1")),
        ("PROXY TCP6 ::ffff:192.0.2.1 ::ffff:192.0.2.2 1 2", Some("192.0.2.1")),
        ("PROXY UNKNOWN", None),
        ("PROXY UNKNOWN ffff:f...f:ffff anything 1 2 3", None),
    ];
    for (line, source) in rows {
        assert_eq!(v1_source(line), Ok(source.map(ip)), "{line}");
    }
}

#[test]
fn a_wrong_line_is_refused() {
    let rows = [
        ("PROXY", Wrong::Begin),
        ("PROXY ", Wrong::Line),
        ("PROXY  TCP4 192.0.2.1 192.0.2.2 1 2", Wrong::Line),
        ("PROXY TCP4", Wrong::Line),
        ("PROXY TCP4 192.0.2.1 192.0.2.2 1", Wrong::Line),
        ("PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3", Wrong::Line),
        ("PROXY TCP4 192.0.2.1 192.0.2.2 1 2 ", Wrong::Line),
        ("PROXY TCP4 192.0.2.1 192.0.2.2 1  2", Wrong::Line),
        ("PROXY tcp4 192.0.2.1 192.0.2.2 1 2", Wrong::Line),
        ("PROXY UNKNOWNS", Wrong::Line),
        ("PROXY TCP4 192.0.2.256 192.0.2.2 1 2", Wrong::Address),
        ("PROXY TCP4 192.0.2.01 192.0.2.2 1 2", Wrong::Address),
        ("PROXY TCP4 ::1 ::2 1 2", Wrong::Address),
        ("PROXY TCP6 192.0.2.1 192.0.2.2 1 2", Wrong::Address),
        ("PROXY TCP4 192.0.2.1 192.0.2.2 65536 2", Wrong::Address),
        ("PROXY TCP4 192.0.2.1 192.0.2.2 +1 2", Wrong::Address),
        ("PROXY TCP4 192.0.2.1 192.0.2.2 01 2", Wrong::Address),
        ("PROXY TCP4 192.0.2.1 \u{7f} 1 2", Wrong::Address),
        ("GET / HTTP/1.1", Wrong::Begin),
    ];
    for (line, wrong) in rows {
        assert_eq!(v1_source(line), Err(wrong), "{line}");
    }
    assert_eq!(read(b"PROXY UNKNOWN\n"), Err(Wrong::Line));
    assert_eq!(read(b"PROXY UNKNOWN \xff\r\n"), Err(Wrong::Line));
}

#[test]
fn a_line_is_bounded() {
    let longest = format!("PROXY UNKNOWN {}", "x".repeat(V1_BYTES_MAX - 16));
    assert_eq!(v1_source(&longest), Ok(None));
    assert_eq!(v1_source(&format!("{longest}x")), Err(Wrong::TooLong));
    let endless = vec![b'x'; 1000];
    assert_eq!(read(&[V1_BEGIN, &endless].concat()), Err(Wrong::TooLong));
}

#[test]
fn a_binary_header_names_the_client() {
    let v4 = [192, 0, 2, 1, 192, 0, 2, 2, 0xdc, 4, 1, 0xbb];
    let v6 = [Ipv6Addr::from_bits(1 << 100 | 7).octets(), [9; 16]].concat();
    let v6 = [&v6[..], &[0, 1, 0, 2]].concat();
    let mapped = [ip("::ffff:192.0.2.9"), ip("::1")].map(|address| match address {
        IpAddr::V6(v6) => v6.octets(),
        IpAddr::V4(_) => unreachable!("both are IPv6"),
    });
    let mapped = [&mapped.concat()[..], &[0, 1, 0, 2]].concat();
    let more = [&v4[..], &[4, 0, 3, 1, 2, 3]].concat();
    let rows: [(u8, u8, &[u8], Option<IpAddr>); 9] = [
        (0x21, 0x11, &v4, Some(ip("192.0.2.1"))),
        (0x21, 0x11, &more, Some(ip("192.0.2.1"))),
        (0x21, 0x21, &v6, Some(Ipv6Addr::from_bits(1 << 100 | 7).into())),
        (0x21, 0x21, &mapped, Some(ip("192.0.2.9"))),
        (0x21, 0x31, &[0; V2_UNIX_BYTES], None),
        (0x21, 0x00, &[], None),
        (0x20, 0x00, &[], None),
        (0x20, 0x11, &v4, None),
        (0x20, 0xff, &[1, 2, 3], None),
    ];
    for (command, family, rest, source) in rows {
        let bytes = v2_bytes(command, family, rest);
        let found = Header { bytes: bytes.len(), source };
        assert_eq!(read(&bytes), Ok(Some(found)));
        assert_eq!(read(&[&bytes[..], b"GET / HTTP/1.1\r\n"].concat()), Ok(Some(found)));
    }
}

#[test]
fn a_wrong_binary_header_is_refused() {
    let rows = [
        (0x11, 0x11, 12, Wrong::Command),
        (0x31, 0x11, 12, Wrong::Command),
        (0x22, 0x11, 12, Wrong::Command),
        (0x01, 0x11, 12, Wrong::Command),
        (0x21, 0x12, 12, Wrong::Family),
        (0x21, 0x10, 12, Wrong::Family),
        (0x21, 0x41, 12, Wrong::Family),
        (0x21, 0x11, 11, Wrong::TooShort),
        (0x21, 0x21, 35, Wrong::TooShort),
        (0x21, 0x31, V2_UNIX_BYTES - 1, Wrong::TooShort),
        (0x21, 0x11, V2_BYTES_MAX - V2_FIXED_BYTES + 1, Wrong::TooLong),
    ];
    for (command, family, length, wrong) in rows {
        assert_eq!(read(&v2_bytes(command, family, &vec![0; length])), Err(wrong));
    }
    let longest = v2_bytes(0x21, 0x11, &vec![0; V2_BYTES_MAX - V2_FIXED_BYTES]);
    assert_eq!(read(&longest).map(|found| found.is_some()), Ok(true));
    assert_eq!(read(b"\r\n\r\n\0\r\nQUIT\r"), Err(Wrong::Begin));
    assert_eq!(read(b"\r\nGET / HTTP/1.1\r\n"), Err(Wrong::Begin));
    assert_eq!(read(b""), Ok(None));
}

fn asks(peer: &str, forwarded: &[&str]) -> String {
    let fields = forwarded.iter().map(|value| value.as_bytes());
    let is_trusted = |address: IpAddr| match address {
        IpAddr::V4(v4) => v4.octets()[0] == 10,
        IpAddr::V6(v6) => v6 == Ipv6Addr::LOCALHOST,
    };
    client_address(ip(peer), fields, is_trusted).to_string()
}

#[test]
fn the_client_is_the_first_from_the_right_that_is_not_trusted() {
    let rows: [(&str, &[&str], &str); 22] = [
        ("192.0.2.1", &[], "192.0.2.1"),
        ("10.0.0.1", &[], "10.0.0.1"),
        // Who is not trusted is not listened to.
        ("192.0.2.1", &["198.51.100.1"], "192.0.2.1"),
        ("10.0.0.1", &["198.51.100.1"], "198.51.100.1"),
        // What the client itself claims stands left of it.
        ("10.0.0.1", &["10.9.9.9, 198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", &["203.0.113.1, 198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", &["203.0.113.1", "198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", &["198.51.100.1, 10.0.0.3", "10.0.0.2"], "198.51.100.1"),
        ("10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", &["198.51.100.1,\t,10.0.0.2 ,"], "198.51.100.1"),
        ("10.0.0.1", &[""], "10.0.0.1"),
        // What is no address ends the search.
        ("10.0.0.1", &["198.51.100.1, unknown"], "10.0.0.1"),
        ("10.0.0.1", &["198.51.100.1, _hidden, 10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", &["198.51.100.1 198.51.100.2"], "10.0.0.1"),
        ("10.0.0.1", &["[2001:db8::1%5], ::1"], "::1"),
        ("10.0.0.1", &["[2001:db8::1%5]:80, ::1"], "::1"),
        ("10.0.0.1", &["[2001:db8::1]:x, ::1"], "::1"),
        // As proxies write it.
        ("10.0.0.1", &["198.51.100.1:4711"], "198.51.100.1"),
        ("10.0.0.1", &["[2001:db8::1]"], "2001:db8::1"),
        ("10.0.0.1", &["[2001:db8::1]:4711, ::1"], "2001:db8::1"),
        ("::ffff:10.0.0.1", &["::ffff:198.51.100.1"], "198.51.100.1"),
        ("::ffff:192.0.2.1", &["198.51.100.1"], "192.0.2.1"),
    ];
    for (peer, forwarded, client) in rows {
        assert_eq!(asks(peer, forwarded), client, "{peer} {forwarded:?}");
    }
    assert_eq!(
        client_address(ip("10.0.0.1"), [&b"\xff"[..]].into_iter(), |_| true),
        ip("10.0.0.1")
    );
}
