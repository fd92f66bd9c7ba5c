//! The part of an explanation that says how the response goes down where it is a stream.

use crate::admission::Caller;
use crate::llm::dialect::Operation;
use crate::snapshot::Format;
use crate::snapshot::Model;
use crate::snapshot::Resume;
use crate::snapshot::Snapshot;
use crate::snapshot::Upstream;
use crate::snapshot::explain::Asked;
use crate::snapshot::explain::shown::Flow;
use crate::snapshot::streams::Decider;
use crate::snapshot::streams::words;
use crate::wire::head::is_same_name;

/// Where Ollama is asked to chat in its own way: <https://github.com/ollama/ollama/blob/main/docs/api.md>.
const CHAT_OF_OLLAMA: &str = "/api/chat";
/// The field by which a request asks that its stream be kept.
const ASKS_TO_RESUME: &str = "x-ringway-resume";

/// How a stream of `model` goes down to this caller.
pub(super) fn flow(snapshot: &Snapshot, asked: &Asked<'_>, caller: &Caller, model: &Model) -> Flow {
    let streams = &model.streams;
    let upstream = snapshot.upstream(model.upstream);
    let policy = caller.tenant.and_then(|tenant| snapshot.admission.tenant(tenant));
    let heartbeat = streams.heartbeat.map(|heartbeat| {
        let (every, most) = (heartbeat.every.as_millis(), heartbeat.most.as_millis());
        format!("after {every} ms of silence, then up to {most} ms apart")
    });
    let is_asked_for = asked
        .fields
        .iter()
        .any(|(name, value)| is_same_name(name, ASKS_TO_RESUME) && value.trim() == "true");
    let of_tenant = policy.and_then(|policy| policy.resume);
    let is_kept = streams.resume.keeps(of_tenant, is_asked_for);
    Flow {
        format: upstream.format.label(),
        commit_after_ms: streams.commit_after.as_millis(),
        heartbeat: heartbeat.unwrap_or_else(|| "none".to_owned()),
        resume: resume(&streams.resume, of_tenant, is_asked_for),
        slow_reader: words::slow_reader(streams.slow_reader),
        throttle: policy.and_then(|policy| policy.throttle).map(words::throttle),
        without_client: if streams.continue_on_disconnect {
            "it goes on to its end".to_owned()
        } else if is_kept {
            let window = streams.resume.rule.window.as_millis();
            format!("it goes on for {window} ms, and is cancelled then")
        } else {
            "it is cancelled".to_owned()
        },
        broken_off: broken_off(upstream),
    }
}

/// What is asked for at the endpoints of `upstream`.
pub(super) const fn path_up(upstream: &Upstream, operation: Operation) -> &'static str {
    match (upstream.format, operation) {
        (Format::Ollama, Operation::Chat) => CHAT_OF_OLLAMA,
        _ => operation.path(),
    }
}

/// What becomes of body and answer where the upstream does not chat in its dialect; none: it does.
pub(super) const fn translated(upstream: &Upstream, operation: Operation) -> Option<&'static str> {
    match (upstream.format, operation) {
        (Format::Ollama, Operation::Chat) => {
            Some("the body is translated to what Ollama takes, and its answer back")
        }
        (Format::Text, Operation::Chat) => {
            Some("the body goes up, and its answer, which is text, is made a chat's")
        }
        _ => None,
    }
}

fn resume(resume: &Resume, of_tenant: Option<bool>, is_asked_for: bool) -> String {
    let kept = words::kept(&resume.rule);
    match resume.kept_by(of_tenant, is_asked_for) {
        Ok(Decider::Model) => format!("always: {kept}"),
        Ok(Decider::Tenant) => format!("always, as its tenant has it: {kept}"),
        Ok(Decider::Request) => format!("the request asks for it: {kept}"),
        Err(Decider::Model) => "never: the model has it so".to_owned(),
        Err(Decider::Tenant) => "never: its tenant has it so".to_owned(),
        Err(Decider::Request) => {
            format!("no: the request would have to ask for it with {ASKS_TO_RESUME}: true")
        }
    }
}

fn broken_off(upstream: &Upstream) -> &'static str {
    match (upstream.is_resumable && upstream.format == Format::Events, upstream.continues) {
        (true, true) => "it is asked for again from where it was, or continued at another endpoint",
        (true, false) => "it is asked for again from where it was",
        (false, true) => "it is continued at another endpoint",
        (false, false) => "it ends with an error event",
    }
}
