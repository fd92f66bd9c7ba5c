//! The part of an explanation that says where the request goes and what the upstream is shown.

use crate::admission::Caller;
use crate::balance::choose::Strategy;
use crate::llm::dialect::Dialect;
use crate::llm::dialect::Operation;
use crate::snapshot::Model;
use crate::snapshot::Snapshot;
use crate::snapshot::Upstream;
use crate::snapshot::explain::Asked;
use crate::snapshot::explain::Explanation;
use crate::snapshot::explain::candidates;
use crate::snapshot::explain::candidates::Candidates;
use crate::snapshot::explain::flow;
use crate::snapshot::explain::onward::onward;
use crate::snapshot::explain::shown::Choice;
use crate::snapshot::explain::shown::DeadlinesMs;
use crate::snapshot::explain::shown::Relay;

/// A request that is let in, and the model that it has come to.
#[derive(Clone, Copy)]
pub(super) struct Going<'g> {
    pub(super) snapshot: &'g Snapshot,
    pub(super) asked: &'g Asked<'g>,
    pub(super) caller: &'g Caller,
    pub(super) model: &'g Model,
    /// What is asked for at the endpoint.
    pub(super) path: &'g str,
}

impl Explanation {
    /// Says whose credential the upstream is shown, and how it learns who asks.
    pub(super) fn show(&mut self, going: &Going<'_>) {
        let Going { snapshot, caller, model, .. } = *going;
        let id = model.upstream;
        let upstream = snapshot.upstream(id);
        let own = caller.tenant.and_then(|tenant| snapshot.tenant_credentials(tenant, id));
        let (whose, text) = match (own, &upstream.credential) {
            (Some(_), _) => {
                ("tenant", "the upstream is shown the tenant's own credential".to_owned())
            }
            (None, Some(_)) => {
                let from = upstream.credential_from.as_deref().unwrap_or("the config");
                ("upstream", format!("the upstream is shown its own credential ({from})"))
            }
            (None, None) if caller.has_used_credential => {
                ("none", "the upstream is shown no credential: the client's ends here".to_owned())
            }
            (None, None) => (
                "client",
                "the upstream is shown the credential that the client sends, if any".to_owned(),
            ),
        };
        self.step(text);
        let identity = &snapshot.admission.identity;
        let fields = [&identity.tenant, &identity.key, &identity.user].map(Option::as_deref);
        let named: Vec<&str> = fields.into_iter().flatten().collect();
        if !named.is_empty() {
            self.step(format!(
                "what the client itself sends as {} goes no further",
                named.join(", ")
            ));
        }
        let Some(relay) = &mut self.relay else { return };
        relay.credential_of = whose;
        let is_shown = matches!(whose, "tenant" | "upstream");
        relay.credential_field = is_shown.then(|| credential_field(upstream.dialect));
        let values = caller.names(&snapshot.admission, &snapshot.keys);
        let lines = fields.into_iter().zip(values);
        // A token's user is whatever its issuer wrote.
        let line = |(name, value): (Option<&str>, Option<&str>)| {
            Some(format!("{}: {}", name?, value?.escape_debug()))
        };
        relay.identity = lines.filter_map(line).collect();
    }

    /// Says where it goes, and what is done where that fails.
    pub(super) fn relay(
        &mut self,
        going: &Going<'_>,
        asked_for: &str,
        operation: Option<Operation>,
    ) {
        let Going { snapshot, asked, caller, model, .. } = *going;
        let upstream = snapshot.upstream(model.upstream);
        let is_rewritten = operation.is_some() && asked_for != model.upstream_model;
        let name = &upstream.name;
        self.step(format!("it is served by the upstream {name} ({})", upstream.dialect.name()));
        let spoken = operation.map(Operation::dialect);
        if let Some(spoken) = spoken.filter(|spoken| *spoken != upstream.dialect) {
            let (path, there) = (spoken.name(), upstream.dialect.name());
            self.step(format!(
                "the path is of the dialect {path} and the upstream speaks {there}: nothing is translated"
            ));
        }
        let translated = operation.and_then(|operation| flow::translated(upstream, operation));
        if is_rewritten {
            self.step(format!("the body's model becomes \"{}\"", model.upstream_model));
        } else if translated.is_none() {
            self.step("the body goes up as it came".to_owned());
        }
        if let Some(text) = translated {
            self.step(text.to_owned());
        }
        self.outcome = "relayed";
        self.relay = Some(Relay {
            operation: operation.map_or("invoke", Operation::name),
            model: model.name.clone(),
            version: model.version.clone(),
            upstream: name.clone(),
            model_becomes: is_rewritten.then(|| model.upstream_model.clone()),
            credential_of: "none",
            credential_field: None,
            identity: Vec::new(),
            endpoints: self.choose(going, upstream),
            deadlines_ms: DeadlinesMs {
                connect: model.deadlines.connect.as_millis(),
                first_byte: model.deadlines.first_byte.as_millis(),
                gap: model.deadlines.gap.as_millis(),
                whole: model.deadlines.whole.as_millis(),
            },
            flow: operation
                .is_none_or(Operation::may_stream)
                .then(|| flow::flow(snapshot, asked, caller, model)),
            onward: onward(snapshot, asked, caller, model),
        });
    }

    /// Says which of the upstream's endpoints gets it.
    fn choose(&mut self, going: &Going<'_>, upstream: &Upstream) -> Vec<Choice> {
        let Going { snapshot, asked, caller, model, path } = *going;
        let has_fallback = !model.fallback.is_empty();
        let (key, text) = candidates::key(snapshot, upstream, asked, caller).unzip();
        let candidates = Candidates::new(snapshot, upstream, key.flatten(), asked.look)
            .before_fallback(has_fallback);
        let choices = candidates.shown(model, path);
        let balance = upstream.strategy.label();
        if choices.is_empty() {
            let then = if has_fallback {
                "the next of its fallbacks is asked"
            } else {
                "it would fail with 503"
            };
            self.step(format!("it has no endpoint now: {then}"));
            return choices;
        }
        self.step(format!("one of {} endpoint(s) gets it, by {balance}", choices.len()));
        if let Some(text) = text {
            self.step(text);
        }
        if asked.look.0.is_none() {
            self.step(
                "how the endpoints are now is not looked at here: a running gateway says it at /admin/explain"
                    .to_owned(),
            );
        } else if upstream.strategy == Strategy::PeakEwma {
            self.step(
                "shown as latency is the median of the node; each shard goes by what it has measured itself"
                    .to_owned(),
            );
        }
        if !candidates.is_any_usable() {
            self.step(match candidates.resort() {
                Some(index) => {
                    let url = &choices[index].url;
                    format!("none of them is usable now: the least bad one is asked, {url}")
                }
                None if candidates.is_any_full() => {
                    let wait = upstream.queue.wait.as_millis();
                    format!("those that are well are full: it waits for a place, {wait} ms at most")
                }
                None if has_fallback => {
                    "none of them can be asked now: the next of its fallbacks is asked".to_owned()
                }
                None => "none of them can be asked now: it would fail with 503".to_owned(),
            });
        }
        choices
    }
}

fn credential_field(dialect: Dialect) -> String {
    match dialect {
        Dialect::OpenAi => "authorization".to_owned(),
        Dialect::Anthropic => "x-api-key".to_owned(),
    }
}
