//! The endpoints that the keys below a prefix of an etcd name, each value the JSON of one.
//!
//! Over etcd's JSON API, which every member since 3.4 speaks. A value that is wrong leaves out its key.

pub(in crate::control) mod ask;
mod follow;
pub(in crate::control) mod kv;
#[cfg(test)]
pub(in crate::control) mod script;

use std::collections::BTreeMap;

use tokio::time;

use crate::config::DiscoverSource;
use crate::config::Endpoint;
use crate::control::discover::Question;
use crate::control::discover::entry;
use crate::control::discover::entry::LIST_MAX;
use crate::control::discover::etcd::follow::Follow;
use crate::control::discover::etcd::follow::Keys;
use crate::control::discover::pause;
use crate::control::discover::tell::Tell;

/// What is wrong with keys that were left out, by key.
type Wrong = BTreeMap<String, String>;

/// Asks for ever. May be dropped.
pub(super) async fn watch(question: Question, tell: Tell) {
    let (Some(access), DiscoverSource::Etcd { prefix, .. }) =
        (&question.access, &question.discover.source)
    else {
        return tell.failed("nobody has said where etcd is".to_owned());
    };
    let mut follow = Follow::new(access, prefix);
    let mut said = Wrong::new();
    let mut failures = 0;
    loop {
        let answer = match follow.next().await {
            Ok(keys) => Ok(read(keys, &question)),
            Err(why) => Err(why),
        };
        match answer {
            Ok((endpoints, wrong)) => {
                failures = 0;
                warn(&question, &said, &wrong);
                match wrong.first_key_value() {
                    Some((key, why)) if endpoints.is_empty() => {
                        let others = wrong.len() - 1;
                        let why = format!("no key can be used: {key}: {why} (and {others} others)");
                        tell.failed(why);
                    }
                    _ => tell.found(endpoints),
                }
                said = wrong;
            }
            Err(why) => {
                failures += 1;
                tell.failed(why);
                time::sleep(pause(failures)).await;
            }
        }
    }
}

/// The endpoints, in the order of their keys, and what is wrong with the others.
fn read(keys: &Keys, question: &Question) -> (Vec<Endpoint>, Wrong) {
    let (mut endpoints, mut wrong) = (Vec::new(), Wrong::new());
    for (key, kept) in keys {
        let name = || String::from_utf8_lossy(key).into_owned();
        if endpoints.len() >= LIST_MAX {
            wrong.insert(name(), format!("there are more than {LIST_MAX}"));
            break;
        }
        let read = serde_json::from_slice(&kept.value)
            .map_err(|why| format!("is no JSON: {why}"))
            .and_then(|value| entry::read(&value, &question.discover));
        match read {
            Ok(mut endpoint) => {
                endpoint.traits.region = endpoint.traits.region.or_else(|| question.region.clone());
                endpoints.push(endpoint);
            }
            Err(why) => drop(wrong.insert(name(), why)),
        }
    }
    (endpoints, wrong)
}

/// Says what is wrong, once.
fn warn(question: &Question, before: &Wrong, now: &Wrong) {
    let source = question.discover.source.describe();
    for (key, why) in now.iter().filter(|(key, why)| before.get(*key) != Some(*why)) {
        tracing::warn!(source, key, why, "the key is left out");
    }
}

#[cfg(test)]
mod tests;
