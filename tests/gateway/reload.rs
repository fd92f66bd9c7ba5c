//! The config changes while the gateway serves: taken over whole or not at all, and nobody in the middle notices.

use crate::support::*;

#[test]
fn a_hangup_has_the_config_read() {
    let (first, second) = (Answering::saying("1"), Answering::saying("2"));
    let gateway = Setup::one(&first.url(), "").shards(2).start();
    let mut client = gateway.client();
    client.send(chat("m", ""));
    assert_eq!(client.message().text(), "1");
    gateway.reload(&one(&second.url(), ""));
    // Also on a connection that was there before.
    client.send(chat("m", ""));
    assert_eq!(client.message().text(), "2");
    assert_eq!(gateway.ask(chat("m", "")).text(), "2");
    assert_eq!(gateway.metric("ringway_config_last_reload_successful", &[]), 1);
}

#[test]
fn a_change_is_noticed_without_a_signal() {
    let (first, second) = (Answering::saying("1"), Answering::saying("2"));
    let gateway = Setup::one(&first.url(), "").start();
    gateway.write_config(&one(&second.url(), ""));
    gateway.await_metric("ringway_snapshot_adopted", &[], 2);
    assert_eq!(gateway.ask(chat("m", "")).text(), "2");
}

#[test]
fn a_wrong_config_changes_nothing_and_says_so() {
    let upstream = Answering::saying("1");
    let good = one(&upstream.url(), "");
    let gateway = Setup::new(good.clone()).start();
    gateway.write_config(&good.replace("upstream = \"u\"", "upstream = \"v\""));
    gateway.signal("HUP");
    gateway.await_metric("ringway_config_last_reload_successful", &[], 0);
    gateway.await_log("no upstream is called");
    assert_eq!(gateway.ask(chat("m", "")).text(), "1");
    assert_eq!(gateway.metric("ringway_snapshot_number", &[]), 1);
    let shown = gateway.page("/admin/snapshot");
    assert_eq!(shown.json()["is_last_reload_successful"], false);
    assert!(shown.text().contains("no upstream is called"), "{}", shown.text());
    assert_eq!(gateway.page("/readyz").status(), 200);
    // And good again.
    gateway.reload(&good.replace("name = \"m\"", "name = \"n\""));
    assert_eq!(gateway.metric("ringway_config_last_reload_successful", &[]), 1);
    assert_eq!(gateway.ask(chat("n", "")).text(), "1");
    assert_eq!(gateway.ask(chat("m", "")).status(), 404);
}

#[test]
fn a_request_in_flight_keeps_its_world() {
    let (first, second) = (Upstream::start(), Answering::saying("2"));
    let gateway = Setup::one(&first.url(), "").start();
    let mut client = gateway.client();
    client.send(chat("m", ",\"stream\":true"));
    let (mut server, _) = first.request();
    server.send(EVENTS);
    server.send(chunk("data: one\n\n"));
    client.head();
    client.await_content("data: one\n\n");
    // Its model, its upstream and its endpoint are all gone.
    gateway.reload(&one(&second.url(), "").replace("\"m\"", "\"n\"").replace("\"u\"", "\"v\""));
    server.send(chunk("data: two\n\n"));
    client.await_content("data: two\n\n");
    server.send("0\r\n\r\n");
    assert_eq!(client.chunk(), None);
    client.send(chat("n", ""));
    assert_eq!(client.message().text(), "2");
    gateway.await_metric("ringway_requests_total", &[("model", "m"), ("status", "200")], 1);
    gateway.await_metric("ringway_requests_total", &[("model", "n"), ("status", "200")], 1);
    // Its connection belongs to nobody any more.
    server.until_gone();
}

#[test]
fn connections_to_endpoints_that_stay_are_kept() {
    let upstream = Upstream::start();
    let gateway = Setup::one(&upstream.url(), "").start();
    let mut client = gateway.client();
    client.send(chat("m", ""));
    let (mut server, _) = upstream.request();
    server.send(ok("1"));
    client.message();
    let more = format!(
        "[[upstream]]\nname = \"a\"\ndialect = \"openai\"\nendpoints = [{{ url = \"http://127.0.0.1:1\" }}]\n\n{}",
        one(&upstream.url(), "")
    );
    gateway.reload(&format!("{more}aliases = [\"other\"]\n"));
    client.send(chat("other", ""));
    assert_eq!(server.message().text(), "{\"model\":\"m\",\"messages\":[]}");
    server.send(ok("2"));
    assert_eq!(client.message().text(), "2");
    assert!(upstream.is_untouched());
}

/// Under load: no request fails because of a reload.
#[test]
fn reloads_are_not_noticed() {
    let (first, second) = (Answering::saying("{}"), Answering::saying("{}"));
    let gateway = Setup::one(&first.url(), "").shards(2).start();
    let listen = gateway.listen;
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let asking = std::thread::spawn(move || {
        let mut client = Connection::to(listen);
        let mut count = 0;
        while stopped.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
            client.send(chat("m", ""));
            assert_eq!(client.message().status(), 200);
            count += 1;
        }
        count
    });
    for round in 0..6 {
        let url = if round % 2 == 0 { second.url() } else { first.url() };
        gateway.reload(&one(&url, ""));
    }
    drop(stop);
    assert!(asking.join().expect("no request failed") > 0);
    assert!(!second.asked().is_empty());
    assert_eq!(gateway.metric("ringway_faults_total", &[]), 0);
}
