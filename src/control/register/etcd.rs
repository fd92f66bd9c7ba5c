//! The gateway as a key of an etcd, bound to a lease that ends when nothing is heard of the gateway.
//!
//! See <https://etcd.io/docs/v3.5/learning/api/#lease-api>. The key is `NAME/ID`, its value JSON: address, version, region, zone, tags, load.

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

/// Keeps the gateway registered, until it drains or nobody tells its load any more, and then takes its lease back.
pub(super) async fn etcd(
    registration: Registration,
    access: Access,
    mut load: watch::Receiver<Load>,
) {
    let mut desk =
        Desk { etcd: Etcd::new(&access), registration, lease: None, told: String::new() };
    let (mut failures, mut is_told) = (0, false);
    loop {
        let now = *load.borrow_and_update();
        let told = desk.tell(now).await;
        let name = &desk.registration.name;
        let wait = match told {
            Ok(()) => {
                if !is_told || failures > 0 {
                    tracing::info!(key = desk.key(), "the gateway is registered");
                }
                (failures, is_told) = (0, true);
                desk.registration.notice.registered();
                desk.registration.beat()
            }
            Err(why) => {
                if failures == 0 {
                    tracing::warn!(prefix = name, why, "the gateway cannot be registered");
                }
                failures += 1;
                desk.etcd.log_out();
                desk.registration.notice.failed(why);
                pause(failures)
            }
        };
        if goes_before(&mut load, Instant::now() + wait).await {
            return desk.leave().await;
        }
    }
}

/// Where it is registered, and under which lease.
struct Desk {
    etcd: Etcd,
    registration: Registration,
    lease: Option<i64>,
    /// What was written last.
    told: String,
}

impl Desk {
    fn key(&self) -> String {
        let Registration { name, id, .. } = &self.registration;
        format!("{}/{id}", name.trim_end_matches('/'))
    }

    /// A sign of life, and what has changed since the last one.
    async fn tell(&mut self, load: Load) -> Result<(), String> {
        if !self.is_alive().await? {
            let ttl = self.registration.ttl.as_secs().max(1).to_string();
            let granted = self.etcd.call("/v3/lease/grant", &json!({ "TTL": ttl })).await?;
            let lease = number(&granted, "ID");
            if lease == 0 {
                return Err(format!("no lease was granted: {granted}"));
            }
            (self.lease, self.told) = (Some(lease), String::new());
        }
        let value = value(&self.registration, load).to_string();
        if value != self.told {
            let lease = self.lease.unwrap_or_default().to_string();
            let (key, text) = (coded(self.key().as_bytes()), coded(value.as_bytes()));
            let put = json!({ "key": key, "value": text, "lease": lease });
            self.etcd.call("/v3/kv/put", &put).await?;
            self.told = value;
        }
        Ok(())
    }

    /// Whether there is a lease that goes on.
    async fn is_alive(&mut self) -> Result<bool, String> {
        let Some(lease) = self.lease else { return Ok(false) };
        let beaten =
            self.etcd.call("/v3/lease/keepalive", &json!({ "ID": lease.to_string() })).await?;
        let ttl = number(beaten.get("result").unwrap_or(&Value::Null), "TTL");
        if ttl <= 0 {
            self.lease = None;
        }
        Ok(ttl > 0)
    }

    /// With the lease goes the key.
    async fn leave(&mut self) {
        let Some(lease) = self.lease else { return self.registration.notice.left() };
        for attempt in 1..=GOODBYES_MAX {
            let body = json!({ "ID": lease.to_string() });
            match self.etcd.call("/v3/lease/revoke", &body).await {
                Ok(_) => {
                    tracing::info!(key = self.key(), "the gateway is deregistered");
                    return self.registration.notice.left();
                }
                Err(why) => {
                    tracing::warn!(key = self.key(), attempt, why, "cannot be deregistered");
                    self.registration.notice.failed(why);
                }
            }
        }
    }
}

/// What is written: whoever reads it needs no other key.
fn value(registration: &Registration, load: Load) -> Value {
    let Registration { address, version, tags, region, zone, .. } = registration;
    let mut value = json!({
        "address": address.to_string(),
        "version": version,
        "tags": tags,
        "load": {
            "in_flight": load.in_flight,
            "connections": load.connections,
            "is_draining": load.is_draining,
        },
    });
    for (key, text) in [("region", region), ("zone", zone)] {
        if let Some(text) = text {
            value[key] = json!(text);
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::register::Notice;
    use std::time::Duration;

    #[test]
    fn what_is_written_says_where_and_how_busy_the_gateway_is() {
        let registration = Registration {
            id: "gateway-8080".into(),
            name: "ringway".into(),
            address: "10.0.0.5:8080".parse().unwrap(),
            version: "1.0.0".into(),
            ttl: Duration::from_secs(15),
            tags: vec!["edge".into()],
            region: Some("eu".into()),
            zone: None,
            notice: Notice::default(),
        };
        let load = Load { in_flight: 3, connections: 4, is_draining: false };
        let expected = json!({
            "address": "10.0.0.5:8080", "version": "1.0.0", "tags": ["edge"], "region": "eu",
            "load": { "in_flight": 3, "connections": 4, "is_draining": false },
        });
        assert_eq!(value(&registration, load), expected);
    }
}
