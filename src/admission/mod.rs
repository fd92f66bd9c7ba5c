//! May it enter: who asks, whether they may have the model, and which limits apply. Decisions without waiting.

pub mod refusal;
pub mod address;
pub mod key;
mod mint;
mod json;
pub mod jwks;
pub mod jwt;
pub mod signature;
pub mod limit;
mod kind;
pub mod queue;
pub mod fields;
pub mod chain;
mod added;
pub mod step;
mod credential;
pub mod caller;
mod enter;
mod authorize;

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

pub use crate::admission::authorize::Late;
pub use crate::admission::authorize::authorize;
pub use crate::admission::authorize::has_lists;
pub use crate::admission::authorize::late;
pub use crate::admission::authorize::limits;
pub use crate::admission::authorize::may_have;
pub use crate::admission::caller::Caller;
pub use crate::admission::enter::ask;
pub use crate::admission::enter::enter;
pub use crate::admission::key::Keys;
pub use crate::admission::refusal::Refusal;

use crate::admission::address::AddressSet;
use crate::admission::chain::Chain;
use crate::admission::chain::LevelKind;
use crate::admission::chain::Link;
use crate::admission::jwt::TokenMemory;
use crate::admission::limit::Limit;
use crate::admission::step::Steps;
use crate::llm::normalize::Parameters;
use crate::units::KeyId;
use crate::units::ModelId;
use crate::units::TenantId;
use crate::wire::head::RequestHead;

/// All that admission may know of a world but the keys, which are shared from snapshot to snapshot.
#[derive(Debug, Default)]
pub struct Table {
    /// The listener's chain and address list.
    pub listen: Level,
    /// By [`TenantId`].
    pub tenants: Vec<TenantPolicy>,
    /// By [`ModelId`].
    pub models: Vec<ModelPolicy>,
    /// Models by the names that tokens may give them: every name and alias that leads to one.
    pub model_names: HashMap<Box<str>, ModelId>,
    /// Who may issue tokens.
    pub issuers: Vec<jwt::Issuer>,
    /// Who may sign requests.
    pub signers: signature::Signers,
    /// Under which names a model server learns who asks.
    pub identity: Identity,
}

impl Table {
    /// The tenant's policy, if there is such a tenant.
    #[must_use]
    pub fn tenant(&self, tenant: TenantId) -> Option<&TenantPolicy> {
        self.tenants.get(tenant.index())
    }

    /// The model's policy, if there is such a model.
    #[must_use]
    pub fn model(&self, model: ModelId) -> Option<&ModelPolicy> {
        self.models.get(model.index())
    }
}

/// What each of listener, tenant and model has: steps, and addresses for the step of that name.
#[derive(Debug, Default)]
pub struct Level {
    /// The steps.
    pub chain: Chain,
    /// The addresses; `None`: every one is allowed.
    pub addresses: Option<AddressSet>,
}

/// Names of the fields by which a model server learns who asks, in lower case; `None`: it does not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The tenant's name.
    pub tenant: Option<Box<str>>,
    /// The key's name.
    pub key: Option<Box<str>>,
    /// The user a token names.
    pub user: Option<Box<str>>,
}

/// What holds for a tenant.
#[derive(Debug)]
pub struct TenantPolicy {
    /// Its name.
    pub name: Box<str>,
    /// Its steps and addresses.
    pub level: Level,
    /// The models it may have; `None`: all.
    pub models: Option<ModelSet>,
    /// Its limits.
    pub limits: Box<[Limit]>,
    /// Its limits for single models, in the order of the models.
    pub model_limits: Box<[(ModelId, Box<[Limit]>)]>,
    /// What is done where a limit of its own is reached; `None`: what the model says.
    pub when_full: Option<WhenFull>,
    /// Whose requests wait shorter where endpoints are full.
    pub priority: queue::Priority,
    /// Whether its streams can be resumed; `None`: what the model says.
    pub resume: Option<bool>,
    /// How fast each of its streams may be; `None`: as fast as it comes.
    pub throttle: Option<Throttle>,
}

/// How fast each stream of a tenant may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Throttle {
    /// So many events in a second; at least one.
    Events(u32),
    /// So many bytes in a second; at least one.
    Bytes(u32),
}

/// What holds for a model.
#[derive(Debug)]
pub struct ModelPolicy {
    /// Its label: the name, with `@version` where it has one.
    pub name: Box<str>,
    /// Its steps and addresses.
    pub level: Level,
    /// Its limits.
    pub limits: Box<[Limit]>,
    /// What is done where a limit is reached; `None`: the request is refused.
    pub when_full: Option<WhenFull>,
    /// The model to go to instead.
    pub degrade_to: Option<ModelId>,
    /// Defaults and bounds of parameters.
    pub parameters: Option<Box<Parameters>>,
    /// Tokens reserved for the answer where the request names no bound.
    pub output_tokens: u32,
}

