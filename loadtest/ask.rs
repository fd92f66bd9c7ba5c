//! Short questions to servers that the tester has around: what a mock has counted, what the gateway's metrics say.

use std::io;
use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;

use crate::client::destination::Destination;

/// How long an answer may take where nobody is in a hurry.
const PATIENCE: Duration = Duration::from_secs(10);

/// The body of a GET's answer.
///
/// # Errors
/// The connection's; an answer that is not 200.
pub fn get(address: SocketAddr, path: &str, patience: Duration) -> io::Result<String> {
    exchange(address, "GET", path, patience)
}

/// The body of a POST's answer; the POST has none itself.
///
/// # Errors
/// The connection's; an answer that is not 200.
pub fn post(address: SocketAddr, path: &str) -> io::Result<String> {
    exchange(address, "POST", path, PATIENCE)
}

fn exchange(
    address: SocketAddr,
    method: &str,
    path: &str,
    patience: Duration,
) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, patience)?;
    stream.set_read_timeout(Some(patience))?;
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
    );
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    if head.split(' ').nth(1) != Some("200") {
        return Err(io::Error::other(format!("{method} {address}{path}: {answer}")));
    }
    if !head.to_ascii_lowercase().contains("\r\ntransfer-encoding: chunked") {
        return Ok(body.to_owned());
    }
    Ok(unchunked(body))
}

/// The content of a chunked body, as far as it is whole.
fn unchunked(mut body: &str) -> String {
    let mut content = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let Ok(size) = usize::from_str_radix(size.trim(), 16) else { break };
        let Some((chunk, rest)) = rest.split_at_checked(size) else { break };
        content.push_str(chunk);
        body = rest.trim_start_matches("\r\n");
    }
    content
}

/// What mocks say of themselves, added up.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub struct MockCounts {
    /// Requests asked of them.
    pub requests: u64,
    /// Streams under way.
    pub streams_open: u64,
    /// Answers whose client left early.
    pub cancelled: u64,
    /// Connections taken.
    pub connections_accepted: u64,
}

impl MockCounts {
    /// Asks mocks.
    ///
    /// # Errors
    /// The connection's, or an answer that is none.
    pub fn of(mocks: &[Destination]) -> io::Result<Self> {
        let mut sum = Self::default();
        for address in mocks.iter().flat_map(|mock| &mock.addresses) {
            let one = Self::at(*address, PATIENCE)?;
            sum.requests += one.requests;
            sum.streams_open += one.streams_open;
            sum.cancelled += one.cancelled;
            sum.connections_accepted += one.connections_accepted;
        }
        Ok(sum)
    }

    /// Asks one mock.
    ///
    /// # Errors
    /// The connection's, or an answer that is none.
    pub fn at(address: SocketAddr, patience: Duration) -> io::Result<Self> {
        let body = get(address, "/mock/stats", patience)?;
        serde_json::from_str(&body).map_err(io::Error::other)
    }
}

/// Samples of one metric on a page in Prometheus' text format: their labels (between the braces) and values.
pub fn samples<'p>(page: &'p str, name: &'p str) -> impl Iterator<Item = (&'p str, f64)> {
    page.lines().filter_map(move |line| {
        let rest = line.strip_prefix(name)?;
        let (labels, value) = match rest.strip_prefix('{') {
            Some(rest) => rest.rsplit_once('}')?,
            None => ("", rest.strip_prefix(' ')?),
        };
        Some((labels, value.split_whitespace().next()?.parse().ok()?))
    })
}

/// Whether labels have one of this name with this value.
#[must_use]
pub fn has_label(labels: &str, name: &str, value: &str) -> bool {
    let label = format!("{name}=\"{value}\"");
    // The part before one is another label's end, or nothing.
    labels.match_indices(&label).any(|(at, _)| {
        labels.get(..at).is_some_and(|before| before.is_empty() || before.ends_with(','))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_found_by_name_and_labels() {
        let page = "# TYPE a gauge\na{x=\"1\",state=\"usable\"} 1\na{estate=\"usable\"} 0\nab{} 7\na 2 123\n";
        let found: Vec<(&str, f64)> = samples(page, "a").collect();
        assert_eq!(
            found,
            [("x=\"1\",state=\"usable\"", 1.0), ("estate=\"usable\"", 0.0), ("", 2.0)]
        );
        assert!(has_label(found[0].0, "state", "usable") && has_label(found[0].0, "x", "1"));
        assert!(!has_label(found[1].0, "state", "usable") && !has_label("", "x", "1"));
    }

    #[test]
    fn chunks_become_content() {
        assert_eq!(unchunked("3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n"), "abc0123456789");
        assert_eq!(unchunked("ff\r\ncut"), "");
    }
}
