//! A real etcd that holds endpoints, models and tenants: watched, killed, stopped, compacted, locked.

mod change;
mod member;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::etcd::member::Etcd;
use crate::etcd::member::Tls;
use crate::gateway::Gateway;
use crate::gateway::Mock;
use crate::gateway::until;
use crate::needs::need;
use crate::process::Folder;
use crate::process::bounded;
use crate::process::succeed;

/// A config whose one upstream asks `etcd`, by way of this `[[registry]]`.
fn config(registry: &str, upstream: &str) -> String {
    format!(
        "[[registry]]\nname = \"keys\"\n{registry}\n[[upstream]]\nname = \"only\"\n\
         discover = {{ etcd = \"/llm/\", registry = \"keys\" }}\n{upstream}\n\
         [[model]]\nname = \"demo\"\nupstream = \"only\"\n"
    )
}

const AT_ONCE: &str = "minimum_healthy = 0\ndamping = false\n";

fn ask(gateway: &Gateway, model: &str) -> (u16, String) {
    let body = format!("{{\"model\":\"{model}\",\"messages\":[]}}");
    let mut curl = bounded(20, "curl");
    curl.args(["-s", "-w", "\n%{http_code}", "-d", &body, "-H", "content-type: application/json"]);
    let said = succeed(curl.arg(gateway.url("/v1/chat/completions")));
    let (text, status) = said.rsplit_once('\n').unwrap();
    (status.parse().unwrap(), text.to_owned())
}

fn until_endpoints(gateway: &Gateway, expected: f64) {
    until(&format!("there are {expected} endpoints"), || {
        gateway.metric("ringway_source_endpoints", "") == expected
    });
}

/// The page's text, for what no metric says.
fn snapshot(gateway: &Gateway) -> String {
    crate::gateway::get(&format!("http://{}/admin/snapshot", gateway.admin))
}

#[test]
fn endpoints_of_etcd_come_and_go() {
    let (program, ctl) = (need!("etcd"), need!("etcdctl"));
    let folder = Folder::new();
    let (one, two) = (Mock::start(&folder), Mock::start(&folder));
    let etcd = Etcd::start(&program, &ctl, &folder);
    let registry = format!("etcd = {{ url = \"{}\" }}", etcd.url());
    let gateway = Gateway::start(&folder, &config(&registry, AT_ONCE));
    assert_eq!(ask(&gateway, "demo").0, 503, "there is none yet");
    etcd.put("/llm/one", &one);
    until("its requests are answered", || ask(&gateway, "demo").0 == 200);
    // What is wrong is left out, alone, and is said.
    etcd.ctl(&["put", "/llm/wrong", "{\"url\": \"http://a\", \"wieght\": 1}"]);
    etcd.put("/llm/two", &two);
    until_endpoints(&gateway, 2.0);
    assert!(
        gateway.server.log().contains("did you mean \\\"weight\\\""),
        "{}",
        gateway.server.log()
    );
    etcd.ctl(&["del", "/llm/one"]);
    until_endpoints(&gateway, 1.0);
    assert_eq!(ask(&gateway, "demo").0, 200);
    // One with a lease is there as long as somebody keeps the lease alive.
    let lease = etcd.ctl(&["lease", "grant", "600"]);
    let lease = lease.split_whitespace().nth(1).unwrap();
    let value = format!("{{\"url\": \"http://{}\"}}", one.address);
    etcd.ctl(&["put", &format!("--lease={lease}"), "/llm/leased", &value]);
    until_endpoints(&gateway, 2.0);
    etcd.ctl(&["lease", "revoke", lease]);
    until_endpoints(&gateway, 1.0);
    // And one whose lease nobody keeps alive goes by itself.
    let lease = etcd.ctl(&["lease", "grant", "5"]);
    let lease = lease.split_whitespace().nth(1).unwrap();
    etcd.ctl(&["put", &format!("--lease={lease}"), "/llm/expiring", &value]);
    until_endpoints(&gateway, 2.0);
    until_endpoints(&gateway, 1.0);
    gateway.stop();
}

#[test]
fn an_etcd_that_is_stopped_or_killed_takes_nothing_away() {
    let (program, ctl) = (need!("etcd"), need!("etcdctl"));
    let folder = Folder::new();
    let (one, two) = (Mock::start(&folder), Mock::start(&folder));
    let mut etcd = Etcd::start(&program, &ctl, &folder);
    etcd.put("/llm/one", &one);
    let registry = format!("etcd = {{ url = \"{}\" }}", etcd.url());
    let gateway = Gateway::start(&folder, &config(&registry, AT_ONCE));
    until_endpoints(&gateway, 1.0);
    // It holds its connections and says nothing.
    etcd.server.signal("STOP");
    until("that is noticed", || gateway.metric("ringway_source_up", "") == 0.0);
    until("it is stale", || gateway.metric("ringway_source_stale_endpoints", "") == 1.0);
    assert_eq!(ask(&gateway, "demo").0, 200);
    etcd.server.signal("CONT");
    until("it is up again", || gateway.metric("ringway_source_up", "") == 1.0);
    // It is gone, and back with what was changed while nobody watched, and compacted.
    etcd.restart();
    etcd.put("/llm/two", &two);
    until_endpoints(&gateway, 2.0);
    assert_eq!(ask(&gateway, "demo").0, 200);
    gateway.stop();
}

