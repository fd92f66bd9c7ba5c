//! Etcd's keys and values: all below a prefix as they change, and single ones written where nobody else has written meanwhile.

use serde_json::Value;
use serde_json::json;
use tokio::time;

use crate::control::discover::Access;
use crate::control::discover::etcd::ask::Etcd;
use crate::control::discover::etcd::ask::coded;
use crate::control::discover::etcd::ask::decoded;
use crate::control::discover::etcd::ask::number;
use crate::control::discover::etcd::follow::Follow;
use crate::control::discover::etcd::follow::Kept;
use crate::control::discover::pause;

/// Tells all keys below `prefix`, without it, and their values, whenever they change; asks for ever. May be dropped.
pub(in crate::control) async fn watch_config(
    access: Access,
    prefix: String,
    tell: impl Fn(Result<Vec<(String, Vec<u8>)>, String>),
) {
    let mut follow = Follow::new(&access, &prefix);
    let mut failures = 0;
    loop {
        match follow.next().await {
            Ok(keys) => {
                failures = 0;
                let entry = |(key, kept): (&Vec<u8>, &Kept)| {
                    let name = key.get(prefix.len()..).unwrap_or_default();
                    let name = String::from_utf8_lossy(name).into_owned();
                    (!name.is_empty()).then(|| (name, kept.value.clone()))
                };
                tell(Ok(keys.iter().filter_map(entry).collect()));
            }
            Err(why) => {
                failures += 1;
                tell(Err(why));
                time::sleep(pause(failures)).await;
            }
        }
    }
}

/// The value of `key`; none: there is no such key.
///
/// # Errors
/// Why it cannot be read, in words.
pub(in crate::control) async fn get(access: &Access, key: &str) -> Result<Option<Kept>, String> {
    let body = json!({ "key": coded(key.as_bytes()) });
    let answer = Etcd::new(access).call("/v3/kv/range", &body).await?;
    let pair = answer.get("kvs").and_then(|kvs| kvs.get(0));
    let kept = |pair: &Value| {
        Ok(Kept { value: decoded(pair, "value")?, revision: number(pair, "mod_revision") })
    };
    pair.map(kept).transpose()
}

/// Writes `value` under `key`, unless somebody else has since it was as of `revision` (0: since there was none). A lease that the
/// key is bound to stays. Whether it is written.
///
/// # Errors
/// Why nobody knows, in words: it may be written or not.
pub(in crate::control) async fn put(
    access: &Access,
    key: &str,
    value: &[u8],
    revision: i64,
) -> Result<bool, String> {
    let put = |keeps_lease: bool| {
        json!({ "request_put": {
            "key": coded(key.as_bytes()),
            "value": coded(value),
            "ignore_lease": keeps_lease,
        }})
    };
    change(access, key, revision, put(revision != 0)).await
}

/// Deletes `key`, unless somebody has written it since it was as of `revision`. Whether there is none any more.
///
/// # Errors
/// Why nobody knows, in words: it may be deleted or not.
pub(in crate::control) async fn delete(
    access: &Access,
    key: &str,
    revision: i64,
) -> Result<bool, String> {
    let delete = json!({ "request_delete_range": { "key": coded(key.as_bytes()) } });
    change(access, key, revision, delete).await
}

async fn change(access: &Access, key: &str, revision: i64, what: Value) -> Result<bool, String> {
    let body = json!({
        "compare": [{
            "key": coded(key.as_bytes()),
            "target": "MOD",
            "result": "EQUAL",
            "mod_revision": revision.to_string(),
        }],
        "success": [what],
    });
    let answer = Etcd::new(access).call("/v3/kv/txn", &body).await?;
    Ok(answer.get("succeeded") == Some(&Value::Bool(true)))
}
