//! Endpoints of names: the addresses of one (RFC 1035, RFC 3596), or what its SRV records say (RFC 2782). A name is asked for again when
//! its answer's time to live is over.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::time::Duration;
use std::time::Instant;

use hickory_resolver::TokioResolver;
use hickory_resolver::net::NetError;
use hickory_resolver::proto::rr::RData;
use hickory_resolver::proto::rr::RecordType;
use hickory_resolver::proto::rr::rdata::SRV;
use tokio::time;

use crate::config::Discover;
use crate::config::DiscoverSource;
use crate::config::Endpoint;
use crate::control::discover::Question;
use crate::control::discover::entry;
use crate::control::discover::entry::LIST_MAX;
use crate::control::discover::pause;
use crate::control::discover::tell::Tell;
use crate::control::resolve;
use crate::control::resolve::ANSWER_TIMEOUT;

/// A name is not asked for again sooner than this, whatever its time to live.
const AGE_MIN: Duration = Duration::from_secs(1);
/// A name is asked for again after this.
const AGE_MAX: Duration = Duration::from_secs(600);
/// How long it counts that there is nothing.
const NOTHING_AGE: Duration = Duration::from_secs(5);
/// The greatest weight of an endpoint: weights of records are scaled down to it.
const WEIGHT_MAX: u32 = 1000;

/// What was found, and until when that holds.
type Answer<T> = Result<(Vec<T>, Instant), String>;

/// Asks for the name again and again.
pub(super) async fn watch(question: Question, tell: Tell) {
    let mut failures = 0;
    loop {
        let wait = match ask(&question.discover).await {
            Ok((endpoints, over)) => {
                failures = 0;
                tell.found(endpoints);
                over.saturating_duration_since(Instant::now()).clamp(AGE_MIN, AGE_MAX)
            }
            Err(why) => {
                failures += 1;
                tell.failed(why);
                pause(failures)
            }
        };
        time::sleep(wait).await;
    }
}

async fn ask(of: &Discover) -> Answer<Endpoint> {
    let asked = async {
        match &of.source {
            DiscoverSource::Dns { host, port, server } => {
                let dns = resolver(*server);
                let (addresses, over) = addresses(&dns, host).await?;
                let at = |ip| endpoint(of, SocketAddr::new(ip, *port), host, of.weight);
                Ok((addresses.into_iter().take(LIST_MAX).map(at).collect::<Result<_, _>>()?, over))
            }
            DiscoverSource::Srv { name, server } => services(of, &resolver(*server), name).await,
            _ => Err("is no name".to_owned()),
        }
    };
    let late = |_| format!("no answer within {} s", ANSWER_TIMEOUT.as_secs());
    time::timeout(ANSWER_TIMEOUT, asked).await.map_err(late)?
}

/// The system's settings may have changed since the last time.
fn resolver(server: Option<SocketAddr>) -> TokioResolver {
    server.map_or_else(resolve::open, resolve::open_at)
}

/// The endpoint at an address. The name is what it is asked for by, so that certificates and virtual hosts fit.
fn endpoint(of: &Discover, at: SocketAddr, name: &str, weight: u32) -> Result<Endpoint, String> {
    Ok(Endpoint {
        place: of.place.clone(),
        url: entry::at(&at.to_string(), of)?,
        weight,
        traits: of.traits.clone(),
        source: None,
        is_stale: false,
        name: (!name.is_empty()).then(|| name.trim_end_matches('.').to_ascii_lowercase()),
    })
}

/// Sorted, IPv4 first: an answer in another order is the same answer.
async fn addresses(dns: &TokioResolver, host: &str) -> Answer<IpAddr> {
    if resolve::is_localhost(host) {
        return Ok((vec![Ipv4Addr::LOCALHOST.into()], Instant::now() + AGE_MAX));
    }
    match dns.lookup_ip(host).await {
        Ok(found) => {
            let mut addresses: Vec<IpAddr> = found.iter().collect();
            addresses.sort();
            addresses.dedup();
            Ok((addresses, found.valid_until()))
        }
        Err(why) => nothing(&why),
    }
}

/// That a name has no such record is an answer; that there is no such name is more likely a mistake in it, or a zone that is gone.
fn nothing<T>(why: &NetError) -> Answer<T> {
    if why.is_nx_domain() {
        return Err("there is no such name".to_owned());
    }
    if why.is_no_records_found() {
        return Ok((Vec::new(), Instant::now() + NOTHING_AGE));
    }
    Err(why.to_string())
}

/// What the records of lowest priority name of which any has an address; records of higher priority are for when none has.
async fn services(of: &Discover, dns: &TokioResolver, name: &str) -> Answer<Endpoint> {
    let (mut records, mut over) = match dns.lookup(name, RecordType::SRV).await {
        Ok(found) => {
            let of_service = |data: &RData| match data {
                RData::SRV(record) if !record.target.is_root() => Some(record.clone()),
                _ => None,
            };
            let records = found.answers().iter().filter_map(|record| of_service(&record.data));
            (records.take(LIST_MAX).collect::<Vec<SRV>>(), found.valid_until())
        }
        Err(why) => nothing(&why)?,
    };
    records.sort_by_key(|record| record.priority);
    let mut why_none = None;
    for group in records.chunk_by(|one, next| one.priority == next.priority) {
        let most = group.iter().map(|record| record.weight).max().unwrap_or(0);
        let mut endpoints = Vec::new();
        for record in group {
            let target = record.target.to_utf8();
            match addresses(dns, &target).await {
                Ok((found, until)) => {
                    over = over.min(until);
                    for ip in found {
                        let at = SocketAddr::new(ip, record.port);
                        let weight = weight(record.weight, most, of.weight);
                        endpoints.push(endpoint(of, at, &target, weight)?);
                    }
                }
                Err(why) => why_none = Some(format!("{target}: {why}")),
            }
        }
        if !endpoints.is_empty() {
            endpoints.sort_by(|one, other| one.url.cmp(&other.url));
            endpoints.dedup_by(|one, other| one.url == other.url);
            endpoints.truncate(LIST_MAX);
            return Ok((endpoints, over));
        }
    }
    why_none.map_or(Ok((Vec::new(), over)), Err)
}

/// A record's weight as an endpoint's. Where all are zero, nothing is meant by it; a zero among others is a very small chance.
fn weight(weight: u16, most: u16, default: u32) -> u32 {
    let (weight, most) = (u32::from(weight), u32::from(most));
    if most == 0 {
        return default;
    }
    let scaled = if most > WEIGHT_MAX { weight * WEIGHT_MAX / most } else { weight };
    scaled.max(1)
}

#[cfg(test)]
mod tests;