#[test]
fn what_is_compacted_away_is_listed_again() {
    let (program, ctl) = (need!("etcd"), need!("etcdctl"));
    let folder = Folder::new();
    let one = Mock::start(&folder);
    let mut etcd = Etcd::start(&program, &ctl, &folder);
    etcd.put("/llm/one", &one);
    let registry = format!("etcd = {{ url = \"{}\" }}", etcd.url());
    let gateway = Gateway::start(&folder, &config(&registry, AT_ONCE));
    until_endpoints(&gateway, 1.0);
    // It hears of nothing, and its watch is gone when it listens again.
    gateway.server.signal("STOP");
    etcd.restart();
    etcd.ctl(&["put", "/llm/wrong", "{}"]);
    etcd.put("/llm/two", &one);
    etcd.ctl(&["del", "/llm/wrong"]);
    etcd.put("/other", &one);
    let revision = etcd.ctl(&["get", "/other", "-w", "json"]);
    let revision: serde_json::Value = serde_json::from_str(&revision).unwrap();
    etcd.ctl(&["compact", &revision["header"]["revision"].to_string()]);
    gateway.server.signal("CONT");
    etcd.ctl(&["put", "/llm/three", "{\"url\": \"http://127.0.0.1:9\", \"weight\": 0}"]);
    // One and two are the same endpoint.
    until("what is there now is known", || snapshot(&gateway).contains("http://127.0.0.1:9"));
    assert!(gateway.server.log().contains("is compacted"), "{}", gateway.server.log());
    assert_eq!(ask(&gateway, "demo").0, 200);
    gateway.stop();
}

#[test]
fn etcd_wants_a_password() {
    let (program, ctl) = (need!("etcd"), need!("etcdctl"));
    let folder = Folder::new();
    let one = Mock::start(&folder);
    let etcd = Etcd::start(&program, &ctl, &folder);
    etcd.put("/llm/one", &one);
    for arguments in [
        &["user", "add", "root:secret"][..],
        &["user", "grant-role", "root", "root"],
        &["role", "add", "reader"],
        &["role", "grant-permission", "reader", "read", "--prefix=true", "/llm/"],
        &["user", "add", "ringway:open sesame"],
        &["user", "grant-role", "ringway", "reader"],
    ] {
        etcd.ctl(arguments);
    }
    etcd.ctl(&["auth", "enable"]);
    folder.write("password", "wrong\n");
    let registry = format!(
        "etcd = {{ url = \"{}\", user = \"ringway\", password = {{ file = \"password\" }} }}",
        etcd.url()
    );
    let gateway = Gateway::start(&folder, &config(&registry, AT_ONCE));
    until("the login fails", || gateway.server.log().contains("the login failed"));
    assert!(!gateway.server.log().contains("wrong"), "{}", gateway.server.log());
    folder.write("password", "open sesame\n");
    until_endpoints(&gateway, 1.0);
    assert_eq!(ask(&gateway, "demo").0, 200);
    // Changes are told under the token, too.
    let value = format!("{{\"url\": \"http://localhost:{}\"}}", one.address.port());
    etcd.ctl(&["--user", "root:secret", "put", "/llm/two", &value]);
    until_endpoints(&gateway, 2.0);
    gateway.stop();
}

#[test]
fn etcd_speaks_tls() {
    let (program, ctl, openssl) = (need!("etcd"), need!("etcdctl"), need!("openssl"));
    let folder = Folder::new();
    let one = Mock::start(&folder);
    let (certificate, key) = (folder.path("etcd.pem"), folder.path("etcd.key"));
    succeed(
        bounded(20, openssl)
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"])
            .args(["-nodes", "-days", "2", "-subj", "/CN=etcd", "-addext"])
            .arg("subjectAltName=IP:127.0.0.1")
            .args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout"])
            .arg(&key)
            .arg("-out")
            .arg(&certificate),
    );
    let tls = Tls { ca: certificate.clone(), certificate, key };
    let etcd = Etcd::with(&program, &ctl, &folder, Some(tls));
    etcd.put("/llm/one", &one);
    let registry = format!("etcd = {{ url = \"{}\" }}\nca = \"etcd.pem\"", etcd.url());
    let gateway = Gateway::start(&folder, &config(&registry, AT_ONCE));
    until_endpoints(&gateway, 1.0);
    assert_eq!(ask(&gateway, "demo").0, 200);
    gateway.stop();
    // Whom nobody vouches for is not believed.
    let registry = format!("etcd = {{ url = \"{}\" }}", etcd.url());
    let gateway = Gateway::start(&folder, &config(&registry, AT_ONCE));
    until("it is not believed", || gateway.server.log().contains("TLS: "));
    assert_eq!(ask(&gateway, "demo").0, 503);
    gateway.stop();
}

