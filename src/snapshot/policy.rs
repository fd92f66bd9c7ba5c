//! Who may enter and how much: from what the file says to admission's own table.

use crate::admission;
use crate::admission::ModelPolicy;
use crate::admission::ModelSet;
use crate::admission::Table;
use crate::admission::TenantPolicy;
use crate::admission::address::AddressSet;
use crate::admission::chain::Chain;
use crate::admission::chain::Configured;
use crate::admission::chain::Kinds;
use crate::admission::chain::LevelKind;
use crate::admission::chain::Listed;
use crate::admission::limit;
use crate::admission::limit::Limit;
use crate::admission::limit::Rule;
use crate::admission::limit::Scope;
use crate::config;
use crate::config::Cidr;
use crate::config::Count;
use crate::config::Error;
use crate::config::File;
use crate::config::FileSource;
use crate::config::NETWORKS_MAX;
use crate::config::Named;
use crate::config::Place;
use crate::route;
use crate::snapshot::Ledger;
use crate::snapshot::World;
use crate::snapshot::ledger::QUOTAS_MAX;
use crate::snapshot::parameters;
use crate::snapshot::resilience;
use crate::snapshot::streams;
use crate::units::ModelId;
use std::collections::BTreeMap;
use std::collections::HashMap;
use std::net::IpAddr;

/// Reserved for an answer where nothing says how long it may be, in tokens.
const OUTPUT_TOKENS_DEFAULT: u32 = 1024;

/// Which models a name means: of a name without version all its versions.
pub(super) struct Names<'f>(HashMap<&'f str, Vec<ModelId>>, Vec<String>);

impl<'f> Names<'f> {
    pub(super) fn new(file: &'f File) -> Self {
        let mut names: HashMap<&str, Vec<ModelId>> = HashMap::new();
        let mut labels = Vec::new();
        for (id, model) in (0..).map(ModelId).zip(&file.models) {
            for name in std::iter::once(&model.name).chain(&model.aliases) {
                names.entry(name).or_default().push(id);
            }
            labels.push(model.label());
        }
        Self(names, labels)
    }

    pub(super) fn find(&self, name: &str) -> Option<Vec<ModelId>> {
        if let Some(models) = self.0.get(name) {
            return Some(models.clone());
        }
        let index = self.1.iter().position(|label| label == name)?;
        Some(vec![ModelId(u32::try_from(index).ok()?)])
    }

    /// All names, for whoever asked for another.
    pub(super) fn known(&self) -> Vec<&str> {
        let mut known: Vec<&str> =
            self.0.keys().copied().chain(self.1.iter().map(String::as_str)).collect();
        known.sort_unstable();
        known.dedup();
        known
    }

    /// The models of a list that the config has checked.
    pub(super) fn set<'n>(&self, names: impl Iterator<Item = &'n str>) -> ModelSet {
        names.flat_map(|name| self.find(name).unwrap_or_default()).collect()
    }
}

/// What a request has met before a tenant's or a model's chain.
#[derive(Clone, Copy)]
struct Before<'c> {
    listen: &'c Chain,
    /// The kinds of credentials that may have been checked.
    checked: Kinds,
}

/// What the parts of a table are built from.
pub(super) struct Builder<'b> {
    pub(super) file: &'b File,
    pub(super) world: &'b World,
    pub(super) names: &'b Names<'b>,
    pub(super) ledger: &'b mut Ledger,
    pub(super) errors: &'b mut Vec<Error>,
    has_no_room: bool,
}

impl<'b> Builder<'b> {
    pub(super) fn new(
        file: &'b File,
        world: &'b World,
        names: &'b Names<'b>,
        ledger: &'b mut Ledger,
        errors: &'b mut Vec<Error>,
    ) -> Self {
        Self { file, world, names, ledger, errors, has_no_room: false }
    }

    pub(super) fn error(&mut self, place: &Place, text: impl Into<String>) {
        self.errors.push(self.file.error(place, text));
    }

    /// The table, without keys.
    pub(super) fn table(&mut self, route: &route::Table) -> Table {
        let file = self.file;
        let listen = self.level(LevelKind::Listen, &file.listen.level, of_listener(file), None);
        let mut table = Table { listen, ..Table::default() };
        let mut checked = table.listen.chain.kinds();
        let before = Before { listen: &table.listen.chain, checked };
        for tenant in file.tenants.iter() {
            table.tenants.push(self.tenant(tenant, before));
        }
        for tenant in &table.tenants {
            checked = checked.or(tenant.level.chain.kinds());
        }
        let before = Before { listen: &table.listen.chain, checked };
        let stand_ins = self.stand_ins(route);
        for (model, degrade_to) in file.models.iter().zip(stand_ins) {
            table.models.push(self.model(model, degrade_to, before));
        }
        let known = self.names.known();
        let picked = known.iter().filter_map(|name| Some(((*name).into(), route.pick(name)?)));
        table.model_names = picked.collect();
        table.issuers = self.issuers();
        table.signers = self.signers();
        let name = |name: &Option<String>| name.as_deref().map(Into::into);
        table.identity = admission::Identity {
            tenant: name(&file.listen.identity.tenant),
            key: name(&file.listen.identity.key),
            user: name(&file.listen.identity.user),
        };
        table
    }

