//! Who asks: what the credentials of a request have shown.

use std::rc::Rc;

use crate::admission::Table;
use crate::admission::chain::Kind;
use crate::admission::chain::Kinds;
use crate::admission::jwt::Claims;
use crate::admission::key::Keys;
use crate::admission::signature::Verified;
use crate::admission::step::Added;
use crate::admission::step::StepSet;
use crate::units::KeyId;
use crate::units::TenantId;

/// Who asks. Without any credential asked for: nobody in particular.
#[derive(Debug, Default)]
pub struct Caller {
    /// Whose credential it was.
    pub tenant: Option<TenantId>,
    /// The API key.
    pub key: Option<KeyId>,
    /// What the token says.
    pub claims: Option<Rc<Claims>>,
    /// The signature: a digest to compare with the body's, a nonce to claim.
    pub signature: Option<Box<Verified>>,
    /// Whether the client's credential was meant for us: then it goes no further.
    pub has_used_credential: bool,
    /// Number of the request on its shard: what the embedder's steps know it by.
    pub number: u64,
    /// The embedder's steps that have seen the request: each of them is told of its end.
    pub steps: StepSet,
    /// Fields that these steps want sent on.
    pub added: Added,
}

impl Caller {
    /// The same for a copy of the request, of which no step and no signature need know.
    #[must_use]
    pub fn of_copy(&self) -> Self {
        Self {
            tenant: self.tenant,
            key: self.key,
            claims: self.claims.clone(),
            signature: None,
            has_used_credential: self.has_used_credential,
            number: self.number,
            steps: StepSet::default(),
            added: self.added.clone(),
        }
    }

    /// The user that the token names.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        self.claims.as_deref().map(|claims| &*claims.user).filter(|user| !user.is_empty())
    }

    /// The names of tenant, key and user, as far as they are known.
    #[must_use]
    pub fn names<'n>(&'n self, table: &'n Table, keys: &'n Keys) -> [Option<&'n str>; 3] {
        let tenant = self.tenant.and_then(|tenant| table.tenant(tenant));
        let key = self.key.map(|key| keys.get(key).name);
        [tenant.map(|tenant| &*tenant.name), key, self.user()]
    }

    /// The kinds of credentials that have passed.
    #[must_use]
    pub fn kinds(&self) -> Kinds {
        let mut kinds = Kinds::NONE;
        if self.key.is_some() {
            kinds = kinds.with(Kind::Key);
        }
        if self.claims.is_some() {
            kinds = kinds.with(Kind::Jwt);
        }
        if self.signature.is_some() {
            kinds = kinds.with(Kind::Signature);
        }
        kinds
    }
}
