//! One health check: a request to an endpoint, over a connection of its own, bounded in bytes and in time.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt as _;
use http_body_util::Empty;
use hyper::Request;
use hyper::body::Bytes;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header;
use hyper::header::HeaderName;
use hyper::header::HeaderValue;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use crate::snapshot::Endpoint;
use crate::snapshot::Secret;
use crate::snapshot::Tls;

/// The longest head of an answer, in bytes.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// How much of an answer's body is read. A list of models may be longer; that it goes on is all there is to know then.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// What an endpoint is asked.
#[derive(Clone, Debug)]
pub(super) struct Question {
    addresses: Vec<SocketAddr>,
    tls: Option<Tls>,
    host: String,
    path: String,
    credential: Option<Secret>,
    timeout: Duration,
}

impl Question {
    /// What `endpoint` is asked: `path` after its own prefix, with the field line that shows who we are.
    pub(super) fn new(
        endpoint: &Endpoint,
        path: &str,
        credential: Option<&Secret>,
        timeout: Duration,
    ) -> Self {
        Self {
            addresses: endpoint.addresses.clone(),
            tls: endpoint.tls.clone(),
            host: endpoint.host.clone(),
            path: format!("{}{path}", endpoint.path_prefix),
            credential: credential.cloned(),
            timeout,
        }
    }

    /// Whether the answers mean the same as those to `other`: how long they may take is no part of that.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let trust = |question: &Self| {
            let tls = question.tls.as_ref()?;
            Some((Arc::as_ptr(&tls.config), tls.server_name.clone()))
        };
        self.addresses == other.addresses
            && self.host == other.host
            && self.path == other.path
            && self.credential == other.credential
            && trust(self) == trust(other)
    }

    /// Asks. It passes with any status of 200 to 299 and a body that does not break off.
    ///
    /// # Errors
    /// Why it did not pass, in words.
    pub(super) async fn ask(&self) -> Result<(), String> {
        match tokio::time::timeout(self.timeout, self.exchange()).await {
            Ok(passed) => passed,
            Err(_) => Err(format!("no answer within {:?}", self.timeout)),
        }
    }

    async fn exchange(&self) -> Result<(), String> {
        let stream = self.connect().await?;
        let Some(tls) = &self.tls else { return self.talk(stream).await };
        let connector = TlsConnector::from(Arc::clone(&tls.config));
        let stream = connector.connect(tls.server_name.clone(), stream).await;
        self.talk(stream.map_err(|why| format!("TLS: {why}"))?).await
    }

    /// Connects to the first address that takes a connection, as shards do.
    async fn connect(&self) -> Result<TcpStream, String> {
        let mut trouble = "its name has no address".to_owned();
        for address in &self.addresses {
            match TcpStream::connect(address).await {
                Ok(stream) => return Ok(stream),
                Err(why) => trouble = format!("cannot connect to {address}: {why}"),
            }
        }
        Err(trouble)
    }

    async fn talk<S>(&self, stream: S) -> Result<(), String>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let explain = |why: hyper::Error| format!("does not speak HTTP as it should: {why}");
        let mut builder = http1::Builder::new();
        builder.max_buf_size(HEAD_BYTES_MAX);
        let (mut sender, connection) =
            builder.handshake(TokioIo::new(stream)).await.map_err(explain)?;
        // It ends with this set: when there is an answer, and when nobody waits for one any more.
        let mut driven = JoinSet::new();
        driven.spawn(connection);
        let answer = sender.send_request(self.request()?).await.map_err(explain)?;
        let status = answer.status();
        if !status.is_success() {
            return Err(format!("answered with {status}"));
        }
        drain(answer.into_body()).await
    }

    fn request(&self) -> Result<Request<Empty<Bytes>>, String> {
        let mut request = Request::get(&*self.path)
            .header(header::HOST, &*self.host)
            .header(header::ACCEPT, "*/*")
            .header(header::ACCEPT_ENCODING, "identity")
            .header(header::USER_AGENT, concat!("ringway/", env!("CARGO_PKG_VERSION")))
            .header(header::CONNECTION, "close");
        if let Some((name, value)) = self.credential.as_ref().and_then(field) {
            request = request.header(name, value);
        }
        request.body(Empty::new()).map_err(|why| format!("cannot be asked for: {why}"))
    }
}

/// Name and value of a whole field line; the value is never printed.
fn field(line: &Secret) -> Option<(HeaderName, HeaderValue)> {
    let line = line.expose().strip_suffix(b"\r\n")?;
    let colon = line.iter().position(|byte| *byte == b':')?;
    let (name, value) = line.split_at(colon);
    let value = value.strip_prefix(b": ")?;
    let mut value = HeaderValue::from_bytes(value).ok()?;
    value.set_sensitive(true);
    Some((HeaderName::from_bytes(name).ok()?, value))
}

/// Reads a body to its end, so that its sender need not complain; or as much of it as is worth that.
async fn drain(mut body: Incoming) -> Result<(), String> {
    let mut bytes = 0;
    while bytes <= BODY_BYTES_MAX {
        let Some(frame) = body.frame().await else { break };
        let frame = frame.map_err(|why| format!("its answer broke off: {why}"))?;
        bytes += frame.data_ref().map_or(0, Bytes::len);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
