//! Calls of etcd's JSON API: one at a time, with the token that a login gives.
//!
//! See <https://etcd.io/docs/v3.5/dev-guide/api_grpc_gateway/>. Keys and values are base64 there, whole numbers are strings.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::Method;
use serde_json::Value;
use serde_json::json;

use crate::control::discover::Access;
use crate::control::discover::http::Ask;
use crate::control::discover::http::Http;
use crate::control::discover::http::Open;
use crate::control::discover::http::Reply;
use crate::snapshot::Secret;

/// How long one call may take; for a watch, to its head.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// What etcd says where nobody needs to log in, although we would.
const NO_AUTH: &str = "authentication is not enabled";
/// What etcd says of a token that is over, or of another member's before it knows it.
const BAD_TOKEN: &str = "invalid auth token";

/// An etcd, over a kept connection.
#[derive(Debug)]
pub(in crate::control) struct Etcd {
    http: Http,
    access: Access,
    login: Option<(String, Secret)>,
    /// As the last login gave it; empty: nobody needs one.
    token: Option<String>,
}

impl Etcd {
    pub(in crate::control) fn new(access: &Access) -> Self {
        let (access, login) = (access.clone(), access.login.clone());
        Self { http: Http::new(&access), access, login, token: None }
    }

    /// What etcd answers to this.
    ///
    /// # Errors
    /// Why there is no answer, or what etcd says against it, in words.
    pub(in crate::control) async fn call(
        &mut self,
        path: &str,
        body: &Value,
    ) -> Result<Value, String> {
        self.call_within(CALL_TIMEOUT, path, body).await
    }

    /// The same, within so long.
    ///
    /// # Errors
    /// As before.
    pub(in crate::control) async fn call_within(
        &mut self,
        timeout: Duration,
        path: &str,
        body: &Value,
    ) -> Result<Value, String> {
        for is_again in [false, true] {
            let token = self.token().await?;
            let reply = self.exchange(timeout, path, body, &token).await?;
            if reply.status == 200 {
                return serde_json::from_slice(&reply.body)
                    .map_err(|why| format!("the answer cannot be read: {why}"));
            }
            if is_again || !self.forget_token(&reply) {
                return Err(reply.explain());
            }
        }
        Err("the token is refused again and again".to_owned())
    }

    /// An answer that comes bit by bit. What etcd says against it is in the answer.
    ///
    /// # Errors
    /// Why there is none, in words.
    pub(in crate::control) async fn open(
        &mut self,
        path: &str,
        body: &Value,
    ) -> Result<Open, String> {
        let token = self.token().await?;
        let fields = [("authorization", &*token)];
        let fields = if token.is_empty() { &[][..] } else { &fields[..] };
        let body = body.to_string().into_bytes();
        let ask = Ask { method: Method::POST, path, fields, body, timeout: CALL_TIMEOUT };
        let opened = self.http.open(ask).await?;
        if opened.status != 200 {
            self.token = None;
            self.pass_over(opened.status);
            return Err(format!("answered with {}", opened.status));
        }
        Ok(opened)
    }

    /// The next call logs in again.
    pub(in crate::control) fn log_out(&mut self) {
        self.token = None;
    }

    async fn token(&mut self) -> Result<String, String> {
        let Some((user, password)) = &self.login else { return Ok(String::new()) };
        if let Some(token) = &self.token {
            return Ok(token.clone());
        }
        let password = String::from_utf8_lossy(password.expose().trim_ascii_end());
        let body = json!({ "name": user, "password": password });
        let reply = self.exchange(CALL_TIMEOUT, "/v3/auth/authenticate", &body, "").await?;
        let said = String::from_utf8_lossy(&reply.body);
        let token = match reply.status {
            200 => {
                let answer: Value = serde_json::from_slice(&reply.body)
                    .map_err(|why| format!("the answer to the login cannot be read: {why}"))?;
                answer.get("token").and_then(Value::as_str).unwrap_or_default().to_owned()
            }
            _ if said.contains(NO_AUTH) => String::new(),
            _ => return Err(format!("the login failed: {}", reply.explain())),
        };
        self.token = Some(token.clone());
        Ok(token)
    }

    async fn exchange(
        &mut self,
        timeout: Duration,
        path: &str,
        body: &Value,
        token: &str,
    ) -> Result<Reply, String> {
        let fields = [("authorization", token)];
        let fields = if token.is_empty() { &[][..] } else { &fields[..] };
        let body = body.to_string().into_bytes();
        let ask = Ask { method: Method::POST, path, fields, body, timeout };
        let reply = self.http.ask(ask).await?;
        self.pass_over(reply.status);
        Ok(reply)
    }

    /// A member that answers, but cannot help (it has no leader, or is busy), is not the one that is asked next.
    fn pass_over(&mut self, status: u16) {
        if status >= 500 && self.access.urls.len() > 1 {
            self.access.urls.rotate_left(1);
            self.http = Http::new(&self.access);
        }
    }

    /// Whether the answer is about a token that is over; it is forgotten then.
    fn forget_token(&mut self, reply: &Reply) -> bool {
        let said = String::from_utf8_lossy(&reply.body);
        let is_over = self.login.is_some() && (reply.status == 401 || said.contains(BAD_TOKEN));
        if is_over {
            self.token = None;
        }
        is_over
    }
}

/// Bytes as the API wants them.
pub(in crate::control) fn coded(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// The bytes of a field; none where it is not there.
///
/// # Errors
/// That it is no base64.
pub(in crate::control) fn decoded(of: &Value, field: &str) -> Result<Vec<u8>, String> {
    let text = of.get(field).and_then(Value::as_str).unwrap_or_default();
    STANDARD.decode(text).map_err(|why| format!("its {field} is no base64: {why}"))
}

/// A whole number of an answer: a string there, and not there at all where it is zero.
pub(in crate::control) fn number(of: &Value, field: &str) -> i64 {
    match of.get(field) {
        Some(Value::String(text)) => text.parse().unwrap_or(0),
        Some(value) => value.as_i64().unwrap_or(0),
        None => 0,
    }
}

/// The end of the range of all keys that begin with `prefix`: the first key after them. A zero byte: there is none, all keys
/// from the prefix on.
pub(in crate::control) fn end_of(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return end;
        }
    }
    vec![0]
}

#[cfg(test)]
mod tests;
