//! Requests that arrive over a real socket, in pieces.

use std::io::Write as _;
use std::net::TcpListener;
use std::net::TcpStream;
use std::thread;

use super::super::digest::DIGEST_BYTES_MAX;
use super::*;
use crate::ring::Options;
use crate::ring::Ring;
use crate::ring::stream::Stream;

const LIMITS: Limits = Limits {
    idle: Duration::from_secs(10),
    head: Duration::from_secs(10),
    body: Duration::from_secs(10),
    body_bytes_max: 1000,
    held_bytes_max: 1 << 20,
};

/// What one request comes to, sent in pieces of `step` bytes: its body and digest, or the trouble; and where it is from.
fn arrive(bytes: &[u8], step: usize, has_header: bool) -> (String, std::net::IpAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    near.set_nodelay(true).unwrap();
    let (far, from) = listener.accept().unwrap();
    far.set_nonblocking(true).unwrap();
    let bytes = bytes.to_vec();
    let sender = thread::spawn(move || {
        for piece in bytes.chunks(step) {
            // The other side may have seen enough.
            if near.write_all(piece).is_err() {
                break;
            }
        }
        near
    });
    let result = Ring::build(&Options::default()).unwrap().run(async move {
        let buffers = Buffers::default();
        let mut client = Client::new(Stream::from_fd(far.into()).unwrap(), from.ip());
        if has_header {
            proxied(&mut client, &buffers, &LIMITS).await.unwrap();
        }
        let (outline, ()) = head(&mut client, &buffers, &LIMITS, |_| ()).await.unwrap();
        let mut digest = BodyDigest::sha256();
        let came = body(&mut client, &buffers, &LIMITS, &outline, Some(&mut digest)).await;
        let shown = match came {
            Ok(mut incoming) => {
                let mut room = [0; DIGEST_BYTES_MAX];
                let whole = String::from_utf8_lossy(incoming.body()).into_owned();
                let mut again = BodyDigest::sha256();
                again.update(incoming.body());
                let mut room_again = [0; DIGEST_BYTES_MAX];
                assert_eq!(digest.finish(&mut room), again.finish(&mut room_again));
                incoming.release(&buffers);
                whole
            }
            Err(trouble) => format!("{trouble:?}"),
        };
        buffers.release(&mut client.input);
        assert_eq!(buffers.held(), 0);
        (shown, client.address)
    });
    drop(sender.join().unwrap());
    result
}

const EXACT: &str = "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 11\r\n\r\nhello world";
const CHUNKED: &str = "POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n\
                       6;a=b\r\nhello \r\n5\r\nworld\r\n0\r\nt: u\r\n\r\n";

#[test]
fn a_digest_runs_over_the_content_alone_however_it_comes() {
    for step in [1, 7, 1000] {
        for next in ["", "GET / HTTP/1.1\r\n"] {
            assert_eq!(arrive(format!("{EXACT}{next}").as_bytes(), step, false).0, "hello world");
            assert_eq!(arrive(format!("{CHUNKED}{next}").as_bytes(), step, false).0, "hello world");
        }
        assert_eq!(arrive(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", step, false).0, "");
    }
}

#[test]
fn a_body_too_large_is_refused_at_the_size_of_its_chunk() {
    let head = "POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n";
    for begun in ["3e9\r\n", "ffffffffffffffff\r\n", "1\r\nx\r\n3e8\r\n"] {
        for step in [1, 1000] {
            let (shown, _) = arrive(format!("{head}{begun}").as_bytes(), step, false);
            assert_eq!(shown, "TooLarge", "{begun}");
        }
    }
}

#[test]
fn what_a_proxy_says_comes_before_the_head() {
    for (header, address) in [
        (&b"PROXY TCP6 2001:db8::7 ::1 1 2\r\n"[..], "2001:db8::7"),
        (b"PROXY UNKNOWN\r\n", "127.0.0.1"),
        (b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x07\0\0\0\0\0\0\0\0", "192.0.2.7"),
    ] {
        for step in [1, 1000] {
            let (shown, from) = arrive(&[header, CHUNKED.as_bytes()].concat(), step, true);
            assert_eq!((shown.as_str(), from.to_string().as_str()), ("hello world", address));
        }
    }
}
