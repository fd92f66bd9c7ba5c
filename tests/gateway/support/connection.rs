//! One side of a connection: bytes out, HTTP/1.1 in, read by rules written here a second time.
//!
//! Nothing is shared with the gateway's own reading, so that both cannot be wrong alike. Strict where the gateway
//! must be strict: every line ends with CRLF, every length is plain.

use std::io;
use std::io::Read;
use std::io::Write;
use std::net::Shutdown;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::time::Duration;

/// How long anything may take that should come at once, on a machine that does ten other things.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A connection with what was read from it and not yet asked for.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    input: Vec<u8>,
    /// Content out of chunks that was not asked for yet.
    content: Vec<u8>,
}

/// The head of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// The first line.
    pub(crate) line: String,
    /// Names in small letters, values as they came.
    pub(crate) fields: Vec<(String, String)>,
}

impl Head {
    /// The value of a field that is there at most once.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut found = self.fields.iter().filter(|(field, _)| field == name);
        let value = found.next().map(|(_, value)| value.as_str());
        assert!(found.next().is_none(), "{name} is there twice: {self:?}");
        value
    }

    /// The status of a response.
    pub(crate) fn status(&self) -> u16 {
        let mut parts = self.line.splitn(3, ' ');
        assert_eq!(parts.next(), Some("HTTP/1.1"), "{self:?}");
        parts.next().and_then(|status| status.parse().ok()).expect("a status")
    }

    fn is_chunked(&self) -> bool {
        self.field("transfer-encoding").is_some_and(|coding| coding == "chunked")
    }
}

/// A whole message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    /// Its head.
    pub(crate) head: Head,
    /// Its content, out of chunks if it came in chunks.
    pub(crate) body: Vec<u8>,
}

impl Message {
    /// The status of a response.
    pub(crate) fn status(&self) -> u16 {
        self.head.status()
    }

