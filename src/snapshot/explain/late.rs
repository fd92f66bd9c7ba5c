//! The part of an explanation that says what is done once the model is known: parameters, limits, and where they are full.

use std::time::Duration;

use crate::admission;
use crate::admission::Caller;
use crate::admission::Late;
use crate::admission::Refusal;
use crate::admission::WhenFull;
use crate::admission::limit::Algorithm;
use crate::admission::limit::Kind;
use crate::admission::limit::Rule;
use crate::admission::limit::Scope;
use crate::snapshot::Snapshot;
use crate::units::ModelId;

/// Says what is still to be done for a caller that may have the model, in its order.
pub(super) fn late(
    snapshot: &Snapshot,
    caller: &Caller,
    model: ModelId,
    mut say: impl FnMut(String),
) {
    let table = &snapshot.admission;
    let rules = rules(snapshot, caller, model);
    let has_parameters = table.model(model).is_some_and(|policy| policy.parameters.is_some());
    let (mut normalizes, mut limits) = (false, false);
    for late in admission::late(table, caller, model) {
        match late {
            Late::Normalize => {
                normalizes = true;
                say(normalize(snapshot, model));
            }
            Late::Limit => {
                limits = true;
                limited(snapshot, caller, model, &rules, &mut say);
            }
            Late::Step(step) => {
                say(format!(
                    "step {} of the embedder's: not asked, it lives on shards only",
                    step.0
                ));
            }
        }
    }
    if has_parameters && !normalizes {
        say("the model's parameters count for nothing: no chain has the step normalize".to_owned());
    }
    if !rules.is_empty() && !limits {
        let count = rules.len();
        say(format!("{count} limit(s) count for nothing: no chain has the step limit"));
    }
}

/// Every limit that applies: those of the config, then those that a token brings along.
fn rules(snapshot: &Snapshot, caller: &Caller, model: ModelId) -> Vec<(Scope, Rule)> {
    let (table, keys) = (&snapshot.admission, &snapshot.keys);
    let of_claims = caller.claims.as_deref().map(|claims| claims.rules).unwrap_or_default();
    let listed = admission::limits(table, keys, caller, model).map(|one| (one.scope, one.rule));
    listed.chain(of_claims.into_iter().flatten().map(|rule| (Scope::Subject, rule))).collect()
}

fn normalize(snapshot: &Snapshot, model: ModelId) -> String {
    let described = snapshot.described.models.get(model.index());
    let parameters = described.and_then(|settings| {
        settings.iter().find(|(key, _)| *key == "parameters").map(|(_, value)| value)
    });
    match parameters {
        Some(parameters) => format!("normalize: {parameters}"),
        None => "normalize: nothing to do, the model has no rules for parameters".to_owned(),
    }
}

fn limited(
    snapshot: &Snapshot,
    caller: &Caller,
    model: ModelId,
    rules: &[(Scope, Rule)],
    say: &mut impl FnMut(String),
) {
    if rules.is_empty() {
        return say("limit: none applies".to_owned());
    }
    for (scope, rule) in rules {
        say(format!("limit of the {}: {}", whose(*scope), counted(rule)));
    }
    let policy = snapshot.admission.model(model);
    if let Some(policy) =
        policy.filter(|_| rules.iter().any(|(_, rule)| rule.kind() == Kind::Tokens))
    {
        say(format!(
            "tokens are reserved for the body and for the answer: its bound in the body, or {}",
            policy.output_tokens
        ));
    }
    say("how much of each limit is used now is not looked at here".to_owned());
    let of_others = rules.iter().any(|(scope, _)| *scope != Scope::Model);
    let of_model = rules.iter().any(|(scope, _)| *scope == Scope::Model);
    let full = |scope| when_full(snapshot, caller, model, scope);
    let (others, models) = (full(Scope::Tenant), full(Scope::Model));
    match (of_others, of_model) {
        (true, true) if others != models => {
            say(format!("where a limit of the model is full {models}"));
            say(format!("where another limit is full {others}"));
        }
        (true, _) => say(format!("where a limit is full {others}")),
        (false, _) => say(format!("where a limit is full {models}")),
    }
}

const fn whose(scope: Scope) -> &'static str {
    match scope {
        Scope::Tenant => "tenant",
        Scope::Key => "key",
        Scope::Model => "model",
        Scope::TenantModel => "tenant for this model",
        Scope::Subject => "token's subject",
    }
}

/// `600 requests a minute, by token_bucket, 100 at once`.
fn counted(rule: &Rule) -> String {
    let limit = rule.limit();
    if rule.is_concurrency() {
        return format!("{limit} at once");
    }
    let (what, how) = (rule.kind().label(), rule.algorithm().label());
    let period = match rule.period() {
        span if span == Duration::from_secs(1) => "a second".to_owned(),
        span if span == Duration::from_secs(60) => "a minute".to_owned(),
        span if span == Duration::from_secs(3600) => "an hour".to_owned(),
        span if span == Duration::from_secs(86_400) => "a day".to_owned(),
        span => format!("in {} ms", span.as_millis()),
    };
    let burst = match rule.algorithm() {
        Algorithm::TokenBucket => format!(", {} at once", rule.capacity()),
        Algorithm::SlidingWindow | Algorithm::FixedWindow => String::new(),
    };
    format!("{limit} {what} {period}, by {how}{burst}")
}

/// What is done about a full limit: what the tenant says or, for limits of the model, what that says; else the other.
fn when_full(snapshot: &Snapshot, caller: &Caller, model: ModelId, scope: Scope) -> String {
    let table = &snapshot.admission;
    let of_tenant = caller.tenant.and_then(|tenant| table.tenant(tenant)?.when_full);
    let of_model = table.model(model).and_then(|model| model.when_full);
    let (first, second) =
        if scope == Scope::Model { (of_model, of_tenant) } else { (of_tenant, of_model) };
    let why = Refusal::RequestsLimited;
    let refused = format!("it is refused with {}, code {}", why.status(), why.code());
    match first.or(second).unwrap_or(WhenFull::Reject) {
        WhenFull::Reject => refused,
        WhenFull::Queue { waiting_max, wait } => {
            let millis = wait.as_millis();
            format!(
                "it waits its turn, {millis} ms at most, {waiting_max} in the line at most; then {refused}"
            )
        }
        WhenFull::Degrade => {
            let other = table.model(model).and_then(|model| table.model(model.degrade_to?));
            match other {
                Some(other) => {
                    format!("it goes to the model {}, where it is looked at anew", other.name)
                }
                None => refused,
            }
        }
    }
}
