//! Who may enter and how much, in words: what the outline shows and what two snapshots are compared by. No secrets, no
//! digests.

use crate::config;
use crate::config::Addresses;
use crate::config::Count;
use crate::config::File;
use crate::config::JwtKeys;
use crate::config::Level;
use crate::config::Named;
use crate::config::Quotas;
use crate::config::Step;
use crate::config::WhenFull;
use crate::snapshot::routes;
use crate::snapshot::streams;
use std::time::Duration;

/// What is written, by its name in the file; what is not written is not there.
pub type Settings = Vec<(&'static str, String)>;

/// Networks of a list that are named one by one.
const NETWORKS_SHOWN: usize = 20;

/// All of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Described {
    /// Of the listener and the file as a whole.
    pub settings: Settings,
    /// By [`crate::units::TenantId`].
    pub tenants: Vec<Settings>,
    /// By [`crate::units::ModelId`].
    pub models: Vec<Settings>,
    /// What each issuer of tokens is called, and its settings, in the file's order.
    pub issuers: Vec<(String, Settings)>,
}

/// Describes what a file says.
pub(super) fn describe(file: &File) -> Described {
    let identity = &file.listen.identity;
    let mut settings = Settings::new();
    level("listen.middleware", "listen.addresses", &file.listen.level, &mut settings);
    add("listen.identity.tenant", identity.tenant.clone(), &mut settings);
    add("listen.identity.key", identity.key.clone(), &mut settings);
    add("listen.identity.user", identity.user.clone(), &mut settings);
    add("keys.path", file.keys.as_ref().map(|keys| keys.path.display().to_string()), &mut settings);
    if file.tenants.iter().any(|tenant| !tenant.signatures.is_empty()) {
        let window = file.signature_window.as_secs().to_string();
        add("signature.window_s", Some(window), &mut settings);
    }
    Described {
        settings,
        tenants: file.tenants.iter().map(tenant).collect(),
        models: models(file),
        issuers: file.jwt.iter().enumerate().map(|(index, jwt)| issuer(index, jwt)).collect(),
    }
}

fn tenant(tenant: &config::Tenant) -> Settings {
    let mut settings = Settings::new();
    level("middleware", "addresses", &tenant.level, &mut settings);
    add("models", tenant.models.as_deref().map(names), &mut settings);
    limits(&tenant.limits, &mut settings);
    add("when_full", tenant.when_full.map(when_full), &mut settings);
    add("priority", Some(tenant.priority.label().to_owned()), &mut settings);
    add("resume", tenant.resume.map(|is_kept| is_kept.to_string()), &mut settings);
    let throttle = tenant.throttle.map(streams::throttle).map(streams::words::throttle);
    add("throttle", throttle, &mut settings);
    let signatures: Vec<String> = tenant
        .signatures
        .iter()
        .map(|key| {
            let from = key.secret.as_ref().map_or_else(String::new, |s| s.from.describe());
            format!("{} ({from})", key.id)
        })
        .collect();
    add("signatures", (!signatures.is_empty()).then(|| signatures.join(", ")), &mut settings);
    let upstreams = &tenant.upstream_keys;
    let upstreams: Vec<String> = upstreams
        .iter()
        .map(|(upstream, source)| format!("{} ({})", upstream.name, source.from.describe()))
        .collect();
    add("upstream_keys", (!upstreams.is_empty()).then(|| upstreams.join(", ")), &mut settings);
    settings
}

/// What is said of the versions of a name stands with the first of them.
fn models(file: &File) -> Vec<Settings> {
    let mut all: Vec<Settings> = file.models.iter().map(model).collect();
    for route in &file.routes {
        let first = file.models.iter().position(|model| model.name == route.model.name);
        if let Some(settings) = first.and_then(|at| all.get_mut(at)) {
            add("route", Some(routes::words(route)), settings);
        }
    }
    all
}

fn model(model: &config::Model) -> Settings {
    let mut settings = Settings::new();
    level("middleware", "addresses", &model.level, &mut settings);
    limits(&model.limits, &mut settings);
    add("when_full", model.when_full.map(when_full), &mut settings);
    add("degrade_to", model.degrade_to.as_ref().map(|to| to.name.clone()), &mut settings);
    add("output_tokens", model.output_tokens.map(|count| count.to_string()), &mut settings);
    if let Some(parameters) = &model.parameters {
        let unknown = if parameters.drops_unknown { "unknown dropped" } else { "unknown kept" };
        let list = parameters.list.iter().map(|parameter| {
            let parts =
                [("default", &parameter.default), ("min", &parameter.min), ("max", &parameter.max)];
            let parts = parts
                .into_iter()
                .filter_map(|(word, value)| Some(format!("{word} {}", value.as_ref()?)));
            format!("{}: {}", parameter.name, parts.collect::<Vec<_>>().join(" "))
        });
        let all: Vec<String> = std::iter::once(unknown.to_owned()).chain(list).collect();
        add("parameters", Some(all.join("; ")), &mut settings);
    }
    settings
}

