//! The decision on the head: who asks, and whether they may come in.

use std::rc::Rc;

use crate::admission::Finding;
use crate::admission::Head;
use crate::admission::Level;
use crate::admission::Matter;
use crate::admission::Memory;
use crate::admission::Note;
use crate::admission::Table;
use crate::admission::address::AddressSet;
use crate::admission::caller::Caller;
use crate::admission::chain::Kind;
use crate::admission::chain::Kinds;
use crate::admission::chain::LevelKind;
use crate::admission::chain::Link;
use crate::admission::chain::Quorum;
use crate::admission::credential::Presented;
use crate::admission::credential::presented;
use crate::admission::jwt;
use crate::admission::key::Keys;
use crate::admission::refusal::Refusal;
use crate::admission::signature;
use crate::admission::step::Ask;
use crate::admission::step::End;
use crate::admission::step::Request;
use crate::admission::step::StepId;
use crate::units::TenantId;

/// Decides about a request by its head: the listener's chain and, once a credential has named the tenant, the tenant's,
/// each up to its first `normalize` or `limit`. `note` is told of everything that was looked at.
///
/// With API keys nothing is allocated. Whoever is let in is to be ended with [`Steps::end`](crate::admission::step::Steps::end)
/// for the steps in [`Caller::steps`]; of one that is refused here they know already.
///
/// # Errors
/// Why the request may not enter.
pub fn enter(
    table: &Table,
    keys: &Keys,
    memory: &mut Memory,
    head: &Head<'_>,
    now_unix_ms: u64,
    note: impl FnMut(Note),
) -> Result<Caller, Refusal> {
    let caller = Caller { number: memory.number(), ..Caller::default() };
    let now_unix_s = now_unix_ms / 1000;
    let mut entering =
        Entering { table, keys, memory, head, now_unix_s, presented: None, caller, note };
    match entering.all() {
        Ok(()) => Ok(entering.caller),
        Err(refusal) => {
            let end = End {
                number: entering.caller.number,
                status: refusal.status(),
                trouble: Some(refusal.label()),
            };
            entering.memory.steps.end(entering.caller.steps, &end);
            Err(refusal)
        }
    }
}

/// Asks a step of the embedder's about a request whose model is known: one that [`late`](crate::admission::late) names.
///
/// # Errors
/// It has refused, and [`Steps::take_answer`](crate::admission::step::Steps::take_answer) has its words; or it has failed.
pub fn ask(
    table: &Table,
    keys: &Keys,
    memory: &mut Memory,
    caller: &mut Caller,
    head: &Head<'_>,
    ask: Ask<'_>,
    step: StepId,
) -> Result<(), Refusal> {
    call(table, keys, memory, caller, head, Some(ask), step).map(|_| ())
}

/// Whether the step could be asked.
fn call(
    table: &Table,
    keys: &Keys,
    memory: &mut Memory,
    caller: &mut Caller,
    head: &Head<'_>,
    ask: Option<Ask<'_>>,
    step: StepId,
) -> Result<bool, Refusal> {
    let tenant = caller.tenant.and_then(|tenant| table.tenant(tenant));
    let claims = caller.claims.clone();
    let request = Request {
        number: caller.number,
        head: head.request,
        address: head.address,
        tenant: tenant.map(|tenant| &*tenant.name),
        key: caller.key.map(|key| keys.get(key).name),
        user: claims.as_deref().map(|claims| &*claims.user),
        ask,
    };
    let is_asked = memory.steps.request(step, &request, &mut caller.added)?;
    caller.steps = caller.steps.with(step);
    Ok(is_asked)
}

/// What the level's addresses say, and a note of it.
pub(super) fn address(
    level: LevelKind,
    addresses: Option<&AddressSet>,
    client: std::net::IpAddr,
    note: &mut impl FnMut(Note),
) -> Result<(), Refusal> {
    let verdict = addresses.map(|addresses| addresses.verdict(client));
    let finding = verdict.map_or(Finding::Nothing, Finding::Address);
    note(Note { level, matter: Matter::Link(Link::Address), finding });
    if finding.is_passed() { Ok(()) } else { Err(Refusal::AddressDenied) }
}

/// A request on its way in.
struct Entering<'e, N> {
    table: &'e Table,
    keys: &'e Keys,
    memory: &'e mut Memory,
    head: &'e Head<'e>,
    now_unix_s: u64,
    presented: Option<Presented<'e>>,
    caller: Caller,
    note: N,
}

impl<'e, N: FnMut(Note)> Entering<'e, N> {
    fn all(&mut self) -> Result<(), Refusal> {
        let table = self.table;
        self.level(LevelKind::Listen, &table.listen)?;
        match self.caller.tenant {
            None => Ok(()),
            Some(tenant) => match table.tenant(tenant) {
                Some(tenant) => self.level(LevelKind::Tenant, &tenant.level),
                None => Err(Refusal::TenantUnknown),
            },
        }
    }

    fn level(&mut self, kind: LevelKind, level: &Level) -> Result<(), Refusal> {
        for link in level.chain.early() {
            match *link {
                Link::Address => {
                    let client = self.head.address;
                    address(kind, level.addresses.as_ref(), client, &mut self.note)?;
                }
                Link::Credentials { kinds, quorum } => self.credentials(kind, kinds, quorum)?,
                Link::Step(step) if self.caller.steps.has(step) => {
                    self.note(kind, Matter::Link(*link), Finding::Before);
                }
                Link::Step(step) => {
                    let asked = call(
                        self.table,
                        self.keys,
                        self.memory,
                        &mut self.caller,
                        self.head,
                        None,
                        step,
                    );
                    let finding = match asked {
                        Ok(true) => Finding::Passed,
                        Ok(false) => Finding::Unasked,
                        Err(refusal) => Finding::Refused(refusal),
                    };
                    self.note(kind, Matter::Link(*link), finding);
                    asked?;
                }
                // They need the model; nothing early stands behind them.
                Link::Normalize | Link::Limit => {}
            }
        }
        Ok(())
    }

