//! The decision once the model is known: whether this caller may have it, and what is to be done then.

use std::net::IpAddr;

use crate::admission::Finding;
use crate::admission::Matter;
use crate::admission::ModelPolicy;
use crate::admission::Note;
use crate::admission::Table;
use crate::admission::caller::Caller;
use crate::admission::chain::LevelKind;
use crate::admission::chain::Link;
use crate::admission::chain::Quorum;
use crate::admission::enter;
use crate::admission::key::Keys;
use crate::admission::limit::Limit;
use crate::admission::refusal::Refusal;
use crate::admission::step::StepId;
use crate::units::ModelId;

/// One thing that is done once the model is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Late {
    /// Defaults and bounds of parameters.
    Normalize,
    /// Every limit that applies.
    Limit,
    /// A step of the embedder's.
    Step(StepId),
}

/// Decides whether a caller may have a model: the lists of tenant, key and token, then the model's own addresses and the
/// credentials it asks for. `note` is told of everything that was looked at.
///
/// # Errors
/// Why not.
pub fn authorize(
    table: &Table,
    keys: &Keys,
    caller: &Caller,
    address: IpAddr,
    model: ModelId,
    mut note: impl FnMut(Note),
) -> Result<(), Refusal> {
    lists(table, keys, caller, model, &mut note)?;
    match table.model(model) {
        Some(policy) => own(policy, caller, address, &mut note),
        None => Ok(()),
    }
}

fn lists(
    table: &Table,
    keys: &Keys,
    caller: &Caller,
    model: ModelId,
    note: &mut impl FnMut(Note),
) -> Result<(), Refusal> {
    let tenant = caller.tenant.and_then(|tenant| table.tenant(tenant));
    let lists = [
        (caller.tenant.is_some(), Matter::TenantModels, tenant.and_then(|one| one.models.as_ref())),
        (caller.key.is_some(), Matter::KeyModels, caller.key.and_then(|key| keys.get(key).models)),
        (
            caller.claims.is_some(),
            Matter::TokenModels,
            caller.claims.as_ref().and_then(|claims| claims.models.as_ref()),
        ),
    ];
    for (_, matter, list) in lists.into_iter().filter(|(is_there, ..)| *is_there) {
        let finding = match list {
            None => Finding::Nothing,
            Some(list) if list.contains(model) => Finding::Passed,
            Some(_) => Finding::Refused(Refusal::ModelDenied),
        };
        note(Note { level: LevelKind::Tenant, matter, finding });
        if !finding.is_passed() {
            return Err(Refusal::ModelDenied);
        }
    }
    Ok(())
}

/// Whether a caller could have a model by the lists of tenant, key and token: whether it may know that there is one.
#[must_use]
pub fn may_have(table: &Table, keys: &Keys, caller: &Caller, model: ModelId) -> bool {
    lists(table, keys, caller, model, &mut |_| ()).is_ok()
}

/// Whether any list says which models a caller may have.
#[must_use]
pub fn has_lists(table: &Table, keys: &Keys, caller: &Caller) -> bool {
    let tenant = caller.tenant.and_then(|tenant| table.tenant(tenant));
    tenant.is_some_and(|tenant| tenant.models.is_some())
        || caller.key.is_some_and(|key| keys.get(key).models.is_some())
        || caller.claims.as_ref().is_some_and(|claims| claims.models.is_some())
}

/// What the model itself asks for.
fn own(
    policy: &ModelPolicy,
    caller: &Caller,
    client: IpAddr,
    note: &mut impl FnMut(Note),
) -> Result<(), Refusal> {
    let level = LevelKind::Model;
    for link in policy.level.chain.links() {
        match *link {
            Link::Address => {
                enter::address(level, policy.level.addresses.as_ref(), client, note)?;
            }
            Link::Credentials { kinds, quorum } => {
                let has = kinds.and(caller.kinds());
                let is_met = match quorum {
                    Quorum::Any => !has.is_empty(),
                    Quorum::All => has == kinds,
                };
                let refused = Finding::Refused(Refusal::CredentialInsufficient);
                let finding = if is_met { Finding::Before } else { refused };
                note(Note { level, matter: Matter::Link(*link), finding });
                if !is_met {
                    return Err(Refusal::CredentialInsufficient);
                }
            }
            Link::Normalize | Link::Limit | Link::Step(_) => {}
        }
    }
    Ok(())
}

/// What is done for the request once the model is known, in order, each once: what the listener's chain has from its first
/// `normalize` or `limit` on, then what the tenant's has there, then the model's.
pub fn late<'t>(
    table: &'t Table,
    caller: &Caller,
    model: ModelId,
) -> impl Iterator<Item = Late> + use<'t> {
    let tenant = caller.tenant.and_then(|tenant| table.tenant(tenant));
    let of_tenant = tenant.map_or(&[][..], |tenant| tenant.level.chain.late());
    let of_model = table.model(model).map_or(&[][..], |model| model.level.chain.links());
    let links = table.listen.chain.late().iter().chain(of_tenant).chain(of_model);
    let mut steps = caller.steps;
    let (mut has_normalized, mut has_limited) = (false, false);
    links.filter_map(move |link| match *link {
        Link::Normalize => {
            (!std::mem::replace(&mut has_normalized, true)).then_some(Late::Normalize)
        }
        Link::Limit => (!std::mem::replace(&mut has_limited, true)).then_some(Late::Limit),
        Link::Step(step) if !steps.has(step) => {
            steps = steps.with(step);
            Some(Late::Step(step))
        }
        Link::Step(_) | Link::Address | Link::Credentials { .. } => None,
    })
}

/// Every limit of the config that applies: the tenant's, the key's, the model's, the tenant's for the model. Those of a
/// token's subject are in its claims.
pub fn limits<'t>(
    table: &'t Table,
    keys: &'t Keys,
    caller: &Caller,
    model: ModelId,
) -> impl Iterator<Item = &'t Limit> + use<'t> {
    let tenant = caller.tenant.and_then(|tenant| table.tenant(tenant));
    let of_tenant = tenant.map_or(&[][..], |tenant| &tenant.limits);
    let of_key = caller.key.map_or(&[][..], |key| keys.get(key).limits);
    let of_model = table.model(model).map_or(&[][..], |model| &model.limits);
    let of_both = tenant.map_or(&[][..], |tenant| {
        match tenant.model_limits.binary_search_by_key(&model, |(model, _)| *model) {
            Ok(index) => &*tenant.model_limits[index].1,
            Err(_) => &[],
        }
    });
    of_tenant.iter().chain(of_key).chain(of_model).chain(of_both)
}

#[cfg(test)]
mod tests;
