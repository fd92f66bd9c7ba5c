//! A stream that breaks off goes on: from another endpoint, or where its own upstream was.

use super::stream;
use crate::support::*;

/// One event of a chat as a model server writes it.
fn said(server: &str, delta: &str) -> String {
    format!(
        "data: {{\"id\":\"chatcmpl-{server}\",\"created\":1,\"model\":\"served\",\"choices\":[{{\"index\":0,\"delta\":{{{delta}}},\"finish_reason\":null}}]}}\n\n"
    )
}

const ROLE: &str = "\"role\":\"assistant\",\"content\":\"\"";

fn word(word: &str) -> String {
    format!("\"content\":\"{word}\"")
}

/// Two endpoints of one upstream with these lines; whoever is asked first, and the other one.
fn asked_first(
    lines: &str,
    model: &str,
    request: &str,
) -> (Gateway, Connection, Connection, Upstream) {
    let (one_of, other) = (Upstream::start(), Upstream::start());
    let config = one(&one_of.url(), lines)
        .replace("endpoints = [", &format!("endpoints = [{{ url = \"{}\" }}, ", other.url()));
    let gateway = Setup::new(format!("{config}{model}\n")).start();
    let mut client = gateway.client();
    client.send(request);
    let mut first = None;
    await_true("one of both is asked", || {
        first = one_of.try_request().map(|(server, _)| (server, true));
        if first.is_none() {
            first = other.try_request().map(|(server, _)| (server, false));
        }
        first.as_ref().map(|_| ()).ok_or_else(|| "nobody".to_owned())
    });
    let (server, is_one) = first.expect("somebody");
    (gateway, client, server, if is_one { other } else { one_of })
}

const CONTINUES: &str = "continue_final_message = true";

#[test]
fn from_another_endpoint_and_the_client_does_not_see_the_seam() {
    let (gateway, mut client, mut first, second) = asked_first(CONTINUES, "", &stream(""));
    first.send(EVENTS);
    let begun = [said("a", ROLE), said("a", &word("Hel")), said("a", &word("lo"))].concat();
    // The last event is not whole, and is thrown away.
    first.send(chunk(format!("{begun}data: {{\"id\":\"chatcmpl-a\",")));
    client.head();
    client.await_content(&begun);
    drop(first);
    let (mut second, asked) = second.request();
    let body = asked.json();
    assert_eq!(body["continue_final_message"], true);
    assert_eq!(body["messages"][0], serde_json::json!({"role": "assistant", "content": "Hello"}));
    second.send(EVENTS);
    let more = |server| [said(server, &word(" wor")), said(server, &word("ld"))].concat();
    second.send(chunk(format!("{}{}data: [DONE]\n\n", said("b", ROLE), more("b"))));
    second.send("0\r\n\r\n");
    client.await_content(format!("{}data: [DONE]\n\n", more("a")));
    assert_eq!(client.chunk(), None);
    let labels = [("model", "m"), ("status", "200")];
    gateway.await_metric("ringway_requests_total", &labels, 1);
    gateway.await_metric("ringway_streams_continued_total", &[("how", "elsewhere")], 1);
    assert_eq!(gateway.metric("ringway_requests_total", &[]), 1);
    gateway.await_metric("ringway_upstream_connections", &[("state", "in_use")], 0);
}

/// The time to the first byte is that of another answer.
#[test]
fn long_after_its_own_beginning() {
    let lines = format!("{CONTINUES}\ndeadlines = {{ first_byte_ms = 400 }}");
    let (_gateway, mut client, mut first, second) = asked_first(&lines, "", &stream(""));
    first.send(EVENTS);
    client.head();
    let began = std::time::Instant::now();
    let mut events = 0;
    while began.elapsed().as_millis() < 600 {
        first.send(chunk(said("a", &word("x"))));
        client.await_content(said("a", &word("x")));
        events += 1;
    }
    drop(first);
    let (mut second, asked) = second.request();
    assert_eq!(asked.json()["messages"][0]["content"], "x".repeat(events));
    second.send(EVENTS);
    second.send(chunk(said("b", &word("y"))));
    client.await_content(said("a", &word("y")));
}

