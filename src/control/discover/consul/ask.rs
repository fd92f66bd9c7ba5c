//! Consul's HTTP API: what every request has, and queries that are answered when there is something new.
//!
//! See <https://developer.hashicorp.com/consul/api-docs/features/blocking>.

use std::time::Duration;

use hyper::HeaderMap;
use hyper::Method;
use serde_json::Value;
use serde_json::json;
use tokio::time;
use tokio::time::Instant;

use crate::control::discover::Access;
use crate::control::discover::http::Ask;
use crate::control::discover::http::Http;
use crate::control::discover::http::Reply;
use crate::sys::random;

/// How long Consul may hold a query that has no news. An agent that is stopped or cut off says nothing at all, which is noticed so much
/// later.
const WAIT: Duration = Duration::from_secs(10);
/// How much longer by chance, at most, so that not all gateways ask at once.
const WAIT_MORE: Duration = Duration::from_secs(2);
/// How long an answer may take beside that.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// The least time from one question to the next, however fast the answers come.
const REST_MIN: Duration = Duration::from_millis(10);
/// The same when many answers in a row had no news: a server whose index runs without a reason is not asked all the time.
const REST_MAX: Duration = Duration::from_millis(500);

/// Where a change of what is asked for can be seen in an answer.
const INDEX: &str = "x-consul-index";
/// What a token may do; since Consul 1.7.
const AUTHORIZE: &str = "/v1/internal/acl/authorize";

/// A Consul agent, or several of which one is asked.
#[derive(Debug)]
pub(in crate::control) struct Agent {
    http: Http,
    token: Option<String>,
}

impl Agent {
    pub(in crate::control) fn new(access: &Access) -> Self {
        let token = access.token.as_ref();
        let token = token.map(|token| String::from_utf8_lossy(token.expose()).trim().to_owned());
        Self { http: Http::new(access), token }
    }