#[test]
fn two_etcds_are_one_upstream() {
    let (program, ctl) = (need!("etcd"), need!("etcdctl"));
    let folder = Folder::new();
    let (one, two) = (Mock::start(&folder), Mock::start(&folder));
    let near = Etcd::start(&program, &ctl, &folder);
    let mut far = Etcd::start(&program, &ctl, &folder);
    near.put("/llm/one", &one);
    far.put("/llm/two", &two);
    let config = format!(
        "[[registry]]\nname = \"near\"\netcd = {{ url = \"{}\" }}\nregion = \"eu\"\n\
         [[registry]]\nname = \"far\"\netcd = {{ url = \"{}\" }}\nregion = \"us\"\n\
         [[upstream]]\nname = \"only\"\nbalance = \"round_robin\"\n\
         discover = [{{ etcd = \"/llm/\", registry = \"near\" }}, {{ etcd = \"/llm/\", registry = \"far\" }}]\n\
         [[model]]\nname = \"demo\"\nupstream = \"only\"\n",
        near.url(),
        far.url()
    );
    let gateway = Gateway::start(&folder, &config);
    until_endpoints(&gateway, 2.0);
    let page = snapshot(&gateway);
    for said in ["\"region\":\"eu\"", "\"region\":\"us\"", "etcd:near//llm/", "etcd:far//llm/"] {
        assert!(page.replace(": ", ":").contains(said), "{said}: {page}");
    }
    // Each shard begins with the first.
    until("both are asked", || {
        assert_eq!(ask(&gateway, "demo").0, 200);
        one.count("requests") > 0 && two.count("requests") > 0
    });
    far.server.kill();
    until("one of them is stale", || {
        gateway.metric("ringway_source_stale_endpoints", "far") == 1.0
    });
    assert_eq!(gateway.metric("ringway_source_stale_endpoints", "near"), 0.0);
    assert_eq!(ask(&gateway, "demo").0, 200);
    gateway.stop();
}

#[test]
fn models_and_tenants_are_kept_in_etcd() {
    let (program, ctl) = (need!("etcd"), need!("etcdctl"));
    let folder = Folder::new();
    let one = Mock::start(&folder);
    let etcd = Etcd::start(&program, &ctl, &folder);
    etcd.put("/llm/one", &one);
    let registry =
        format!("etcd = {{ url = \"{}\" }}\nconfig = {{ prefix = \"fleet/\" }}", etcd.url());
    let gateway = Gateway::start(&folder, &config(&registry, AT_ONCE));
    until_endpoints(&gateway, 1.0);
    assert_eq!(ask(&gateway, "other").0, 404);
    etcd.ctl(&["put", "fleet/models/other", "{\"upstream\": \"only\"}"]);
    until("there is a model more", || ask(&gateway, "other").0 == 200);
    etcd.ctl(&["put", "fleet/models/bad", "{\"upstream\": \"nowhere\"}"]);
    until("it is said", || gateway.server.log().contains("nowhere"));
    assert_eq!((ask(&gateway, "bad").0, ask(&gateway, "other").0), (404, 200));
    etcd.ctl(&["put", "fleet/tenants/acme", "limits = { requests_per_minute = 1 }\n"]);
    until("there is a tenant", || snapshot(&gateway).contains("acme"));
    etcd.ctl(&["del", "fleet/models/other"]);
    until("it is gone", || ask(&gateway, "other").0 == 404);
    gateway.stop();
}

/// The file need not know of any model: not even where etcd is not there when the gateway starts.
#[test]
fn all_models_are_kept_in_etcd() {
    let (program, ctl) = (need!("etcd"), need!("etcdctl"));
    let folder = Folder::new();
    let one = Mock::start(&folder);
    let mut etcd = Etcd::start(&program, &ctl, &folder);
    etcd.server.kill();
    let gateway = Gateway::start(
        &folder,
        &format!(
            "[[registry]]\nname = \"keys\"\netcd = {{ url = \"{}\" }}\nconfig = {{ prefix = \"fleet/\" }}\n\
             [[upstream]]\nname = \"only\"\ndiscover = {{ etcd = \"/llm/\" }}\n",
            etcd.url()
        ),
    );
    assert_eq!(ask(&gateway, "demo").0, 404);
    etcd.restart();
    etcd.put("/llm/one", &one);
    etcd.ctl(&["put", "fleet/models/demo", "{\"upstream\": \"only\"}"]);
    until("there is a model", || ask(&gateway, "demo").0 == 200);
    gateway.stop();
}