/// A stream that its client may come back to, whose endpoint dies while nobody listens.
#[test]
fn with_its_numbers_and_without_its_client() {
    let request = stream("x-ringway-resume: true\r\n");
    let (gateway, mut client, mut first, second) = asked_first(CONTINUES, "", &request);
    first.send(EVENTS);
    first.send(chunk([said("a", ROLE), said("a", &word("one"))].concat()));
    let id = client.head().field("x-ringway-stream").expect("a name").to_owned();
    let numbered = |event: String, number: u32| {
        event.replacen("}\n\n", &format!("}}\nid: {id}.{number}\n\n"), 1)
    };
    client.await_content(numbered(said("a", ROLE), 1) + &numbered(said("a", &word("one")), 2));
    client.reset();
    gateway.await_metric("ringway_streams_away", &[], 1);
    drop(first);
    let (mut second, _) = second.request();
    second.send(EVENTS);
    second.send(chunk(said("b", &word("two"))));
    let mut client = gateway.client();
    client.send(stream(&format!("last-event-id: {id}.2\r\n")));
    client.head();
    client.await_content(numbered(said("a", &word("two")), 3));
}

#[test]
fn what_cannot_be_continued_ends_in_an_error_event() {
    for (lines, more, delta) in [
        ("", "", word("x")),
        (CONTINUES, ",\"logprobs\":true", word("x")),
        (CONTINUES, "", "\"tool_calls\":[{\"index\":0}]".to_owned()),
    ] {
        let request = chat("m", &format!(",\"stream\":true{more}"));
        let (gateway, mut client, mut first, second) = asked_first(lines, "", &request);
        first.send(EVENTS);
        let event = said("a", &delta);
        first.send(chunk(&event));
        client.head();
        client.await_content(&event);
        drop(first);
        let last = String::from_utf8(client.chunk().expect("an error event")).expect("UTF-8");
        assert!(last.starts_with("data: {\"error\""), "{last}");
        assert_eq!(client.chunk(), None);
        assert!(second.is_untouched());
        gateway.await_fault("upstream_truncated");
        let refused = gateway.metric("ringway_streams_continued_total", &[("how", "refused")]);
        assert_eq!(refused, u64::from(lines == CONTINUES));
    }
}

/// Everybody breaks off: at some point it is enough.
#[test]
fn an_end_is_put_to_it() {
    let upstream = Upstream::start();
    let gateway = Setup::new(format!("{}retry = true\n", one(&upstream.url(), CONTINUES))).start();
    let mut client = gateway.client();
    client.send(stream(""));
    let mut attempts = 0;
    let mut said_so_far = String::new();
    loop {
        let (mut server, asked) = upstream.request();
        attempts += 1;
        if attempts > 1 {
            assert_eq!(asked.json()["messages"][0]["content"], said_so_far.as_str());
        }
        server.send(EVENTS);
        server.send(chunk(said("a", &word("x"))));
        said_so_far.push('x');
        if attempts == 1 {
            client.head();
        }
        client.await_content(said("a", &word("x")));
        drop(server);
        if attempts == 5 {
            break;
        }
    }
    let last = String::from_utf8(client.chunk().expect("an error event")).expect("UTF-8");
    assert!(last.starts_with("data: {\"error\""), "{last}");
    assert_eq!(client.chunk(), None);
    assert!(upstream.is_untouched());
}

/// The upstream's own stream is resumed, behind the last event that has come whole.
#[test]
fn where_its_own_upstream_was() {
    let upstream = Upstream::start();
    let gateway = Setup::one(&upstream.url(), "resumable = true").start();
    let mut client = gateway.client();
    client.send(stream(""));
    let (mut server, asked) = upstream.request();
    assert_eq!(asked.field("last-event-id"), None);
    server.send(EVENTS);
    server.send(chunk("retry: 1\nid: e-1\ndata: one\n\nid: e-2\ndata: two\n\nid: e-3\ndata: th"));
    client.head();
    client.await_content("retry: 1\nid: e-1\ndata: one\n\nid: e-2\ndata: two\n\n");
    drop(server);
    let (mut server, again) = upstream.request();
    assert_eq!(again.field("last-event-id"), Some("e-2"));
    assert_eq!(again.body, asked.body);
    server.send(EVENTS);
    server.send(chunk("id: e-3\ndata: three\n\n"));
    server.send("0\r\n\r\n");
    client.await_content("id: e-3\ndata: three\n\n");
    assert_eq!(client.chunk(), None);
    gateway.await_metric("ringway_streams_continued_total", &[("how", "reconnected")], 1);
}
