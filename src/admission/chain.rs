//! Chains of steps: from the words of the config to a list that is walked for each request.

use std::fmt;

pub use crate::admission::kind::Kind;
pub use crate::admission::kind::Kinds;
pub use crate::admission::kind::Quorum;

use crate::admission::step::StepId;

/// Whose chain it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LevelKind {
    /// The listener's: every request meets it first.
    Listen,
    /// A tenant's: met as soon as a credential has named the tenant.
    Tenant,
    /// A model's: met once the body has named the model.
    Model,
}

impl LevelKind {
    /// The name, as the config has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Listen => "listen",
            Self::Tenant => "tenant",
            Self::Model => "model",
        }
    }
}

/// One step of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Link {
    /// The level's address list.
    Address,
    /// Credentials of these kinds.
    Credentials {
        /// Which.
        kinds: Kinds,
        /// How many of them.
        quorum: Quorum,
    },
    /// Defaults and bounds of the model's parameters.
    Normalize,
    /// Every limit that applies.
    Limit,
    /// A step of the embedder's.
    Step(StepId),
}

/// The steps of one level in their order. Empty: everything passes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chain {
    links: Box<[Link]>,
}

/// One entry of `middleware`, as the config has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listed {
    /// `"key"`.
    One(String),
    /// `{ any = ["key", "jwt"] }`.
    Any(Vec<String>),
    /// `{ all = ["key", "signature"] }`.
    All(Vec<String>),
}

/// What is wrong with a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainError {
    /// Which entry.
    pub index: usize,
    /// What is wrong with it, and what to write.
    pub text: String,
}

/// What a level has in the config, and so in its chain where none is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Configured {
    /// Addresses of its own.
    pub has_addresses: bool,
    /// Keys; for the listener: of any tenant, or a file of them.
    pub has_keys: bool,
    /// Issuers of tokens.
    pub has_jwt: bool,
    /// Signers.
    pub has_signatures: bool,
    /// Limits; for the listener: of anybody.
    pub has_limits: bool,
    /// Parameters; for the listener: of any model.
    pub has_parameters: bool,
}

impl Chain {
    /// The chain that `listed` says. `steps` are the names of the embedder's steps by [`StepId`]; `suggest` says what may
    /// have been meant by a word that is not known, of those that are.
    ///
    /// # Errors
    /// The first entry that cannot be as it is.
    pub fn compile(
        level: LevelKind,
        listed: &[Listed],
        steps: &[&str],
        suggest: impl Fn(&str, &[&str]) -> String,
    ) -> Result<Self, ChainError> {
        let mut links = Vec::with_capacity(listed.len());
        for (index, entry) in listed.iter().enumerate() {
            let added = link(entry, steps, &suggest).and_then(|link| {
                place(level, &links, link).map_err(|why| why.explain(entry))?;
                Ok(link)
            });
            links.push(added.map_err(|text| ChainError { index, text })?);
        }
        Ok(Self { links: links.into() })
    }

    /// The chain of a level where none is written: what is configured there; any of the credentials will do.
    #[must_use]
    pub fn default_for(configured: Configured) -> Self {
        let mut links = Vec::new();
        if configured.has_addresses {
            links.push(Link::Address);
        }
        let credentials = [
            (configured.has_keys, Kind::Key),
            (configured.has_jwt, Kind::Jwt),
            (configured.has_signatures, Kind::Signature),
        ];
        let kinds = credentials.into_iter().filter(|(is_there, _)| *is_there);
        let kinds = kinds.fold(Kinds::NONE, |kinds, (_, kind)| kinds.with(kind));
        if !kinds.is_empty() {
            links.push(Link::Credentials { kinds, quorum: Quorum::Any });
        }
        if configured.has_parameters {
            links.push(Link::Normalize);
        }
        if configured.has_limits {
            links.push(Link::Limit);
        }
        Self { links: links.into() }
    }

