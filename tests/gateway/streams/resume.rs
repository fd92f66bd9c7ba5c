//! A client that has lost its connection comes back, on whichever shard, and misses nothing.

use super::model;
use super::stream;
use crate::support::*;

const ASKS: &str = "x-ringway-resume: true\r\n";

/// A stream that has begun, and what its events look like to its client.
struct Begun {
    upstream: Upstream,
    gateway: Gateway,
    client: Connection,
    server: Connection,
    id: String,
}

impl Begun {
    fn with(setup: impl FnOnce(Setup) -> Setup, lines: &str) -> Self {
        let upstream = Upstream::start();
        let gateway = setup(Setup::new(model(&upstream.url(), lines))).start();
        let mut client = gateway.client();
        client.send(stream(ASKS));
        let (mut server, asked) = upstream.request();
        assert_eq!(asked.field("x-ringway-resume"), None, "it is between the client and us");
        server.send(EVENTS);
        server.send(chunk("data: 1\n\n"));
        let id = client.head().field("x-ringway-stream").expect("a name").to_owned();
        let mut begun = Self { upstream, gateway, client, server, id };
        let retry = if lines.contains("reconnect_ms") { "retry: 1500\n" } else { "" };
        begun.client.await_content(format!("{retry}{}", begun.event(1)));
        begun
    }

    fn new(lines: &str) -> Self {
        Self::with(|setup| setup, lines)
    }

    /// An event as it goes down.
    fn event(&self, number: u32) -> String {
        format!("data: {number}\nid: {}.{number}\n\n", self.id)
    }

    fn events(&self, numbers: std::ops::RangeInclusive<u32>) -> String {
        numbers.map(|number| self.event(number)).collect()
    }

    fn say(&mut self, number: u32) {
        self.server.send(chunk(format!("data: {number}\n\n")));
    }

    /// Has the client leave, and waits until the gateway knows.
    fn lose_client(&mut self) {
        let client = std::mem::replace(&mut self.client, self.gateway.client());
        client.reset();
        self.gateway.await_metric("ringway_streams_away", &[], 1);
    }

    /// Field line that says what was seen last.
    fn after(&self, number: u32) -> String {
        format!("last-event-id: {}.{number}\r\n", self.id)
    }

    fn again(&self, number: u32) -> Connection {
        let mut client = self.gateway.client();
        client.send(stream(&self.after(number)));
        client
    }
}

#[test]
fn what_was_missed_comes_first_and_then_the_live_stream() {
    let mut begun = Begun::new("");
    begun.lose_client();
    begun.say(2);
    begun.say(3);
    let mut client = begun.again(1);
    let head = client.head();
    assert_eq!((head.status(), head.field("x-ringway-stream")), (200, Some(&*begun.id)));
    assert_eq!(head.field("content-type"), Some("text/event-stream; charset=utf-8"));
    client.await_content(begun.events(2..=3));
    begun.say(4);
    client.await_content(begun.event(4));
    begun.server.send(chunk("data: [DONE]\n\n"));
    begun.server.send("0\r\n\r\n");
    client.await_content(format!("data: [DONE]\nid: {}.5\n\n", begun.id));
    assert_eq!(client.chunk(), None);
    // One request at the model server, one record of it, and the connection goes on.
    assert!(begun.upstream.is_untouched());
    begun.gateway.await_metric("ringway_requests_total", &[("model", "m"), ("status", "200")], 1);
    begun.gateway.await_metric("ringway_resumes_total", &[("result", "live")], 1);
    begun.gateway.await_metric("ringway_streams_away", &[], 0);
    client.send(chat("m", ""));
    begun.server.message();
    begun.server.send(ok("fine"));
    assert_eq!(client.message().text(), "fine");
}

#[test]
fn a_stream_that_has_ended_is_kept_for_a_while() {
    let mut begun = Begun::new("");
    begun.lose_client();
    begun.say(2);
    begun.server.send("0\r\n\r\n");
    begun.gateway.await_metric("ringway_requests_open", &[], 0);
    for _ in 0..2 {
        let mut client = begun.again(0);
        client.head();
        client.await_content(begun.events(1..=2));
        assert_eq!(client.chunk(), None);
        client.send(get(&format!("/v1/streams/{}", begun.id)));
        client.head();
        client.await_content(begun.events(1..=2));
        assert_eq!(client.chunk(), None);
    }
    // Who has it all is told not to come back, in the words of an EventSource.
    let mut client = begun.again(2);
    assert_eq!(client.head().status(), 204);
    client.send(get("/v1/models"));
    assert_eq!(client.message().status(), 200);
    begun.gateway.await_metric("ringway_resumes_total", &[("result", "finished")], 5);
}

