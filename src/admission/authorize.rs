//! The decision once the model is known: whether this caller may have it, and what is still to be done.

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

/// What is still to be done for a request that may have its model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Authorized {
    /// Whether limits apply.
    pub has_limits: bool,
    /// Whether parameters have defaults or bounds.
    pub has_normalize: bool,
    /// Whether parameters come before limits.
    pub normalizes_first: bool,
    /// Whether steps of the embedder's are still to be asked: [`late`] has them in their places.
    pub has_steps: bool,
}

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
) -> Result<Authorized, Refusal> {
    lists(table, keys, caller, model, &mut note)?;
    if let Some(policy) = table.model(model) {
        own(policy, caller, address, &mut note)?;
    }
    let mut authorized = Authorized::default();
    for late in late(table, caller, model) {
        match late {
            Late::Normalize => {
                authorized.has_normalize =
                    table.model(model).is_some_and(|model| model.parameters.is_some());
                authorized.normalizes_first = !authorized.has_limits;
            }
            Late::Limit => authorized.has_limits = has_limits(table, keys, caller, model),
            Late::Step(_) => authorized.has_steps = true,
        }
    }
    Ok(authorized)
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

fn has_limits(table: &Table, keys: &Keys, caller: &Caller, model: ModelId) -> bool {
    let of_claims =
        caller.claims.as_ref().is_some_and(|claims| claims.rules.iter().any(Option::is_some));
    of_claims || limits(table, keys, caller, model).next().is_some()
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