    /// A field's value.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.head.field(name)
    }

    /// The content as text.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("UTF-8")
    }

    /// The content as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Connection {
    /// Connects.
    pub(crate) fn to(address: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)
            .unwrap_or_else(|error| panic!("cannot connect to {address}: {error}"));
        Self::new(stream)
    }

    /// Takes a connection over.
    pub(crate) fn new(stream: TcpStream) -> Self {
        stream.set_nodelay(true).expect("a socket");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        stream.set_write_timeout(Some(PATIENCE)).expect("a socket");
        Self { stream, input: Vec::new(), content: Vec::new() }
    }

    /// Sends all of it.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).expect("the other side reads");
    }

    /// Sends as much as the other side takes, until it has closed.
    pub(crate) fn send_what_is_taken(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).ok();
    }

    /// Says that nothing more will be sent.
    pub(crate) fn half_close(&self) {
        self.stream.shutdown(Shutdown::Write).expect("an open connection");
    }

    /// Ends the connection so that the other side sees a reset.
    pub(crate) fn reset(self) {
        let socket = socket2::SockRef::from(&self.stream);
        socket.set_linger(Some(Duration::ZERO)).expect("a socket");
    }

    /// Makes both buffers of this side small, so that what is not read stays with the other side.
    pub(crate) fn narrow(&self) {
        socket2::SockRef::from(&self.stream).set_recv_buffer_size(8 << 10).expect("a socket");
    }

    /// The socket itself.
    pub(crate) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Waits for more; false at the end.
    fn more(&mut self) -> io::Result<bool> {
        let mut room = [0; 64 << 10];
        let count = self.stream.read(&mut room)?;
        self.input.extend_from_slice(&room[..count]);
        Ok(count > 0)
    }

    fn must_have_more(&mut self, what: &str) {
        match self.more() {
            Ok(true) => {}
            Ok(false) => panic!("closed while waiting for {what}; so far: {}", self.shown()),
            Err(error) => panic!("{error} while waiting for {what}; so far: {}", self.shown()),
        }
    }

    fn shown(&self) -> String {
        String::from_utf8_lossy(&self.input).chars().take(500).collect()
    }

    /// A line without its CRLF.
    fn line(&mut self, what: &str) -> String {
        loop {
            if let Some(end) = self.input.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.input.drain(..=end).collect();
                let line = line.strip_suffix(b"\r\n").expect("lines end with CRLF");
                return String::from_utf8(line.to_vec()).expect("UTF-8");
            }
            self.must_have_more(what);
        }
    }

    /// Exactly so many bytes.
    pub(crate) fn take(&mut self, count: usize) -> Vec<u8> {
        while self.input.len() < count {
            self.must_have_more("content");
        }
        self.input.drain(..count).collect()
    }

    /// The next head.
    pub(crate) fn head(&mut self) -> Head {
        let line = self.line("a first line");
        let mut fields = Vec::new();
        loop {
            let field = self.line("a field");
            if field.is_empty() {
                return Head { line, fields };
            }
            let (name, value) = field.split_once(':').expect("a colon");
            assert_eq!(name.trim(), name, "white space around a name");
            fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }

    /// The next request or the next response to anything but HEAD, whole.
    pub(crate) fn message(&mut self) -> Message {
        let head = self.head();
        let body = self.body(&head);
        Message { head, body }
    }

    /// The next message that is no interim response. A client that has half-closed is told `100 Continue` to find out
    /// whether it is still there.
    pub(crate) fn final_message(&mut self) -> Message {
        loop {
            let message = self.message();
            if message.status() >= 200 {
                return message;
            }
        }
    }

    /// What follows a head.
    pub(crate) fn body(&mut self, head: &Head) -> Vec<u8> {
        let is_response = head.line.starts_with("HTTP/");
        if is_response && matches!(head.status(), 100..=199 | 204 | 304) {
            return Vec::new();
        }
        let length = head.field("content-length");
        if head.is_chunked() {
            assert_eq!(length, None, "content-length beside chunks: {head:?}");
            let mut body = Vec::new();
            while let Some(chunk) = self.chunk() {
                body.extend_from_slice(&chunk);
            }
            return body;
        }
        match length {
            Some(length) => self.take(length.parse().expect("a length")),
            None if is_response => self.rest().expect("an orderly end"),
            None => Vec::new(),
        }
    }

    /// The next chunk; none after the last.
    pub(crate) fn chunk(&mut self) -> Option<Vec<u8>> {
        let size = self.line("a chunk");
        assert!(size.bytes().all(|byte| byte.is_ascii_hexdigit()), "{size:?} is no chunk size");
        let size = usize::from_str_radix(&size, 16).expect("a chunk size");
        let chunk = self.take(size);
        assert_eq!(self.line("the end of a chunk"), "", "content is as long as its chunk says");
        (size > 0).then_some(chunk)
    }

    /// Waits until exactly this content has come in chunks; not a byte more may be there.
    pub(crate) fn await_content(&mut self, expected: impl AsRef<[u8]>) {
        let expected = expected.as_ref();
        while self.content.len() < expected.len() {
            let chunk = self.chunk().expect("more content");
            self.content.extend_from_slice(&chunk);
        }
        let (got, expected) =
            (String::from_utf8_lossy(&self.content), String::from_utf8_lossy(expected));
        assert_eq!(got, expected);
        self.content.clear();
    }

    /// Everything until the other side closes in order, with what was read already.
    pub(crate) fn rest(&mut self) -> io::Result<Vec<u8>> {
        while self.more()? {}
        Ok(std::mem::take(&mut self.input))
    }

    /// Waits until the other side has closed in order, having said nothing more.
    pub(crate) fn must_close(&mut self) {
        let rest = self.rest().expect("an orderly end");
        assert_eq!(String::from_utf8_lossy(&rest), "", "nothing more is said");
    }

    /// Waits until the other side is gone, in order or not; what came before that.
    pub(crate) fn until_gone(&mut self) -> Vec<u8> {
        loop {
            match self.more() {
                Ok(true) => {}
                Err(error) if is_timeout(&error) => panic!("still there after {PATIENCE:?}"),
                Ok(false) | Err(_) => return std::mem::take(&mut self.input),
            }
        }
    }

    /// Waits until the other side resets the connection.
    pub(crate) fn must_break(&mut self) {
        match self.rest() {
            Ok(rest) => panic!("closed in order after {} bytes", rest.len()),
            Err(error) => assert!(!is_timeout(&error), "still there after {PATIENCE:?}"),
        }
    }

    /// Waits for something to come; false at the end, however it comes.
    pub(crate) fn has_more(&mut self) -> bool {
        !self.input.is_empty() || self.more().unwrap_or(false)
    }

    /// Whether the other side has said nothing and is still there.
    pub(crate) fn is_silent(&mut self) -> bool {
        self.stream.set_nonblocking(true).expect("a socket");
        let got = self.more();
        self.stream.set_nonblocking(false).expect("a socket");
        self.input.is_empty() && got.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}