/// A browser's way: GET with the stream's name; without having seen anything it begins at the first event.
#[test]
fn a_get_reads_on_too() {
    let mut begun = Begun::new("");
    begun.say(2);
    let request = get(&format!("/v1/streams/{}", begun.id));
    let mut client = begun.gateway.client();
    client.send(&request);
    client.head();
    client.await_content(begun.events(1..=2));
    // The first reader, which was still there, is told and closed.
    begun.client.await_content(format!(
        "{}: this stream is read on another connection now\n",
        begun.event(2)
    ));
    assert_eq!(begun.client.chunk(), None);
    begun.client.must_close();
    begun.gateway.await_metric("ringway_resumes_total", &[("result", "displaced")], 1);
    client.reset();
    begun.gateway.await_metric("ringway_streams_away", &[], 1);
    begun.say(3);
    let mut client = begun.gateway.client();
    client.send(request.replacen("\r\n", &format!("\r\n{}", begun.after(2)), 1));
    client.head();
    client.await_content(begun.event(3));
}

#[test]
fn it_does_not_matter_which_shard_a_client_lands_on() {
    let mut begun = Begun::with(|setup| setup.shards(2), "");
    begun.lose_client();
    for number in 2..40 {
        begun.say(number);
        let mut client = begun.again(number - 1);
        client.head();
        client.await_content(begun.event(number));
        client.reset();
        begun.gateway.await_metric("ringway_streams_away", &[], 1);
    }
    let handed = begun.gateway.metric("ringway_connections_handed_over_total", &[]);
    assert!((1..38).contains(&handed), "{handed}");
    // The body comes later, to the shard that has the stream.
    begun.say(40);
    let request = stream(&begun.after(39));
    let (head, body) = request.split_at(request.len() - 9);
    let mut clients: Vec<Connection> = (0..8).map(|_| begun.gateway.client()).collect();
    for client in &mut clients {
        client.send(head);
    }
    for client in &mut clients {
        client.send(body);
        client.head();
        client.await_content(begun.event(40));
    }
}

#[test]
fn what_is_gone_is_said_to_be_gone() {
    let mut begun = Begun::new("resume = { events_max = 2 }");
    for number in 2..=5 {
        begun.say(number);
        begun.client.await_content(begun.event(number));
    }
    let status = |answer: Message| (answer.status(), answer.json()["error"]["code"].clone());
    let mut client = begun.again(2);
    assert_eq!(status(client.message()), (410, "stream_gone".into()));
    client.send(stream(&begun.after(6)));
    assert_eq!(status(client.message()), (400, "event_unknown".into()));
    let id = "00".repeat(18);
    client.send(stream(&format!("last-event-id: {id}.1\r\n")));
    assert_eq!(status(client.message()), (410, "stream_gone".into()));
    client.send(get(&format!("/v1/streams/{id}x")));
    assert_eq!(status(client.message()), (404, "stream_not_found".into()));
    client.send(post(&format!("/v1/streams/{id}"), ""));
    assert_eq!(client.message().status(), 405);
    // An id that is none of ours is the model server's business.
    client.send(stream("last-event-id: 17\r\n"));
    let (_, asked) = begun.upstream.request();
    assert_eq!(asked.field("last-event-id"), Some("17"));
    // Nobody who was refused has disturbed the reader.
    begun.say(6);
    begun.client.await_content(begun.event(6));
}

#[test]
fn a_client_that_does_not_come_back_in_time_has_left() {
    let mut begun = Begun::new("resume = { window_ms = 1000 }");
    begun.lose_client();
    begun.server.until_gone();
    begun.gateway.await_fault("client_gone");
    let mut client = begun.again(1);
    assert_eq!(client.message().status(), 410);
    begun.gateway.await_metric("ringway_streams_away", &[], 0);
    begun.gateway.await_metric("ringway_replay_streams", &[], 0);
}

