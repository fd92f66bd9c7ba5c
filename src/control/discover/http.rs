//! HTTP to a registry: bounded exchanges over a kept connection, and answers that come bit by bit over one of their own.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt as _;
use http_body_util::Full;
use http_body_util::Limited;
use hyper::HeaderMap;
use hyper::Method;
use hyper::Request;
use hyper::Response;
use hyper::body::Bytes;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::client::conn::http1::SendRequest;
use hyper::header;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::config::Url;
use crate::control::discover::Access;
use crate::control::fetch;

/// The longest answer that is taken whole, in bytes.
pub(in crate::control) const ANSWER_BYTES_MAX: usize = 16 << 20;
/// How long a connection may take to be there, TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// What is asked.
#[derive(Debug)]
pub(in crate::control) struct Ask<'a> {
    pub(in crate::control) method: Method,
    /// Begins with a slash, the query included.
    pub(in crate::control) path: &'a str,
    /// Beside those that every request has.
    pub(in crate::control) fields: &'a [(&'a str, &'a str)],
    pub(in crate::control) body: Vec<u8>,
    /// To the answer's end; for one that comes bit by bit, to its head.
    pub(in crate::control) timeout: Duration,
}

/// A whole answer.
#[derive(Debug)]
pub(in crate::control) struct Reply {
    pub(in crate::control) status: u16,
    pub(in crate::control) fields: HeaderMap,
    pub(in crate::control) body: Bytes,
}

impl Reply {
    /// What it says, for people: its status and how its text begins, on one line.
    pub(in crate::control) fn explain(&self) -> String {
        const SHOWN_CHARS: usize = 200;
        let text = String::from_utf8_lossy(&self.body);
        let words: Vec<&str> = text.split_whitespace().collect();
        let text: String = words.join(" ").chars().take(SHOWN_CHARS).collect();
        format!("answered with {}: {text}", self.status)
    }
}

/// A registry, over HTTP/1.1.
#[derive(Debug)]
pub(in crate::control) struct Http {
    access: Access,
    /// Which of the urls is asked.
    at: usize,
    kept: Option<SendRequest<Full<Bytes>>>,
}

impl Http {
    pub(in crate::control) fn new(access: &Access) -> Self {
        Self { access: access.clone(), at: 0, kept: None }
    }

    /// Asks over the kept connection, or a new one. After a failure the next url has its turn.
    ///
    /// # Errors
    /// Why there is no whole answer, in words. Whatever the status, an answer is none.
    pub(in crate::control) async fn ask(&mut self, ask: Ask<'_>) -> Result<Reply, String> {
        let wait = ask.timeout;
        let answered = timeout(wait, self.exchange(ask)).await;
        let answered = answered.unwrap_or_else(|_| Err(format!("no answer within {wait:?}")));
        if answered.is_err() {
            self.give_up();
        }
        answered
    }

    /// Asks over a connection of its own.
    ///
    /// # Errors
    /// Why there is no head, in words.
    pub(in crate::control) async fn open(&mut self, ask: Ask<'_>) -> Result<Open, String> {
        let wait = ask.timeout;
        let opened = async {
            let (mut sender, url) = self.connect().await?;
            let answer = send(&mut sender, &url, ask).await?;
            Ok(Open { status: answer.status().as_u16(), body: answer.into_body(), _sender: sender })
        };
        let opened = timeout(wait, opened).await;
        let opened = opened.unwrap_or_else(|_| Err(format!("no answer within {wait:?}")));
        if opened.is_err() {
            self.give_up();
        }
        opened
    }

    async fn exchange(&mut self, ask: Ask<'_>) -> Result<Reply, String> {
        // Dropped in the middle, nothing is kept that waits for half an answer.
        let kept = self.kept.take().filter(|kept| !kept.is_closed());
        let (mut sender, url) = match (kept, self.url()) {
            (Some(kept), Some(url)) => (kept, url),
            _ => self.connect().await?,
        };
        let answer = send(&mut sender, &url, ask).await?;
        let (status, fields) = (answer.status().as_u16(), answer.headers().clone());
        let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|why| {
            format!("could not be read whole (at most {ANSWER_BYTES_MAX} bytes): {why}")
        })?;
        self.kept = Some(sender);
        Ok(Reply { status, fields, body: body.to_bytes() })
    }

    fn url(&self) -> Option<Url> {
        self.access.urls.get(self.at).cloned()
    }

    fn give_up(&mut self) {
        self.kept = None;
        self.at = (self.at + 1) % self.access.urls.len().max(1);
    }

    async fn connect(&self) -> Result<(SendRequest<Full<Bytes>>, Url), String> {
        let url = self.url().ok_or("nobody has said where it is")?;
        let connected = timeout(CONNECT_TIMEOUT, open(&url, self.access.tls.clone())).await;
        let sender = connected
            .unwrap_or_else(|_| Err(format!("no connection within {CONNECT_TIMEOUT:?}")))
            .map_err(|why| format!("{}: {why}", url.text))?;
        Ok((sender, url))
    }
}

/// An answer that comes bit by bit.
#[derive(Debug)]
pub(in crate::control) struct Open {
    pub(in crate::control) status: u16,
    body: Incoming,
    /// The connection ends when nobody holds this any more.
    _sender: SendRequest<Full<Bytes>>,
}

impl Open {
    /// The next bytes; none at the end. May be dropped: nothing is lost.
    ///
    /// # Errors
    /// How the connection broke, in words.
    pub(in crate::control) async fn next(&mut self) -> Result<Option<Bytes>, String> {
        loop {
            match self.body.frame().await {
                None => return Ok(None),
                Some(Err(why)) => return Err(format!("the answer broke off: {why}")),
                Some(Ok(frame)) => {
                    if let Ok(bytes) = frame.into_data() {
                        return Ok(Some(bytes));
                    }
                }
            }
        }
    }
}

async fn open(
    url: &Url,
    tls: Option<Arc<ClientConfig>>,
) -> Result<SendRequest<Full<Bytes>>, String> {
    let stream = fetch::connect(&url.host, url.port).await?;
    let explain = |why: hyper::Error| format!("does not speak HTTP as it should: {why}");
    if !url.is_https {
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(explain)?;
        // It ends with the last one who sends on it.
        tokio::spawn(connection);
        return Ok(sender);
    }
    let name = ServerName::try_from(url.host.clone());
    let name = name.map_err(|_| format!("no certificate can name \"{}\"", url.host))?;
    let tls = tls.ok_or("there are no certificates to trust it by")?;
    let stream = TlsConnector::from(tls).connect(name, stream).await;
    let stream = stream.map_err(|why| format!("TLS: {why}"))?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(explain)?;
    tokio::spawn(connection);
    Ok(sender)
}

async fn send(
    sender: &mut SendRequest<Full<Bytes>>,
    url: &Url,
    ask: Ask<'_>,
) -> Result<Response<Incoming>, String> {
    let mut request = Request::builder()
        .method(ask.method)
        .uri(format!("{}{}", url.path_prefix, ask.path))
        .header(header::HOST, &url.authority)
        .header(header::USER_AGENT, concat!("ringway/", env!("CARGO_PKG_VERSION")))
        .header(header::ACCEPT, "application/json");
    for (name, value) in ask.fields {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(Bytes::from(ask.body)));
    let request = request.map_err(|why| format!("that cannot be asked for: {why}"))?;
    sender.ready().await.map_err(|why| format!("the connection has broken: {why}"))?;
    sender.send_request(request).await.map_err(|why| format!("the connection has broken: {why}"))
}

#[cfg(test)]
mod tests;
