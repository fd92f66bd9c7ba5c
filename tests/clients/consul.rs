//! A real Consul: services of two datacenters, models in its keys, tokens, restarts, and the gateway as a service of its own.

mod agent;
mod change;

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use serde_json::json;

use crate::consul::agent::Agent;
use crate::consul::agent::TOKEN;
use crate::consul::agent::closed;
use crate::gateway::Gateway;
use crate::gateway::Mock;
use crate::gateway::get;
use crate::gateway::here;
use crate::gateway::until;
use crate::load::Load;
use crate::needs::need;
use crate::process::Folder;
use crate::process::Server;
use crate::process::command;
use crate::process::free_address;
use crate::tls::certificates;

/// Where `install.sh` puts the program.
const CONSUL: &str = "target/clients-consul/consul";
/// A token that nobody has made.
const TOKEN_OF_NOBODY: &str = "00000000-1785-24fd-91c2-f8e78c745511";

/// A gateway whose upstream `only` has what `discover` finds in the registry `fleet`.
fn gateway(folder: &Folder, agent: &Agent, registry: &str, discover: &str, more: &str) -> Gateway {
    let url = agent.url();
    Gateway::start(
        folder,
        &format!(
            "{more}\n[[registry]]\nname = \"fleet\"\nconsul = {{ url = \"{url}\"{registry} }}\n\
             [[upstream]]\nname = \"only\"\ndiscover = {{ consul = \"llm\"{discover} }}\n\
             damping = false\n[[model]]\nname = \"demo\"\nupstream = \"only\"\n"
        ),
    )
}

/// The addresses of the endpoints that are served, and whether each is stale.
fn endpoints(gateway: &Gateway) -> Vec<(String, bool)> {
    let page = get(&format!("http://{}/admin/snapshot", gateway.admin));
    let page: Value = serde_json::from_str(&page).unwrap();
    let endpoints = page["upstreams"][0]["endpoints"].as_array().unwrap().iter();
    let seen = |it: &Value| {
        let url = it["url"].as_str().unwrap().trim_start_matches("http://").to_owned();
        (url, it["is_stale"].as_bool().unwrap())
    };
    endpoints.map(seen).collect()
}

fn until_endpoints(gateway: &Gateway, expected: &[(SocketAddr, bool)]) {
    let mut expected: Vec<(String, bool)> =
        expected.iter().map(|(address, is_stale)| (address.to_string(), *is_stale)).collect();
    expected.sort();
    until(&format!("the endpoints are {expected:?}"), || {
        let mut now = endpoints(gateway);
        now.sort();
        now == expected
    });
}

/// Waits until a mock is asked more than it was.
fn until_asked(mock: &Mock) {
    let before = mock.count("requests");
    until("it is asked", || mock.count("requests") > before + 3);
}

/// Ends the load; nothing may have failed.
fn all_went_well(load: Load) {
    for sample in load.stop() {
        assert!(sample.is_ok(), "{sample:?}");
    }
}

#[test]
fn services_of_two_datacenters_come_and_go_and_one_that_is_down_is_believed() {
    let program = need!(CONSUL);
    let folder = Folder::new();
    let near = Agent::start(program.clone(), &folder, "dc1", Vec::new());
    let join = format!("-retry-join-wan=127.0.0.1:{}", near.ports[2]);
    let mut far = Agent::start(program, &folder, "dc2", vec![join]);
    until("they know each other", || {
        near.asked("GET", "/v1/catalog/nodes?dc=dc2", "").status.success()
    });
    let mocks = [(); 3].map(|()| Mock::start(&folder));
    let [one, two, three] = mocks.each_ref().map(|mock| mock.address);
    near.add("one", one, &json!({}));
    let gateway = gateway(&folder, &near, "", ", datacenters = [\"dc1\", \"dc2\"]", "");
    until_endpoints(&gateway, &[(one, false)]);
    let load = Load::start(gateway.address);
    until_asked(&mocks[0]);

    // One comes, in the other datacenter.
    far.add("two", two, &json!({}));
    until_endpoints(&gateway, &[(one, false), (two, false)]);
    until_asked(&mocks[1]);

    // One comes whose check fails, passes, and fails again; what it says of itself is taken.
    let check =
        json!({ "Check": { "CheckID": "well", "TTL": "60s" }, "Meta": { "ringway-weight": "7" } });
    near.add("three", three, &check);
    near.ask("PUT", "/v1/agent/check/pass/well", "");
    until_endpoints(&gateway, &[(one, false), (two, false), (three, false)]);
    until_asked(&mocks[2]);
    assert!(get(&format!("http://{}/admin/snapshot", gateway.admin)).contains("\"weight\": 7"));
    near.ask("PUT", "/v1/agent/check/fail/well", "");
    until_endpoints(&gateway, &[(one, false), (two, false)]);

    // One goes.
    near.remove("one");
    until_endpoints(&gateway, &[(two, false)]);
    near.add("one", one, &json!({}));
    until_endpoints(&gateway, &[(one, false), (two, false)]);

    // A datacenter nobody can ask is believed in: its model servers may be well.
    far.server.kill();
    until_endpoints(&gateway, &[(one, false), (two, true)]);
    until_asked(&mocks[1]);
    assert_eq!(gateway.metric("ringway_source_up", "@dc2\""), 0.0);
    assert_eq!(gateway.metric("ringway_source_up", "@dc1\""), 1.0);
    assert_eq!(gateway.metric("ringway_source_stale_endpoints", ""), 1.0);

    // It comes back and has forgotten everything: indexes begin again, and what it says counts.
    far.restart();
    far.add("three", three, &json!({}));
    until_endpoints(&gateway, &[(one, false), (three, false)]);
    until_asked(&mocks[2]);
    all_went_well(load);
    gateway.stop();
}

