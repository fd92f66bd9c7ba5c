//! What etcd holds, changed by the gateway's admin API.

use super::AT_ONCE;
use super::ask;
use super::until_endpoints;
use crate::etcd::member::Etcd;
use crate::gateway::Gateway;
use crate::gateway::Mock;
use crate::gateway::until;
use crate::needs::need;
use crate::process::Folder;

#[test]
fn what_etcd_holds_is_changed_in_etcd() {
    let (program, ctl) = (need!("etcd"), need!("etcdctl"));
    let folder = Folder::new();
    let (one, two) = (Mock::start(&folder), Mock::start(&folder));
    let etcd = Etcd::start(&program, &ctl, &folder);
    let registry =
        format!("etcd = {{ url = \"{}\" }}\nconfig = {{ prefix = \"ringway/\" }}", etcd.url());
    let gateway = Gateway::start(&folder, &super::config(&registry, AT_ONCE));
    let lease = etcd.ctl(&["lease", "grant", "600"]);
    let lease = lease.split_whitespace().nth(1).unwrap();
    let value = format!("{{\"url\": \"http://{}\", \"zone\": \"a\"}}", one.address);
    etcd.ctl(&["put", &format!("--lease={lease}"), "/llm/one", &value]);
    etcd.put("/llm/two", &two);
    until_endpoints(&gateway, 2.0);
    until("they are served", || ask(&gateway, "demo").0 == 200);

    // An endpoint, with the lease that it has.
    let endpoints = "upstreams/only/endpoints";
    let body = format!("{{\"url\": \"http://{}\", \"drain\": true, \"weight\": 3}}", one.address);
    let (status, said) = gateway.change("PATCH", endpoints, &body);
    assert_eq!(status, 200, "{said}");
    let kept = etcd.ctl(&["get", "--print-value-only", "/llm/one"]);
    assert!(kept.contains("\"drain\":true") && kept.contains("\"zone\":\"a\""), "{kept}");
    let before = one.count("requests");
    assert_eq!(ask(&gateway, "demo").0, 200);
    assert_eq!(one.count("requests"), before);
    etcd.ctl(&["lease", "revoke", lease]);
    until_endpoints(&gateway, 1.0);

    // A model: put, changed, deleted.
    let (status, said) =
        gateway.change("PUT", "models/new%402?registry=keys", "{\"upstream\": \"only\"}");
    assert_eq!(status, 201, "{said}");
    assert_eq!(ask(&gateway, "new@2").0, 200);
    let kept = etcd.ctl(&["get", "--print-value-only", "ringway/models/new@2"]);
    assert!(kept.contains("\"upstream\": \"only\""), "{kept}");
    let (status, said) = gateway.change("PUT", "models/new%402", "{\"upstream\": \"nobody\"}");
    assert!(status == 400 && said.contains("upstream: no upstream is called"), "{status} {said}");
    let (status, said) =
        gateway.change("PUT", "models/new%402", "{\"upstream\": \"only\", \"aliases\": [\"x\"]}");
    assert_eq!(status, 200, "{said}");
    assert_eq!(ask(&gateway, "x").0, 200);
    let (status, said) = gateway.change("DELETE", "models/new%402", "");
    assert_eq!(status, 200, "{said}");
    assert_eq!(ask(&gateway, "x").0, 404);
    assert_eq!(etcd.ctl(&["get", "ringway/models/new@2"]).trim(), "");
    gateway.stop();
}