    /// Whether some request can pass this chain of a tenant or a model after the listener's. `checked` are the kinds of
    /// credentials that the chains of the listener and, for a model, of the tenants check.
    ///
    /// # Errors
    /// Why no request could ever pass both, and what to write.
    pub fn fits(&self, level: LevelKind, listen: &Self, checked: Kinds) -> Result<(), ChainError> {
        if level == LevelKind::Tenant && listen.kinds().is_empty() && !self.links.is_empty() {
            let text = "no request is ever known to be a tenant's, since the listener's chain asks for no credential: \
                        put \"key\", \"jwt\" or \"signature\" into listen.middleware";
            return Err(ChainError { index: 0, text: text.to_owned() });
        }
        let is_either =
            listen.groups().any(|(kinds, quorum)| quorum == Quorum::Any && has_both(kinds));
        let mut required = Kinds::NONE;
        for (index, link) in self.links.iter().enumerate() {
            let Link::Credentials { kinds, quorum } = *link else { continue };
            let unmet = match quorum {
                Quorum::Any if kinds.and(checked).is_empty() => kinds,
                Quorum::Any => Kinds::NONE,
                Quorum::All => kinds.without(checked),
            };
            if level == LevelKind::Model && !unmet.is_empty() {
                let text = format!(
                    "a model is known when credentials have been checked already, and no chain before it checks {}: put \
                     it into listen.middleware, or into that of the tenants",
                    names(unmet, " or ")
                );
                return Err(ChainError { index, text });
            }
            if quorum == Quorum::All || kinds.count() == 1 {
                required = required.or(kinds);
            }
            if is_either && has_both(required) {
                let text = "key and jwt are both asked for, and the listener's chain lets a request carry only one of \
                            them: write { all = [\"key\", \"jwt\"] } in listen.middleware, or ask for one of them here";
                return Err(ChainError { index, text: text.to_owned() });
            }
        }
        Ok(())
    }

    /// The links in order.
    #[must_use]
    pub fn links(&self) -> &[Link] {
        &self.links
    }

    /// The kinds of credentials that the chain checks.
    #[must_use]
    pub fn kinds(&self) -> Kinds {
        self.groups().fold(Kinds::NONE, |all, (kinds, _)| all.or(kinds))
    }

    /// Whether the level's addresses are looked at.
    #[must_use]
    pub fn has_address(&self) -> bool {
        self.links.contains(&Link::Address)
    }

    fn groups(&self) -> impl Iterator<Item = (Kinds, Quorum)> {
        self.links.iter().filter_map(|link| match link {
            Link::Credentials { kinds, quorum } => Some((*kinds, *quorum)),
            _ => None,
        })
    }

    /// What is done on the head: all before the first step that needs the model.
    pub(super) fn early(&self) -> &[Link] {
        self.links.split_at(self.turn()).0
    }

    /// What is done once the model is known.
    pub(super) fn late(&self) -> &[Link] {
        self.links.split_at(self.turn()).1
    }

    fn turn(&self) -> usize {
        let is_late = |link: &Link| matches!(link, Link::Normalize | Link::Limit);
        self.links.iter().position(is_late).unwrap_or(self.links.len())
    }
}

/// Key and token come in the same fields, so where one of several will do, both at once are too many.
const fn has_both(kinds: Kinds) -> bool {
    kinds.has(Kind::Key) && kinds.has(Kind::Jwt)
}

const NAMES: [&str; 6] = ["address", "key", "jwt", "signature", "normalize", "limit"];

/// Whether a name is that of a step the gateway itself has.
pub(super) fn is_own(name: &str) -> bool {
    NAMES.contains(&name)
}

fn names(kinds: Kinds, between: &str) -> String {
    let names: Vec<&str> = kinds.iter().map(Kind::name).collect();
    names.join(between)
}

fn kind(name: &str) -> Option<Kind> {
    Kind::ALL.into_iter().find(|kind| kind.name() == name)
}

