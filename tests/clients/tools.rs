//! Tools of operators: promtool reads the metrics after real traffic, wrk asks as fast as it can.

use std::process::Stdio;

use crate::gateway::Gateway;
use crate::gateway::Mock;
use crate::gateway::get;
use crate::gateway::with_all_models;
use crate::needs::need;
use crate::process::Folder;
use crate::process::bounded;
use crate::process::run;
use crate::process::succeed;
use crate::process::text;

/// Asks with curl for what is to be counted.
fn ask(gateway: &Gateway, body: &str, more: &[&str]) {
    let mut curl = bounded(20, "curl");
    curl.args(["-sS", "-o", "/dev/null", "-H", "content-type: application/json", "-d", body]);
    // A response that breaks off is no success, and wanted.
    run(curl.args(more).arg(gateway.url("/v1/chat/completions")));
}

#[test]
fn promtool_finds_no_fault_with_the_metrics() {
    let promtool = need!("promtool");
    need!("curl");
    let folder = Folder::new();
    let mock = Mock::start(&folder);
    let gateway = with_all_models(&folder, &mock);
    for body in [
        r#"{"model":"demo","messages":[]}"#,
        r#"{"model":"demo@v2","stream":true}"#,
        r#"{"model":"dead"}"#,
        r#"{"model":"nowhere"}"#,
        r#"{"model":"nobody"}"#,
        "{",
    ] {
        ask(&gateway, body, &["-H", "x-mock-gap-ms: 0"]);
    }
    ask(&gateway, r#"{"model":"demo","stream":true}"#, &["-H", "x-mock-cut-after: 2"]);
    ask(&gateway, r#"{"model":"demo"}"#, &["-H", "x-mock-status: 429"]);
    for page in ["after some traffic", "and again"] {
        let metrics = get(&format!("http://{}/metrics", gateway.admin));
        assert!(metrics.contains("gen_ai_server_time_to_first_token_seconds_bucket"), "{page}");
        let metrics = folder.write("metrics.txt", &metrics);
        let mut check = bounded(20, "sh");
        let line = format!("{} check metrics < {}", promtool.display(), metrics.display());
        let output = run(check.args(["-c", &line]).stdout(Stdio::piped()));
        let said = text(&output.stdout) + &text(&output.stderr);
        assert!(output.status.success() && said.is_empty(), "{page}: {}: {said}", output.status);
    }
    gateway.stop();
}

#[test]
fn wrk_gets_nothing_but_200() {
    let wrk = need!("wrk");
    let folder = Folder::new();
    let mock = Mock::start(&folder);
    let gateway = Gateway::before(&folder, &format!("http://{}", mock.address), "");
    let script = folder.write(
        "ask.lua",
        "wrk.method = \"POST\"\nwrk.body = '{\"model\":\"demo\",\"messages\":[]}'\n\
         wrk.headers[\"content-type\"] = \"application/json\"\n",
    );
    let mut wrk = bounded(20, wrk);
    wrk.args(["-t1", "-c32", "-d3s", "-s"]).arg(script);
    let said = succeed(wrk.arg(gateway.url("/v1/chat/completions")));
    assert!(!said.contains("Non-2xx") && !said.contains("Socket errors"), "{said}");
    let requests = said.lines().find_map(|line| line.trim().split_once(" requests in "));
    let requests: u64 = requests.unwrap().0.parse().unwrap();
    assert!(requests > 100, "{said}");
    assert!(mock.count("requests") >= requests, "each was served by the model server");
    assert_eq!(gateway.metric("ringway_bugs_total", ""), 0.0);
    gateway.stop();
}
