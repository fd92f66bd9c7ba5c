//! Lists of addresses, of the listener, of a tenant and of a model.

use super::*;

#[test]
fn lists_of_each_level_are_asked() {
    let upstream = Answering::saying("{}");
    let more = acme("addresses = { deny = [\"192.0.2.0/24\"] }") + &zeta("");
    let text = world(&upstream.url(), &more).replace(
        "name = \"cheap\"\n",
        "name = \"cheap\"\naddresses = { allow = [\"198.51.100.0/24\", \"2001:db8::/32\"] }\n",
    );
    let gateway = Setup::new(text)
        .listen("trusted_proxies = [\"127.0.0.0/8\"]\naddresses = { deny = [\"203.0.113.0/24\"], allow = [\"0.0.0.0/0\", \"::/0\", \"203.0.113.7\"] }")
        .start();
    for (address, secret, model, status) in [
        ("203.0.113.9", BOB, "m", 403),
        ("203.0.113.7", BOB, "m", 200),
        ("192.0.2.1", ALICE, "m", 403),
        ("192.0.2.1", BOB, "m", 200),
        ("192.0.2.1", BOB, "cheap", 403),
        ("198.51.100.1", BOB, "cheap", 200),
        ("2001:db8::1", BOB, "cheap", 200),
        ("2001:db9::1", BOB, "cheap", 403),
        ("::ffff:203.0.113.9", BOB, "m", 403),
        ("198.51.100.1, 203.0.113.9", BOB, "m", 403),
    ] {
        let fields = format!("x-forwarded-for: {address}\r\n");
        let answer = gateway.ask(with_fields(&bearing(secret, &chat(model, "")), &fields));
        assert_eq!(answer.status(), status, "{address} {secret} {model}: {}", answer.text());
        if status == 403 {
            assert_eq!(code(&answer), "ip_not_allowed");
        }
    }
    gateway.await_metric("ringway_refusals_total", &[("reason", "address_denied")], 6);
}

#[test]
fn who_is_not_trusted_cannot_say_where_it_comes_from() {
    let upstream = Answering::saying("{}");
    let gateway = Setup::new(world(&upstream.url(), ""))
        .listen("addresses = { allow = [\"198.51.100.0/24\"] }")
        .start();
    let request = with_fields(&chat("m", ""), "x-forwarded-for: 198.51.100.1\r\n");
    assert_eq!(gateway.ask(request).status(), 403);
}
