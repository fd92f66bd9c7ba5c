//! What deciding costs: the body read, the model found, the endpoint chosen, an error written.

mod harness;

use std::hint::black_box;

use harness::Harness;
use ringway::balance::choose::RoundRobin;
use ringway::llm::dialect;
use ringway::llm::dialect::Dialect;
use ringway::llm::dialect::ErrorText;
use ringway::llm::edit;
use ringway::llm::edit::Edit;
use ringway::llm::request;
use ringway::route::Entry;
use ringway::route::Table;
use ringway::route::path;
use ringway::wire::http1::parse;
use ringway::wire::http1::parse::Slots;
use serde::Deserialize;

/// What a tree-less reading with serde_json has to name.
#[derive(Deserialize)]
struct Asked<'b> {
    #[serde(borrow)]
    model: std::borrow::Cow<'b, str>,
    #[serde(default)]
    stream: bool,
    max_tokens: Option<u64>,
}

fn main() {
    let mut harness = Harness::from_args();
    for (name, turns) in [("1.1 KB", 3), ("20 KB", 58), ("205 KB", 600)] {
        let body = chat(turns);
        harness.run(&format!("peek: {name}"), || {
            black_box(request::peek(black_box(body.as_bytes())).expect("it is JSON"));
        });
        harness.run(&format!("the same by serde_json: {name}"), || {
            let asked: Asked<'_> =
                serde_json::from_slice(black_box(body.as_bytes())).expect("it is JSON");
            black_box((asked.model, asked.stream, asked.max_tokens));
        });
    }
    choices(&mut harness);
    plan(&mut harness);
    texts(&mut harness);
    harness.finish();
}

/// A conversation of some turns, with what real ones have in them: line ends, quotes, letters beyond ASCII.
fn chat(turns: usize) -> String {
    let mut body =
        "{\"model\":\"model-7\",\"stream\":true,\"max_tokens\":512,\"messages\":[".to_owned();
    for turn in 0..turns {
        let role = if turn % 2 == 0 { "user" } else { "assistant" };
        let comma = if turn == 0 { "" } else { "," };
        body.push_str(&format!(
            "{comma}{{\"role\":\"{role}\",\"content\":\"This is turn {turn} of a conversation.\\n\\nIt has \
             \\\"quoted words\\\", caf\u{e9}s, a list:\\n- one\\n- two, and some more plain text so that it is as \
             long as what people write to a model, which is rather long: it goes on like this for a while, until \
             it has said what it had to say.\"}}"
        ));
    }
    body.push_str("]}");
    body
}

fn table(models: usize) -> Table {
    let names: Vec<String> = (0..models).map(|index| format!("model-{index}")).collect();
    let aliases: Vec<[String; 1]> = (0..models).map(|index| [format!("alias-{index}")]).collect();
    let entries: Vec<Entry<'_>> = names
        .iter()
        .zip(&aliases)
        .map(|(name, aliases)| Entry { name, version: None, aliases, is_default: false })
        .collect();
    Table::new(&entries).expect("the names differ")
}

fn choices(harness: &mut Harness) {
    for models in [1, 1000] {
        let table = table(models);
        let name = format!("model-{}", models / 2);
        harness.run(&format!("route: a name among {models}"), || {
            black_box(table.pick(black_box(&name)));
        });
    }
    for endpoints in [1, 8] {
        let weights = vec![1; endpoints];
        let mut turns = RoundRobin::default();
        harness.run(&format!("round robin: {endpoints} endpoints"), || {
            black_box(turns.next(black_box(&weights), |_| true));
        });
    }
}

/// All that is decided about a request, from its bytes: what `shard::plan` calls, in its order.
fn plan(harness: &mut Harness) {
    let body = chat(2);
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: gateway.local\r\naccept: application/json\r\n\
         content-type: application/json\r\nauthorization: Bearer sk-0123456789abcdef\r\n\
         user-agent: bench/1\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let table = table(100);
    harness.run(&format!("plan: head, path, body of {} bytes, model", body.len()), || {
        let mut slots = Slots::new();
        let head = parse::request(black_box(head.as_bytes()), &mut slots)
            .expect("it is well formed")
            .expect("it is whole");
        let destination = path::destination(head.method, head.path);
        let ask = request::peek(black_box(body.as_bytes())).expect("it is JSON");
        let name = ask.named_model().expect("it names a model");
        black_box((destination.is_ok(), table.pick(&name.decode()), ask.is_stream));
    });
}

fn texts(harness: &mut Harness) {
    let mut out = Vec::with_capacity(4 << 10);
    let text = ErrorText {
        status: 404,
        message: "The model `nonesuch` does not exist. GET /v1/models lists those that do.",
        kind: None,
        param: Some("model"),
        code: Some("model_not_found"),
    };
    harness.run("error body", || {
        out.clear();
        dialect::error_body(Dialect::OpenAi, black_box(&text), "0123456789abcdef", &mut out);
    });
    let body = chat(3);
    let span =
        request::peek(body.as_bytes()).expect("it is JSON").model.expect("it names a model").span;
    harness.run("rewrite: another model's name into 1.1 KB", || {
        out.clear();
        let edit = Edit::new(span.clone(), b"\"another-model\"");
        edit::apply(black_box(body.as_bytes()), &[edit], &mut out);
    });
}
