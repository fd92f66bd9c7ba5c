//! TLS in front of a model server: certificates made for the test, and a terminator that passes plain bytes on.

use std::io;
use std::io::Read;
use std::io::Write;
use std::net::Ipv4Addr;
use std::net::Shutdown;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use rcgen::BasicConstraints;
use rcgen::CertificateParams;
use rcgen::IsCa;
use rcgen::Issuer;
use rcgen::KeyPair;
use rustls::HandshakeKind;
use rustls::ServerConfig;
use rustls::ServerConnection;
use rustls::pki_types::PrivateKeyDer;

use super::connection::PATIENCE;

/// Who vouches for servers.
pub(crate) struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// Writes its certificate, for `ca = "PATH"`.
    pub(crate) fn write(&self, path: &Path) {
        std::fs::write(path, &self.pem).expect("a file");
    }

    fn config_for(&self, name: &str) -> ServerConfig {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .expect("a certificate with its key")
    }
}

/// How the terminator ends a connection whose plain side has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It says so in TLS, as it must.
    Announced,
    /// It closes the connection below, as somebody on the way could.
    Cut,
}

/// A terminator.
pub(crate) struct Front {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    names: Arc<Mutex<Vec<Option<String>>>>,
    handshakes: Arc<AtomicUsize>,
    resumed: Arc<AtomicUsize>,
}

impl Front {
    /// Stands before `plain` with a certificate for `name`.
    pub(crate) fn start(
        authority: &Authority,
        name: &str,
        plain: SocketAddr,
        ending: Ending,
    ) -> Self {
        let config = Arc::new(authority.config_for(name));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("an address");
        let address = listener.local_addr().expect("an address");
        let names = Arc::new(Mutex::new(Vec::new()));
        let handshakes = Arc::new(AtomicUsize::new(0));
        let resumed = Arc::new(AtomicUsize::new(0));
        let (asked, done) = (Arc::clone(&names), Arc::clone(&handshakes));
        let went_on = Arc::clone(&resumed);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (config, asked) = (Arc::clone(&config), Arc::clone(&asked));
                let (done, went_on) = (Arc::clone(&done), Arc::clone(&went_on));
                thread::spawn(move || {
                    // A client that refuses the certificate ends it at once; the test sees that at the gateway.
                    let tls = shake(&config, &stream)?;
                    asked
                        .lock()
                        .expect("only appended to")
                        .push(tls.server_name().map(str::to_owned));
                    let is_resumed = tls.handshake_kind() == Some(HandshakeKind::Resumed);
                    went_on.fetch_add(usize::from(is_resumed), Ordering::SeqCst);
                    done.fetch_add(1, Ordering::SeqCst);
                    pass(tls, &stream, plain, ending)
                });
            }
        });
        Self { address, names, handshakes, resumed }
    }

    /// The names that clients asked for, by connection.
    pub(crate) fn names(&self) -> Vec<Option<String>> {
        self.names.lock().expect("only appended to").clone()
    }

    /// How many connections there were.
    pub(crate) fn handshakes(&self) -> usize {
        self.handshakes.load(Ordering::SeqCst)
    }

    /// How many of them went on with an earlier session.
    pub(crate) fn resumed(&self) -> usize {
        self.resumed.load(Ordering::SeqCst)
    }
}

fn shake(config: &Arc<ServerConfig>, mut stream: &TcpStream) -> io::Result<ServerConnection> {
    let mut tls = ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
    while tls.is_handshaking() {
        tls.complete_io(&mut stream)?;
    }
    Ok(tls)
}

/// Passes bytes both ways until both sides have ended.
fn pass(
    tls: ServerConnection,
    stream: &TcpStream,
    plain: SocketAddr,
    ending: Ending,
) -> io::Result<()> {
    let plain = TcpStream::connect(plain)?;
    plain.set_nodelay(true)?;
    let tls = Arc::new(Mutex::new(tls));
    let (down_tls, down_plain) = (Arc::clone(&tls), plain.try_clone()?);
    let down_stream = stream.try_clone()?;
    let down = thread::spawn(move || pass_down(&down_tls, &down_stream, &down_plain, ending));
    let mut room = vec![0; 32 << 10];
    // Content may have come together with the end of the handshake.
    let mut count = 0;
    loop {
        let mut records = &room[..count];
        let mut content = Vec::new();
        let is_over = {
            let mut tls = tls.lock().expect("no test has failed here");
            loop {
                let state = tls.process_new_packets().map_err(io::Error::other)?;
                let start = content.len();
                content.resize(start + state.plaintext_bytes_to_read(), 0);
                tls.reader().read_exact(&mut content[start..])?;
                if records.is_empty() {
                    break state.peer_has_closed();
                }
                tls.read_tls(&mut records)?;
            }
        };
        { &plain }.write_all(&content).ok();
        if !is_over {
            count = { stream }.read(&mut room).unwrap_or(0);
        }
        if is_over || count == 0 {
            plain.shutdown(Shutdown::Write).ok();
            break;
        }
    }
    down.join().unwrap_or(Ok(()))
}

