//! Documents of a real server on this machine, good and bad.

use super::*;
use rustls::ServerConfig;
use rustls::ServerConnection;
use rustls::StreamOwned;
use std::io::Read;
use std::io::Write;
use std::net::TcpListener;
use std::thread;
use std::thread::JoinHandle;

/// A server that answers one connection after the other with these bytes, and then is gone.
pub(in crate::control) struct Serving {
    pub(in crate::control) url: String,
    asked: JoinHandle<Vec<String>>,
}

impl Serving {
    /// The heads that came.
    pub(in crate::control) fn asked(self) -> Vec<String> {
        self.asked.join().unwrap()
    }
}

pub(in crate::control) fn serve(answers: Vec<Vec<u8>>) -> Serving {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/jwks.json?a=b", listener.local_addr().unwrap());
    let asked = thread::spawn(move || {
        let mut heads = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            heads.push(head(&mut stream));
            // Who has had enough of it may hang up.
            stream.write_all(&answer).ok();
        }
        heads
    });
    Serving { url, asked }
}

fn head(stream: &mut impl Read) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

/// An answer with this status line, these field lines and this body.
pub(in crate::control) fn answer(status: &str, fields: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\n{fields}content-length: {length}\r\n\r\n{body}").into_bytes()
}

pub(in crate::control) fn on_runtime<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

const BOUNDS: Bounds = Bounds { bytes_max: 1000, timeout: Duration::from_secs(10) };

fn fetched(url: &str) -> Result<Fetched, String> {
    on_runtime(fetch(url, None, BOUNDS))
}

#[test]
fn a_document_is_fetched_whole() {
    let control = "age: 10\r\ncache-control: public, max-age=70, must-revalidate\r\n";
    let serving = serve(vec![answer("200 OK", control, "{}")]);
    let max_age = Some(Duration::from_secs(60));
    assert_eq!(fetched(&serving.url), Ok(Fetched { body: b"{}".to_vec(), max_age }));
    let heads = serving.asked();
    assert!(heads[0].starts_with("GET /jwks.json?a=b HTTP/1.1\r\n"), "{heads:?}");
    assert!(heads[0].contains("host: 127.0.0.1:"), "{heads:?}");
}

#[test]
fn what_is_not_a_document_is_said() {
    let long = "x".repeat(1001);
    let endless = [
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".as_slice(),
        b"400\r\n",
        long.as_bytes(),
    ]
    .concat();
    for (answer, says) in [
        (answer("404 Not Found", "", "no"), "answered with 404"),
        (answer("204 No Content", "", ""), "answered with 204"),
        (answer("200 OK", "", &long), "could not be read whole (at most 1000 bytes)"),
        (endless, "could not be read whole"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n{".to_vec(), "could not be read whole"),
        (b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(), "does not speak HTTP"),
        (Vec::new(), "does not speak HTTP"),
    ] {
        let serving = serve(vec![answer]);
        let why = fetched(&serving.url).unwrap_err();
        assert!(why.contains(says), "{says}: {why}");
    }
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert!(fetched(&format!("http://{free}/")).unwrap_err().contains("cannot connect"));
    assert!(fetched("https://localhost:1/").is_err());
}

#[test]
fn who_never_answers_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let bounds = Bounds { timeout: Duration::from_millis(50), ..BOUNDS };
    let why = on_runtime(fetch(&url, None, bounds)).unwrap_err();
    assert_eq!(why, "not there within 50ms");
}

#[test]
fn redirects_stay_on_their_host() {
    let to = |place: &str| answer("302 Found", &format!("location: {place}\r\n"), "");
    let serving = serve(vec![to("/other?x=1"), answer("200 OK", "", "there")]);
    assert_eq!(fetched(&serving.url).map(|fetched| fetched.body), Ok(b"there".to_vec()));
    assert!(serving.asked()[1].starts_with("GET /other?x=1 "));
    for place in ["http://127.0.0.1:1/", "https://127.0.0.1/", "//evil.example/x", "ftp://a/", "x"]
    {
        let serving = serve(vec![to(place)]);
        let why = fetched(&serving.url).unwrap_err();
        assert!(why.contains("has moved to"), "{place}: {why}");
    }
    let serving = serve(vec![to("/again"); 4]);
    assert!(fetched(&serving.url).unwrap_err().contains("more than 3 times"));
}

#[test]
fn a_certificate_must_be_vouched_for() {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://localhost:{}/", listener.local_addr().unwrap().port());
    let server = thread::spawn(move || {
        for _ in 0..2 {
            let (stream, _) = listener.accept().unwrap();
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = StreamOwned::new(connection, stream);
            let mut byte = [0];
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") && matches!(stream.read(&mut byte), Ok(1)) {
                head.push(byte[0]);
            }
            stream.write_all(&answer("200 OK", "", "secure")).ok();
            stream.flush().ok();
        }
    });
    let mut roots = rustls::RootCertStore::empty();
    let nobody = crate::snapshot::client_config(&roots).unwrap();
    let why = on_runtime(fetch(&url, Some(Arc::new(nobody)), BOUNDS)).unwrap_err();
    assert!(why.starts_with("TLS: "), "{why}");
    roots.add(made.cert.der().clone()).unwrap();
    let trusting = crate::snapshot::client_config(&roots).unwrap();
    let fetched = on_runtime(fetch(&url, Some(Arc::new(trusting)), BOUNDS)).unwrap();
    assert_eq!(fetched.body, b"secure");
    server.join().unwrap();
}
