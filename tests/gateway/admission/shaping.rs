//! What is changed of a request on its way up, and of the answer for it.

use super::*;

#[test]
fn parameters_get_their_defaults_and_bounds() {
    let upstream = Answering::saying("{}");
    let text = world(&upstream.url(), "").replacen(
        "name = \"m\"\n",
        "name = \"m\"\nparameters = { unknown = \"drop\", max_tokens = { default = 100, max = 200 }, temperature = { max = 1.5 } }\n",
        1,
    );
    let gateway = Setup::new(text).start();
    for (more, expected) in [
        ("", r#"{"max_tokens":100}"#),
        (r#","max_tokens":150"#, r#"{"max_tokens":150}"#),
        (r#","max_tokens":900,"temperature":2"#, r#"{"max_tokens":200,"temperature":1.5}"#),
        (r#","max_completion_tokens":900"#, r#"{"max_completion_tokens":200}"#),
        (
            r#","my_own_thing":{"a":[1]},"temperature":0.5"#,
            r#"{"max_tokens":100,"temperature":0.5}"#,
        ),
    ] {
        let answer = gateway.ask(chat("m", more));
        assert_eq!(answer.status(), 200, "{more}: {}", answer.text());
        let mut asked = upstream.asked().pop().expect("a request").json();
        let body = asked.as_object_mut().expect("an object");
        body.remove("model");
        body.remove("messages");
        assert_eq!(asked, serde_json::from_str::<serde_json::Value>(expected).unwrap(), "{more}");
    }
    let wrong = gateway.ask(chat("m", r#","temperature":"hot""#));
    assert_eq!(wrong.status(), 400);
    assert_eq!(wrong.json()["error"]["param"], "temperature");
    let untouched = r#"{"model":"cheap","temperature":9,"my_own_thing":1}"#;
    assert_eq!(gateway.ask(post("/v1/chat/completions", untouched)).status(), 200);
    assert_eq!(upstream.asked().pop().expect("a request").text(), untouched);
}

const USAGE: &str = "data: {\"id\":\"x\",\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":20,\"total_tokens\":25}}\n\n";

/// Streams an answer with a usage chunk if it is asked for one.
fn streaming() -> Answering {
    Answering::with(|asked| {
        let mut events = String::new();
        for word in ["a", "b"] {
            events.push_str(&format!(
                "data: {{\"choices\":[{{\"delta\":{{\"content\":\"{word}\"}}}}]}}\n\n"
            ));
        }
        if asked.json()["stream_options"]["include_usage"] == true {
            events.push_str(USAGE);
        }
        events.push_str("data: [DONE]\n\n");
        let mut answer = EVENTS.as_bytes().to_vec();
        for piece in events.as_bytes().chunks(11) {
            answer.extend(chunk(piece));
        }
        answer.extend_from_slice(b"0\r\n\r\n");
        answer
    })
}

#[test]
fn usage_is_asked_for_and_taken_out_again() {
    let upstream = streaming();
    let limits = "limits = { tokens_per_day = 1000, algorithm = \"fixed_window\" }";
    let gateway = Setup::new(world(&upstream.url(), &acme(limits))).start();
    let ask = |more: &str| {
        gateway
            .ask(bearing(ALICE, &chat("m", &format!(",\"stream\":true,\"max_tokens\":10{more}"))))
    };
    let remaining = |answer: &Message| -> i64 {
        answer.field("x-ratelimit-remaining-tokens").unwrap().parse().unwrap()
    };
    let quiet = ask("");
    assert_eq!(quiet.status(), 200);
    assert!(!quiet.text().contains("usage"), "{}", quiet.text());
    assert!(quiet.text().ends_with("data: [DONE]\n\n"));
    assert_eq!(
        upstream.asked().pop().expect("a request").json()["stream_options"]["include_usage"],
        true
    );
    let asked_for = ask(",\"stream_options\":{\"include_usage\":true}");
    assert!(asked_for.text().contains(USAGE));
    let first = remaining(&quiet);
    assert!((900..990).contains(&first), "{first}: what was reserved");
    let second = remaining(&asked_for);
    assert!(
        (900..965).contains(&second),
        "{second}: the first was settled at 25, and the second reserved"
    );
}