    /// Asks once. An answer with any status is one.
    ///
    /// # Errors
    /// Why there is none, in words.
    pub(in crate::control) async fn ask(
        &mut self,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> Result<Reply, String> {
        self.within(ANSWER_TIMEOUT, method, path, body).await
    }

    async fn within(
        &mut self,
        timeout: Duration,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> Result<Reply, String> {
        let token = self.token.as_deref().map(|token| ("x-consul-token", token));
        let fields: &[(&str, &str)] = token.as_slice();
        self.http.ask(Ask { method, path, fields, body, timeout }).await
    }
}

/// A query that is asked again and again, each time for what is newer than the last answer.
#[derive(Debug)]
pub(super) struct Query {
    agent: Agent,
    /// Begins with a slash and has a query string.
    path: String,
    /// What the last answer is as of; 0: whatever there is.
    index: u64,
    asked: Option<Instant>,
    /// Answers in a row that had no news.
    idle: u32,
}

impl Query {
    pub(super) fn new(access: &Access, path: String) -> Self {
        Self { agent: Agent::new(access), path, index: 0, asked: None, idle: 0 }
    }

    /// The next answer: the first at once, each other one when it may be another, or after about a minute.
    /// Which is good, is the caller's to say, by [`Query::learn`].
    ///
    /// # Errors
    /// Why there is none, in words. The next question is for whatever there is.
    pub(super) async fn next(&mut self) -> Result<Reply, String> {
        if let Some(asked) = self.asked {
            time::sleep_until(asked + rest(self.idle)).await;
        }
        self.asked = Some(Instant::now());
        let asks = std::mem::take(&mut self.index);
        let dice = random::bytes().map_or(0, |bytes| bytes[0]);
        let wait = WAIT + WAIT_MORE * u32::from(dice) / 256;
        let path = format!("{}&index={asks}&wait={}ms", self.path, wait.as_millis());
        // Consul itself adds up to a sixteenth.
        let timeout = wait + wait / 16 + ANSWER_TIMEOUT;
        let reply = self.agent.within(timeout, Method::GET, &path, Vec::new()).await?;
        self.index = asks;
        Ok(reply)
    }

    /// An answer was empty: whether that says that there is nothing, or that the token may not see it, which Consul keeps to
    /// itself until 1.12. Asked for by what Consul's own pages ask for; who does not answer has no objection.
    ///
    /// # Errors
    /// The token may not read it, in words.
    pub(super) async fn may_read(
        &mut self,
        resource: &str,
        segment: &str,
        datacenter: Option<&str>,
    ) -> Result<(), String> {
        let dc = datacenter.map(|dc| format!("?dc={}", escaped(dc))).unwrap_or_default();
        let path = format!("{AUTHORIZE}{dc}");
        let body = json!([{ "Resource": resource, "Access": "read", "Segment": segment }]);
        let answer = self.agent.ask(Method::POST, &path, body.to_string().into_bytes()).await;
        let Ok(reply) = answer else { return Ok(()) };
        let said: Option<Value> = serde_json::from_slice(&reply.body).ok();
        match (reply.status, said) {
            (200, Some(said)) if said[0]["Allow"] == false => {
                let who =
                    if self.agent.token.is_some() { "the token" } else { "without a token one" };
                Err(format!("{who} may not read the {resource} \"{segment}\""))
            }
            (403, _) => Err(reply.explain()),
            _ => Ok(()),
        }
    }

    /// The answer was one. Whether it `is_news` says how soon it is asked again.
    pub(super) fn learn(&mut self, reply: &Reply, is_news: bool) {
        self.index = next_index(self.index, index_of(&reply.fields));
        self.idle = if is_news { 0 } else { self.idle.saturating_add(1) };
    }

    /// The answer was none: the next question is for whatever there is.
    pub(super) fn forget(&mut self) {
        self.index = 0;
    }
}

/// The index that an answer says.
pub(super) fn index_of(fields: &HeaderMap) -> Option<u64> {
    fields.get(INDEX)?.to_str().ok()?.trim().parse().ok()
}

/// What to ask for next, as Consul's page says: an index that goes backwards begins again, as after a restore; and one that is
/// missing or 0 would be answered at once, again and again.
fn next_index(last: u64, said: Option<u64>) -> u64 {
    match said.unwrap_or(0) {
        0 => 1,
        said if said < last => 0,
        said => said,
    }
}

/// The least time from one question to the next, after so many answers in a row without news.
fn rest(idle: u32) -> Duration {
    // One answer without news is what a minute without changes ends with.
    let doublings = idle.saturating_sub(1).min(16);
    REST_MIN.saturating_mul(1 << doublings).min(REST_MAX)
}

/// A text as part of a path or a query: all but what is plain everywhere is percent-encoded (RFC 3986 section 2.3).
pub(in crate::control) fn escaped(text: &str) -> String {
    escaped_but(text, b"-._~")
}

/// A key: its slashes stay.
pub(super) fn escaped_key(text: &str) -> String {
    escaped_but(text, b"-._~/")
}

fn escaped_but(text: &str, plain: &[u8]) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || plain.contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_only_grows_or_begins_again() {
        assert_eq!(next_index(0, Some(7)), 7);
        assert_eq!(next_index(7, Some(7)), 7);
        assert_eq!(next_index(7, Some(9)), 9);
        assert_eq!(next_index(9, Some(3)), 0, "as after a restore");
        assert_eq!(next_index(9, Some(0)), 1, "which waits at least until there is something");
        assert_eq!(next_index(9, None), 1);
    }

    #[test]
    fn a_server_without_news_is_asked_less_and_less() {
        let ms = |idle| rest(idle).as_millis();
        assert_eq!([ms(0), ms(1), ms(2), ms(3)], [10, 10, 20, 40]);
        assert_eq!([ms(7), ms(u32::MAX)], [500, 500]);
    }

    #[test]
    fn paths_are_escaped() {
        assert_eq!(escaped("a b/c&d=é~"), "a%20b%2Fc%26d%3D%C3%A9~");
        assert_eq!(escaped_key("ringway/models/a@1 b"), "ringway/models/a%401%20b");
    }
}