#[test]
fn nobody_is_kept_who_did_not_ask() {
    for (lines, fields, is_kept) in [
        ("", "", false),
        ("resume = true", "", true),
        ("resume = false", ASKS, false),
        ("", ASKS, true),
    ] {
        let upstream = Upstream::start();
        let gateway = Setup::new(model(&upstream.url(), lines)).start();
        let mut client = gateway.client();
        client.send(stream(fields));
        let (mut server, _) = upstream.request();
        server.send(EVENTS);
        server.send(chunk("data: 1\n\n"));
        let name = client.head().field("x-ringway-stream").map(str::to_owned);
        assert_eq!(name.is_some(), is_kept, "{lines} {fields}");
        client.reset();
        if is_kept {
            gateway.await_metric("ringway_streams_away", &[], 1);
        } else {
            server.until_gone();
        }
    }
}

const TENANTS: &str = "\n[[tenant]]\nname = \"acme\"\nkeys = [{ id = \"a\", sha256 = \"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\" }]\n\n\
    [[tenant]]\nname = \"evil\"\nkeys = [{ id = \"e\", sha256 = \"60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752\" }]\n";

#[test]
fn a_stream_is_its_tenants_alone() {
    let upstream = Upstream::start();
    let gateway = Setup::new(format!("{}{TENANTS}", model(&upstream.url(), ""))).start();
    let (own, other) = ("authorization: Bearer test\r\n", "authorization: Bearer test2\r\n");
    let mut client = gateway.client();
    client.send(stream(&format!("{own}{ASKS}")));
    let (mut server, _) = upstream.request();
    server.send(EVENTS);
    server.send(chunk("data: 1\n\n"));
    let id = client.head().field("x-ringway-stream").expect("a name").to_owned();
    client.reset();
    gateway.await_metric("ringway_streams_away", &[], 1);
    let after = format!("last-event-id: {id}.0\r\n");
    let mut client = gateway.client();
    client.send(stream(&format!("{other}{after}")));
    let answer = client.message();
    assert_eq!(
        (answer.status(), &*answer.json()["error"]["code"].to_string()),
        (404, "\"stream_not_found\"")
    );
    client.send(stream(&after));
    assert_eq!(client.message().status(), 401);
    let mut client = gateway.client();
    client.send(stream(&format!("{own}{after}")));
    client.head();
    client.await_content(format!("data: 1\nid: {id}.1\n\n"));
}

/// Some clients take a blank line for the end of an event once they have seen an id: there is none but behind events.
#[test]
fn what_is_no_event_has_no_blank_line_and_no_id_of_its_own() {
    let mut begun = Begun::new("heartbeat_ms = 1000\nreconnect_ms = 1500");
    begun.client.await_content(": ping\n");
    begun.server.send(chunk(": note\n\nid: 7\nevent: a\n\n"));
    begun.say(2);
    begun.client.await_content(format!(": note\n{}", begun.event(2)));
    // Who comes back is told too how long to wait: a browser has not seen what its POST was told.
    let mut client = begun.again(1);
    client.head();
    client.await_content(format!("retry: 1500\n: note\n{}: ping\n", begun.event(2)));
}

/// The model server fails while nobody listens: who comes back is told.
#[test]
fn a_stream_that_broke_off_says_so_to_who_comes_back() {
    let mut begun = Begun::new("");
    begun.lose_client();
    begun.say(2);
    let Begun { gateway, server, id, .. } = begun;
    drop(server);
    gateway.await_fault("upstream_truncated");
    let mut client = gateway.client();
    client.send(stream(&format!("last-event-id: {id}.1\r\n")));
    client.head();
    let mut got = String::new();
    while let Some(chunk) = client.chunk() {
        got.push_str(std::str::from_utf8(&chunk).expect("UTF-8"));
    }
    let rest = got.strip_prefix(&format!("data: 2\nid: {id}.2\n\n")).expect("what was missed");
    assert!(rest.starts_with("data: {\"error\"") && !rest.contains("[DONE]"), "{rest}");
}

/// Cut anywhere, also inside a large event, what is put together is what was said.
#[test]
fn large_events_are_kept_whole() {
    let mut begun = Begun::new("resume = { bytes_max = 1000000 }");
    let large = format!("data: {}\n\n", "x".repeat(100_000));
    let (half, rest) = large.split_at(50_000);
    begun.server.send(chunk(half));
    begun.lose_client();
    begun.server.send(chunk(rest));
    begun.server.send("0\r\n\r\n");
    let mut client = begun.again(1);
    client.head();
    let expected =
        format!("{}id: {}.2\n\n", large.strip_suffix('\n').expect("a blank line"), begun.id);
    client.await_content(expected);
    assert_eq!(client.chunk(), None);
}
