//! Consul's keys and values: all below a prefix as they change, and single ones written where nobody else has written meanwhile.
//!
//! See <https://developer.hashicorp.com/consul/api-docs/kv>.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::Method;
use serde::Deserialize;
use tokio::time;

use crate::control::discover::Access;
use crate::control::discover::consul::ask::Agent;
use crate::control::discover::consul::ask::Query;
use crate::control::discover::consul::ask::escaped_key;
use crate::control::discover::consul::ask::index_of;
use crate::control::discover::http::Reply;
use crate::control::discover::pause;

/// Keys without the prefix, and their values.
type Entries = Vec<(String, Vec<u8>)>;

/// One element of an answer.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Pair {
    key: String,
    /// Base64; null where there are no bytes.
    value: Option<String>,
    modify_index: u64,
}

/// A value, and as of when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::control) struct Kept {
    /// The bytes.
    pub(in crate::control) value: Vec<u8>,
    /// To be named when it is written or deleted: 0 means that there is none.
    pub(in crate::control) index: u64,
}

/// Tells all keys below `prefix`, without it, and their values, whenever they change; asks for ever. May be dropped.
pub(in crate::control) async fn watch_config(
    access: Access,
    prefix: String,
    tell: impl Fn(Result<Vec<(String, Vec<u8>)>, String>),
) {
    let path = format!("/v1/kv/{}?recurse=true", escaped_key(&prefix));
    let mut query = Query::new(&access, path);
    let mut said = None;
    let mut failures = 0;
    loop {
        match next(&mut query, &prefix).await {
            Ok((reply, entries)) => {
                failures = 0;
                let is_news = said.as_ref() != Some(&entries);
                query.learn(&reply, is_news);
                said = Some(entries.clone());
                tell(Ok(entries));
            }
            Err(why) => {
                failures += 1;
                query.forget();
                tell(Err(why));
                time::sleep(pause(failures)).await;
            }
        }
    }
}

/// The next answer that is one, and what it says.
async fn next(query: &mut Query, prefix: &str) -> Result<(Reply, Entries), String> {
    let reply = query.next().await?;
    let entries = entries(pairs(&reply)?, prefix)?;
    if entries.is_empty() {
        query.may_read("key", prefix, None).await?;
    }
    Ok((reply, entries))
}

/// The value of `key`; none: there is no such key.
///
/// # Errors
/// Why it cannot be read, in words.
pub(in crate::control) async fn get(access: &Access, key: &str) -> Result<Option<Kept>, String> {
    let path = format!("/v1/kv/{}", escaped_key(key));
    let reply = Agent::new(access).ask(Method::GET, &path, Vec::new()).await?;
    let pair = pairs(&reply)?.into_iter().next();
    pair.map(|pair| Ok(Kept { index: pair.modify_index, value: value(&pair)? })).transpose()
}

/// Writes `value` under `key`, unless somebody else has since it was as `index` says (0: since there was none).
/// Whether it is written.
///
/// # Errors
/// Why nobody knows, in words: it may be written or not.
pub(in crate::control) async fn put(
    access: &Access,
    key: &str,
    value: Vec<u8>,
    index: u64,
) -> Result<bool, String> {
    change(access, Method::PUT, key, value, index).await
}

/// Deletes `key`, unless somebody has written it since it was as `index` says. Whether there is none any more.
///
/// # Errors
/// Why nobody knows, in words: it may be deleted or not.
pub(in crate::control) async fn delete(
    access: &Access,
    key: &str,
    index: u64,
) -> Result<bool, String> {
    change(access, Method::DELETE, key, Vec::new(), index).await
}

async fn change(
    access: &Access,
    method: Method,
    key: &str,
    value: Vec<u8>,
    index: u64,
) -> Result<bool, String> {
    let path = format!("/v1/kv/{}?cas={index}", escaped_key(key));
    let reply = Agent::new(access).ask(method, &path, value).await?;
    match (reply.status, reply.body.trim_ascii()) {
        (200, b"true") => Ok(true),
        (200, b"false") => Ok(false),
        _ => Err(reply.explain()),
    }
}

/// All pairs of an answer: none where Consul says that there is no such key. Not everything that answers with 404 is a Consul.
fn pairs(reply: &Reply) -> Result<Vec<Pair>, String> {
    match reply.status {
        200 => serde_json::from_slice(&reply.body)
            .map_err(|why| format!("the answer cannot be read: {why}")),
        404 if index_of(&reply.fields).is_some() => Ok(Vec::new()),
        _ => Err(reply.explain()),
    }
}

/// Without the prefix, and without folders, which are keys that end with a slash.
fn entries(pairs: Vec<Pair>, prefix: &str) -> Result<Entries, String> {
    let mut entries = Vec::new();
    for pair in pairs {
        let name = pair.key.strip_prefix(prefix).unwrap_or_default();
        if !name.is_empty() && !name.ends_with('/') {
            entries.push((name.to_owned(), value(&pair)?));
        }
    }
    Ok(entries)
}

fn value(pair: &Pair) -> Result<Vec<u8>, String> {
    let text = pair.value.as_deref().unwrap_or_default();
    STANDARD
        .decode(text)
        .map_err(|why| format!("the value of \"{}\" is no base64: {why}", pair.key))
}

#[cfg(test)]
mod tests;
