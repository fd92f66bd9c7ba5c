//! The decision once the model is known: whether this caller may have it, and what is still to be done.

use std::net::IpAddr;

use crate::admission::Note;
use crate::admission::Table;
use crate::admission::caller::Caller;
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

/// Decides whether a caller may have a model. `note` is told of everything that was looked at.
///
/// # Errors
/// Why not.
pub fn authorize(
    table: &Table,
    keys: &Keys,
    caller: &Caller,
    address: IpAddr,
    model: ModelId,
    note: impl FnMut(Note),
) -> Result<Authorized, Refusal> {
    let _ = (table, keys, caller, address, model, note);
    Ok(Authorized::default())
}

/// What is done for the request once the model is known, in order, each once.
pub fn late<'t>(
    table: &'t Table,
    caller: &Caller,
    model: ModelId,
) -> impl Iterator<Item = Late> + use<'t> {
    let _ = (table, caller, model);
    std::iter::empty()
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
