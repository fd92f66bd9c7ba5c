//! Names of hosts to addresses, asked for again when their time to live is over. Shards never ask.

use crate::config::Endpoint;
use hickory_resolver::ResolverBuilder;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::ConnectionConfig;
use hickory_resolver::config::LookupIpStrategy;
use hickory_resolver::config::NameServerConfig;
use hickory_resolver::config::ResolverConfig;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;
use std::time::Duration;
use std::time::Instant;
use tokio::task::JoinSet;

/// How long one answer may take, all attempts included.
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// An answer is not asked for again sooner than this.
const AGE_MIN: Duration = Duration::from_secs(5);
/// An answer is asked for again after this.
const AGE_MAX: Duration = Duration::from_secs(600);
/// How long after a failure the name is tried again, doubling from the first to the second.
const AGAIN: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(60));

/// What is known of the hosts of a config.
pub struct Resolver {
    dns: Option<TokioResolver>,
    known: HashMap<String, Known>,
}

#[derive(Clone, Debug)]
struct Known {
    addresses: Vec<IpAddr>,
    due: Option<Instant>,
    failures: u32,
}

/// An answer and when it is over.
type Answer = Result<(Vec<IpAddr>, Instant), String>;

impl Resolver {
    /// Knows nothing yet; the system's settings are read when the first name is looked up.
    #[must_use]
    pub fn new() -> Self {
        Self { dns: None, known: HashMap::new() }
    }

    /// Takes on the hosts of `endpoints` and forgets all others. What is known stays known.
    pub fn want<'e>(&mut self, endpoints: impl Iterator<Item = &'e Endpoint>, now: Instant) {
        let urls = endpoints.map(|endpoint| &endpoint.url);
        let hosts: BTreeSet<&str> =
            urls.filter(|url| url.ip().is_none()).map(|url| url.host.as_str()).collect();
        self.known.retain(|host, _| hosts.contains(host.as_str()));
        for host in hosts {
            let unknown = Known { addresses: Vec::new(), due: Some(now), failures: 0 };
            self.known.entry(host.to_owned()).or_insert(unknown);
        }
    }

    /// Reads the system's settings and `/etc/hosts` anew and asks for every name again.
    pub fn restart(&mut self, now: Instant) {
        self.dns = None;
        for known in self.known.values_mut() {
            known.due = Some(now);
        }
    }

    /// When the next name is due.
    #[must_use]
    pub fn next_due(&self) -> Option<Instant> {
        self.known.values().filter_map(|known| known.due).min()
    }

    /// All addresses, as far as they are known; those of a name that cannot be looked up any more stay.
    #[must_use]
    pub fn addresses(&self) -> HashMap<String, Vec<IpAddr>> {
        self.known.iter().map(|(host, known)| (host.clone(), known.addresses.clone())).collect()
    }

    /// Asks for all names that are due, at the same time. Whether any address is another one now. May be dropped:
    /// what has not been answered is due still.
    pub async fn refresh(&mut self, now: Instant) -> bool {
        let is_due = |known: &Known| known.due.is_some_and(|due| due <= now);
        let due = self.known.iter().filter(|(_, known)| is_due(known));
        let hosts: Vec<String> = due.map(|(host, _)| host.clone()).collect();
        let mut asked = JoinSet::new();
        for host in hosts {
            if is_localhost(&host) {
                self.learn_localhost(&host);
                continue;
            }
            let dns = self.dns.get_or_insert_with(open).clone();
            asked.spawn(async move {
                let answer = ask(&dns, &host).await;
                (host, answer)
            });
        }
        let mut is_changed = false;
        while let Some(answered) = asked.join_next().await {
            if let Ok((host, answer)) = answered {
                is_changed |= self.learn(&host, answer);
            }
        }
        is_changed
    }

    fn learn_localhost(&mut self, host: &str) {
        if let Some(known) = self.known.get_mut(host) {
            known.addresses = vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
            known.due = None;
        }
    }

    fn learn(&mut self, host: &str, answer: Answer) -> bool {
        let now = Instant::now();
        let Some(known) = self.known.get_mut(host) else {
            return false;
        };
        match answer {
            Ok((addresses, over)) => {
                if known.failures > 0 {
                    tracing::info!(host, "the name can be looked up again");
                }
                known.failures = 0;
                known.due = Some(over.clamp(now + AGE_MIN, now + AGE_MAX));
                let is_changed = known.addresses != addresses;
                known.addresses = addresses;
                is_changed
            }
            Err(why) => {
                if known.failures == 0 {
                    let kept = known.addresses.len();
                    tracing::warn!(host, why, kept, "the name cannot be looked up");
                }
                let wait = AGAIN.0.saturating_mul(1 << known.failures.min(8));
                known.failures = known.failures.saturating_add(1);
                known.due = Some(now + wait.min(AGAIN.1));
                false
            }
        }
    }
}

