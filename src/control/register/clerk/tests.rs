//! What an agent hears of the gateway as the config changes, and at the end.

use super::*;
use crate::control::discover::consul::tests::Script;
use crate::control::discover::consul::tests::answer;
use crate::control::fetch::tests::on_runtime;

/// A model, and a registry whose agent is asked elsewhere.
const CONFIG: &str = "[[registry]]\nname = \"fleet\"\nconsul = { url = \"http://127.0.0.1:1\" }\n\
    [[upstream]]\nname = \"u\"\nendpoints = [{ url = \"http://127.0.0.1:1\" }]\n\
    [[model]]\nname = \"m\"\nupstream = \"u\"\n";

/// The entries of a config that registers the gateway so.
fn wanted(register: &str, access: &Access) -> Vec<Wanted> {
    let text = format!("[node]\nregion = \"eu\"\nregister = [{register}]\n{CONFIG}");
    let (file, errors) = config::read(&text, "ringway.toml");
    assert_eq!(errors, []);
    Wanted::all(&file, |_| access.clone())
}

/// An agent that takes everything.
fn agent() -> Script {
    Script::new((0..32).map(|_| answer("200 OK", "1", "")).collect())
}

/// What it was asked to do and for whom, without signs of life.
fn told(script: &Script) -> Vec<String> {
    let asked = script.asked().into_iter().filter(|asked| !asked.contains("/check/update/"));
    let told = asked.map(|asked| {
        let path = asked.strip_prefix("PUT /v1/agent/service/").unwrap();
        let (path, body) = path.split_once(" t0ken ").unwrap();
        match serde_json::from_str::<serde_json::Value>(body) {
            Ok(body) => format!("register {} {}", body["ID"], body["Tags"]),
            Err(_) => path.to_owned(),
        }
    });
    told.collect()
}

fn listener() -> SocketAddr {
    "127.0.0.1:8080".parse().unwrap()
}

const ONE: &str = "{ registry = \"fleet\", name = \"one\" }";

#[test]
fn entries_come_change_and_go_as_the_config_says() {
    let script = agent();
    let access = script.access();
    on_runtime(async {
        let mut clerk = Clerk::default();
        let other = "{ registry = \"fleet\", name = \"other\", address = \"10.0.0.5:80\" }";
        clerk.want(&wanted(ONE, &access), listener(), Load::default());
        script.until(2).await;
        // What is the same stays.
        let both = format!("{ONE}, {other}");
        clerk.want(&wanted(&both, &access), listener(), Load::default());
        script.until(4).await;
        // What is told anew takes the place of what was told before.
        let tagged = "{ registry = \"fleet\", name = \"one\", tags = [\"a\"] }";
        clerk.want(&wanted(tagged, &access), listener(), Load::default());
        script.until(7).await;
        clerk.want(&[], listener(), Load::default());
        while clerk.tasks.join_next().await.is_some() {}
    });
    let told = told(&script);
    let first = ["register \"one-127.0.0.1:8080\" []", "register \"other-10.0.0.5:80\" []"];
    assert_eq!(told[..2], first);
    let mut then = told[2..4].to_vec();
    then.sort();
    assert_eq!(then, ["deregister/other-10.0.0.5%3A80", "register \"one-127.0.0.1:8080\" [\"a\"]"]);
    assert_eq!(told[4..], ["deregister/one-127.0.0.1%3A8080"]);
}

#[test]
fn at_the_end_all_say_goodbye_and_who_does_not_answer_has_only_so_much_time() {
    let script = agent();
    let deaf = Script::new(vec![answer("200 OK", "1", ""), answer("200 OK", "1", "")]);
    on_runtime(async {
        let mut clerk = Clerk::default();
        let mut all = wanted(ONE, &script.access());
        all.extend(wanted(ONE, &deaf.access()));
        clerk.want(&all, listener(), Load::default());
        while clerk.numbers().iter().any(|known| !known.is_registered) {
            tokio::task::yield_now().await;
        }
        assert_eq!(clerk.ends_at, None);
        let (now, draining) = (Instant::now(), Load { is_draining: true, ..Load::default() });
        clerk.tell(draining, now);
        assert!(clerk.tasks.join_next().await.unwrap().is_ok());
        deaf.until(3).await;
        clerk.tell(draining, now + GOODBYE_TIMEOUT - Duration::from_millis(1));
        assert_eq!(clerk.due(now), Some(now + GOODBYE_TIMEOUT));
        clerk.tell(draining, now + GOODBYE_TIMEOUT);
        assert!(clerk.tasks.join_next().await.unwrap().unwrap_err().is_cancelled());
        assert_eq!(clerk.due(now), None);
    });
    for script in [&script, &deaf] {
        assert_eq!(told(script)[1..], ["deregister/one-127.0.0.1%3A8080"]);
    }
}

#[test]
fn where_the_gateway_is_says_the_entry_or_its_listener() {
    let access = Access::default();
    let at = |entry: &str, listener: &str| {
        let entry = format!("{{ registry = \"fleet\"{entry} }}");
        let wanted = &wanted(&entry, &access)[0];
        let address = wanted.address(listener.parse().unwrap());
        let registration = wanted.registration(address, Notice::default());
        assert_eq!(registration.region.as_deref(), Some("eu"));
        (registration.id, registration.address.to_string())
    };
    let pair = |id: &str, address: &str| (id.to_owned(), address.to_owned());
    assert_eq!(at("", "10.0.0.1:80"), pair("ringway-10.0.0.1:80", "10.0.0.1:80"));
    let said = ", address = \"[::1]:0\", name = \"edge\"";
    assert_eq!(at(said, "10.0.0.1:80"), pair("edge-[::1]:80", "[::1]:80"));
    // Two machines that listen everywhere are not the same.
    let (id, address) = at("", "0.0.0.0:80");
    assert!(id.starts_with("ringway-") && id.ends_with(":80") && !id.contains("0.0.0.0"), "{id}");
    assert_eq!(address, "0.0.0.0:80");
}
