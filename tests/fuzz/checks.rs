//! What must hold for any bytes at all. The fuzz targets call these, and so do the golden tests with the corpus.

use ringway::accept::proxy;
use ringway::accept::proxy::Header;
use ringway::admission::Refusal;
use ringway::admission::jwks::KeySet;
use ringway::admission::jwt;
use ringway::admission::signature;
use ringway::admission::signature::Signers;
use ringway::units::ModelId;
use ringway::wire::Malformed;
use ringway::wire::head::BodyLength;
use ringway::wire::head::Fields;
use ringway::wire::head::Method;
use ringway::wire::http1::body::Body;
use ringway::wire::http1::encode;
use ringway::wire::http1::parse::HeadSearch;
use ringway::wire::http1::parse::Slots;
use ringway::wire::http1::parse::request;
use ringway::wire::http1::parse::response;
use ringway::wire::limits::FIELD_NAME_BYTES_MAX;
use ringway::wire::limits::FIELD_VALUE_BYTES_MAX;
use ringway::wire::limits::FIELDS_MAX;
use ringway::wire::limits::HEAD_BYTES_MAX;
use ringway::wire::sse::Scan;
use ringway::wire::sse::Scanner;
use std::net::IpAddr;
use std::net::Ipv4Addr;

/// A head: its end is found however the bytes come; what is accepted is within the bounds, has no
/// line end where none belongs, and is the same when it is written and read again.
pub(crate) fn head(bytes: &[u8]) {
    let whole = search(HeadSearch::default(), bytes, bytes.len());
    for step in [1, 2, 7] {
        assert_eq!(search(HeadSearch::default(), bytes, step), whole);
    }
    if let Ok(Some(end)) = whole {
        check_request(&bytes[..end]);
    }
    if let Ok(Some(end)) = search(HeadSearch::for_response(), bytes, bytes.len()) {
        for asked in [Method::Post, Method::Head] {
            check_response(&bytes[..end], asked);
        }
    }
    // Without the search too, nothing panics, and the end is the same.
    if let Ok(Some(head)) = request(bytes, &mut Slots::new()) {
        assert_eq!(whole, Ok(Some(head.bytes)));
    }
    if let Ok(Some(head)) = response(bytes, &mut Slots::new(), Method::Get) {
        let end = search(HeadSearch::for_response(), bytes, bytes.len());
        assert_eq!(end, Ok(Some(head.bytes)));
    }
}

fn search(mut search: HeadSearch, bytes: &[u8], step: usize) -> Result<Option<usize>, Malformed> {
    let mut known = 0;
    loop {
        known = bytes.len().min(known + step.max(1));
        match search.end(&bytes[..known])? {
            None if known < bytes.len() => {}
            end => return Ok(end),
        }
    }
}

fn check_request(bytes: &[u8]) {
    let mut slots = Slots::new();
    let Ok(head) = request(bytes, &mut slots) else { return };
    let head = head.expect("the search has found its end");
    assert_eq!(head.bytes, bytes.len());
    assert_ne!(head.body, BodyLength::UntilClose);
    assert!(!head.expects_continue || head.body != BodyLength::Empty);
    assert!(head.path.starts_with('/') || head.path == "*" || head.method == Method::Connect);
    check_fields(bytes, head.fields);
    if head.method == Method::Connect {
        return;
    }
    let mut again = Vec::new();
    encode::request_line(&mut again, head.method_text, head.path, head.query);
    write_fields(&mut again, head.fields);
    let mut slots = Slots::new();
    // (The version is written as 1.1, which may want a Host that 1.0 did not.)
    match request(&again, &mut slots) {
        Ok(Some(second)) => {
            assert_eq!((second.path, second.query), (head.path, head.query));
            assert_eq!(second.body, head.body);
            assert_eq!(second.fields.0, head.fields.0);
        }
        result => assert_eq!(result.err(), Some(Malformed::HostMissing)),
    }
}

fn check_response(bytes: &[u8], asked: Method) {
    let mut slots = Slots::new();
    let Ok(head) = response(bytes, &mut slots, asked) else { return };
    let head = head.expect("the search has found its end");
    assert_eq!(head.bytes, bytes.len());
    assert!((100..=599).contains(&head.status) && head.status != 101);
    assert!(asked != Method::Head || head.body == BodyLength::Empty);
    assert!(!head.is_keep_alive || head.body != BodyLength::UntilClose);
    check_fields(bytes, head.fields);
}

fn check_fields(bytes: &[u8], fields: Fields<'_, '_>) {
    assert!(bytes.len() <= HEAD_BYTES_MAX && fields.0.len() <= FIELDS_MAX);
    for field in fields {
        assert!(!field.name.is_empty() && field.name.len() <= FIELD_NAME_BYTES_MAX);
        assert!(field.value.len() <= FIELD_VALUE_BYTES_MAX);
        assert!(field.name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':'));
        assert!(!field.value.iter().any(|byte| b"\r\n\0".contains(byte)));
    }
    let feeds = bytes.iter().filter(|&&byte| byte == b'\n').count();
    assert_eq!(feeds, bytes.windows(2).filter(|pair| pair == b"\r\n").count(), "bare line feed");
}

