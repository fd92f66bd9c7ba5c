//! An agent that answers what it is told to.

use std::time::Duration;

use super::*;
use crate::control::discover::consul::tests::Script;
use crate::control::discover::consul::tests::answer;
use crate::control::fetch::tests::on_runtime;
use crate::control::register::Notice;
use crate::control::register::Standing;

fn registration() -> Registration {
    Registration {
        id: "ringway-10.0.0.5:8080".to_owned(),
        name: "ringway".to_owned(),
        address: "10.0.0.5:8080".parse().unwrap(),
        version: "0.1.0".to_owned(),
        ttl: Duration::from_secs(1),
        tags: vec!["edge".to_owned()],
        region: Some("eu".to_owned()),
        zone: None,
        notice: Notice::default(),
    }
}

#[test]
fn it_is_registered_told_of_again_where_it_was_forgotten_and_gone_at_the_end() {
    let ok = || answer("200 OK", "1", "");
    let forgotten = answer("500 Internal Server Error", "1", "CheckID does not have TTL");
    let script = Script::new(vec![ok(), ok(), forgotten, ok(), ok(), ok()]);
    let access = script.access();
    let busy = Load { in_flight: 2, connections: 5, is_draining: false };
    let (tell, load) = watch::channel(busy);
    on_runtime(async {
        let registration = registration();
        let notice = registration.notice.clone();
        let registered = consul(registration, access, load);
        let drain = async {
            // Two beats: the agent forgets it before the second one.
            script.until(5).await;
            assert_eq!(notice.standing(), Standing { is_registered: true, trouble: None });
            tell.send_replace(Load { is_draining: true, ..busy });
        };
        tokio::join!(registered, drain);
        assert_eq!(notice.standing(), Standing::default());
    });
    let asked = script.asked();
    let register = "PUT /v1/agent/service/register?replace-existing-checks=true t0ken ";
    let update = "PUT /v1/agent/check/update/service%3Aringway-10.0.0.5%3A8080 t0ken ";
    let starts = [register, update, update, register, update];
    for (asked, start) in asked.iter().zip(starts) {
        assert!(asked.starts_with(start), "{asked}");
    }
    let leave = "PUT /v1/agent/service/deregister/ringway-10.0.0.5%3A8080 t0ken ";
    assert_eq!(asked[5..], [leave]);
    let body: Value = serde_json::from_str(asked[0].strip_prefix(register).unwrap()).unwrap();
    assert_eq!(body["Address"], "10.0.0.5");
    assert_eq!(body["Port"], 8080);
    assert_eq!(body["Meta"], json!({ "ringway-version": "0.1.0", "ringway-region": "eu" }));
    assert_eq!((&body["Check"]["TTL"], &body["Tags"]), (&json!("1000ms"), &json!(["edge"])));
    let beat: Value = serde_json::from_str(asked[1].strip_prefix(update).unwrap()).unwrap();
    let output: Value = serde_json::from_str(beat["Output"].as_str().unwrap()).unwrap();
    assert_eq!((&output["in_flight"], &output["connections"]), (&json!(2), &json!(5)));
}

#[test]
fn a_registry_that_cannot_be_reached_is_told_a_few_times_that_the_gateway_goes() {
    let no = || answer("500 Internal Server Error", "1", "no");
    let script = Script::new(vec![no(), no(), no(), no()]);
    let (tell, load) = watch::channel(Load::default());
    tell.send_replace(Load { is_draining: true, ..Load::default() });
    let registration = registration();
    let notice = registration.notice.clone();
    on_runtime(consul(registration, script.access(), load));
    let trouble = Some("answered with 500: no".to_owned());
    assert_eq!(notice.standing(), Standing { is_registered: false, trouble });
    let asked = script.asked();
    assert_eq!(asked.len(), 4, "{asked:?}");
    assert!(asked[1..].iter().all(|asked| asked.contains("/deregister/")), "{asked:?}");
}

#[test]
fn without_an_address_it_has_its_agents() {
    let address = "0.0.0.0:8080".parse().unwrap();
    let body = service(&Registration { address, ..registration() });
    assert_eq!((body.get("Address"), &body["Port"]), (None, &json!(8080)));
}