#[test]
fn an_agent_that_begins_again_is_asked_from_the_beginning() {
    let program = need!(CONSUL);
    let folder = Folder::new();
    let mut agent = Agent::start(program, &folder, "dc1", Vec::new());
    let (old, new) = (Mock::start(&folder), Mock::start(&folder));
    // Its index is far when the gateway asks.
    for _ in 0..30 {
        assert!(agent.put("some", "thing", 0));
        agent.ask("DELETE", "/v1/kv/some", "");
    }
    agent.add("it", old.address, &json!({}));
    let gateway = gateway(&folder, &agent, "", "", "");
    until_endpoints(&gateway, &[(old.address, false)]);
    let load = Load::start(gateway.address);
    agent.restart();
    agent.add("it", new.address, &json!({}));
    until_endpoints(&gateway, &[(new.address, false)]);
    until_asked(&new);
    all_went_well(load);
    gateway.stop();
}

#[test]
fn a_token_opens_what_is_closed() {
    let program = need!(CONSUL);
    let folder = Folder::new();
    let agent = Agent::start(program, &folder, "dc1", closed(&folder));
    let mock = Mock::start(&folder);
    agent.until_closed();
    agent.add("it", mock.address, &json!({}));
    folder.write("token", TOKEN_OF_NOBODY);
    let register =
        "[node]\nregister = [{ registry = \"fleet\", name = \"ringway\", ttl_ms = 2000 }]";
    let gateway = gateway(&folder, &agent, ", token = { file = \"token\" }", "", register);
    assert_eq!(endpoints(&gateway), []);
    assert_eq!(gateway.metric("ringway_source_up", ""), 0.0);
    until("it says why", || gateway.server.log().contains("ACL not found"));
    assert_eq!(gateway.metric("ringway_registered", "fleet"), 0.0);
    // What nobody may know, nobody is shown.
    assert!(!gateway.server.log().contains(TOKEN_OF_NOBODY));

    folder.write("token", &format!("{TOKEN}\n"));
    until_endpoints(&gateway, &[(mock.address, false)]);
    until("it is registered", || gateway.metric("ringway_registered", "fleet") == 1.0);
    assert_eq!(gateway.metric("ringway_source_up", ""), 1.0);
    let load = Load::start(gateway.address);
    until_asked(&mock);
    all_went_well(load);
    gateway.stop();
}

/// What nobody may see looks like what is not there, in this version of Consul.
#[test]
fn without_a_token_nothing_is_taken_for_empty() {
    let program = need!(CONSUL);
    let folder = Folder::new();
    let agent = Agent::start(program, &folder, "dc1", closed(&folder));
    agent.until_closed();
    agent.add("it", free_address(), &json!({}));
    assert!(agent.put("ringway/models/second", "upstream = \"only\"", 0));
    let gateway = gateway(&folder, &agent, " }\nconfig = { prefix = \"ringway/\"", "", "");
    assert_eq!(gateway.metric("ringway_source_up", ""), 0.0);
    for kind in ["service \\\"llm", "key \\\"ringway/"] {
        let why = format!("without a token one may not read the {kind}\\\"");
        assert!(gateway.server.log().contains(&why), "{why}: {}", gateway.server.log());
    }
    gateway.stop();
}