fn issuer(index: usize, jwt: &config::Jwt) -> (String, Settings) {
    let mut settings = Settings::new();
    let list = |names: &[String]| (!names.is_empty()).then(|| names.join(", "));
    add("audience", list(&jwt.audience), &mut settings);
    let keys = jwt.keys.as_ref().map(|keys| match keys {
        JwtKeys::Url { url, refresh, .. } => {
            // What stands in a query may be a secret.
            let url = url.split('?').next().unwrap_or_default();
            format!("{url}, every {} s", refresh.as_secs())
        }
        JwtKeys::File(file) => format!("file {}", file.path.display()),
        JwtKeys::Inline { .. } => "in the config".to_owned(),
        JwtKeys::Secret(source) => format!("secret from {}", source.from.describe()),
    });
    add("keys", keys, &mut settings);
    add("algorithms", list(&jwt.algorithms), &mut settings);
    add("leeway_s", Some(jwt.leeway_s.to_string()), &mut settings);
    add("tenant", jwt.tenant.as_ref().map(|tenant| tenant.name.clone()), &mut settings);
    let claims = &jwt.claims;
    for (key, claim) in [
        ("claims.tenant", &claims.tenant),
        ("claims.user", &claims.user),
        ("claims.models", &claims.models),
        ("claims.requests_per_minute", &claims.requests_per_minute),
        ("claims.tokens_per_minute", &claims.tokens_per_minute),
        ("claims.concurrent", &claims.concurrent),
    ] {
        add(key, claim.clone(), &mut settings);
    }
    (jwt.issuer.clone().unwrap_or_else(|| format!("jwt[{index}]")), settings)
}

fn add(key: &'static str, value: Option<String>, settings: &mut Settings) {
    settings.extend(value.map(|value| (key, value)));
}

fn names(named: &[Named]) -> String {
    if named.is_empty() {
        return "none".to_owned();
    }
    named.iter().map(|named| named.name.as_str()).collect::<Vec<_>>().join(", ")
}

fn level(steps: &'static str, networks: &'static str, level: &Level, settings: &mut Settings) {
    if let Some(middleware) = &level.middleware {
        let words = middleware.steps.iter().map(|(_, step)| match step {
            Step::One(name) => name.clone(),
            Step::Any(names) => format!("any({})", names.join(", ")),
            Step::All(names) => format!("all({})", names.join(", ")),
        });
        let words: Vec<String> = words.collect();
        let shown = if words.is_empty() { "none".to_owned() } else { words.join(" > ") };
        add(steps, Some(shown), settings);
    }
    add(networks, level.addresses.as_ref().map(addresses), settings);
}

fn addresses(addresses: &Addresses) -> String {
    let mut parts = Vec::new();
    for (word, listed, file) in [
        ("allow", &addresses.allow, &addresses.allow_file),
        ("deny", &addresses.deny, &addresses.deny_file),
    ] {
        let mut shown: Vec<String> =
            listed.iter().take(NETWORKS_SHOWN).map(ToString::to_string).collect();
        if listed.len() > NETWORKS_SHOWN {
            shown.push(format!("{} more", listed.len() - NETWORKS_SHOWN));
        }
        shown.extend(file.as_ref().map(|file| format!("file {}", file.path.display())));
        if !shown.is_empty() {
            parts.push(format!("{word} {}", shown.join(", ")));
        }
    }
    parts.join("; ")
}

fn limits(limits: &Quotas, settings: &mut Settings) {
    add("limits", counts(&limits.counts), settings);
    let models = limits
        .models
        .iter()
        .filter_map(|limits| Some(format!("{}: {}", limits.model.name, counts(&limits.counts)?)));
    let models: Vec<String> = models.collect();
    add("limits.models", (!models.is_empty()).then(|| models.join("; ")), settings);
}

/// `600 requests a minute (fixed_window), 50 at once`.
pub(super) fn counts(counts: &[Count]) -> Option<String> {
    let words = counts.iter().map(|count| {
        let limit = count.limit;
        if count.measure == config::Measure::Concurrent {
            return format!("{limit} at once");
        }
        let period = match count.period.as_secs() {
            1 => "a second",
            60 => "a minute",
            3600 => "an hour",
            _ => "a day",
        };
        let what = count.measure.label();
        let burst = count.burst.map(|burst| format!(", burst {burst}")).unwrap_or_default();
        format!("{limit} {what} {period} ({}{burst})", count.algorithm.label())
    });
    let words: Vec<String> = words.collect();
    (!words.is_empty()).then(|| words.join(", "))
}

fn when_full(when_full: WhenFull) -> String {
    match when_full {
        WhenFull::Reject => "reject".to_owned(),
        WhenFull::Degrade => "degrade".to_owned(),
        WhenFull::Queue { waiting_max, wait } => {
            format!("queue of {waiting_max}, each {} ms", millis(wait))
        }
    }
}

fn millis(duration: Duration) -> u128 {
    duration.as_millis()
}
