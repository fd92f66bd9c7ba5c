//! What must hold between tenants, keys, issuers and models, and what of them is hardly meant.

use crate::config::check;
use crate::config::error::Error;
use crate::config::error::Place;
use crate::config::file::File;
use crate::config::policy::ISSUERS_MAX;
use crate::config::policy::JwtKeys;
use crate::config::policy::KEYS_MAX;
use crate::config::policy::Level;
use crate::config::policy::Named;
use crate::config::policy::Quotas;
use crate::config::policy::Step;
use crate::config::policy::TENANTS_MAX;
use crate::config::policy::Tenant;
use crate::config::policy::WhenFull;
use crate::config::resilience;
use crate::config::section::Errors;
use crate::config::streams;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::net::IpAddr;

/// Looking for what was meant takes time, and nobody reads a thousand guesses.
const GUESSES_MAX: usize = 50;

/// Names of one kind that others refer to.
struct Names<'f> {
    what: &'static str,
    table: &'static str,
    known: BTreeSet<&'f str>,
    guesses: usize,
}

impl<'f> Names<'f> {
    fn new(what: &'static str, table: &'static str, known: impl Iterator<Item = &'f str>) -> Self {
        let known = known.filter(|name| !name.is_empty()).collect();
        Self { what, table, known, guesses: 0 }
    }

    fn check(&mut self, named: &Named, errors: &mut Errors<'_>) {
        if self.known.contains(named.name.as_str()) {
            return;
        }
        self.guesses += 1;
        let known: Vec<&str> = self.known.iter().copied().collect();
        let text = if self.guesses > GUESSES_MAX {
            format!("no {} is called \"{}\"", self.what, named.name)
        } else {
            check::unknown(self.what, self.table, &named.name, &known)
        };
        errors.add(&named.place, text);
    }

    fn check_all(&mut self, named: &[Named], errors: &mut Errors<'_>) {
        let mut seen = BTreeSet::new();
        for named in named {
            self.check(named, errors);
            if !seen.insert(&named.name) {
                errors
                    .add(&named.place, format!("\"{}\" is there twice: write it once", named.name));
            }
        }
    }
}

/// What must hold between the parts of a file that say who may enter.
pub(crate) fn whole(file: &File, errors: &mut Errors<'_>) {
    let labels: Vec<String> = file.models.iter().map(crate::config::Model::label).collect();
    let aliases = file.models.iter().flat_map(|model| &model.aliases);
    let names = file.models.iter().map(|model| &model.name).chain(aliases).chain(&labels);
    let mut models = Names::new("model", "[[model]]", names.map(String::as_str));
    let upstreams = file.upstreams.iter().map(|upstream| upstream.name.as_str());
    let mut upstreams = Names::new("upstream", "[[upstream]]", upstreams);
    let tenants = file.tenants.iter().map(|tenant| tenant.name.as_str());
    let mut tenants = Names::new("tenant", "[[tenant]]", tenants);

    for model in &file.models {
        models.check_all(&model.fallback, errors);
        if let Some(named) = &model.context_fallback {
            models.check(named, errors);
        }
        if let Some(named) = &model.degrade_to {
            models.check(named, errors);
        } else if model.when_full == Some(WhenFull::Degrade) {
            let text =
                "when_full is \"degrade\" and degrade_to is missing: write degrade_to = \"MODEL\"";
            errors.add(&model.place, text);
        }
    }
    let mut lines = BTreeMap::new();
    let mut signatures = BTreeMap::new();
    for tenant in file.tenants.iter() {
        once("tenant", &tenant.name, &tenant.place, &mut lines, errors);
        self::tenant(tenant, &mut models, &mut upstreams, errors);
        for key in &tenant.signatures {
            once("signature", &key.id, &key.place, &mut signatures, errors);
        }
    }
    let mut issuers = BTreeMap::new();
    for jwt in &file.jwt {
        if let Some(named) = &jwt.tenant {
            tenants.check(named, errors);
        }
        if let Some(issuer) = &jwt.issuer {
            once("issuer", issuer, &jwt.place, &mut issuers, errors);
        }
    }
    let keys = file.tenants.iter().map(|tenant| tenant.keys.len()).sum::<usize>();
    for (what, count, most) in [
        ("tenants", file.tenants.len(), TENANTS_MAX),
        ("keys", keys, KEYS_MAX),
        ("issuers of tokens", file.jwt.len(), ISSUERS_MAX),
    ] {
        if count > most {
            let text = format!("there are {count} {what}: at most {most} are supported");
            errors.add(&Place::default(), text);
        }
    }
}

fn tenant(
    tenant: &Tenant,
    models: &mut Names<'_>,
    upstreams: &mut Names<'_>,
    errors: &mut Errors<'_>,
) {
    models.check_all(tenant.models.as_deref().unwrap_or_default(), errors);
    for limits in &tenant.limits.models {
        models.check(&limits.model, errors);
    }
    for (named, _) in &tenant.upstream_keys {
        upstreams.check(named, errors);
    }
    let mut ids = BTreeMap::new();
    for key in &tenant.keys {
        once("key", &key.id, &key.place, &mut ids, errors);
        models.check_all(key.models.as_deref().unwrap_or_default(), errors);
    }
}

