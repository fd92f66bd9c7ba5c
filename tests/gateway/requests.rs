//! Where does a request go, and what is said to one that goes nowhere?

use crate::support::*;

const WORLD: &str = r#"
[[upstream]]
name = "u"
dialect = "openai"
endpoints = [{ url = "URL/prefix" }]

[[model]]
name = "plain"
upstream = "u"

[[model]]
name = "renamed"
aliases = ["short", "Grüße/4"]
upstream = "u"
upstream_model = "org/the \"real\" one"

[[model]]
name = "claude"
version = "1"
upstream = "u"
upstream_model = "claude-one"

[[model]]
name = "claude"
version = "2"
upstream = "u"
"#;

fn world() -> (Answering, Gateway) {
    let upstream = Answering::saying("{}");
    let gateway = Setup::new(WORLD.replace("URL", &upstream.url())).start();
    (upstream, gateway)
}

/// The body that arrives when this one is sent to this path.
fn body_of(upstream: &Answering, gateway: &Gateway, path: &str, body: &str) -> Message {
    let answer = gateway.ask(post(path, body));
    assert_eq!(answer.status(), 200, "{body}: {}", answer.text());
    upstream.asked().pop().expect("a request")
}

#[test]
fn the_body_goes_up_as_it_came() {
    let (upstream, gateway) = world();
    let chat = "/v1/chat/completions";
    for body in [
        "{\"model\":\"plain\"}",
        " { \"messages\" : [ { } ] ,\r\n\t\"model\" : \"plain\" , \"x\": 1e+2 }\n",
        "{\"messages\":[{\"model\":\"other\"}],\"model\":\"pl\\u0061in\",\"stream\":null}",
    ] {
        let asked = body_of(&upstream, &gateway, chat, body);
        assert_eq!(asked.text(), body);
        assert_eq!(asked.head.line, "POST /prefix/v1/chat/completions HTTP/1.1");
    }
}

#[test]
fn a_model_is_replaced_where_it_stands_and_nothing_else() {
    let (upstream, gateway) = world();
    let real = "\"org/the \\\"real\\\" one\"";
    for (before, name, after) in [
        ("{\"model\":", "\"renamed\"", "}"),
        (
            "{\"x\":\"\\\"model\\\":\\\"renamed\\\"\",\r\n \"model\" :\t",
            "\"short\"",
            " ,\"model2\":\"renamed\"} ",
        ),
        (
            "{\"a\":{\"model\":\"renamed\"},\"model\":",
            "\"Gr\\u00fc\u{df}e\\/4\"",
            ",\"z\":[\"renamed\"]}",
        ),
    ] {
        let body = format!("{before}{name}{after}");
        let asked = body_of(&upstream, &gateway, "/v1/completions", &body);
        assert_eq!(asked.text(), format!("{before}{real}{after}"));
    }
    // Large: its body does not go up together with its head.
    let text = "x".repeat(200_000);
    let body = format!("{{\"prompt\":\"{text}\",\"model\":\"short\",\"n\":1}}");
    let asked = body_of(&upstream, &gateway, "/v1/completions", &body);
    assert!(asked.text() == format!("{{\"prompt\":\"{text}\",\"model\":{real},\"n\":1}}"));
}

#[test]
fn versions() {
    let (upstream, gateway) = world();
    let cases = [("claude@1", "claude-one"), ("claude@2", "claude")];
    for (asked, expected) in cases {
        let body = format!("{{\"model\":\"{asked}\"}}");
        let got = body_of(&upstream, &gateway, "/v1/responses", &body);
        assert_eq!(got.text(), format!("{{\"model\":\"{expected}\"}}"));
    }
    let answer = gateway.ask(chat("claude@3", ""));
    assert_eq!(
        (answer.status(), &answer.json()["error"]["code"]),
        (404, &"model_not_found".into())
    );
}

#[test]
fn every_operation_keeps_its_path_and_query() {
    let (upstream, gateway) = world();
    for path in ["chat/completions", "completions", "embeddings", "responses", "messages"] {
        let path = format!("/v1/{path}?beta=true&x=%20");
        let asked = body_of(&upstream, &gateway, &path, "{\"model\":\"plain\"}");
        assert_eq!(asked.head.line, format!("POST /prefix{path} HTTP/1.1"));
    }
}

