//! A gateway of one shard with its model server in this process, and a client that is nothing but a socket.
#![allow(dead_code, reason = "each of the targets that share this file uses a part of it")]

use std::fs;
use std::io;
use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use ringway::mock;
use ringway::serve;

use crate::counting::Watched;

/// A model of two versions, with everything that may lead to one of them.
const ROUTED: &str = r#"
[[model]]
name = "routed"
version = "1.2.0"
upstream = "mock"
upstream_model = "demo"
[[model]]
name = "routed"
version = "1.3.0"
upstream = "mock"
upstream_model = "demo"
[[route]]
model = "routed"
labels = { stable = "1.2.0" }
split = [{ version = "stable", weight = 90 }, { version = "^1.3", weight = 10 }]
sticky = { header = "x-session" }
match = [{ header = "x-canary", value = "yes", version = "1.3.0" }]
"#;

/// A gateway that serves until the process ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gateway {
    /// Where clients come in.
    pub(crate) address: SocketAddr,
    /// Its only shard.
    pub(crate) shard: Watched,
}

/// Longest wait for a gateway to listen, and for a read.
const PATIENCE: Duration = Duration::from_secs(20);

/// Starts a gateway; its config lies in `directory`. `cpu` is that of its shard.
pub(crate) fn start(directory: &Path, cpu: Option<usize>) -> Gateway {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    // For the life of the process: it ends when it is dropped.
    let mock = Box::leak(Box::new(mock::spawn(mock::Options::new(any)).expect("the mock starts")));
    let config = directory.join(format!("inprocess-{}.toml", std::process::id()));
    let text = format!(
        "[listen]\naddress = \"127.0.0.1:0\"\n[admin]\naddress = \"127.0.0.1:0\"\n\
         [[upstream]]\nname = \"mock\"\nendpoints = [{{ url = \"http://{}\" }}]\n\
         [[model]]\nname = \"demo\"\nupstream = \"mock\"\n{ROUTED}",
        mock.address
    );
    fs::write(&config, text).expect("the config can be written");
    let (sender, serving) = mpsc::channel();
    let environment = move |name: &str| match name {
        "RINGWAY_SHARDS" => Some("1".to_owned()),
        "RINGWAY_CPUS" => cpu.map(|cpu| cpu.to_string()),
        _ => None,
    };
    thread::spawn(move || {
        let end = serve::serve(Some(config), environment, move |serving| {
            sender.send(serving.listen).expect("somebody waits for the address");
        });
        panic!("the gateway has ended: {end:?}");
    });
    let address = serving.recv_timeout(PATIENCE).expect("the gateway listens");
    let shard = Watched::named("shard-0").expect("the shard's thread has its name");
    Gateway { address, shard }
}

/// A connection to the gateway.
pub(crate) struct Client {
    stream: TcpStream,
    received: Vec<u8>,
    scratch: Box<[u8]>,
}

impl Client {
    /// Connects.
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the gateway takes connections");
        stream.set_nodelay(true).expect("the socket is alive");
        stream.set_read_timeout(Some(PATIENCE)).expect("the socket is alive");
        let scratch = vec![0; 32 << 10].into_boxed_slice();
        Self { stream, received: Vec::with_capacity(64 << 10), scratch }
    }

    /// Sends a request.
    pub(crate) fn send(&mut self, request: &[u8]) {
        self.stream.write_all(request).expect("the gateway reads");
    }

    /// Reads one response whose length was announced, and checks its status.
    pub(crate) fn response(&mut self) {
        loop {
            if let Some(whole) = whole_response(&self.received) {
                self.received.drain(..whole);
                return;
            }
            self.more().expect("a response comes whole");
        }
    }

    /// Reads until `count` more events have come; says how many came (more, if they came together).
    pub(crate) fn events(&mut self, count: usize) -> usize {
        let mut seen = 0;
        while seen < count {
            self.more().expect("events come");
            let found = memchr::memmem::find_iter(&self.received, b"\n\n").count();
            seen += found;
            if let Some(last) = memchr::memmem::rfind(&self.received, b"\n\n") {
                self.received.drain(..last + 2);
            }
        }
        seen
    }

    fn more(&mut self) -> io::Result<()> {
        match self.stream.read(&mut self.scratch)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            count => {
                self.received.extend_from_slice(&self.scratch[..count]);
                Ok(())
            }
        }
    }
}

/// How many bytes the response takes with which `bytes` begins, if it is whole.
fn whole_response(bytes: &[u8]) -> Option<usize> {
    const NAME: &[u8] = b"content-length: ";
    let head = memchr::memmem::find(bytes, b"\r\n\r\n")? + 4;
    assert!(bytes.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&bytes[..head]));
    let at = memchr::memmem::find(&bytes[..head], NAME).expect("the length is announced");
    let digits = bytes[at + NAME.len()..].iter().take_while(|byte| byte.is_ascii_digit());
    let length = digits.fold(0, |sum, digit| sum * 10 + usize::from(digit - b'0'));
    (bytes.len() >= head + length).then_some(head + length)
}

/// A chat request as an SDK writes it, with a body of about 500 bytes; `fields` are further lines of the head.
pub(crate) fn chat(is_stream: bool, fields: &str) -> Vec<u8> {
    chat_with("demo", is_stream, fields)
}

/// The same for a model.
pub(crate) fn chat_with(model: &str, is_stream: bool, fields: &str) -> Vec<u8> {
    let words = "Say in a few plain words what a gateway for model servers is good for. ".repeat(5);
    let body = format!(
        "{{\"model\":\"{model}\",\"stream\":{is_stream},\"max_tokens\":256,\"temperature\":0.7,\
         \"messages\":[{{\"role\":\"user\",\"content\":\"{words}\"}}]}}"
    );
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: gateway.local\r\naccept: application/json\r\n\
         content-type: application/json\r\nauthorization: Bearer sk-0123456789abcdef\r\n\
         user-agent: bench/1\r\n{fields}content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}
