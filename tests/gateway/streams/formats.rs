//! Upstreams that do not write server-sent events: what they say is told as OpenAI would.

use serde_json::Value;

use super::stream;
use crate::support::*;

fn with_format(upstream: &Upstream, format: &str) -> Gateway {
    Setup::one(&upstream.url(), &format!("format = \"{format}\"")).start()
}

/// What a client makes of a stream: its text, why it ended, and the last event.
fn read(client: &mut Connection) -> (String, String, String) {
    let mut all = String::new();
    while let Some(chunk) = client.chunk() {
        all.push_str(std::str::from_utf8(&chunk).expect("UTF-8"));
    }
    let (mut text, mut finish, mut last) = (String::new(), String::new(), String::new());
    for event in all.split_terminator("\n\n") {
        let data = event.strip_prefix("data: ").expect("one line of data");
        data.clone_into(&mut last);
        let Ok(chunk) = serde_json::from_str::<Value>(data) else { continue };
        let choice = &chunk["choices"][0];
        text.push_str(choice["delta"]["content"].as_str().unwrap_or(""));
        finish.push_str(choice["finish_reason"].as_str().unwrap_or(""));
    }
    (text, finish, last)
}

const LINES: &str = "content-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n";

#[test]
fn ollama_speaks_lines_of_json() {
    let upstream = Upstream::start();
    let gateway = with_format(&upstream, "ollama");
    let mut client = gateway.client();
    client.send(chat("m", ",\"stream\":true,\"temperature\":0.5"));
    let (mut server, asked) = upstream.request();
    assert!(asked.head.line.starts_with("POST /api/chat "), "{asked:?}");
    assert_eq!(asked.json()["options"]["temperature"], 0.5);
    server.send(format!("HTTP/1.1 200 OK\r\n{LINES}"));
    server.send(chunk("{\"model\":\"m\",\"message\":{\"role\":\"assistant\",\"content\":\"Hel\"},\"done\":false}\n{\"mess"));
    let head = client.head();
    assert_eq!(head.field("content-type"), Some("text/event-stream; charset=utf-8"));
    server.send(chunk("age\":{\"role\":\"assistant\",\"content\":\"lo\"},\"done\":false}\n"));
    server.send(chunk("{\"message\":{\"content\":\"\"},\"done\":true,\"done_reason\":\"stop\",\"prompt_eval_count\":3,\"eval_count\":2}\n"));
    server.send("0\r\n\r\n");
    assert_eq!(read(&mut client), ("Hello".to_owned(), "stop".to_owned(), "[DONE]".to_owned()));
}

#[test]
fn ollama_answers_whole_too() {
    let upstream = Upstream::start();
    let gateway = with_format(&upstream, "ollama");
    let mut client = gateway.client();
    client.send(chat("m", ""));
    let (mut server, asked) = upstream.request();
    assert_eq!(asked.json()["stream"], false);
    server.send(ok("{\"model\":\"m\",\"message\":{\"role\":\"assistant\",\"content\":\"Hello\"},\"done\":true,\"done_reason\":\"stop\"}"));
    let answer = client.message();
    assert_eq!((answer.status(), answer.field("content-type")), (200, Some("application/json")));
    assert_eq!(answer.json()["choices"][0]["message"]["content"], "Hello");
}

#[test]
fn plain_text_is_told_as_it_comes() {
    let upstream = Upstream::start();
    let gateway = with_format(&upstream, "text");
    let mut client = gateway.client();
    client.send(stream(""));
    let (mut server, _) = upstream.request();
    server
        .send("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n");
    server.send(chunk("H\u{e9}".as_bytes().get(..2).expect("half a character")));
    server.send(chunk(b"\xa9llo\n\n"));
    server.send("0\r\n\r\n");
    client.head();
    assert_eq!(
        read(&mut client),
        ("H\u{e9}llo\n\n".to_owned(), "stop".to_owned(), "[DONE]".to_owned())
    );
}

/// A server that breaks off in the middle has not said everything: no end is made up for it.
#[test]
fn a_translation_that_breaks_off_is_no_whole_one() {
    let upstream = Upstream::start();
    let gateway = with_format(&upstream, "ollama");
    let mut client = gateway.client();
    client.send(stream(""));
    let (mut server, _) = upstream.request();
    server.send(format!("HTTP/1.1 200 OK\r\n{LINES}"));
    server.send(chunk("{\"message\":{\"content\":\"Hel\"},\"done\":false}\n"));
    server.send(chunk("{\"error\":\"out of memory\"}\n"));
    client.head();
    let (text, finish, last) = read(&mut client);
    assert_eq!((&*text, &*finish), ("Hel", ""));
    assert!(last.contains("out of memory") && last.contains("error"), "{last}");
}

#[test]
fn an_error_of_another_format_passes_as_it_came() {
    let upstream = Upstream::start();
    let gateway = with_format(&upstream, "ollama");
    let mut client = gateway.client();
    client.send(chat("m", ""));
    let (mut server, _) = upstream.request();
    server.send("HTTP/1.1 404 X\r\ncontent-type: application/json\r\ncontent-length: 23\r\n\r\n{\"error\":\"no such one\"}");
    let answer = client.message();
    assert_eq!((answer.status(), answer.text()), (404, "{\"error\":\"no such one\"}"));
    // And what it has no words for is refused.
    client.send(chat("m", ",\"n\":2"));
    let answer = client.message();
    assert_eq!(answer.status(), 400);
    assert!(answer.text().contains("`n`"), "{}", answer.text());
}