#[test]
fn invoke_takes_any_json() {
    let (upstream, gateway) = world();
    for (path, expected) in [
        ("/v1/models/plain/invoke", "/prefix/v1/models/plain/invoke"),
        ("/v1/models/claude/versions/1/invoke", "/prefix/v1/models/claude-one/versions/1/invoke"),
        ("/v1/models/claude@2/invoke", "/prefix/v1/models/claude/invoke"),
        (
            "/v1/models/Gr%C3%BC%C3%9Fe%2F4/invoke",
            "/prefix/v1/models/org%2Fthe%20%22real%22%20one/invoke",
        ),
    ] {
        for body in ["[1,2,{\"model\":5}]", "\"text\"", "{\"inputs\":[]}", "null"] {
            let asked = body_of(&upstream, &gateway, path, body);
            assert_eq!(asked.text(), body, "{path}");
            assert_eq!(asked.head.line, format!("POST {expected} HTTP/1.1"));
        }
    }
    assert_eq!(gateway.ask(post("/v1/models/none/invoke", "{}")).status(), 404);
    assert_eq!(gateway.ask(post("/v1/models/claude/versions/9/invoke", "{}")).status(), 404);
    assert_eq!(gateway.ask(post("/v1/models/plain/invoke", "{")).status(), 400);
}

#[test]
fn the_list_of_models() {
    let (upstream, gateway) = world();
    let mut client = gateway.client();
    client.send(get("/v1/models"));
    let list = client.message();
    assert_eq!(list.status(), 200);
    assert_eq!(list.field("content-type"), Some("application/json"));
    let json = list.json();
    let ids: Vec<_> =
        json["data"].as_array().expect("a list").iter().map(|model| model["id"].clone()).collect();
    for id in ["plain", "renamed", "claude@1", "claude@2"] {
        assert!(ids.contains(&id.into()), "{id} is not in {ids:?}");
    }
    for (path, id) in [("plain", "plain"), ("short", "renamed"), ("claude@1", "claude@1")] {
        client.send(get(&format!("/v1/models/{path}")));
        let one = client.message();
        assert_eq!((one.status(), &one.json()["id"]), (200, &id.into()));
        assert_eq!(one.json()["object"], "model");
    }
    client.send(get("/v1/models/none"));
    assert_eq!(client.message().status(), 404);
    // HEAD says the same and sends nothing.
    client.send(get("/v1/models").replace("GET", "HEAD"));
    let head = client.head();
    assert_eq!(head.status(), 200);
    assert_eq!(head.field("content-length"), Some(list.body.len().to_string().as_str()));
    client.send(get("/v1/models"));
    assert_eq!(client.message().body, list.body);
    assert!(upstream.asked().is_empty());
}

/// Each is refused in OpenAI's shape, says where, and names what to do; the connection goes on.
#[test]
fn bodies_that_cannot_be_served() {
    let (upstream, gateway) = world();
    let mut client = gateway.client();
    for (body, status, code, param, message) in [
        ("{}", 400, "missing_required_parameter", "model", "GET /v1/models"),
        ("{\"model\":5}", 400, "invalid_type", "model", "at byte 9"),
        ("{\"model\":null}", 400, "invalid_type", "model", "at byte 9"),
        ("{\"model\":\"nope\"}", 404, "model_not_found", "model", "`nope`"),
        ("{\"model\":\"\"}", 404, "model_not_found", "model", "``"),
        ("{\"model\":\"plain\",\"model\":\"plain\"}", 400, "duplicate_key", "model", "byte 17"),
        ("{\"model\":\"plain\",\"mod\\u0065l\":\"x\"}", 400, "duplicate_key", "model", "byte 17"),
        ("{\"model\":\"plain\",\"stream\":1}", 400, "invalid_type", "stream", "at byte 26"),
        (
            "{\"model\":\"plain\",\"stream\":true,\"stream\":false}",
            400,
            "duplicate_key",
            "stream",
            "byte 31",
        ),
        ("{\"model\":\"plain\"", 400, "invalid_json", "", "byte 16"),
        ("{\"model\":\"plain\",}", 400, "invalid_json", "", "byte 17"),
        ("{\"model\":\"plain\"}x", 400, "invalid_json", "", "byte 17"),
        ("{'model':'plain'}", 400, "invalid_json", "", "byte 1"),
        ("", 400, "invalid_json", "", "byte 0"),
        ("[]", 400, "not_an_object", "", "JSON object"),
    ] {
        client.send(post("/v1/chat/completions", body));
        let answer = client.message();
        let json = answer.json();
        let error = &json["error"];
        assert_eq!(answer.status(), status, "{body}: {}", answer.text());
        assert_eq!(answer.field("content-type"), Some("application/json"), "{body}");
        assert_eq!(answer.field("x-request-id").map(str::len), Some(32), "{body}");
        assert_eq!(error["type"], "invalid_request_error", "{body}");
        assert_eq!(error["code"], code, "{body}");
        assert_eq!(error["param"].as_str().unwrap_or_default(), param, "{body}");
        let said = error["message"].as_str().unwrap_or_default();
        assert!(said.contains(message), "{body}: {said}");
        assert_eq!(error.as_object().map(serde_json::Map::len), Some(4), "{body}");
    }
    let deep = format!("{{\"model\":\"plain\",\"x\":{}", "[".repeat(100_000));
    client.send(post("/v1/chat/completions", &deep));
    assert_eq!(client.message().json()["error"]["code"], "nested_too_deeply");
    assert!(upstream.asked().is_empty());
}

