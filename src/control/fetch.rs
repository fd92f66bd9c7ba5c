//! A document over HTTP or HTTPS, whole or not at all: bounded in bytes, in time, and to the host that was named.

use http_body_util::BodyExt as _;
use http_body_util::Empty;
use http_body_util::Limited;
use hyper::Request;
use hyper::Response;
use hyper::StatusCode;
use hyper::Uri;
use hyper::body::Bytes;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header;
use hyper::header::HeaderMap;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::control::resolve;

/// How often a document may have moved, on its host.
const REDIRECTS_MAX: usize = 3;

/// How much may be fetched, and how long it may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// The longest document, in bytes.
    pub(crate) bytes_max: usize,
    /// From the first look-up to the last byte, redirects included.
    pub(crate) timeout: Duration,
}

/// A document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fetched {
    /// All of it.
    pub(crate) body: Vec<u8>,
    /// For how long it is good, as its sender says.
    pub(crate) max_age: Option<Duration>,
}

/// Fetches what is at `url`. `tls` says whom to trust where the url is `https`.
///
/// # Errors
/// Why it could not be had, in words.
pub(crate) async fn fetch(
    url: &str,
    tls: Option<Arc<ClientConfig>>,
    bounds: Bounds,
) -> Result<Fetched, String> {
    let whole = follow(url, tls, bounds.bytes_max);
    match tokio::time::timeout(bounds.timeout, whole).await {
        Ok(fetched) => fetched,
        Err(_) => Err(format!("not there within {:?}", bounds.timeout)),
    }
}

async fn follow(
    url: &str,
    tls: Option<Arc<ClientConfig>>,
    bytes_max: usize,
) -> Result<Fetched, String> {
    let mut uri: Uri = url.parse().map_err(|why| format!("the url cannot be read: {why}"))?;
    for _ in 0..=REDIRECTS_MAX {
        let answer = ask(&uri, tls.clone()).await?;
        let status = answer.status();
        if status.is_redirection() {
            uri = moved(&uri, answer.headers())?;
            continue;
        }
        if status != StatusCode::OK {
            return Err(format!("answered with {status}"));
        }
        let max_age = max_age(answer.headers());
        let body = Limited::new(answer.into_body(), bytes_max).collect().await;
        let body = body
            .map_err(|why| format!("could not be read whole (at most {bytes_max} bytes): {why}"))?;
        return Ok(Fetched { body: body.to_bytes().into(), max_age });
    }
    Err(format!("has moved more than {REDIRECTS_MAX} times"))
}

/// Where it has moved to: only to another place of the same host, since nobody has said that another one is to be trusted.
fn moved(from: &Uri, fields: &HeaderMap) -> Result<Uri, String> {
    let to = fields.get(header::LOCATION).and_then(|value| value.to_str().ok());
    let to = to.ok_or("has moved, and does not say where to")?;
    let mut parts = from.clone().into_parts();
    let target: Uri = to.parse().map_err(|_| "has moved to what is no url".to_owned())?;
    let is_same = |one: Option<&str>, other: Option<&str>| match (one, other) {
        (Some(one), Some(other)) => one.eq_ignore_ascii_case(other),
        (one, _) => one.is_none(),
    };
    let authority = target.authority().map(|authority| authority.as_str());
    let is_home = is_same(target.scheme_str(), from.scheme_str())
        && is_same(authority, from.authority().map(|authority| authority.as_str()));
    if !is_home || !target.path().starts_with('/') || to.starts_with("//") {
        return Err(format!(
            "has moved to {to}, which is not followed: write that url, if it is right"
        ));
    }
    parts.path_and_query = target.into_parts().path_and_query;
    Uri::from_parts(parts).map_err(|_| "has moved to what is no url".to_owned())
}

async fn ask(uri: &Uri, tls: Option<Arc<ClientConfig>>) -> Result<Response<Incoming>, String> {
    let is_https = uri.scheme_str() == Some("https");
    let host = uri.host().ok_or("the url names no host")?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let port = uri.port_u16().unwrap_or(if is_https { 443 } else { 80 });
    let stream = connect(host, port).await?;
    if !is_https {
        return exchange(uri, stream).await;
    }
    let name = ServerName::try_from(host.to_owned());
    let name = name.map_err(|_| format!("no certificate can name \"{host}\""))?;
    let tls = tls.ok_or("there are no certificates to trust it by")?;
    let stream = TlsConnector::from(tls).connect(name, stream).await;
    exchange(uri, stream.map_err(|why| format!("TLS: {why}"))?).await
}

/// A connection to the first address of a host that takes one.
pub(super) async fn connect(host: &str, port: u16) -> Result<TcpStream, String> {
    let addresses = resolve::look_up(host).await?;
    let mut trouble = "the name has no address".to_owned();
    for address in addresses {
        match TcpStream::connect(SocketAddr::new(address, port)).await {
            Ok(stream) => return Ok(stream),
            Err(why) => trouble = format!("cannot connect to {address}: {why}"),
        }
    }
    Err(trouble)
}

async fn exchange<S>(uri: &Uri, stream: S) -> Result<Response<Incoming>, String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let explain = |why: hyper::Error| format!("does not speak HTTP as it should: {why}");
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(explain)?;
    // It ends with the answer, or when nobody waits for that any more.
    tokio::spawn(connection);
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let host = uri.authority().map_or("", |authority| authority.as_str());
    let request = Request::get(path)
        .header(header::HOST, host)
        .header(header::ACCEPT, "application/json")
        .header(header::ACCEPT_ENCODING, "identity")
        .header(header::USER_AGENT, concat!("ringway/", env!("CARGO_PKG_VERSION")))
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new());
    let request = request.map_err(|why| format!("the url cannot be asked for: {why}"))?;
    sender.send_request(request).await.map_err(explain)
}

/// `max-age` of `cache-control`, less the age that the answer has already.
fn max_age(fields: &HeaderMap) -> Option<Duration> {
    let control = fields.get(header::CACHE_CONTROL)?.to_str().ok()?;
    let seconds = |text: &str| text.trim().trim_matches('"').parse::<u64>().ok();
    let max_age =
        control.split(',').find_map(|part| seconds(part.trim().strip_prefix("max-age=")?))?;
    let age = fields.get(header::AGE).and_then(|age| seconds(age.to_str().ok()?)).unwrap_or(0);
    Some(Duration::from_secs(max_age.saturating_sub(age)))
}

#[cfg(test)]
pub(super) mod tests;
