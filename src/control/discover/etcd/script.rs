//! A member that answers what it is told to, for unit tests.

use std::io::Read;
use std::io::Write;
use std::net::TcpListener;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::Mutex;
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use serde_json::json;
use tokio::sync::Notify;

use crate::config::Url;
use crate::control::discover::Access;

/// Gives these answers one after the other, and after the last one none any more.
pub(in crate::control) struct Script {
    url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    came: Arc<Notify>,
}

/// A request.
#[derive(Clone, Debug)]
pub(in crate::control) struct Asked {
    pub(in crate::control) path: String,
    /// The token; empty where there is none.
    pub(in crate::control) token: String,
    pub(in crate::control) body: Value,
}

impl Script {
    pub(in crate::control) fn new(answers: Vec<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (asked, came) = (Arc::<Mutex<Vec<Asked>>>::default(), Arc::<Notify>::default());
        let answers = Arc::new(Mutex::new(answers.into_iter()));
        let (notes, bell) = (Arc::clone(&asked), Arc::clone(&came));
        thread::spawn(move || {
            while let Ok((mut stream, _)) = listener.accept() {
                let (notes, bell) = (Arc::clone(&notes), Arc::clone(&bell));
                let answers = Arc::clone(&answers);
                let next = move |asked| {
                    let answer = answers.lock().unwrap().next();
                    notes.lock().unwrap().push(asked);
                    bell.notify_one();
                    answer.unwrap_or_default()
                };
                thread::spawn(move || converse(&mut stream, next));
            }
        });
        Self { url, asked, came }
    }

    pub(in crate::control) fn access(&self) -> Access {
        Access { urls: vec![Url::parse(&self.url).unwrap()], ..Access::default() }
    }

    /// Waits until it was asked so often.
    pub(in crate::control) async fn until(&self, count: usize) {
        while self.asked().len() < count {
            self.came.notified().await;
        }
    }

    pub(in crate::control) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// The paths that were asked for, without what all begin with.
    pub(in crate::control) fn paths(&self) -> Vec<String> {
        let path = |asked: Asked| asked.path.trim_start_matches("/v3/").to_owned();
        self.asked().into_iter().map(path).collect()
    }
}

/// Answers requests until the connection has ended. Who has had enough of it may hang up.
fn converse(stream: &mut TcpStream, next: impl Fn(Asked) -> String) {
    while let Some(asked) = request(stream) {
        drop(stream.write_all(next(asked).as_bytes()));
    }
}

/// A request; none once the connection has ended.
fn request(stream: &mut TcpStream) -> Option<Asked> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let field = |name: &str| {
        let mut lines = head.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).unwrap_or_default()
    };
    let mut body = vec![0; field("content-length").parse().unwrap_or(0)];
    stream.read_exact(&mut body).ok()?;
    let path = head.split(' ').nth(1)?.to_owned();
    let token = field("authorization").to_owned();
    Some(Asked { path, token, body: serde_json::from_slice(&body).unwrap_or_default() })
}

/// An answer with this status and this body.
pub(in crate::control) fn answer(status: &str, body: &Value) -> String {
    let body = body.to_string();
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// An answer that all is well.
pub(in crate::control) fn ok(body: &Value) -> String {
    answer("200 OK", body)
}

/// A watch that says these lines, and then nothing more.
pub(in crate::control) fn watching(lines: &[Value]) -> String {
    let mut text = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_owned();
    for line in lines {
        let line = format!("{line}\n");
        // In two pieces, for a line may come so.
        let (first, rest) = line.split_at(line.len() / 2);
        for piece in [first, rest] {
            text.push_str(&format!("{:x}\r\n{piece}\r\n", piece.len()));
        }
    }
    text
}

/// The answer to a list or a look: these keys, at this revision.
pub(in crate::control) fn range(revision: i64, pairs: &[(&str, &str, i64)], more: bool) -> Value {
    let kvs: Vec<Value> = pairs.iter().map(|(key, value, at)| pair(key, value, *at)).collect();
    let count = kvs.len().to_string();
    let header = json!({ "revision": revision.to_string() });
    json!({ "header": header, "kvs": kvs, "count": count, "more": more })
}

/// A key of an answer, written at this revision.
pub(in crate::control) fn pair(key: &str, value: &str, revision: i64) -> Value {
    let [key, value] = [key, value].map(|text| STANDARD.encode(text));
    json!({ "key": key, "value": value, "mod_revision": revision.to_string() })
}

/// The text of a field that is base64.
pub(in crate::control) fn plain(of: &Value) -> String {
    String::from_utf8(STANDARD.decode(of.as_str().unwrap()).unwrap()).unwrap()
}