fn pass_down(
    tls: &Mutex<ServerConnection>,
    mut stream: &TcpStream,
    mut plain: &TcpStream,
    ending: Ending,
) -> io::Result<()> {
    let mut room = vec![0; 32 << 10];
    loop {
        let count = plain.read(&mut room).unwrap_or(0);
        let mut tls = tls.lock().expect("no test has failed here");
        tls.writer().write_all(&room[..count])?;
        if count == 0 && ending == Ending::Announced {
            tls.send_close_notify();
        }
        while tls.wants_write() {
            tls.write_tls(&mut stream)?;
        }
        if count == 0 {
            return stream.shutdown(Shutdown::Write);
        }
    }
}

/// A model server that speaks TLS itself: the test says which records it sends, and which of them at once.
pub(crate) struct Terminal {
    listener: TcpListener,
    config: Arc<ServerConfig>,
    /// Where it listens.
    pub(crate) address: SocketAddr,
}

impl Terminal {
    /// Listens with a certificate for `localhost`.
    pub(crate) fn start(authority: &Authority) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("an address");
        let address = listener.local_addr().expect("an address");
        Self { listener, config: Arc::new(authority.config_for("localhost")), address }
    }

    /// The next connection, after its handshake and with its session tickets.
    pub(crate) fn session(&self) -> Secured {
        let stream = self.connection();
        stream.set_nodelay(true).expect("a socket");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        let tls = shake(&self.config, &stream).expect("a handshake");
        Secured { tls, stream, records: Vec::new() }
    }

    /// The next connection, on which nobody has shaken hands.
    pub(crate) fn connection(&self) -> TcpStream {
        self.listener.accept().expect("the gateway connects").0
    }

    /// The next connection and the request on it.
    pub(crate) fn request(&self) -> Secured {
        let mut session = self.session();
        session.request();
        session
    }
}

/// A connection of a [`Terminal`].
pub(crate) struct Secured {
    tls: ServerConnection,
    stream: TcpStream,
    records: Vec<u8>,
}

impl Secured {
    /// Reads a request, of which the head says how long it is.
    pub(crate) fn request(&mut self) {
        let mut text = String::new();
        loop {
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                if body.len() >= length.map_or(0, |length| length.parse().expect("a number")) {
                    return;
                }
            }
            let mut room = [0; 4 << 10];
            match self.tls.reader().read(&mut room) {
                Ok(count) => text.push_str(std::str::from_utf8(&room[..count]).expect("UTF-8")),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    assert!(self.tls.read_tls(&mut self.stream).expect("records") > 0);
                    self.tls.process_new_packets().expect("good records");
                }
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// One more record with this content, that leaves with [`Self::send`].
    pub(crate) fn put(&mut self, content: impl AsRef<[u8]>) -> &mut Self {
        self.tls.writer().write_all(content.as_ref()).expect("memory");
        self.gather()
    }

    /// New keys, and the wish that the other side takes new ones as well.
    pub(crate) fn put_new_keys(&mut self) -> &mut Self {
        self.tls.refresh_traffic_keys().expect("TLS 1.3");
        self.gather()
    }

    /// The announcement that nothing follows.
    pub(crate) fn put_end(&mut self) -> &mut Self {
        self.tls.send_close_notify();
        self.gather()
    }

    /// Bytes that are no record of this session.
    pub(crate) fn put_bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.records.extend_from_slice(bytes);
        self
    }

    fn gather(&mut self) -> &mut Self {
        while self.tls.wants_write() {
            self.tls.write_tls(&mut self.records).expect("memory");
        }
        self
    }

    /// Sends what was put, at once.
    pub(crate) fn send(&mut self) {
        self.stream.write_all(&self.records).expect("the other side reads");
        self.records.clear();
    }
    /// Sends as much of what was put as is taken at present.
    pub(crate) fn send_what_is_taken(&mut self) {
        self.stream.set_write_timeout(Some(Duration::from_millis(300))).expect("a socket");
        self.stream.write_all(&self.records).ok();
    }

    /// Ends the connection so that the other side sees a reset.
    pub(crate) fn reset(self) {
        socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).expect("a socket");
    }
}