impl Default for Resolver {
    fn default() -> Self {
        Self::new()
    }
}

/// The addresses of one host, asked for now: of a name, or the address that it is.
///
/// # Errors
/// Why there are none, in words.
pub(crate) async fn look_up(host: &str) -> Result<Vec<IpAddr>, String> {
    if let Ok(address) = host.parse() {
        return Ok(vec![address]);
    }
    if is_localhost(host) {
        return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
    }
    ask(&open(), host).await.map(|(addresses, _)| addresses)
}

/// RFC 6761 section 6.3: never asked of anybody.
pub(crate) fn is_localhost(host: &str) -> bool {
    host == "localhost" || host.ends_with(".localhost")
}

/// A resolver with the system's settings; where there are none, one that knows `/etc/hosts` only.
pub(crate) fn open() -> TokioResolver {
    let builder = TokioResolver::builder_tokio().unwrap_or_else(|why| {
        tracing::warn!(%why, "the system has no resolver settings; only /etc/hosts is used");
        let nobody = ResolverConfig::default();
        TokioResolver::builder_with_config(nobody, TokioRuntimeProvider::default())
    });
    finish(builder)
}

/// A resolver that asks one name server and nobody else, over UDP, and TCP where an answer is too long for that.
pub(crate) fn open_at(server: SocketAddr) -> TokioResolver {
    let at_port = |mut connection: ConnectionConfig| {
        connection.port = server.port();
        connection
    };
    let connections = vec![at_port(ConnectionConfig::udp()), at_port(ConnectionConfig::tcp())];
    let server = NameServerConfig::new(server.ip(), true, connections);
    let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
    finish(TokioResolver::builder_with_config(config, TokioRuntimeProvider::default()))
}

/// What is ours to say, whatever the system's settings are.
fn finish(mut builder: ResolverBuilder<TokioRuntimeProvider>) -> TokioResolver {
    let options = builder.options_mut();
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    // Answers are kept by us; a cache below would only hide that they are over.
    options.cache_size = 0;
    builder.build().expect("no TLS is set up, so nothing can go wrong")
}

/// Addresses sorted, IPv4 first: an answer in another order is the same answer.
async fn ask(dns: &TokioResolver, host: &str) -> Answer {
    let answer = tokio::time::timeout(ANSWER_TIMEOUT, dns.lookup_ip(host)).await;
    match answer {
        Err(_) => Err(format!("no answer within {} s", ANSWER_TIMEOUT.as_secs())),
        Ok(Err(why)) if why.is_nx_domain() => Err("there is no such name".to_owned()),
        Ok(Err(why)) if why.is_no_records_found() => Err("the name has no address".to_owned()),
        Ok(Err(why)) => Err(why.to_string()),
        Ok(Ok(found)) => {
            let addresses: BTreeSet<IpAddr> = found.iter().collect();
            if addresses.is_empty() {
                return Err("the name has no address".to_owned());
            }
            Ok((addresses.into_iter().collect(), found.valid_until()))
        }
    }
}

#[cfg(test)]
mod tests;
