//! The healthy instances of a Consul service, asked for by queries that are answered when something is new.
//!
//! See <https://developer.hashicorp.com/consul/api-docs/health>. Invariant: an answer that is none, whatever its status, is a failure
//! with Consul's words, and never "no endpoints".

pub(in crate::control) mod ask;
mod instance;
pub(in crate::control) mod kv;

use std::collections::BTreeMap;

use tokio::time;

use crate::config::DiscoverSource;
use crate::config::Endpoint;
use crate::control::discover::Question;
use crate::control::discover::consul::ask::Query;
use crate::control::discover::consul::ask::escaped;
use crate::control::discover::consul::instance::Instance;
use crate::control::discover::http::Reply;
use crate::control::discover::pause;
use crate::control::discover::tell::Tell;

/// The most instances of a service that are taken: as many endpoints as a file may have.
const INSTANCES_MAX: usize = 4096;
/// Since Consul 1.12: the token may not read all that there is.
const FILTERED: &str = "x-consul-results-filtered-by-acls";

/// What is wrong with instances that were left out, by what they are called.
type Wrong = BTreeMap<String, String>;

/// The endpoints, and what is wrong with others.
type Found = (Vec<Endpoint>, Wrong);

/// Asks for ever. May be dropped.
pub(super) async fn watch(question: Question, tell: Tell) {
    let (Some(access), Some(path)) = (&question.access, path(&question)) else {
        return tell.failed("nobody has said where Consul is".to_owned());
    };
    let mut query = Query::new(access, path);
    let mut said = (Vec::new(), Wrong::new());
    let mut failures = 0;
    loop {
        match next(&mut query, &question).await {
            Ok((reply, found)) => {
                failures = 0;
                query.learn(&reply, found != said);
                warn(&question, &said.1, &found.1);
                said = found;
                tell.found(said.0.clone());
            }
            Err(why) => {
                failures += 1;
                query.forget();
                tell.failed(why);
                time::sleep(pause(failures)).await;
            }
        }
    }
}

/// The next answer that is one, and what it says.
async fn next(query: &mut Query, question: &Question) -> Result<(Reply, Found), String> {
    let reply = query.next().await?;
    let found = read(&reply, question)?;
    if let (true, DiscoverSource::Consul { service, .. }) =
        (found.0.is_empty(), &question.discover.source)
    {
        query.may_read("service", service, question.datacenter.as_deref()).await?;
    }
    Ok((reply, found))
}

/// What is asked for; none where the source is no Consul.
fn path(question: &Question) -> Option<String> {
    let DiscoverSource::Consul { service, tags, .. } = &question.discover.source else {
        return None;
    };
    let mut path = format!("/v1/health/service/{}?passing=1", escaped(service));
    if let Some(datacenter) = &question.datacenter {
        path.push_str(&format!("&dc={}", escaped(datacenter)));
    }
    for tag in tags {
        path.push_str(&format!("&tag={}", escaped(tag)));
    }
    Some(path)
}

/// The endpoints of an answer, sorted, and what is wrong with the others.
///
/// # Errors
/// Why it is no answer, in words. One in which all instances are wrong is none.
fn read(reply: &Reply, question: &Question) -> Result<Found, String> {
    if reply.status != 200 {
        return Err(reply.explain());
    }
    let instances: Vec<Instance> = serde_json::from_slice(&reply.body)
        .map_err(|why| format!("the answer cannot be read: {why}"))?;
    if instances.is_empty() && reply.fields.get(FILTERED).is_some_and(|value| value == "true") {
        return Err("the token may read no instance of the service".to_owned());
    }
    let mut wrong = Wrong::new();
    let mut endpoints = Vec::new();
    for instance in &instances {
        if endpoints.len() >= INSTANCES_MAX {
            let why = format!("and {} more are too many", instances.len() - INSTANCES_MAX);
            wrong.insert(instance.describe(), why);
            break;
        }
        match instance.endpoint(question) {
            Ok(endpoint) => endpoints.push(endpoint),
            Err(why) => drop(wrong.insert(instance.describe(), why)),
        }
    }
    match wrong.first_key_value() {
        Some((name, why)) if endpoints.is_empty() => {
            let others = wrong.len() - 1;
            Err(format!("no instance can be used: {name}: {why} (and {others} others)"))
        }
        _ => {
            // In which order Consul lists them, says nothing.
            endpoints.sort_by(|one, other| one.url.cmp(&other.url));
            Ok((endpoints, wrong))
        }
    }
}

/// Says what is wrong, once.
fn warn(question: &Question, before: &Wrong, now: &Wrong) {
    let source = question.discover.source.describe();
    for (name, why) in now.iter().filter(|(name, why)| before.get(*name) != Some(*why)) {
        tracing::warn!(source, why, "the instance {name} is left out");
    }
}

#[cfg(test)]
pub(in crate::control) mod tests;
