//! The gateway as a key of an etcd, bound to a lease that ends when nothing is heard of the gateway.
//!
//! See <https://etcd.io/docs/v3.5/learning/api/>. The key is `NAME/ADDRESS`, its value JSON of the address, the version and the load.

use serde_json::Value;
use serde_json::json;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::control::discover::Access;
use crate::control::discover::etcd::ask::Etcd;
use crate::control::discover::etcd::ask::coded;
use crate::control::discover::etcd::ask::number;
use crate::control::discover::pause;
use crate::control::register::GOODBYES_MAX;
use crate::control::register::Load;
use crate::control::register::Registration;
use crate::control::register::goes_before;

/// What etcd says of a lease that is over, or that it never gave.
const NO_LEASE: &str = "lease not found";

/// Keeps the gateway registered, until it drains or nobody tells its load any more, and then takes its lease back.
///
/// A lease that has ended meanwhile (the gateway was stopped, the cluster was restored) is followed by a new one, and a key that
/// somebody has deleted is written again.
pub(super) async fn etcd(
    registration: Registration,
    access: Access,
    mut load: watch::Receiver<Load>,
) {
    let mut desk = Desk::new(registration, &access);
    let (mut failures, mut is_told) = (0, false);
    loop {
        let now = *load.borrow_and_update();
        let told = desk.tell(now).await;
        let (key, beat) = (&desk.key, desk.registration.beat());
        let wait = match told {
            Ok(()) => {
                if !is_told || failures > 0 {
                    tracing::info!(key, "the gateway is registered");
                }
                (failures, is_told) = (0, true);
                desk.registration.notice.registered();
                beat
            }
            Err(why) => {
                if failures == 0 {
                    tracing::warn!(key, why, "the gateway cannot be registered");
                }
                failures += 1;
                desk.registration.notice.failed(why);
                desk.etcd.log_out();
                // A longer pause could outlast a lease that is still alive.
                pause(failures).min(beat)
            }
        };
        if goes_before(&mut load, Instant::now() + wait).await {
            return desk.leave().await;
        }
    }
}

/// Under which key it is registered, and with which lease.
struct Desk {
    etcd: Etcd,
    registration: Registration,
    key: String,
    /// As etcd has given it; none: none yet, or it has ended.
    lease: Option<i64>,
}

impl Desk {
    fn new(registration: Registration, access: &Access) -> Self {
        let key = key(&registration);
        Self { etcd: Etcd::new(access), registration, key, lease: None }
    }

    /// A sign of life, and the key as it should be.
    async fn tell(&mut self, load: Load) -> Result<(), String> {
        if let Some(lease) = self.lease
            && !self.keep(lease).await?
        {
            self.lease = None;
        }
        let lease = match self.lease {
            Some(lease) => lease,
            None => self.grant().await?,
        };
        self.lease = Some(lease);
        let written = self.write(lease, load).await;
        if written.as_ref().is_err_and(|why| why.contains(NO_LEASE)) {
            self.lease = None;
        }
        written
    }

    /// A new lease. One whose answer is lost has no key and ends by itself.
    async fn grant(&mut self) -> Result<i64, String> {
        // Etcd counts whole seconds.
        let seconds = self.registration.ttl.as_millis().div_ceil(1000).max(1);
        let body = json!({ "TTL": seconds.to_string() });
        let answer = self.etcd.call("/v3/lease/grant", &body).await?;
        match number(&answer, "ID") {
            0 => Err("etcd gave no lease".to_owned()),
            lease => Ok(lease),
        }
    }

    /// Keeps the lease alive. Whether it was.
    async fn keep(&mut self, lease: i64) -> Result<bool, String> {
        let body = json!({ "ID": lease.to_string() });
        let answer = self.etcd.call("/v3/lease/keepalive", &body).await?;
        if let Some(error) = answer.get("error") {
            return Err(format!("the lease cannot be kept: {error}"));
        }
        // One that has ended has no time left, and etcd leaves out what is zero.
        Ok(number(answer.get("result").unwrap_or(&Value::Null), "TTL") > 0)
    }

    /// Writes the key where it is another, or bound to another lease: who watches it hears of nothing else.
    async fn write(&mut self, lease: i64, load: Load) -> Result<(), String> {
        let (key, value) = (coded(self.key.as_bytes()), value(&self.registration, load));
        let (value, lease) = (coded(value.to_string().as_bytes()), lease.to_string());
        let body = json!({
            "compare": [
                { "key": key, "target": "VALUE", "result": "EQUAL", "value": value },
                { "key": key, "target": "LEASE", "result": "EQUAL", "lease": lease },
            ],
            "failure": [{ "request_put": { "key": key, "value": value, "lease": lease } }],
        });
        self.etcd.call("/v3/kv/txn", &body).await.map(drop)
    }

    /// Takes the lease back, and with it the key, unless somebody else has written it since.
    async fn leave(&mut self) {
        let Some(lease) = self.lease else { return self.registration.notice.left() };
        let (key, body) = (&self.key, json!({ "ID": lease.to_string() }));
        for attempt in 1..=GOODBYES_MAX {
            match self.etcd.call("/v3/lease/revoke", &body).await {
                Err(why) if !why.contains(NO_LEASE) => {
                    tracing::warn!(key, attempt, why, "the lease cannot be taken back");
                    self.registration.notice.failed(why);
                }
                _ => {
                    tracing::info!(key, "the gateway is deregistered");
                    return self.registration.notice.left();
                }
            }
        }
    }
}

/// The name, and what tells this gateway from others of it.
fn key(registration: &Registration) -> String {
    let Registration { name, .. } = registration;
    format!("{}/{}", name.trim_end_matches('/'), place(registration))
}

/// The address; for one that is none (`0.0.0.0`) what the id says instead: the machine's name and the port.
fn place(registration: &Registration) -> String {
    let Registration { id, name, address, .. } = registration;
    let said = id.strip_prefix(name.as_str()).and_then(|rest| rest.strip_prefix('-'));
    said.map_or_else(|| address.to_string(), ToOwned::to_owned)
}

/// What others read.
fn value(registration: &Registration, load: Load) -> Value {
    let Load { in_flight, connections, is_draining } = load;
    let mut value = json!({
        "address": place(registration),
        "version": registration.version,
        "load": { "in_flight": in_flight, "connections": connections, "is_draining": is_draining },
    });
    for (key, said) in [("region", &registration.region), ("zone", &registration.zone)] {
        if let Some(said) = said {
            value[key] = json!(said);
        }
    }
    value
}

#[cfg(test)]
mod tests;
