//! What upstreams, models and tenants say of streams that is allowed and yet hardly meant.

use crate::config::error::Place;
use crate::config::file::Dialect;
use crate::config::file::File;
use crate::config::file::Model;
use crate::config::file::Upstream;
use crate::config::policy::Tenant;
use crate::config::streams::Format;
use crate::config::streams::HEARTBEAT_DEFAULT;
use crate::config::streams::ResumeMode;

pub(crate) fn warnings(file: &File, warn: &mut dyn FnMut(&Place, String)) {
    for upstream in &file.upstreams {
        self::upstream(upstream, warn);
    }
    for model in &file.models {
        let upstream = file.upstreams.iter().find(|upstream| upstream.name == model.upstream);
        self::model(model, upstream, warn);
    }
    for tenant in file.tenants.iter() {
        self::tenant(tenant, &file.models, warn);
    }
}

fn upstream(upstream: &Upstream, warn: &mut dyn FnMut(&Place, String)) {
    let name = &upstream.name;
    if upstream.continues && upstream.dialect == Dialect::Anthropic {
        let text = format!(
            "only chats of the dialect \"openai\" are continued, so continue_final_message means nothing for \"{name}\""
        );
        warn(&upstream.place, text);
    } else if upstream.continues && upstream.endpoints.len() < 2 {
        let text = format!(
            "a stream that breaks off is continued at another endpoint, and \"{name}\" has no second one"
        );
        warn(&upstream.place, text);
    }
    if upstream.is_resumable && upstream.format != Format::Events {
        let text = format!(
            "only events have ids to resume by, so resumable means nothing for \"{name}\" with format = \"{}\"",
            upstream.format.label()
        );
        warn(&upstream.place, text);
    }
}

fn model(model: &Model, upstream: Option<&Upstream>, warn: &mut dyn FnMut(&Place, String)) {
    let label = model.label();
    let streams = &model.streams;
    let resume = &streams.resume;
    let is_kept = resume.mode != ResumeMode::Never;
    if is_kept && resume.age < resume.window {
        let text = format!(
            "an event of \"{label}\" is forgotten after resume.age_ms ({}), and its client may come back for {} ms: it \
             would get 410",
            resume.age.as_millis(),
            resume.window.as_millis()
        );
        warn(&model.place, text);
    }
    if let Some(reconnect) = streams.reconnect.filter(|wait| is_kept && *wait >= resume.window) {
        let text = format!(
            "clients of \"{label}\" are told to come back after {} ms (reconnect_ms), and its streams wait for them for {} \
             ms (resume.window_ms)",
            reconnect.as_millis(),
            resume.window.as_millis()
        );
        warn(&model.place, text);
    }
    let Some(upstream) = upstream else { return };
    let deadlines = upstream.deadlines.overridden(&model.deadlines);
    let longest = deadlines.gap.max(deadlines.first_byte).min(deadlines.whole);
    // What nobody has written is nobody's mistake.
    let every = streams.heartbeat.map(|heartbeat| heartbeat.every);
    if let Some(every) = every.filter(|every| *every >= longest && *every != HEARTBEAT_DEFAULT) {
        let text = format!(
            "no stream of \"{label}\" is quiet for heartbeat_ms ({}): its deadlines end it before, after {} ms",
            every.as_millis(),
            longest.as_millis()
        );
        warn(&model.place, text);
    }
}

fn tenant(tenant: &Tenant, models: &[Model], warn: &mut dyn FnMut(&Place, String)) {
    if tenant.resume != Some(true) {
        return;
    }
    let is_its = |model: &&Model| {
        let is_named = |name: &str| name == model.name || name == model.label();
        let listed = tenant.models.as_ref();
        listed.is_none_or(|listed| {
            listed.iter().any(|named| is_named(&named.name) || model.aliases.contains(&named.name))
        })
    };
    let mut its = models.iter().filter(is_its).peekable();
    if its.peek().is_some() && its.all(|model| model.streams.resume.mode == ResumeMode::Never) {
        let name = &tenant.name;
        let text = format!("no stream of \"{name}\" is kept: all of its models say resume = false");
        warn(&tenant.place, text);
    }
}