#[test]
fn models_are_read_from_keys_and_written_only_where_nobody_else_has() {
    let program = need!(CONSUL);
    let folder = Folder::new();
    let agent = Agent::start(program, &folder, "dc1", Vec::new());
    let mock = Mock::start(&folder);
    agent.add("it", mock.address, &json!({}));
    assert!(agent.put("ringway/models/second", "upstream = \"only\"", 0));
    let gateway = gateway(&folder, &agent, " }\nconfig = { prefix = \"ringway\"", "", "");
    let has = |name: &str| get(&gateway.url("/v1/models")).contains(&format!("\"{name}\""));
    assert!(has("demo") && has("second"));

    // What is written with an index that is not that of the key any more, is not written.
    let key = "ringway/models/third";
    assert!(agent.put(key, "{\"upstream\": \"only\"}", 0));
    until("the third is there", || has("third"));
    assert!(!agent.put(key, "upstream = \"other\"", 0));
    let index = agent.get(&format!("/v1/kv/{key}"))[0]["ModifyIndex"].as_u64().unwrap();
    let load = Load::start(gateway.address);
    // What is wrong is left as it was when it was right.
    assert!(agent.put(key, "upstream = \"nobody\"", index));
    until("it is said", || gateway.server.log().contains("models/third"));
    assert!(has("third"));
    assert_eq!(agent.ask("DELETE", &format!("/v1/kv/{key}?cas={index}"), "").trim(), "false");
    let index = agent.get(&format!("/v1/kv/{key}"))[0]["ModifyIndex"].as_u64().unwrap();
    assert_eq!(agent.ask("DELETE", &format!("/v1/kv/{key}?cas={index}"), "").trim(), "true");
    until("the third is gone", || !has("third"));
    assert!(has("second"));

    // The last key below the prefix goes: that is an answer, not a failure.
    agent.ask("DELETE", "/v1/kv/ringway/?recurse", "");
    until("the second is gone", || !has("second"));
    assert!(has("demo"));
    all_went_well(load);
    gateway.stop();
}

#[test]
fn the_gateway_makes_itself_known_and_says_goodbye() {
    let program = need!(CONSUL);
    let folder = Folder::new();
    let mut agent = Agent::start(program, &folder, "dc1", Vec::new());
    let mock = Mock::start(&folder);
    agent.add("it", mock.address, &json!({}));
    let node = "[node]\nregion = \"eu\"\nzone = \"a\"\n\
                register = [{ registry = \"fleet\", ttl_ms = 2000, tags = [\"edge\"] }]";
    let mut gateway = gateway(&folder, &agent, "", "", node);
    until("it is there", || agent.gateways().len() == 1);
    let known = agent.gateways().remove(0);
    let service = &known["Service"];
    assert_eq!(service["Address"], "127.0.0.1");
    assert_eq!(service["Port"], gateway.address.port());
    assert_eq!(service["Tags"], json!(["edge"]));
    assert_eq!(
        (&service["Meta"]["ringway-region"], &service["Meta"]["ringway-zone"]),
        (&json!("eu"), &json!("a"))
    );
    assert_eq!(service["Meta"]["ringway-version"], env!("CARGO_PKG_VERSION"));
    until("the metric says so", || gateway.metric("ringway_registered", "fleet") == 1.0);

    // Its load is what its check says; other agents hear of it when Consul thinks that it is worth it.
    let load = Load::start(gateway.address);
    until("its load is told", || {
        let id = format!("service:ringway-{}", gateway.address);
        let checks = agent.get("/v1/agent/checks");
        let output = checks[id]["Output"].as_str();
        let told: Option<Value> = output.and_then(|output| serde_json::from_str(output).ok());
        told.is_some_and(|told| told["connections"].as_u64().is_some_and(|count| count > 0))
    });

    // Told anew where it was forgotten.
    agent.restart();
    agent.add("it", mock.address, &json!({}));
    until("it is there again", || agent.gateways().len() == 1);

    // Other words, taken up while it serves: it is never away.
    let config = std::fs::read_to_string(folder.path("ringway.toml")).unwrap();
    folder.write("ringway.toml", &config.replace("\"edge\"", "\"core\""));
    until("it says other words", || {
        let now = agent.gateways();
        assert_eq!(now.len(), 1);
        now[0]["Service"]["Tags"] == json!(["core"])
    });
    all_went_well(load);

    // It says goodbye while a stream goes on, not after.
    let mut curl = command("curl");
    curl.args(["-sSN", "-d", "{\"model\":\"demo\",\"messages\":[],\"stream\":true}"]);
    curl.args(["-H", "x-mock-events: 1000000", "-H", "x-mock-gap-ms: 5"]);
    let mut stream = Server::start(curl.arg(gateway.url("/v1/chat/completions")), &folder, "curl");
    assert!(stream.line().starts_with("data: {"));
    gateway.server.signal("TERM");
    // Whether it is well or not, nobody knows it any more.
    until("it is forgotten", || agent.get("/v1/catalog/service/ringway") == json!([]));
    assert_eq!(gateway.metric("ringway_streams_open", ""), 1.0);
    assert_eq!(gateway.metric("ringway_registered", "fleet"), 0.0);
    stream.kill();
    assert_eq!(gateway.server.wait(Duration::from_secs(10)), Some(0));
}

