//! A model server that does what the test says: byte for byte, connection by connection.

use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::thread;

use super::connection::Connection;
use super::connection::Message;
use super::connection::PATIENCE;

/// A server whose connections the test takes one by one.
#[derive(Debug)]
pub(crate) struct Upstream {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    connections: mpsc::Receiver<TcpStream>,
    is_over: Arc<AtomicBool>,
}

impl Upstream {
    /// Listens at an address of its own.
    pub(crate) fn start() -> Self {
        Self::at((Ipv4Addr::LOCALHOST, 0).into())
    }

    /// Listens at this address.
    pub(crate) fn at(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).expect("an address");
        let address = listener.local_addr().expect("an address");
        let is_over = Arc::new(AtomicBool::new(false));
        let (sender, connections) = mpsc::channel();
        let ends = Arc::clone(&is_over);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if ends.load(Ordering::SeqCst) {
                    return;
                }
                if let Ok(stream) = stream
                    && sender.send(stream).is_err()
                {
                    return;
                }
            }
        });
        Self { address, connections, is_over }
    }

    /// The next connection the gateway opens.
    pub(crate) fn connection(&self) -> Connection {
        Connection::new(self.connections.recv_timeout(PATIENCE).expect("the gateway connects"))
    }

    /// The next connection and the request on it.
    pub(crate) fn request(&self) -> (Connection, Message) {
        let mut connection = self.connection();
        let request = connection.message();
        (connection, request)
    }

    /// A connection that was opened already, and the request on it.
    pub(crate) fn try_request(&self) -> Option<(Connection, Message)> {
        let mut connection = Connection::new(self.connections.try_recv().ok()?);
        let request = connection.message();
        Some((connection, request))
    }

    /// Whether there is no connection that was not taken yet.
    pub(crate) fn is_untouched(&self) -> bool {
        self.connections.try_recv().is_err()
    }

    /// Its URL.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        // Wakes the listening thread up, which then ends and closes its port.
        TcpStream::connect_timeout(&self.address, PATIENCE).ok();
    }
}

/// A server that answers by itself, and remembers what it was asked.
#[derive(Debug)]
pub(crate) struct Answering {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    asked: Arc<Mutex<Vec<Message>>>,
}

impl Answering {
    /// Answers every request with what `answer` makes of it.
    pub(crate) fn with(answer: impl Fn(&Message) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let upstream = Upstream::start();
        let (address, answer) = (upstream.address, Arc::new(answer));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let memory = Arc::clone(&asked);
        thread::spawn(move || {
            while let Ok(stream) = upstream.connections.recv() {
                let (answer, memory) = (Arc::clone(&answer), Arc::clone(&memory));
                thread::spawn(move || serve(stream, &*answer, &memory));
            }
        });
        Self { address, asked }
    }

    /// Answers every request with this text.
    pub(crate) fn saying(text: &str) -> Self {
        let answer = ok(text);
        Self::with(move |_| answer.clone())
    }

    /// What it was asked so far.
    pub(crate) fn asked(&self) -> Vec<Message> {
        self.asked.lock().expect("no test has failed here").clone()
    }

    /// Its URL.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

fn serve(stream: TcpStream, answer: &dyn Fn(&Message) -> Vec<u8>, memory: &Mutex<Vec<Message>>) {
    stream.set_read_timeout(None).ok();
    let mut connection = Connection::new(stream);
    while connection.has_more() {
        let request = connection.message();
        let answer = answer(&request);
        memory.lock().expect("no test has failed here").push(request);
        connection.send_what_is_taken(answer);
    }
}

/// A response with this text.
pub(crate) fn ok(text: &str) -> Vec<u8> {
    let length = text.len();
    format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{text}")
        .into_bytes()
}

/// The head of a stream of events in chunks.
pub(crate) const EVENTS: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

/// A chunk with this content.
pub(crate) fn chunk(content: impl AsRef<[u8]>) -> Vec<u8> {
    let content = content.as_ref();
    let mut chunk = format!("{:x}\r\n", content.len()).into_bytes();
    chunk.extend_from_slice(content);
    chunk.extend_from_slice(b"\r\n");
    chunk
}