/// What is done with a request that finds a limit reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// It is refused.
    Reject,
    /// It waits for its turn.
    Queue {
        /// How many requests may wait.
        waiting_max: u32,
        /// How long each may wait.
        wait: Duration,
    },
    /// It goes to the model's cheaper stand-in.
    Degrade,
}

/// Some models.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ModelSet(Box<[ModelId]>);

impl ModelSet {
    /// Whether `model` is one of them.
    #[must_use]
    pub fn contains(&self, model: ModelId) -> bool {
        self.0.binary_search(&model).is_ok()
    }

    /// The models, in order.
    #[must_use]
    pub fn models(&self) -> &[ModelId] {
        &self.0
    }
}

impl FromIterator<ModelId> for ModelSet {
    fn from_iter<I: IntoIterator<Item = ModelId>>(models: I) -> Self {
        let mut models: Vec<ModelId> = models.into_iter().collect();
        models.sort_unstable();
        models.dedup();
        Self(models.into())
    }
}

/// What there is to decide about before a body is read.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// The request's head.
    pub request: &'a RequestHead<'a, 'a>,
    /// The client's address, behind trusted proxies.
    pub address: IpAddr,
}

/// What a shard remembers for admission: verified tokens, and its own steps of the embedder's.
#[derive(Debug)]
pub struct Memory {
    /// Tokens that were verified before.
    pub tokens: TokenMemory,
    /// The embedder's steps.
    pub steps: Steps,
    requests: u64,
}

impl Memory {
    /// A memory of at most `tokens_max` tokens, without steps of an embedder's: where a chain names one, its requests are
    /// refused.
    #[must_use]
    pub fn new(tokens_max: usize) -> Self {
        Self::with_steps(tokens_max, Steps::default())
    }

    /// A memory of at most `tokens_max` tokens, with these steps.
    #[must_use]
    pub fn with_steps(tokens_max: usize, steps: Steps) -> Self {
        Self { tokens: TokenMemory::new(tokens_max), steps, requests: 0 }
    }

    /// A memory for a question that is only asked: steps of an embedder's are noted as not asked, and pass.
    #[must_use]
    pub fn for_explanation() -> Self {
        Self::with_steps(0, Steps::absent())
    }

    fn number(&mut self) -> u64 {
        self.requests += 1;
        self.requests
    }
}

/// One thing that was looked at, and what came of it: what `explain` shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Note {
    /// Whose it is: the listener's, the tenant's or the model's.
    pub level: LevelKind,
    /// What was looked at.
    pub matter: Matter,
    /// What came of it.
    pub finding: Finding,
}

/// What was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Matter {
    /// A link of the level's chain.
    Link(Link),
    /// One kind of credential of a link.
    Credential(chain::Kind),
    /// The models that the tenant may have.
    TenantModels,
    /// The models that the key may have.
    KeyModels,
    /// The models that the token names.
    TokenModels,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// It passed.
    Passed,
    /// The address passed or did not, for this reason.
    Address(address::Verdict),
    /// A key was found.
    Key(KeyId),
    /// There is nothing to look at: no list, or a credential that was not sent where another would do.
    Nothing,
    /// It passed on a level before.
    Before,
    /// It could not be asked: the embedder's steps live on shards only.
    Unasked,
    /// It did not pass.
    Refused(Refusal),
}

impl Matter {
    /// What was looked at, in words; `steps` are the names of the embedder's steps.
    #[must_use]
    pub fn describe(self, steps: &[&str]) -> String {
        match self {
            Self::Link(Link::Step(step)) => {
                steps.get(usize::from(step.0)).map_or("step".to_owned(), |name| (*name).to_owned())
            }
            Self::Link(link) => link.to_string(),
            Self::Credential(kind) => kind.name().to_owned(),
            Self::TenantModels => "models of the tenant".to_owned(),
            Self::KeyModels => "models of the key".to_owned(),
            Self::TokenModels => "models of the token".to_owned(),
        }
    }
}

impl Finding {
    /// What came of it, in words.
    #[must_use]
    pub const fn explain(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Address(verdict) => verdict.explain(),
            Self::Key(_) => "the key is known and in force",
            Self::Nothing => "nothing to look at",
            Self::Before => "passed on a level before",
            Self::Unasked => "not asked here: it lives on shards only",
            Self::Refused(refusal) => refusal.explain(),
        }
    }

    /// Whether it passed.
    #[must_use]
    pub const fn is_passed(self) -> bool {
        match self {
            Self::Address(verdict) => verdict.is_allowed(),
            Self::Refused(_) => false,
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests;