/// An error where a name came before.
fn once<'f>(
    what: &str,
    name: &'f str,
    place: &Place,
    lines: &mut BTreeMap<&'f str, u32>,
    errors: &mut Errors<'_>,
) {
    if name.is_empty() {
        return;
    }
    if let Some(line) = lines.insert(name, place.line) {
        let text = format!(
            "the {what} at line {line} is called \"{name}\" too: give one of them another name"
        );
        errors.add(place, text);
    }
}

/// What is allowed and yet hardly meant, for `ringway check` and the log.
#[must_use]
pub fn warnings(file: &File) -> Vec<Error> {
    let mut warnings = check::warnings(file);
    let mut warn = |place: &Place, text: String| warnings.push(file.error(place, text));
    steps(file, &mut warn);
    resilience::warnings(file, &mut warn);
    streams::warnings(file, &mut warn);
    for jwt in &file.jwt {
        if jwt.audience.is_empty() {
            let text = "without audience, tokens that this issuer made for other services are accepted too";
            warn(&jwt.place, text.to_owned());
        }
        if jwt.tenant.is_none() && jwt.claims.tenant.is_none() && !file.tenants.is_empty() {
            let text = "its tokens belong to no tenant, so no tenant's limits count for them: write tenant = \"..\" or \
                        claims = { tenant = \"..\" }";
            warn(&jwt.place, text.to_owned());
        }
        if let Some(JwtKeys::Url { place, url, .. }) = &jwt.keys
            && !url.to_ascii_lowercase().starts_with("https://")
        {
            let text = format!("whoever can answer for {url} can make tokens: write https");
            warn(place, text);
        }
    }
    for tenant in file.tenants.iter() {
        if tenant.models.as_ref().is_some_and(Vec::is_empty) {
            let name = &tenant.name;
            warn(&tenant.place, format!("\"{name}\" may use no model: its list is empty"));
        }
        let is_known = !tenant.keys.is_empty()
            || !tenant.signatures.is_empty()
            || file.keys.is_some()
            || !file.jwt.is_empty();
        if !is_known {
            let name = &tenant.name;
            let text = format!("nobody can be \"{name}\": it has no keys and no signatures");
            warn(&tenant.place, text);
        }
    }
    warnings
}

/// What steps leave open.
fn steps(file: &File, warn: &mut dyn FnMut(&Place, String)) {
    let levels = || {
        let tenants = file.tenants.iter().map(|tenant| &tenant.level);
        let models = file.models.iter().map(|model| &model.level);
        std::iter::once(&file.listen.level).chain(tenants).chain(models)
    };
    let has_keys = file.keys.is_some() || file.tenants.iter().any(|t| !t.keys.is_empty());
    let has_signatures = file.tenants.iter().any(|tenant| !tenant.signatures.is_empty());
    let have = [("key", has_keys), ("jwt", !file.jwt.is_empty()), ("signature", has_signatures)];
    // Where nothing is written, the listener asks for whatever there is.
    let is_asked = |kind: &str| {
        file.listen.level.middleware.is_none() || levels().any(|level| names(level, kind))
    };
    for (kind, is_there) in have {
        if is_there && !is_asked(kind) {
            let place = file.listen.level.middleware.as_ref().map(|listed| listed.place.clone());
            let text = format!(
                "no middleware has the step \"{kind}\", so nobody can use what is configured for it"
            );
            warn(&place.unwrap_or_default(), text);
        }
    }
    let has_any = have.iter().any(|(kind, is_there)| *is_there && is_asked(kind));
    let has_allowed = |level: &Level| {
        level.addresses.as_ref().is_some_and(|a| !a.allow.is_empty() || a.allow_file.is_some())
    };
    let is_open = !has_any && !has_allowed(&file.listen.level);
    if is_open && !is_private(file.listen.address.ip()) && !file.upstreams.is_empty() {
        let is_paying = file.upstreams.iter().any(|upstream| upstream.api_key.is_some());
        let whose = if is_paying { ", and the upstreams' keys are used for them" } else { "" };
        let text = format!(
            "{} can be reached from outside, and no credential is asked for: everybody may use every model{whose}",
            file.listen.address
        );
        warn(&file.listen.place, text);
    }
    if !has_any {
        for tenant in file.tenants.iter().filter(|tenant| is_limited(&tenant.limits)) {
            let text =
                format!("no step says who is \"{}\", so these limits never count", tenant.name);
            warn(&tenant.limits.place, text);
        }
    }
    // Where nothing is written, a level has the step for limits of its own.
    if file.listen.level.middleware.is_none() || names(&file.listen.level, "limit") {
        return;
    }
    let tenants = file.tenants.iter().map(|tenant| (&tenant.level, &tenant.limits));
    let models = file.models.iter().map(|model| (&model.level, &model.limits));
    for (level, limits) in tenants.chain(models) {
        if is_limited(limits) && level.middleware.is_some() && !names(level, "limit") {
            let text = "neither this middleware nor that of [listen] has the step \"limit\", so these limits may never \
                        count";
            warn(&limits.place, text.to_owned());
        }
    }
}

fn is_limited(limits: &Quotas) -> bool {
    !limits.counts.is_empty() || !limits.models.is_empty()
}

fn names(level: &Level, kind: &str) -> bool {
    let listed = level.middleware.as_ref();
    listed.is_some_and(|listed| {
        listed.steps.iter().any(|(_, step)| match step {
            Step::One(name) => name == kind,
            Step::Any(names) | Step::All(names) => names.iter().any(|name| name == kind),
        })
    })
}

/// Whether only neighbours can reach an address; the address of all interfaces they are not alone with.
fn is_private(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}