fn write_fields(out: &mut Vec<u8>, fields: Fields<'_, '_>) {
    for field in fields {
        encode::field(out, field.name, field.value);
    }
    encode::end_of_head(out);
}

/// A chunked body: the same however the bytes come, never beyond its end, and what was content is
/// the same when it is written and read again.
pub(crate) fn chunked(bytes: &[u8]) {
    let whole = decode(bytes, bytes.len());
    for step in [1, 2, 7] {
        assert_eq!(decode(bytes, step), whole);
    }
    let mut again = Vec::new();
    for chunk in whole.content.chunks(3) {
        encode::chunk(&mut again, chunk);
    }
    again.extend_from_slice(encode::LAST_CHUNK);
    let second = decode(&again, again.len());
    assert_eq!(second.content, whole.content);
    assert_eq!((second.consumed, second.end), (again.len(), Ok(true)));
}

/// What a chunked body turned out to be.
#[derive(Debug, PartialEq, Eq)]
struct Decoded {
    content: Vec<u8>,
    /// Bytes up to the end, or all before the error was found.
    consumed: usize,
    end: Result<bool, Malformed>,
}

fn decode(bytes: &[u8], step: usize) -> Decoded {
    let mut body = Body::new(BodyLength::Chunked);
    let mut decoded = Decoded { content: Vec::new(), consumed: 0, end: Ok(false) };
    let mut known = 0;
    while !body.is_end() && (known < bytes.len() || decoded.consumed < known) {
        known = bytes.len().min(known + step.max(1));
        let input = &bytes[decoded.consumed..known];
        match body.next(input) {
            Ok(piece) => {
                assert!(piece.body.start <= piece.body.end && piece.body.end <= piece.consumed);
                assert!(piece.consumed > 0 && piece.consumed <= input.len(), "progress");
                assert_eq!(piece.is_end, body.is_end());
                decoded.content.extend_from_slice(&input[piece.body.clone()]);
                decoded.consumed += piece.consumed;
            }
            Err(why) => {
                // Where exactly it stood in its input is not promised.
                decoded.consumed = 0;
                decoded.end = Err(why);
                return decoded;
            }
        }
    }
    decoded.end = Ok(body.is_end());
    decoded
}

/// A stream of events: what the scanner finds in passing is what a plain reading of the standard
/// finds, however the bytes come.
pub(crate) fn sse(bytes: &[u8]) {
    let expected = read_events(bytes);
    for step in [bytes.len(), 1, 2, 7] {
        assert_eq!(scan(bytes, step), expected, "in steps of {step}");
    }
}

fn scan(bytes: &[u8], step: usize) -> (Scan, bool) {
    let mut scanner = Scanner::default();
    let mut all = Scan::default();
    let mut at = 0;
    while at < bytes.len() {
        let end = bytes.len().min(at + step.max(1));
        let scan = scanner.feed(&bytes[at..end]);
        assert!(scan.boundary.is_none_or(|offset| offset > 0 && offset <= end - at));
        all.events += scan.events;
        all.is_done |= scan.is_done;
        all.boundary = scan.boundary.map(|offset| at + offset).or(all.boundary);
        at = end;
    }
    (all, scanner.at_boundary())
}

/// The standard, line by line, on the whole stream.
fn read_events(bytes: &[u8]) -> (Scan, bool) {
    let mut scan = Scan::default();
    let mut data: Option<Vec<u8>> = None;
    let mut is_inside = false;
    let mut at = if bytes.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
    while let Some(length) = bytes[at..].iter().position(|byte| b"\r\n".contains(byte)) {
        let line = &bytes[at..at + length];
        at += length + if bytes[at + length..].starts_with(b"\r\n") { 2 } else { 1 };
        if line.is_empty() {
            scan.boundary = Some(at);
            scan.events += u32::from(data.is_some());
            scan.is_done |= data.take().is_some_and(|data| data == b"[DONE]");
            is_inside = false;
            continue;
        }
        is_inside = true;
        let (name, value) = match line.iter().position(|&byte| byte == b':') {
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            None => (line, &b""[..]),
        };
        if name == b"data" {
            let value = value.strip_prefix(b" ").unwrap_or(value);
            match &mut data {
                Some(data) => data.extend_from_slice(&[b"\n", value].concat()),
                None => data = Some(value.to_vec()),
            }
        }
    }
    (scan, !is_inside && at >= bytes.len())
}

/// A time at which the corpus holds.
const NOW_UNIX_S: u64 = 1_618_884_473;