#[test]
fn errors_are_in_the_dialect_of_the_path() {
    let (_upstream, gateway) = world();
    let answer = gateway.ask(post("/v1/messages", "{\"model\":\"none\"}"));
    let json = answer.json();
    assert_eq!(answer.status(), 404);
    assert_eq!(
        (&json["type"], &json["error"]["type"]),
        (&"error".into(), &"not_found_error".into())
    );
    assert_eq!(json["request_id"].as_str(), answer.field("x-request-id"));
}

#[test]
fn wrong_methods_and_paths() {
    let (upstream, gateway) = world();
    for (method, path, allow) in [
        ("GET", "/v1/chat/completions", "POST"),
        ("HEAD", "/v1/chat/completions", "POST"),
        ("PUT", "/v1/embeddings", "POST"),
        ("OPTIONS", "/v1/messages", "POST"),
        ("DELETE", "/v1/models", "GET, HEAD"),
        ("POST", "/v1/models/plain", "GET, HEAD"),
        ("GET", "/v1/models/plain/invoke", "POST"),
        ("BREW", "/v1/models", "GET, HEAD"),
    ] {
        let mut client = gateway.client();
        client.send(get(path).replace("GET", method));
        let head = client.head();
        assert_eq!(head.status(), 405, "{method} {path}");
        assert_eq!(head.field("allow"), Some(allow), "{method} {path}");
        if method != "HEAD" {
            let error: serde_json::Value =
                serde_json::from_slice(&client.body(&head)).expect("JSON");
            assert_eq!(error["error"]["code"], "method_not_allowed");
        }
    }
    for (path, status) in [
        ("/", 404),
        ("/v1", 404),
        ("/v1/model", 404),
        ("/V1/models", 404),
        ("/v1/chat/completions/x", 404),
        ("/v1/../v1/models", 400),
        ("/v1/%2e%2e/models", 400),
        ("/v1/models/%00", 400),
        ("/v1/models/%zz", 400),
        ("/v1/models/%ff", 400),
    ] {
        let answer = gateway.ask(get(path));
        assert_eq!(answer.status(), status, "{path}: {}", answer.text());
        assert!(answer.json()["error"]["message"].is_string(), "{path}");
    }
    assert!(upstream.asked().is_empty());
}

#[test]
fn a_body_over_the_bound_is_refused_before_it_is_sent() {
    let upstream = Answering::saying("{}");
    let gateway =
        Setup::one(&upstream.url(), "").listen("limits = { body_bytes_max = 2000 }").start();
    let mut client = gateway.client();
    client.send("POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\ncontent-length: 2001\r\n\r\n");
    let answer = client.message();
    assert_eq!(
        (answer.status(), &answer.json()["error"]["code"]),
        (413, &"request_too_large".into())
    );
    assert_eq!(answer.field("connection"), Some("close"));
    // What it sends nevertheless does not cost it the answer, nor us anything.
    client.send_what_is_taken("x".repeat(2001));
    client.must_close();
    // In chunks it is known when it is there.
    let mut client = gateway.client();
    client.send(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\ntransfer-encoding: chunked\r\n\r\n",
    );
    for _ in 0..3 {
        client.send_what_is_taken(chunk("x".repeat(1000)));
    }
    assert_eq!(client.message().status(), 413);
    client.until_gone();
    // Up to the bound it is served.
    let body = format!("{{\"model\":\"m\",\"x\":\"{}\"}}", "y".repeat(2000 - 20));
    assert_eq!(body.len(), 2000);
    assert_eq!(gateway.ask(post("/v1/chat/completions", &body)).status(), 200);
    assert_eq!(upstream.asked().len(), 1);
}

#[test]
fn a_trusted_name_of_a_request_is_kept() {
    let upstream = Answering::saying("{}");
    let name = "0123456789abcdef0123456789abcdef";
    let request = chat("m", "").replace("host:", &format!("x-request-id: {name}\r\nhost:"));
    for (is_trusted, lines) in [(false, ""), (true, "trust_request_id = true")] {
        let gateway = Setup::one(&upstream.url(), "").listen(lines).start();
        let answer = gateway.ask(&request);
        let asked = upstream.asked().pop().expect("a request");
        assert_eq!(answer.field("x-request-id") == Some(name), is_trusted);
        assert_eq!(answer.field("x-request-id"), asked.field("x-request-id"));
    }
}

#[test]
fn server_timing_is_shown_where_it_is_wanted() {
    let upstream = Answering::saying("{}");
    let gateway = Setup::one(&upstream.url(), "").listen("server_timing = true").start();
    let answer = gateway.ask(chat("m", ""));
    let timing = answer.field("server-timing").expect("server-timing");
    assert!(timing.starts_with("ringway;dur=") && timing.contains("upstream;dur="), "{timing}");
    let gateway = Setup::one(&upstream.url(), "").start();
    assert_eq!(gateway.ask(chat("m", "")).field("server-timing"), None);
}
