//! All keys below a prefix, as they are now: listed once, and then told of every change.
//!
//! Listed at one revision and watched from the next on (<https://etcd.io/docs/v3.5/learning/api/>), nothing comes twice and nothing is missed. What is compacted
//! away before it was seen is listed again. A member that is cut off says nothing and closes nothing: so etcd is also asked, now and then, what
//! it has, and what was not told is listed again.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use serde_json::json;
use tokio::time;
use tokio::time::Instant;

use crate::control::discover::Access;
use crate::control::discover::etcd::ask::Etcd;
use crate::control::discover::etcd::ask::coded;
use crate::control::discover::etcd::ask::decoded;
use crate::control::discover::etcd::ask::end_of;
use crate::control::discover::etcd::ask::number;
use crate::control::discover::http::Open;

/// Keys in one answer of a list.
const PAGE_KEYS: u32 = 1000;
/// The most keys below a prefix.
const KEYS_MAX: usize = 65_536;
/// The most bytes of all values below a prefix, and of one line of a watch.
const BYTES_MAX: usize = 64 << 20;
/// How often etcd is asked whether it still has what was told.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How long it may take to say so.
const LOOK_TIMEOUT: Duration = Duration::from_secs(2);
/// Changes that come within so long of each other are told together.
const GATHER: Duration = Duration::from_millis(5);
/// Changes are told so long after the first at the latest.
const GATHER_MAX: Duration = Duration::from_millis(50);

/// A value, and the revision at which it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::control) struct Kept {
    pub(in crate::control) value: Vec<u8>,
    pub(in crate::control) revision: i64,
}

/// By key.
pub(in crate::control) type Keys = BTreeMap<Vec<u8>, Kept>;

/// The keys below one prefix.
pub(in crate::control) struct Follow {
    etcd: Etcd,
    prefix: Vec<u8>,
    keys: Keys,
    /// As of which revision; none: they must be listed.
    revision: Option<i64>,
    watch: Option<Watch>,
    look: Instant,
    /// What the last look found: the newest revision of a key, and how many keys there are.
    found: Option<(i64, i64)>,
}

/// The stream of changes.
struct Watch {
    answer: Open,
    bytes: Vec<u8>,
}

/// What one line of the stream says.
enum Told {
    /// Nothing that matters.
    Nothing,
    /// That the keys are others.
    Changes,
    /// That what comes next is compacted away: nobody will tell it.
    Compacted,
}

impl Follow {
    pub(in crate::control) fn new(access: &Access, prefix: &str) -> Self {
        Self {
            etcd: Etcd::new(access),
            prefix: prefix.as_bytes().to_vec(),
            keys: Keys::new(),
            revision: None,
            watch: None,
            look: Instant::now(),
            found: None,
        }
    }

    /// Waits until there is something to say: the first list, changes, or that etcd can be asked again. Gives all keys.
    ///
    /// # Errors
    /// Why etcd cannot be asked, in words. The next call begins anew.
    pub(in crate::control) async fn next(&mut self) -> Result<&Keys, String> {
        if let Err(why) = self.wait().await {
            self.watch = None;
            self.etcd.log_out();
            return Err(why);
        }
        Ok(&self.keys)
    }

    async fn wait(&mut self) -> Result<(), String> {
        if self.watch.is_none() {
            match self.revision {
                Some(revision) => self.open(revision).await?,
                None => self.begin().await?,
            }
            self.look().await?;
            return Ok(());
        }
        let mut until: Option<(Instant, Instant)> = None;
        loop {
            let now = Instant::now();
            let wake =
                until.map_or(self.look, |(first, last)| (last + GATHER).min(first + GATHER_MAX));
            if until.is_some() && now >= wake {
                return Ok(());
            }
            match time::timeout_at(wake, self.told()).await {
                Ok(Ok(Told::Nothing)) => {}
                Ok(Ok(Told::Changes)) => {
                    let now = Instant::now();
                    until = Some((until.map_or(now, |(first, _)| first), now));
                }
                Ok(Ok(Told::Compacted)) => {
                    tracing::info!("what etcd has not told is compacted: all is listed again");
                    return self.begin().await;
                }
                Ok(Err(why)) => return Err(why),
                Err(_) if until.is_some() => return Ok(()),
                Err(_) if self.look().await? => return Ok(()),
                Err(_) => {}
            }
        }
    }

    /// Lists all keys, and watches from then on.
    async fn begin(&mut self) -> Result<(), String> {
        (self.revision, self.found) = (None, None);
        let revision = self.list().await?;
        self.open(revision).await
    }

    /// Lists all keys at one revision, page by page.
    async fn list(&mut self) -> Result<i64, String> {
        let (end, mut from) = (coded(&end_of(&self.prefix)), self.prefix.clone());
        let (mut keys, mut bytes, mut revision) = (Keys::new(), 0, 0);
        loop {
            let body = json!({
                "key": coded(if from.is_empty() { &[0] } else { &from }),
                "range_end": end,
                "limit": PAGE_KEYS.to_string(),
                "revision": revision.to_string(),
            });
            let page = self.etcd.call("/v3/kv/range", &body).await?;
            if revision == 0 {
                revision = number(header(&page)?, "revision");
            }
            for pair in page.get("kvs").and_then(Value::as_array).into_iter().flatten() {
                let (key, kept) = pair_of(pair)?;
                bytes += kept.value.len();
                from = [&key[..], &[0]].concat();
                keys.insert(key, kept);
            }
            if keys.len() > KEYS_MAX || bytes > BYTES_MAX {
                return Err(format!(
                    "there are too many keys: {KEYS_MAX}, and {BYTES_MAX} bytes, at most"
                ));
            }
            if page.get("more") != Some(&Value::Bool(true)) {
                break;
            }
        }
        (self.keys, self.revision) = (keys, Some(revision));
        Ok(revision)
    }