/// A token, or a key set and a line end and a token: what is accepted has three parts, was signed with the key it was given,
/// holds only in its time, and is the same when it is read again.
pub(crate) fn jwt(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let (set, token) = text.rsplit_once('\n').unwrap_or(("", text));
    let keys = match KeySet::parse(set.as_bytes()) {
        Ok((keys, skipped)) => {
            assert!(keys.kids().count() <= keys.len());
            assert!(skipped.iter().all(|skipped| !skipped.why.is_empty()));
            keys
        }
        Err(_) => KeySet::secret(&[b'k'; 64], &[]).expect("the secret is long enough"),
    };
    let opened = jwt::open(token, &keys, &[]);
    let issuer = [jwt::Issuer { keys, leeway_s: 60, ..jwt::Issuer::default() }];
    let verify = |now| jwt::verify(token, &issuer, now, |_| Some(ModelId(0)));
    let Ok(claims) = verify(NOW_UNIX_S) else { return };
    assert!(opened.is_ok() && jwt::has_shape(token.as_bytes()));
    assert!(token.len() <= jwt::TOKEN_BYTES_MAX && claims.user.len() <= jwt::USER_BYTES_MAX);
    assert!(!claims.user.contains(char::is_control));
    assert!(claims.expires_unix_s > NOW_UNIX_S);
    assert_eq!(verify(claims.expires_unix_s).err(), Some(Refusal::TokenExpired));
    assert_eq!(verify(NOW_UNIX_S).map(|again| again.subject), Ok(claims.subject));
}

/// The head of a request: what is accepted as signed was made in the window, has a digest where it has a body, and does
/// not pass with another secret.
pub(crate) fn signature(bytes: &[u8]) {
    let mut slots = Slots::new();
    let Ok(Some(head)) = request(bytes, &mut slots) else { return };
    let of = |secret: &[u8]| {
        let mut signers = Signers::new(300);
        signers.add("k", secret, None).expect("the secret is long enough");
        signature::verify(&head, &signers, 300, NOW_UNIX_S)
    };
    let Ok(found) = of(&[b'k'; 32]) else { return };
    assert!(signature::is_present(&head));
    assert!(found.created_unix_s.abs_diff(NOW_UNIX_S) <= 300);
    assert_eq!(found.digest.is_some(), head.body != BodyLength::Empty);
    assert_eq!(of(&[b'l'; 32]).err(), Some(Refusal::SignatureWrong));
    assert_eq!(of(&[b'k'; 32]), Ok(found));
}

/// The header of a proxy: the same however the bytes come, within its bounds, and nothing behind it counts. The same bytes
/// as values of `x-forwarded-for`: what a reading from the left finds.
pub(crate) fn proxy_header(bytes: &[u8]) {
    let whole = proxy::header(bytes);
    for step in [1, 2, 7] {
        let mut known = 0;
        let first = loop {
            known = bytes.len().min(known + step);
            match proxy::header(&bytes[..known]) {
                Ok(None) if known < bytes.len() => {}
                found => break found,
            }
        };
        assert_eq!(first, whole, "in steps of {step}");
    }
    if let Ok(Some(Header { bytes: length, source })) = whole {
        assert!(length <= proxy::V2_BYTES_MAX && length <= bytes.len());
        assert_eq!(proxy::header(&bytes[..length]), whole);
        assert_eq!(proxy::header(&bytes[..length - 1]), Ok(None));
        assert_eq!(source, source.map(|address| address.to_canonical()));
    }
    let peer = IpAddr::from(Ipv4Addr::LOCALHOST);
    let values = || bytes.split(|byte| *byte == b'\n');
    let is_trusted = |address: IpAddr| match address {
        IpAddr::V4(v4) => matches!(v4.octets(), [127 | 10, ..]),
        IpAddr::V6(v6) => v6.is_loopback(),
    };
    let found = proxy::client_address(peer, values(), is_trusted);
    assert_eq!(found, forwarded_from_the_left(peer, values(), is_trusted));
    assert_eq!(proxy::client_address(peer, values(), |_| false), peer);
}

/// The last address that is not trusted, unless something behind it is no address; else the first of the trusted ones
/// that stand together at the end.
fn forwarded_from_the_left<'b>(
    peer: IpAddr,
    values: impl Iterator<Item = &'b [u8]>,
    is_trusted: impl Fn(IpAddr) -> bool,
) -> IpAddr {
    let mut client = None;
    for entry in values.flat_map(|value| value.split(|byte| *byte == b',')) {
        let entry = entry.trim_ascii();
        if entry.is_empty() {
            continue;
        }
        let address = std::str::from_utf8(entry).ok().and_then(address_of);
        client = match address {
            None => None,
            Some(address) if !is_trusted(address) => Some(address),
            Some(address) => client.or(Some(address)),
        };
    }
    client.unwrap_or(peer)
}

fn address_of(text: &str) -> Option<IpAddr> {
    if text.contains('%') {
        return None; // A zone, which the standard library takes with a port and not without.
    }
    let with_port = text.parse::<std::net::SocketAddr>().map(|socket| socket.ip());
    let bracketed =
        format!("{text}:0").parse::<std::net::SocketAddrV6>().map(|v6| (*v6.ip()).into());
    let address = text.parse().or(with_port).ok();
    let address = address.or(bracketed.ok().filter(|_| text.ends_with(']')));
    address.map(|address: IpAddr| address.to_canonical())
}
