//! The tokens of every stream are in its record, and whether its model server has said them.

use super::model;
use super::stream;
use crate::support::*;

const USAGE: &str =
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":7}}\n\n";
const ASKS: &str = "x-ringway-resume: true\r\n";

/// A gateway with an access log, and a stream of it that has said one word.
fn begun(fields: &str) -> (Upstream, Gateway, Connection, Connection) {
    let upstream = Upstream::start();
    let config = model(&upstream.url(), "");
    let gateway = Setup::new(format!("[access_log]\npath = \"access.jsonl\"\n\n{config}")).start();
    let mut client = gateway.client();
    client.send(stream(fields));
    let (mut server, _) = upstream.request();
    server.send(EVENTS);
    server.send(chunk("data: {\"choices\":[{\"delta\":{\"content\":\"word\"}}]}\n\n"));
    client.head();
    client.chunk();
    (upstream, gateway, client, server)
}

/// The line of the access log about the stream: that of a client that came back tells of no tokens.
fn recorded(gateway: &Gateway) -> serde_json::Value {
    let path = gateway.folder.join("access.jsonl");
    let mut found = serde_json::Value::Null;
    await_true("the stream is in the access log", || {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let lines = text.lines().filter_map(|line| serde_json::from_str(line).ok());
        let mut chats = lines.filter(|line: &serde_json::Value| line["operation"] == "chat");
        found = chats.next().ok_or_else(|| text.clone())?;
        assert_eq!(chats.next(), None, "once");
        Ok(())
    });
    found
}

fn tokens(line: &serde_json::Value) -> (u64, u64, &str) {
    let count = |name: &str| line[name].as_u64().unwrap_or_else(|| panic!("{name}: {line}"));
    (
        count("input_tokens"),
        count("output_tokens"),
        line["tokens_source"].as_str().expect("a source"),
    )
}

#[test]
fn of_one_that_was_completed() {
    for (end, expected) in [(USAGE, (5, 7, "reported")), ("", (0, 1, "estimated"))] {
        let (_upstream, gateway, _client, mut server) = begun("");
        server.send(chunk(format!("{end}data: [DONE]\n\n")));
        server.send("0\r\n\r\n");
        let line = recorded(&gateway);
        let (input, output, source) = tokens(&line);
        assert_eq!(source, expected.2, "{line}");
        if source == "reported" {
            assert_eq!((input, output), (expected.0, expected.1));
        } else {
            assert!(input > 0 && output >= expected.1, "{line}");
        }
    }
}

#[test]
fn of_one_that_was_left_and_of_one_that_broke_off() {
    for is_left in [true, false] {
        let (_upstream, gateway, client, server) = begun("");
        if is_left {
            client.reset();
        } else {
            drop(server);
        }
        let line = recorded(&gateway);
        let (input, output, source) = tokens(&line);
        assert!(input > 0 && output > 0 && source == "estimated", "{line}");
    }
}

#[test]
fn of_one_that_was_resumed() {
    let (_upstream, gateway, client, mut server) = begun(ASKS);
    client.reset();
    gateway.await_metric("ringway_streams_away", &[], 1);
    server.send(chunk(format!("{USAGE}data: [DONE]\n\n")));
    server.send("0\r\n\r\n");
    let line = recorded(&gateway);
    assert_eq!(tokens(&line), (5, 7, "reported"));
    assert_eq!(line["client_left"], true, "{line}");
}