    /// Watches from the revision after `revision` on.
    async fn open(&mut self, revision: i64) -> Result<(), String> {
        let body = json!({ "create_request": {
            "key": coded(if self.prefix.is_empty() { &[0] } else { &self.prefix }),
            "range_end": coded(&end_of(&self.prefix)),
            "start_revision": (revision + 1).to_string(),
        }});
        let answer = self.etcd.open("/v3/watch", &body).await?;
        self.watch = Some(Watch { answer, bytes: Vec::new() });
        Ok(())
    }

    /// Asks what etcd has. Whether the keys had to be listed again.
    async fn look(&mut self) -> Result<bool, String> {
        self.look = Instant::now() + LOOK_EVERY;
        let body = json!({
            "key": coded(if self.prefix.is_empty() { &[0] } else { &self.prefix }),
            "range_end": coded(&end_of(&self.prefix)),
            "limit": "1",
            "sort_order": "DESCEND",
            "sort_target": "MOD",
            "keys_only": true,
        });
        let answer = self.etcd.call_within(LOOK_TIMEOUT, "/v3/kv/range", &body).await?;
        let newest = answer.get("kvs").and_then(|kvs| kvs.get(0));
        let newest = newest.map_or(0, |pair| number(pair, "mod_revision"));
        let now = (newest, number(&answer, "count"));
        let count = i64::try_from(self.keys.len()).unwrap_or(i64::MAX);
        let before = self.found.replace(now);
        let is_behind = before.is_some_and(|before| {
            self.revision < Some(before.0) || (before == now && count != now.1)
        });
        // A cluster that was restored from a backup has gone back, and tells nothing until it is where it was.
        let has_gone_back = Some(number(header(&answer)?, "revision")) < self.revision;
        if has_gone_back || is_behind {
            tracing::warn!("etcd has what its watch does not tell: all is listed again");
            self.begin().await?;
            return Ok(true);
        }
        Ok(false)
    }

    /// The next line of the watch. May be dropped: nothing is lost.
    async fn told(&mut self) -> Result<Told, String> {
        loop {
            let watch = self.watch.as_mut().ok_or("nobody watches")?;
            if let Some(end) = memchr::memchr(b'\n', &watch.bytes) {
                let line: Vec<u8> = watch.bytes.drain(..=end).collect();
                return self.read(&line);
            }
            if watch.bytes.len() > BYTES_MAX {
                return Err(format!("a line of its watch is longer than {BYTES_MAX} bytes"));
            }
            match watch.answer.next().await? {
                Some(bytes) => watch.bytes.extend_from_slice(&bytes),
                None => return Err("its watch has ended".to_owned()),
            }
        }
    }

    fn read(&mut self, line: &[u8]) -> Result<Told, String> {
        if line.trim_ascii().is_empty() {
            return Ok(Told::Nothing);
        }
        let line: Value = serde_json::from_slice(line)
            .map_err(|why| format!("a line of its watch cannot be read: {why}"))?;
        if let Some(error) = line.get("error") {
            return Err(format!("its watch has ended: {error}"));
        }
        let result = line.get("result").unwrap_or(&Value::Null);
        if result.get("canceled") == Some(&Value::Bool(true)) {
            if number(result, "compact_revision") > 0 {
                return Ok(Told::Compacted);
            }
            let why = result.get("cancel_reason").and_then(Value::as_str).unwrap_or("no reason");
            return Err(format!("its watch was cancelled: {why}"));
        }
        let events = result.get("events").and_then(Value::as_array);
        let Some(events) = events else { return Ok(Told::Nothing) };
        for event in events {
            let pair = event.get("kv").unwrap_or(&Value::Null);
            let (key, kept) = pair_of(pair)?;
            // Not the header's: that is the store's, and who is behind is told in parts.
            self.revision = self.revision.max(Some(kept.revision));
            if event.get("type").and_then(Value::as_str) == Some("DELETE") {
                self.keys.remove(&key);
            } else {
                self.keys.insert(key, kept);
            }
        }
        if self.keys.len() > KEYS_MAX {
            self.revision = None;
            return Err(format!("there are more than {KEYS_MAX} keys"));
        }
        Ok(Told::Changes)
    }
}

fn header(answer: &Value) -> Result<&Value, String> {
    answer.get("header").ok_or_else(|| "the answer is not etcd's: it has no header".to_owned())
}

fn pair_of(pair: &Value) -> Result<(Vec<u8>, Kept), String> {
    let value = decoded(pair, "value")?;
    Ok((decoded(pair, "key")?, Kept { value, revision: number(pair, "mod_revision") }))
}

#[cfg(test)]
mod tests;
