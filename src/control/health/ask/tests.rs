//! Questions to real servers on this machine, well and not.

use super::*;
use crate::control::fetch::tests::Serving;
use crate::control::fetch::tests::answer;
use crate::control::fetch::tests::on_runtime;
use crate::control::fetch::tests::serve;
use std::io::Read as _;
use std::io::Write as _;
use std::net::TcpListener;
use std::thread;

fn question(addresses: &[SocketAddr]) -> Question {
    Question {
        addresses: addresses.to_vec(),
        tls: None,
        host: "models.example:8000".to_owned(),
        path: "/prefix/health?deep".to_owned(),
        credential: None,
        timeout: Duration::from_secs(10),
    }
}

fn address(serving: &Serving) -> SocketAddr {
    let rest = serving.url.strip_prefix("http://").unwrap();
    rest.split('/').next().unwrap().parse().unwrap()
}

/// What comes of a server that answers like this.
fn asked(bytes: Vec<u8>) -> Result<(), String> {
    let serving = serve(vec![bytes]);
    on_runtime(question(&[address(&serving)]).ask())
}

#[test]
fn it_is_asked_as_a_request_would_be() {
    let serving = serve(vec![answer("200 OK", "", "ok")]);
    let line = b"authorization: Bearer sk-secret\r\n".to_vec();
    let question =
        Question { credential: Some(Secret::new(line)), ..question(&[address(&serving)]) };
    assert_eq!(on_runtime(question.ask()), Ok(()));
    let head = serving.asked().remove(0);
    assert!(head.starts_with("GET /prefix/health?deep HTTP/1.1\r\n"), "{head}");
    for line in
        ["host: models.example:8000", "authorization: Bearer sk-secret", "user-agent: ringway/"]
    {
        assert_eq!(head.matches(line).count(), 1, "{line} is not once in {head}");
    }
    assert!(!format!("{question:?}").contains("sk-secret"));
}

#[test]
fn a_status_says_how_it_is() {
    for (status, has_passed) in [
        ("200 OK", true),
        ("204 No Content", true),
        ("301 Moved Permanently", false),
        ("401 Unauthorized", false),
        ("404 Not Found", false),
        ("503 Service Unavailable", false),
    ] {
        let why = asked(answer(status, "", "")).err();
        assert_eq!(why.is_none(), has_passed, "{status}: {why:?}");
        let says = format!("answered with {status}");
        assert!(why.is_none_or(|why| why == says), "{status}");
    }
}

#[test]
fn what_is_not_an_answer_is_said() {
    let with_length = |length: usize, body: &str| {
        format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}")
    };
    let long_head = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "x".repeat(HEAD_BYTES_MAX));
    for (bytes, says) in [
        (Vec::new(), "does not speak HTTP"),
        (b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(), "does not speak HTTP"),
        (long_head.into_bytes(), "does not speak HTTP"),
        (with_length(10, "{").into_bytes(), "broke off"),
    ] {
        let why = asked(bytes).unwrap_err();
        assert!(why.contains(says), "{says}: {why}");
    }
}

/// The answer never ends, and its sender is left alone as soon as it is clear that it sends one.
#[test]
fn a_long_answer_is_not_read_to_its_end() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        assert_ne!(stream.read(&mut [0; 1024]).unwrap(), 0);
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        let mut sent: u64 = 0;
        while stream.write_all(&[b'x'; 4096]).is_ok() {
            sent += 4096;
        }
        sent
    });
    assert_eq!(on_runtime(question(&[address]).ask()), Ok(()));
    assert!(server.join().unwrap() >= BODY_BYTES_MAX as u64);
}

#[test]
fn who_is_silent_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let brief = Question { timeout: Duration::from_millis(50), ..question(&[address]) };
    assert_eq!(on_runtime(brief.ask()), Err("no answer within 50ms".to_owned()));
}

#[test]
fn its_addresses_are_tried_in_turn() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let serving = serve(vec![answer("200 OK", "", "")]);
    assert_eq!(on_runtime(question(&[free, address(&serving)]).ask()), Ok(()));
    let why = on_runtime(question(&[free]).ask()).unwrap_err();
    assert!(why.contains(&format!("cannot connect to {free}")), "{why}");
    assert_eq!(on_runtime(question(&[]).ask()), Err("its name has no address".to_owned()));
}

#[test]
fn its_certificate_must_be_vouched_for() {
    let made = rcgen::generate_simple_self_signed(vec!["models.example".to_owned()]).unwrap();
    let key = made.signing_key.serialize_der();
    let key = rustls::pki_types::PrivateKeyDer::try_from(key).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || {
        for _ in 0..3 {
            let (stream, _) = listener.accept().unwrap();
            let connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = rustls::StreamOwned::new(connection, stream);
            if stream.read(&mut [0; 1024]).is_ok() {
                stream.write_all(&answer("200 OK", "", "")).ok();
                stream.conn.send_close_notify();
                stream.flush().ok();
            }
        }
    });
    let asked = |roots: &rustls::RootCertStore, name: &str| {
        let config = Arc::new(crate::snapshot::client_config(roots).unwrap());
        let server_name = name.to_owned().try_into().unwrap();
        let tls = Some(Tls { config, server_name });
        on_runtime(Question { tls, ..question(&[address]) }.ask())
    };
    let mut roots = rustls::RootCertStore::empty();
    assert!(asked(&roots, "models.example").unwrap_err().starts_with("TLS: "));
    roots.add(made.cert.der().clone()).unwrap();
    assert!(asked(&roots, "other.example").unwrap_err().starts_with("TLS: "));
    assert_eq!(asked(&roots, "models.example"), Ok(()));
    server.join().unwrap();
}
