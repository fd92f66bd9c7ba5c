//! The gateway as a service of a Consul agent, with a check that fails when nothing is heard of the gateway.
//!
//! See <https://developer.hashicorp.com/consul/api-docs/agent/service> and `/check`.

use hyper::Method;
use serde_json::Value;
use serde_json::json;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::control::discover::Access;
use crate::control::discover::consul::ask::Agent;
use crate::control::discover::consul::ask::escaped;
use crate::control::discover::http::Reply;
use crate::control::discover::pause;
use crate::control::register::GOODBYES_MAX;
use crate::control::register::Load;
use crate::control::register::Registration;
use crate::control::register::goes_before;

/// How long the agent keeps a service whose check fails. Consul takes no less than a minute.
const FORGET_AFTER: &str = "1m";
/// What no other path of the agent's does: a check that was made before does not live on beside the new one.
const REGISTER: &str = "/v1/agent/service/register?replace-existing-checks=true";

/// Keeps the gateway registered, until it drains or nobody tells its load any more, and then deregisters it.
///
/// An agent that has forgotten it (a restart without a data directory, another agent of the list) is told again.
pub(super) async fn consul(
    registration: Registration,
    access: Access,
    mut load: watch::Receiver<Load>,
) {
    let mut desk = Desk { agent: Agent::new(&access), registration, is_known: false };
    let (mut failures, mut is_told) = (0, false);
    loop {
        let now = *load.borrow_and_update();
        let told = desk.tell(now).await;
        let name = &desk.registration.name;
        let wait = match told {
            Ok(()) => {
                if !is_told || failures > 0 {
                    tracing::info!(service = name, "the gateway is registered");
                }
                (failures, is_told) = (0, true);
                desk.registration.notice.registered();
                desk.registration.beat()
            }
            Err(why) => {
                if failures == 0 {
                    tracing::warn!(service = name, why, "the gateway cannot be registered");
                }
                failures += 1;
                desk.registration.notice.failed(why);
                pause(failures)
            }
        };
        if goes_before(&mut load, Instant::now() + wait).await {
            return desk.leave().await;
        }
    }
}

/// Where it is registered, and whether it is.
struct Desk {
    agent: Agent,
    registration: Registration,
    is_known: bool,
}

impl Desk {
    /// A sign of life; whoever does not know whose is told first.
    async fn tell(&mut self, load: Load) -> Result<(), String> {
        if self.is_known {
            let beaten = self.beat(load).await?;
            if beaten.status == 200 {
                return Ok(());
            }
            // What Consul says of a check that it does not know differs between versions: 404, or 500 and words.
            self.is_known = false;
        }
        let body = service(&self.registration).to_string().into_bytes();
        good(&self.agent.ask(Method::PUT, REGISTER, body).await?)?;
        good(&self.beat(load).await?)?;
        self.is_known = true;
        Ok(())
    }

    async fn beat(&mut self, load: Load) -> Result<Reply, String> {
        let path = format!("/v1/agent/check/update/{}", escaped(&check_id(&self.registration)));
        let body = json!({ "Status": "passing", "Output": load.text() });
        let beaten = self.agent.ask(Method::PUT, &path, body.to_string().into_bytes()).await;
        // After a failure another agent is asked, which may never have heard of it.
        self.is_known &= beaten.is_ok();
        beaten
    }

    async fn leave(&mut self) {
        let (name, id) = (&self.registration.name, escaped(&self.registration.id));
        let path = format!("/v1/agent/service/deregister/{id}");
        for attempt in 1..=GOODBYES_MAX {
            let left = self.agent.ask(Method::PUT, &path, Vec::new()).await;
            match left.and_then(|reply| gone(&reply)) {
                Ok(()) => {
                    tracing::info!(service = name, "the gateway is deregistered");
                    return self.registration.notice.left();
                }
                Err(why) => {
                    tracing::warn!(service = name, attempt, why, "cannot be deregistered");
                    self.registration.notice.failed(why);
                }
            }
        }
    }
}

/// What the agent is told.
fn service(registration: &Registration) -> Value {
    let Registration { id, name, address, version, ttl, tags, region, zone, .. } = registration;
    let mut meta = json!({ "ringway-version": version });
    for (key, value) in [("ringway-region", region), ("ringway-zone", zone)] {
        if let Some(value) = value {
            meta[key] = json!(value);
        }
    }
    let mut service = json!({
        "ID": id,
        "Name": name,
        "Tags": tags,
        "Port": address.port(),
        "Meta": meta,
        "Check": {
            "CheckID": check_id(registration),
            "Name": "Ringway's sign of life",
            "TTL": format!("{}ms", ttl.as_millis()),
            "Status": "passing",
            "DeregisterCriticalServiceAfter": FORGET_AFTER,
        },
    });
    if !address.ip().is_unspecified() {
        service["Address"] = json!(address.ip().to_string());
    }
    service
}

fn check_id(registration: &Registration) -> String {
    format!("service:{}", registration.id)
}

fn good(reply: &Reply) -> Result<(), String> {
    if reply.status == 200 { Ok(()) } else { Err(reply.explain()) }
}

/// Who is not known has gone.
fn gone(reply: &Reply) -> Result<(), String> {
    if reply.status == 404 { Ok(()) } else { good(reply) }
}

#[cfg(test)]
mod tests;
