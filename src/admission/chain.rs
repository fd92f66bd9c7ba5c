//! Chains of steps: from the words of the config to a list that is walked for each request.

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

/// A kind of credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// An API key.
    Key,
    /// A JSON Web Token.
    Jwt,
    /// A signature over the request.
    Signature,
}

impl Kind {
    /// All of them, in the order in which they are checked: the cheapest first.
    pub const ALL: [Self; 3] = [Self::Key, Self::Jwt, Self::Signature];

    /// The name in the config.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Jwt => "jwt",
            Self::Signature => "signature",
        }
    }
}

/// Some kinds of credentials.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Kinds(u8);

impl Kinds {
    /// None of them.
    pub const NONE: Self = Self(0);

    /// These and `kind`.
    #[must_use]
    pub const fn with(self, kind: Kind) -> Self {
        Self(self.0 | 1 << kind as u8)
    }

    /// Whether `kind` is one of them.
    #[must_use]
    pub const fn has(self, kind: Kind) -> bool {
        self.0 & 1 << kind as u8 != 0
    }

    /// Those that are in both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Those that are in either.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// How many there are.
    #[must_use]
    pub const fn count(self) -> u32 {
        self.0.count_ones()
    }

    /// One by one.
    pub fn iter(self) -> impl Iterator<Item = Kind> {
        Kind::ALL.into_iter().filter(move |kind| self.has(*kind))
    }
}

/// How many of a link's kinds must pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Quorum {
    /// One at least; what else of them is sent must pass too.
    Any,
    /// Each.
    All,
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
        let _ = (level, listed, steps, &suggest);
        Ok(Self::default())
    }

    /// The chain of a level where none is written: what is configured there.
    #[must_use]
    pub fn default_for(configured: Configured) -> Self {
        let _ = configured;
        Self::default()
    }

    /// Whether this chain of a tenant or a model can be met behind the listener's.
    ///
    /// # Errors
    /// Why no request could ever pass both, and what to write.
    pub fn fits(&self, level: LevelKind, listen: &Self) -> Result<(), ChainError> {
        let _ = (level, listen);
        Ok(())
    }

    /// The links in order.
    #[must_use]
    pub fn links(&self) -> &[Link] {
        &self.links
    }
}