    fn tenant(&mut self, tenant: &config::Tenant, before: Before<'_>) -> TenantPolicy {
        let configured = Configured {
            has_addresses: tenant.level.addresses.is_some(),
            // What the lines of key files say of limits counts for any tenant.
            has_limits: is_limited(tenant) || self.file.keys.is_some(),
            ..Configured::default()
        };
        let models = tenant.models.as_deref();
        TenantPolicy {
            name: tenant.name.as_str().into(),
            level: self.level(LevelKind::Tenant, &tenant.level, configured, Some(before)),
            models: models.map(|models| self.names.set(models.iter().map(|m| m.name.as_str()))),
            limits: self.limits(Scope::Tenant, &tenant.name, &tenant.limits.counts),
            model_limits: self.model_limits(tenant),
            when_full: tenant.when_full.map(when_full),
            priority: resilience::priority(tenant.priority),
            resume: tenant.resume,
            throttle: tenant.throttle.map(streams::throttle),
        }
    }

    /// One entry for each model: a name of several versions is one limit of all of them.
    fn model_limits(&mut self, tenant: &config::Tenant) -> Box<[(ModelId, Box<[Limit]>)]> {
        let mut all: BTreeMap<ModelId, Vec<Limit>> = BTreeMap::new();
        for limits in &tenant.limits.models {
            let model = &limits.model.name;
            let name = format!("{}\0{model}", tenant.name);
            let made = self.limits(Scope::TenantModel, &name, &limits.counts);
            for id in self.names.find(model).unwrap_or_default() {
                all.entry(id).or_default().extend(&made);
            }
        }
        all.into_iter().map(|(id, limits)| (id, limits.into())).collect()
    }

    fn model(
        &mut self,
        model: &config::Model,
        degrade_to: Option<ModelId>,
        before: Before<'_>,
    ) -> ModelPolicy {
        let configured = Configured {
            has_addresses: model.level.addresses.is_some(),
            has_limits: !model.limits.counts.is_empty(),
            has_parameters: model.parameters.is_some(),
            ..Configured::default()
        };
        let label = model.label();
        ModelPolicy {
            level: self.level(LevelKind::Model, &model.level, configured, Some(before)),
            limits: self.limits(Scope::Model, &label, &model.limits.counts),
            name: label.into(),
            when_full: model.when_full.map(when_full),
            degrade_to,
            parameters: model.parameters.as_ref().and_then(|p| parameters::compile(self, p)),
            output_tokens: output_tokens(model),
        }
    }

    /// Whom each model degrades to.
    fn stand_ins(&mut self, route: &route::Table) -> Vec<Option<ModelId>> {
        let file = self.file;
        let pick = |named: &Option<Named>| route.pick(&named.as_ref()?.name);
        let stand_ins: Vec<_> = file.models.iter().map(|m| pick(&m.degrade_to)).collect();
        let next = |id: ModelId| stand_ins.get(id.index()).copied().flatten();
        let label =
            |id: ModelId| file.models.get(id.index()).map_or_else(String::new, |m| m.label());
        for (id, model) in (0..).map(ModelId).zip(&file.models) {
            let Some(named) = &model.degrade_to else { continue };
            let mut way = vec![id];
            let mut at = id;
            while let Some(to) = next(at).filter(|_| way.len() <= file.models.len()) {
                way.push(to);
                at = to;
                if to == id {
                    break;
                }
            }
            // A circle is said once, at its first model.
            if at != id || way.len() == 1 || way.iter().any(|other| *other < id) {
                continue;
            }
            let text = if way.len() == 2 {
                "is this model itself: write another one, or leave it out".to_owned()
            } else {
                let way: Vec<String> = way.into_iter().map(label).collect();
                format!(
                    "goes in a circle ({}): leave degrade_to out of one of them",
                    way.join(" -> ")
                )
            };
            self.error(&named.place, text);
        }
        stand_ins
    }

    /// The limits of `counts`, each with the number it had before.
    pub(super) fn limits(&mut self, scope: Scope, name: &str, counts: &[Count]) -> Box<[Limit]> {
        let mut limits = Vec::with_capacity(counts.len());
        for count in counts {
            match self.ledger.quota(scope, name, *count) {
                Some(id) => limits.push(Limit { id, scope, rule: rule(count) }),
                None if self.has_no_room => {}
                None => {
                    self.has_no_room = true;
                    let text = format!("this process has known {QUOTAS_MAX} limits: restart it");
                    self.error(&Place::default(), text);
                }
            }
        }
        limits.into()
    }

