//! The part of an explanation that says who may enter: the decisions of admission, and a line for each thing they looked at.

use std::net::IpAddr;

use crate::admission;
use crate::admission::Caller;
use crate::admission::Finding;
use crate::admission::Head;
use crate::admission::Level;
use crate::admission::Matter;
use crate::admission::Memory;
use crate::admission::Note;
use crate::admission::Refusal;
use crate::admission::chain::LevelKind;
use crate::admission::chain::Link;
use crate::snapshot::Snapshot;
use crate::snapshot::explain::Asked;
use crate::snapshot::explain::late::late;
use crate::units::ModelId;
use crate::units::TenantId;
use crate::wire::head::RequestHead;

/// Why a request is not let in: its status, the code in the answer, and words.
pub(super) type Stopped = (u16, &'static str, String);

/// Decides about the head of `asked`; `say` gets a line for each thing that was looked at.
pub(super) fn enter(
    snapshot: &Snapshot,
    asked: &Asked<'_>,
    request: &RequestHead<'_, '_>,
    mut say: impl FnMut(String),
) -> Result<Caller, Stopped> {
    let table = &snapshot.admission;
    let address = asked.address();
    if table.listen.chain.kinds().is_empty() {
        say("listen: no credential is asked for, so everybody may enter".to_owned());
    }
    let caller = match asked.tenant {
        Some(name) => assume(snapshot, address, name, &mut say)?,
        None => {
            let mut memory = Memory::for_explanation();
            let head = Head { request, address };
            let note = |note| say(line(snapshot, address, note));
            let entered = admission::enter(
                table,
                &snapshot.keys,
                &mut memory,
                &head,
                asked.now_unix_ms,
                note,
            );
            if entered.as_ref().is_err_and(|why| *why == Refusal::SignatureWrong) {
                let authority = request.authority;
                say(format!(
                    "the signature was held against the host {authority:?}, the method and the path"
                ));
            }
            entered.map_err(stopped)?
        }
    };
    if let Some(text) = who(snapshot, &caller) {
        say(text);
    }
    if caller.signature.is_some() {
        say("signature: the body's digest, and whether it was seen before, are not checked here"
            .to_owned());
    }
    Ok(caller)
}

/// The caller that a credential of the tenant called `name` would have shown, by what the listener and the tenant ask for.
fn assume(
    snapshot: &Snapshot,
    address: IpAddr,
    name: &str,
    say: &mut impl FnMut(String),
) -> Result<Caller, Stopped> {
    let table = &snapshot.admission;
    let is_called = |tenant: &&admission::TenantPolicy| &*tenant.name == name;
    let mut tenants = (0..).map(TenantId).zip(&table.tenants);
    let Some((id, tenant)) = tenants.find(|(_, tenant)| is_called(tenant)) else {
        let why = Refusal::TenantUnknown;
        return Err((why.status(), why.code(), format!("no tenant is called \"{name}\"")));
    };
    say(format!("as if a credential had shown that the tenant {name} asks; none is looked at"));
    for (kind, level) in [(LevelKind::Listen, &table.listen), (LevelKind::Tenant, &tenant.level)] {
        assumed(snapshot, address, kind, level, level.chain.links(), say)?;
    }
    let has_used_credential = !table.listen.chain.kinds().is_empty();
    Ok(Caller { tenant: Some(id), has_used_credential, ..Caller::default() })
}

/// What these links of a level say where credentials are taken to have passed.
fn assumed(
    snapshot: &Snapshot,
    address: IpAddr,
    kind: LevelKind,
    level: &Level,
    links: &[Link],
    say: &mut impl FnMut(String),
) -> Result<(), Stopped> {
    for link in links {
        let finding = match link {
            Link::Address => level
                .addresses
                .as_ref()
                .map_or(Finding::Nothing, |list| Finding::Address(list.verdict(address))),
            Link::Credentials { .. } => {
                say(format!("{}: {link}: taken to have passed", kind.name()));
                continue;
            }
            // These, and what stands behind them, are for when the model is known.
            Link::Normalize | Link::Limit => return Ok(()),
            Link::Step(_) if kind == LevelKind::Model => continue,
            Link::Step(_) => Finding::Unasked,
        };
        say(line(snapshot, address, Note { level: kind, matter: Matter::Link(*link), finding }));
        if !finding.is_passed() {
            return Err(stopped(Refusal::AddressDenied));
        }
    }
    Ok(())
}

/// Decides whether the caller may have a model, and says what is still to come.
pub(super) fn authorize(
    snapshot: &Snapshot,
    asked: &Asked<'_>,
    caller: &Caller,
    model: ModelId,
    mut say: impl FnMut(String),
) -> Result<(), Stopped> {
    let (table, keys, address) = (&snapshot.admission, &*snapshot.keys, asked.address());
    let insufficient = Refusal::CredentialInsufficient;
    let is_assumed = |why| asked.tenant.is_some() && why == insufficient;
    let mut at = None;
    let note = |note: Note| match note.finding {
        Finding::Refused(why) if is_assumed(why) => at = Some(note.matter),
        _ => say(line(snapshot, address, note)),
    };
    match admission::authorize(table, keys, caller, address, model, note) {
        Err(why) if !is_assumed(why) => return Err(stopped(why)),
        Err(_) => {
            let level = table.model(model).map(|policy| &policy.level);
            if let (Some(level), Some(Matter::Link(link))) = (level, at) {
                let links = level.chain.links();
                let place = links.iter().position(|other| *other == link).unwrap_or(links.len());
                let rest = links.get(place..).unwrap_or_default();
                assumed(snapshot, address, LevelKind::Model, level, rest, &mut say)?;
            }
        }
        Ok(()) => {}
    }
    late(snapshot, caller, model, say);
    Ok(())
}

fn stopped(refusal: Refusal) -> Stopped {
    let (label, code, text) = (refusal.label(), refusal.code(), refusal.explain());
    (refusal.status(), code, format!("refused ({label}), code {code}: {text}"))
}

fn who(snapshot: &Snapshot, caller: &Caller) -> Option<String> {
    let tenant = caller.tenant.and_then(|tenant| snapshot.admission.tenant(tenant));
    let mut text = match tenant {
        Some(tenant) => format!("it is asked by the tenant {}", tenant.name),
        None if caller.has_used_credential => "it is asked by nobody's tenant".to_owned(),
        None => return None,
    };
    if let Some(key) = caller.key {
        text.push_str(&format!(", with the key {}", snapshot.keys.get(key).name));
    }
    if let Some(user) = caller.user() {
        text.push_str(&format!(", for the user {user:?}"));
    }
    Some(text)
}

/// One thing that was looked at, and what came of it.
fn line(snapshot: &Snapshot, address: IpAddr, note: Note) -> String {
    let matter = match note.matter {
        Matter::Link(Link::Step(step)) => format!("step {} of the embedder's", step.0),
        Matter::Link(link) => link.to_string(),
        Matter::Credential(kind) => kind.name().to_owned(),
        Matter::TenantModels => "models of the tenant".to_owned(),
        Matter::KeyModels => "models of the key".to_owned(),
        Matter::TokenModels => "models of the token".to_owned(),
    };
    let finding = match note.finding {
        Finding::Passed => "passed".to_owned(),
        Finding::Address(verdict) => {
            let word = if verdict.is_allowed() { "passed" } else { "refused" };
            format!("{word}, {address}: {}", verdict.explain())
        }
        Finding::Key(key) => format!("passed, it is the key {}", snapshot.keys.get(key).name),
        Finding::Nothing => match note.matter {
            Matter::Credential(_) => "passed over, none was sent".to_owned(),
            _ => "passed, there is no list".to_owned(),
        },
        Finding::Before => "passed before".to_owned(),
        Finding::Unasked => "not asked, it lives on shards only".to_owned(),
        Finding::Refused(refusal) => format!("refused: {}", refusal.label()),
    };
    format!("{}: {matter}: {finding}", note.level.name())
}
