//! A small web server of the tests' own, for pages and for odd upstreams; and one that passes requests on to the gateway and
//! cuts streams in the middle.

use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::net::Ipv4Addr;
use std::net::Shutdown;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use socket2::SockRef;

/// A request, read whole.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    /// `None`: the client has sent none.
    fn read(stream: &TcpStream) -> Option<Self> {
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        let mut next = || {
            line.clear();
            reader.read_line(&mut line).ok()?;
            Some(line.trim_end().to_owned())
        };
        let first = next()?;
        let mut words = first.split(' ').map(str::to_owned);
        let (method, path) = (words.next()?, words.next()?);
        let mut fields = Vec::new();
        while let Some((name, value)) = next()?.split_once(':') {
            fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut request = Self { method, path, fields, body: Vec::new() };
        let length = request.field("content-length").map_or(0, |length| length.parse().unwrap());
        request.body.resize(length, 0);
        reader.read_exact(&mut request.body).ok()?;
        Some(request)
    }

    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|field| field.0 == name).map(|field| &*field.1)
    }

    /// As bytes, the only one of its connection.
    fn write(&self) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\nconnection: close\r\n", self.method, self.path);
        for (name, value) in self.fields.iter().filter(|field| field.0 != "connection") {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        [head.as_bytes(), b"\r\n", &self.body].concat()
    }
}

/// Serves requests, each on a connection of its own.
pub(crate) fn serve(answer: impl Fn(Request, TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let answer = Arc::new(answer);
    // It ends with the process.
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, answer) = (stream.unwrap(), Arc::clone(&answer));
            thread::spawn(move || {
                if let Some(request) = Request::read(&stream) {
                    answer(request, stream);
                }
            });
        }
    });
    address
}

/// Answers with a whole body.
pub(crate) fn answer(mut stream: TcpStream, status: u16, kind: &str, body: &[u8]) {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
    );
    // A client that has left is not our affair.
    stream.write_all(&[head.as_bytes(), body].concat()).ok();
}

/// How the connection of a stream ends, and after how many bytes of its content.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cut {
    Never,
    Close(usize),
    Reset(usize),
}

/// A request that was passed on.
#[derive(Clone, Debug)]
pub(crate) struct Visit {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) last_event_id: Option<String>,
    pub(crate) status: u16,
}

/// Stands before the gateway.
#[derive(Clone)]
pub(crate) struct Line {
    gateway: SocketAddr,
    cuts: Arc<Mutex<Vec<Cut>>>,
    visits: Arc<Mutex<Vec<Visit>>>,
}

impl Line {
    /// The responses with streams of events are cut like this, one after the other; those behind them never.
    pub(crate) fn to(gateway: SocketAddr, cuts: &[Cut]) -> Self {
        let cuts = cuts.iter().rev().copied().collect();
        Self { gateway, cuts: Arc::new(Mutex::new(cuts)), visits: Arc::default() }
    }

    /// What was passed on so far.
    pub(crate) fn visits(&self) -> Vec<Visit> {
        self.visits.lock().unwrap().clone()
    }

    /// Whether every cut has been made.
    pub(crate) fn is_through(&self) -> bool {
        self.cuts.lock().unwrap().is_empty()
    }

    /// Passes a request on, and its answer back, up to the cut.
    pub(crate) fn pass(&self, request: &Request, client: TcpStream) {
        let mut server = TcpStream::connect(self.gateway).unwrap();
        server.write_all(&request.write()).unwrap();
        // A client that leaves is seen to leave.
        let (mut leaving, behind) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        let watching = thread::spawn(move || {
            while leaving.read(&mut [0; 512]).is_ok_and(|length| length > 0) {}
            behind.shutdown(Shutdown::Both).ok();
        });
        let cut = self.copy(request, &mut server, &client);
        if let Cut::Reset(_) = cut {
            for socket in [&client, &server] {
                SockRef::from(socket).set_linger(Some(Duration::ZERO)).unwrap();
            }
            // The other thread's hand on the sockets goes first: the last one that lets go of them resets them.
            client.shutdown(Shutdown::Read).ok();
        } else {
            client.shutdown(Shutdown::Both).ok();
        }
        watching.join().unwrap();
    }

    /// The cut that was made.
    fn copy(&self, request: &Request, server: &mut TcpStream, mut client: &TcpStream) -> Cut {
        let (mut got, mut cut, mut end) = (Vec::new(), Cut::Never, usize::MAX);
        let (mut sent, mut has_head) = (0, false);
        let mut piece = [0; 16 << 10];
        loop {
            let Ok(length @ 1..) = server.read(&mut piece) else { return Cut::Never };
            got.extend_from_slice(&piece[..length]);
            if let Some(at) =
                got.windows(4).position(|four| four == b"\r\n\r\n").filter(|_| !has_head)
            {
                has_head = true;
                let head = String::from_utf8_lossy(&got[..at]).to_ascii_lowercase();
                self.note(request, head.split(' ').nth(1).unwrap().parse().unwrap());
                if head.contains("content-type: text/event-stream") {
                    cut = self.cuts.lock().unwrap().pop().unwrap_or(Cut::Never);
                }
                if let Cut::Close(bytes) | Cut::Reset(bytes) = cut {
                    end = at + 4 + bytes;
                }
            }
            if has_head {
                let until = got.len().min(end);
                if client.write_all(&got[sent..until]).is_err() {
                    return Cut::Never;
                }
                sent = until;
            }
            if sent == end {
                return cut;
            }
        }
    }

    fn note(&self, request: &Request, status: u16) {
        self.visits.lock().unwrap().push(Visit {
            method: request.method.clone(),
            path: request.path.clone(),
            last_event_id: request.field("last-event-id").map(str::to_owned),
            status,
        });
    }
}