/// As many keys as a fleet has: listed page by page, more than an upstream has room for, and nothing fails for it.
#[test]
fn ten_thousand_keys_are_listed() {
    let (program, ctl) = (need!("etcd"), need!("etcdctl"));
    let folder = Folder::new();
    let one = Mock::start(&folder);
    let etcd = Etcd::start(&program, &ctl, &folder);
    etcd.put("/llm/0", &one);
    let registry = format!("etcd = {{ url = \"{}\" }}", etcd.url());
    let gateway = Gateway::start(&folder, &config(&registry, AT_ONCE));
    until_endpoints(&gateway, 1.0);
    // In transactions of 100, which is fewer than etcd's most; with a lease, so that all go at once.
    let lease = etcd.ctl(&["lease", "grant", "600"]);
    let lease = lease.split_whitespace().nth(1).unwrap();
    let id = i64::from_str_radix(lease, 16).unwrap().to_string();
    for hundred in 0..100 {
        let put = |key: u32| {
            let key = hundred * 100 + key;
            let url = format!("http://127.1.{}.{}:9", key / 250, key % 250 + 1);
            let value = format!("{{\"url\": \"{url}\", \"weight\": 0}}");
            let [key, value] = [format!("/llm/k{key:05}"), value].map(|text| STANDARD.encode(text));
            serde_json::json!({ "request_put": { "key": key, "value": value, "lease": id } })
        };
        let body = serde_json::json!({ "success": (0..100).map(put).collect::<Vec<_>>() });
        let body = folder.write("txn", &body.to_string());
        let mut curl = bounded(20, "curl");
        curl.args(["-sSf", "-o", "/dev/null", "-d"]).arg(format!("@{}", body.display()));
        succeed(curl.arg(format!("{}/v3/kv/txn", etcd.url())));
    }
    until_endpoints(&gateway, 4096.0);
    assert!(gateway.server.log().contains("there are more than 4096"));
    assert_eq!(ask(&gateway, "demo").0, 200);
    // And whoever starts now reads them all.
    let late = Folder::new();
    let second = Gateway::start(&late, &config(&registry, AT_ONCE));
    until_endpoints(&second, 4096.0);
    assert_eq!(ask(&second, "demo").0, 200);
    second.stop();
    etcd.ctl(&["lease", "revoke", lease]);
    until_endpoints(&gateway, 1.0);
    assert_eq!(ask(&gateway, "demo").0, 200);
    gateway.stop();
}

/// Under a lease that is kept alive, and taken back when the gateway goes.
#[test]
fn the_gateway_is_a_key_as_long_as_it_serves() {
    let (program, ctl) = (need!("etcd"), need!("etcdctl"));
    let folder = Folder::new();
    let mut etcd = Etcd::start(&program, &ctl, &folder);
    let registry = format!(
        "etcd = {{ url = \"{}\" }}\n[node]\nregion = \"eu\"\n\
         register = [{{ registry = \"keys\", name = \"gateways\", ttl_ms = 2000 }}]",
        etcd.url()
    );
    let gateway = Gateway::start(&folder, &config(&registry, AT_ONCE));
    until("the gateway is there", || etcd_value(&etcd, "gateways/").is_some());
    let said: serde_json::Value =
        serde_json::from_str(&etcd_value(&etcd, "gateways/").unwrap()).unwrap();
    assert_eq!(said["address"], gateway.address.to_string());
    assert_eq!((&said["region"], &said["load"]["is_draining"]), (&"eu".into(), &false.into()));
    until("it is told", || gateway.metric("ringway_registered", "keys") == 1.0);
    // A lease that somebody took away is another one soon.
    let lease = etcd.ctl(&["lease", "list"]);
    etcd.ctl(&["lease", "revoke", lease.lines().last().unwrap()]);
    assert_eq!(etcd_value(&etcd, "gateways/"), None);
    until("it is there again", || etcd_value(&etcd, "gateways/").is_some());
    // So is one of an etcd that was away.
    etcd.restart();
    until("it is told", || gateway.metric("ringway_registered", "keys") == 1.0);
    gateway.stop();
    assert_eq!(etcd_value(&etcd, "gateways/"), None);
}

/// The value of the only key below a prefix.
fn etcd_value(etcd: &Etcd, prefix: &str) -> Option<String> {
    let value = etcd.ctl(&["get", "--prefix", "--print-value-only", prefix]);
    Some(value.trim().to_owned()).filter(|value| !value.is_empty())
}