fn link(
    entry: &Listed,
    steps: &[&str],
    suggest: &impl Fn(&str, &[&str]) -> String,
) -> Result<Link, String> {
    let (list, quorum) = match entry {
        Listed::One(name) => return one(name, steps, suggest),
        Listed::Any(list) => (list, Quorum::Any),
        Listed::All(list) => (list, Quorum::All),
    };
    let word = quorum.name();
    if list.is_empty() {
        return Err(format!("{word} names no credential: write {{ {word} = [\"key\", \"jwt\"] }}"));
    }
    let mut kinds = Kinds::NONE;
    for name in list {
        let Some(kind) = kind(name) else {
            return Err(match one(name, steps, suggest) {
                Ok(_) => format!(
                    "\"{name}\" is no credential: {word} takes key, jwt and signature; write \"{name}\" as an entry of its own"
                ),
                Err(_) => format!(
                    "no credential is called \"{name}\": {}",
                    suggest(name, &Kind::ALL.map(Kind::name))
                ),
            });
        };
        if kinds.has(kind) {
            return Err(format!("{word} names \"{name}\" twice: once is enough"));
        }
        kinds = kinds.with(kind);
    }
    Ok(Link::Credentials { kinds, quorum })
}

fn one(
    name: &str,
    steps: &[&str],
    suggest: &impl Fn(&str, &[&str]) -> String,
) -> Result<Link, String> {
    if let Some(kind) = kind(name) {
        return Ok(Link::Credentials { kinds: Kinds::NONE.with(kind), quorum: Quorum::All });
    }
    match name {
        "address" => Ok(Link::Address),
        "normalize" => Ok(Link::Normalize),
        "limit" => Ok(Link::Limit),
        _ => {
            let place = steps.iter().position(|step| *step == name);
            match place.and_then(|place| u8::try_from(place).ok()) {
                Some(place) => Ok(Link::Step(StepId(place))),
                None => {
                    let known: Vec<&str> = NAMES.iter().chain(steps).copied().collect();
                    Err(format!("no step is called \"{name}\": {}", suggest(name, &known)))
                }
            }
        }
    }
}

/// Why a link cannot stand where it does.
enum Misplaced {
    Twice { first: usize, what: String },
    Behind(&'static str),
}

impl Misplaced {
    fn explain(self, entry: &Listed) -> String {
        match self {
            Self::Twice { first, what } => {
                format!("\"{what}\" is in this chain twice, first as entry {first}: once is enough")
            }
            Self::Behind(before) => format!(
                "{entry} stands behind \"{before}\": put it before, since addresses and credentials are looked at before \
                 the body is read, and \"{before}\" needs the body"
            ),
        }
    }
}

fn place(level: LevelKind, before: &[Link], link: Link) -> Result<(), Misplaced> {
    for (first, other) in before.iter().enumerate() {
        let what = match (*other, link) {
            (Link::Credentials { kinds: a, .. }, Link::Credentials { kinds: b, .. }) => {
                names(a.and(b), ", ")
            }
            (a, b) if a == b => link.to_string(),
            _ => continue,
        };
        if !what.is_empty() {
            return Err(Misplaced::Twice { first, what });
        }
    }
    let turn = before.iter().find_map(|other| match other {
        Link::Normalize => Some("normalize"),
        Link::Limit => Some("limit"),
        Link::Step(_) if level == LevelKind::Model => Some("a step of yours"),
        _ => None,
    });
    match (turn, link) {
        (Some(turn), Link::Address | Link::Credentials { .. }) => Err(Misplaced::Behind(turn)),
        _ => Ok(()),
    }
}

impl fmt::Display for Link {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address => out.write_str("address"),
            Self::Credentials { kinds, .. } if kinds.count() == 1 => {
                out.write_str(&names(*kinds, ""))
            }
            Self::Credentials { kinds, quorum } => {
                write!(out, "{} of {}", quorum.name(), names(*kinds, ", "))
            }
            Self::Normalize => out.write_str("normalize"),
            Self::Limit => out.write_str("limit"),
            Self::Step(step) => write!(out, "step {}", step.0),
        }
    }
}

impl fmt::Display for Listed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(name) => write!(out, "\"{name}\""),
            Self::Any(list) => write!(out, "{{ any = {list:?} }}"),
            Self::All(list) => write!(out, "{{ all = {list:?} }}"),
        }
    }
}

#[cfg(test)]
mod tests;