    fn credentials(
        &mut self,
        level: LevelKind,
        kinds: Kinds,
        quorum: Quorum,
    ) -> Result<(), Refusal> {
        let before = kinds.and(self.caller.kinds());
        let is_met = quorum == Quorum::Any && !before.is_empty();
        for kind in before.iter() {
            self.note(level, Matter::Credential(kind), Finding::Before);
        }
        if is_met || before == kinds {
            return Ok(());
        }
        let result = self.sent(kinds, quorum);
        let sent = match result {
            Ok(sent) => sent,
            Err(refusal) => {
                let matter = Matter::Link(Link::Credentials { kinds, quorum });
                self.note(level, matter, Finding::Refused(refusal));
                return Err(refusal);
            }
        };
        for kind in kinds.without(before).iter() {
            if !sent.has(kind) {
                self.note(level, Matter::Credential(kind), Finding::Nothing);
                continue;
            }
            let result = self.verify(kind);
            let finding = match (result, self.caller.key) {
                (Err(refusal), _) => Finding::Refused(refusal),
                (Ok(()), Some(key)) if kind == Kind::Key => Finding::Key(key),
                (Ok(()), _) => Finding::Passed,
            };
            self.note(level, Matter::Credential(kind), finding);
            result?;
        }
        self.caller.has_used_credential = true;
        Ok(())
    }

    /// Which of these kinds were sent, if they are enough and not too many.
    fn sent(&mut self, kinds: Kinds, quorum: Quorum) -> Result<Kinds, Refusal> {
        let presented = self.presented();
        let mut sent = Kinds::NONE;
        if kinds.has(Kind::Signature) && presented.is_signed {
            sent = sent.with(Kind::Signature);
        }
        if kinds.has(Kind::Key) || kinds.has(Kind::Jwt) {
            if let Some(trouble) = presented.trouble {
                return Err(trouble);
            }
            if kinds.has(Kind::Key) && presented.key.is_some() {
                sent = sent.with(Kind::Key);
            }
            if kinds.has(Kind::Jwt) && presented.token.is_some() {
                sent = sent.with(Kind::Jwt);
            }
        }
        match quorum {
            Quorum::All if sent != kinds => Err(Refusal::CredentialMissing),
            Quorum::Any if sent.is_empty() => Err(Refusal::CredentialMissing),
            Quorum::Any if sent.has(Kind::Key) && sent.has(Kind::Jwt) => {
                Err(Refusal::CredentialsMany)
            }
            _ => Ok(sent),
        }
    }

    fn presented(&mut self) -> Presented<'e> {
        let has_issuers = !self.table.issuers.is_empty();
        let head = self.head;
        *self.presented.get_or_insert_with(|| presented(head.request, has_issuers))
    }

    fn verify(&mut self, kind: Kind) -> Result<(), Refusal> {
        let presented = self.presented();
        let tenant = match kind {
            Kind::Key => Some(self.key(presented.key.unwrap_or_default())?),
            Kind::Jwt => self.token(presented.token.unwrap_or_default())?,
            Kind::Signature => self.signature()?,
        };
        match (self.caller.tenant, tenant) {
            (Some(before), Some(tenant)) if before != tenant => Err(Refusal::TenantMismatch),
            (before, tenant) => {
                self.caller.tenant = before.or(tenant);
                Ok(())
            }
        }
    }

    fn key(&mut self, secret: &[u8]) -> Result<TenantId, Refusal> {
        let id = self.keys.find(secret).ok_or(Refusal::KeyUnknown)?;
        let key = self.keys.get(id);
        if key.expires_unix_s.is_some_and(|expires| expires <= self.now_unix_s) {
            return Err(Refusal::KeyExpired);
        }
        self.caller.key = Some(id);
        Ok(key.tenant)
    }

    fn token(&mut self, token: &str) -> Result<Option<TenantId>, Refusal> {
        let table = self.table;
        let claims = match self.memory.tokens.find(token, self.now_unix_s) {
            Some(claims) => claims,
            None => {
                let model = |name: &str| table.model_names.get(name).copied();
                let claims = jwt::verify(token, &table.issuers, self.now_unix_s, model)?;
                let claims = Rc::new(claims);
                self.memory.tokens.remember(token, Rc::clone(&claims), self.now_unix_s);
                claims
            }
        };
        let tenant = claims.tenant;
        self.caller.claims = Some(claims);
        Ok(tenant)
    }

    fn signature(&mut self) -> Result<Option<TenantId>, Refusal> {
        let signers = &self.table.signers;
        let verified =
            signature::verify(self.head.request, signers, signers.window_s, self.now_unix_s)?;
        let tenant = verified.tenant;
        self.caller.signature = Some(Box::new(verified));
        Ok(tenant)
    }

    fn note(&mut self, level: LevelKind, matter: Matter, finding: Finding) {
        (self.note)(Note { level, matter, finding });
    }
}

#[cfg(test)]
mod tests;