/// Whoever ends without a word is not well after its time to live, and is forgotten later.
#[test]
fn a_gateway_that_is_killed_is_not_believed_in_for_long() {
    let program = need!(CONSUL);
    let folder = Folder::new();
    let agent = Agent::start(program, &folder, "dc1", Vec::new());
    agent.add("it", free_address(), &json!({}));
    let node = "[node]\nregister = [{ registry = \"fleet\", ttl_ms = 2000 }]";
    let mut gateway = gateway(&folder, &agent, "", "", node);
    until("it is there", || agent.gateways().len() == 1);
    gateway.server.kill();
    until("it is not well", || agent.gateways().is_empty());
}

#[test]
fn a_consul_is_trusted_by_the_authority_that_the_config_names() {
    let (program, openssl) = (need!(CONSUL), need!("openssl"));
    let folder = Folder::new();
    certificates(&openssl, &folder, &[("here", "IP:127.0.0.1")]);
    let secure = free_address();
    let here = folder.as_str();
    let files = format!("-hcl=cert_file = \"{here}/here.pem\" key_file = \"{here}/here.key\"");
    let port = format!("-https-port={}", secure.port());
    let agent = Agent::start(program, &folder, "dc1", vec![files, port]);
    let mock = Mock::start(&folder);
    agent.add("it", mock.address, &json!({}));
    let gateway = Gateway::start(
        &folder,
        &format!(
            "[[registry]]\nname = \"trusted\"\nconsul = {{ url = \"https://{secure}\" }}\nca = \"ca.pem\"\n\
             [[registry]]\nname = \"untrusted\"\nconsul = {{ url = \"https://{secure}\" }}\n\
             [[upstream]]\nname = \"only\"\ndiscover = [\n\
             {{ consul = \"llm\", registry = \"trusted\" }},\n\
             {{ consul = \"llm\", registry = \"untrusted\" }} ]\n\
             [[model]]\nname = \"demo\"\nupstream = \"only\"\n"
        ),
    );
    until_endpoints(&gateway, &[(mock.address, false)]);
    assert_eq!(gateway.metric("ringway_source_up", "consul:trusted/llm"), 1.0);
    assert_eq!(gateway.metric("ringway_source_up", "consul:untrusted/llm"), 0.0);
    assert!(gateway.server.log().contains("TLS: invalid peer certificate"));
    gateway.stop();
}

/// The guide's example, but for where its Consul is.
#[test]
fn the_example_works() {
    let program = need!(CONSUL);
    let folder = Folder::new();
    let agent = Agent::start(program, &folder, "dc1", closed(&folder));
    agent.until_closed();
    let mock = Mock::start(&folder);
    agent.add("it", mock.address, &json!({}));
    let guide = std::fs::read_to_string(here().join("../../src/GUIDE.md")).unwrap();
    let section = guide.split_once("**Consul.**").unwrap().1;
    let example = section.split_once("```toml\n").unwrap().1.split_once("```").unwrap().0;
    folder.write("consul.token", TOKEN);
    let key = section.split_once("consul kv put ").unwrap().1.lines().next().unwrap();
    let (key, value) = key.split_once(' ').unwrap();
    assert!(agent.put(key, value.trim_matches('\''), 0));
    let gateway = Gateway::start(&folder, &example.replace("http://127.0.0.1:8500", &agent.url()));
    // The other datacenter is nowhere.
    until_endpoints(&gateway, &[(mock.address, false)]);
    assert_eq!(gateway.metric("ringway_source_up", "@dc2\""), 0.0);
    assert!(get(&gateway.url("/v1/models")).contains("\"small\""));
    until("it is there", || agent.gateways().len() == 1);
    assert_eq!(agent.gateways()[0]["Service"]["Address"], "10.0.0.5");
    let load = Load::start(gateway.address);
    until_asked(&mock);
    all_went_well(load);
    gateway.stop();
}