    fn level(
        &mut self,
        kind: LevelKind,
        level: &config::Level,
        configured: Configured,
        before: Option<Before<'_>>,
    ) -> admission::Level {
        let addresses = level.addresses.as_ref().map(|addresses| self.addresses(addresses));
        let Some(middleware) = &level.middleware else {
            return admission::Level { chain: Chain::default_for(configured), addresses };
        };
        let listed: Vec<Listed> = middleware
            .steps
            .iter()
            .map(|(_, step)| match step {
                config::Step::One(name) => Listed::One(name.clone()),
                config::Step::Any(names) => Listed::Any(names.clone()),
                config::Step::All(names) => Listed::All(names.clone()),
            })
            .collect();
        let steps: Vec<&str> = self.world.steps.iter().map(String::as_str).collect();
        let chain = Chain::compile(kind, &listed, &steps, config::suggest).and_then(|chain| {
            if let Some(before) = before {
                chain.fits(kind, before.listen, before.checked)?;
            }
            Ok(chain)
        });
        let chain = chain.unwrap_or_else(|why| {
            let place = middleware.steps.get(why.index).map(|(place, _)| place);
            self.error(place.unwrap_or(&middleware.place), why.text);
            Chain::default()
        });
        admission::Level { chain, addresses }
    }

    fn addresses(&mut self, addresses: &config::Addresses) -> AddressSet {
        let allow = self.networks(&addresses.allow, addresses.allow_file.as_ref());
        let deny = self.networks(&addresses.deny, addresses.deny_file.as_ref());
        if let Some(file) = addresses.allow_file.as_ref().filter(|_| allow.is_empty()) {
            let text = format!(
                "{} names nobody, which would allow everybody: write a network into it, or leave allow_file out",
                file.path.display()
            );
            self.error(&file.place, text);
        }
        let count = allow.len() + deny.len();
        if count > NETWORKS_MAX {
            let files = [&addresses.allow_file, &addresses.deny_file];
            let place = files.into_iter().flatten().next().map(|file| file.place.clone());
            let text = format!(
                "{count} networks are too many: there may be {NETWORKS_MAX} in both lists together"
            );
            self.error(&place.unwrap_or_default(), text);
        }
        AddressSet::new(&allow, &deny)
    }

    fn networks(&mut self, listed: &[Cidr], file: Option<&FileSource>) -> Vec<(IpAddr, u8)> {
        let world = self.world;
        let mut more: &[Cidr] = &[];
        if let Some(file) = file {
            match world.address_files.get(&file.path) {
                Some(networks) => more = networks,
                None => {
                    let text = format!("{} has not been read", file.path.display());
                    self.error(&file.place, text);
                }
            }
        }
        listed.iter().chain(more).map(|network| (network.address, network.prefix)).collect()
    }
}

/// What the listener's chain is made for where none is written.
fn of_listener(file: &File) -> Configured {
    let has_claims = |jwt: &config::Jwt| {
        let claims = &jwt.claims;
        let all = [&claims.requests_per_minute, &claims.tokens_per_minute, &claims.concurrent];
        all.into_iter().any(Option::is_some)
    };
    Configured {
        has_addresses: file.listen.level.addresses.is_some(),
        has_keys: file.keys.is_some() || file.tenants.iter().any(|t| !t.keys.is_empty()),
        has_jwt: !file.jwt.is_empty(),
        has_signatures: file.tenants.iter().any(|tenant| !tenant.signatures.is_empty()),
        has_limits: file.keys.is_some()
            || file.tenants.iter().any(is_limited)
            || file.models.iter().any(|model| !model.limits.counts.is_empty())
            || file.jwt.iter().any(has_claims),
        has_parameters: file.models.iter().any(|model| model.parameters.is_some()),
    }
}

fn is_limited(tenant: &config::Tenant) -> bool {
    let limits = &tenant.limits;
    !limits.counts.is_empty()
        || !limits.models.is_empty()
        || tenant.keys.iter().any(|key| !key.limits.is_empty())
}

fn when_full(when_full: config::WhenFull) -> admission::WhenFull {
    match when_full {
        config::WhenFull::Reject => admission::WhenFull::Reject,
        config::WhenFull::Degrade => admission::WhenFull::Degrade,
        config::WhenFull::Queue { waiting_max, wait } => {
            admission::WhenFull::Queue { waiting_max, wait }
        }
    }
}

fn rule(count: &Count) -> Rule {
    let kind = match count.measure {
        config::Measure::Requests => limit::Kind::Requests,
        config::Measure::Tokens => limit::Kind::Tokens,
        config::Measure::Concurrent => limit::Kind::Concurrency,
    };
    let algorithm = match count.algorithm {
        config::Algorithm::TokenBucket => limit::Algorithm::TokenBucket,
        config::Algorithm::SlidingWindow => limit::Algorithm::SlidingWindow,
        config::Algorithm::FixedWindow => limit::Algorithm::FixedWindow,
    };
    Rule::new(kind, algorithm, count.limit, count.period, count.burst)
}

/// A default that is put into the body is the bound of the answer.
fn output_tokens(model: &config::Model) -> u32 {
    const BOUNDS: [&str; 3] = ["max_tokens", "max_completion_tokens", "max_output_tokens"];
    let parameters = model.parameters.iter().flat_map(|parameters| &parameters.list);
    let mut bounds = parameters.filter(|parameter| BOUNDS.contains(&parameter.name.as_str()));
    let default = bounds.find_map(|bound| bound.default.as_ref()?.parse().ok());
    model.output_tokens.or(default).unwrap_or(OUTPUT_TOKENS_DEFAULT)
}
