//! What Consul's keys hold, changed by the gateway's admin API.

use serde_json::json;

use super::CONSUL;
use super::gateway;
use super::until_endpoints;
use crate::consul::agent::Agent;
use crate::gateway::Mock;
use crate::gateway::get;
use crate::needs::need;
use crate::process::Folder;

#[test]
fn what_consul_holds_is_changed_in_consul() {
    let program = need!(CONSUL);
    let folder = Folder::new();
    let agent = Agent::start(program, &folder, "dc1", Vec::new());
    let mock = Mock::start(&folder);
    agent.add("it", mock.address, &json!({}));
    let first = "# by hand\nupstream = \"only\" # as ever\n";
    assert!(agent.put("ringway/models/second", first, 0));
    let gateway = gateway(&folder, &agent, " }\nconfig = { prefix = \"ringway\"", "", "");
    until_endpoints(&gateway, &[(mock.address, false)]);
    let has = |name: &str| get(&gateway.url("/v1/models")).contains(&format!("\"{name}\""));
    let raw = |key: &str| agent.ask("GET", &format!("/v1/kv/ringway/{key}?raw"), "");

    // What is TOML stays TOML, with its comments.
    let body = "{\"upstream\": \"only\", \"aliases\": [\"x\"]}";
    let (status, said) = gateway.change("PUT", "models/second", body);
    assert_eq!(status, 200, "{said}");
    assert!(has("x"), "it is in force");
    assert_eq!(raw("models/second"), format!("{first}aliases = [\"x\"]\n"));
    let (status, said) = gateway.change("PUT", "tenants/acme?registry=fleet", "{}");
    assert_eq!(status, 201, "{said}");
    let (status, said) = gateway.change("POST", "tenants/acme/keys", "{\"id\": \"ci\"}");
    assert_eq!(status, 201, "{said}");
    assert!(said.contains("\"secret\": \"rw_") && raw("tenants/acme").contains("sha256"), "{said}");
    let (status, said) = gateway.change("DELETE", "models/second", "");
    assert_eq!(status, 200, "{said}");
    let keys = agent.asked("GET", "/v1/kv/ringway/models/?keys", "");
    assert!(!keys.status.success(), "there is none any more");

    // A service's instances are their owner's.
    let body = format!("{{\"url\": \"http://{}\", \"drain\": true}}", mock.address);
    let (status, said) = gateway.change("PATCH", "upstreams/only/endpoints", &body);
    assert!(
        status == 409 && said.contains("meta ringway-weight or ringway-drain"),
        "{status} {said}"
    );
    gateway.stop();
}
