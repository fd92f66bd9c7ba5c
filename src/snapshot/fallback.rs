//! Whom a model's requests go to where it fails: names of the file to numbers of models, and what of them cannot be.

use crate::config;
use crate::config::Error;
use crate::config::File;
use crate::config::Named;
use crate::config::Place;
use crate::route;
use crate::units::ModelId;
use std::collections::BTreeMap;
use std::collections::VecDeque;

/// Whom to ask after a model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Chain {
    /// Where it fails, in order.
    pub(super) fallback: Box<[ModelId]>,
    /// Where a request is too long for it.
    pub(super) context: Option<ModelId>,
}

/// The chain of each model.
pub(super) fn chains(file: &File, route: &route::Table, errors: &mut Vec<Error>) -> Vec<Chain> {
    let dialects: BTreeMap<&str, config::Dialect> =
        file.upstreams.iter().map(|upstream| (upstream.name.as_str(), upstream.dialect)).collect();
    let dialect = |id: ModelId| {
        let model = file.models.get(id.index())?;
        dialects.get(model.upstream.as_str()).copied()
    };
    let mut chains = Vec::with_capacity(file.models.len());
    for id in (0..).map(ModelId).take(file.models.len()) {
        let model = &file.models[id.index()];
        let mut resolve = |named: &Named| {
            // The file was checked: a model has this name. Two may want it, and of that has been told.
            let to = route.pick(&named.name)?;
            if to == id {
                let text = "is this model itself: write another one, or leave it out";
                errors.push(file.error(&named.place, text));
                return None;
            }
            if let (Some(ours), Some(theirs)) = (dialect(id), dialect(to))
                && ours != theirs
            {
                let text = format!(
                    "\"{}\" speaks {}, and \"{}\" {}: a request goes up as it came, so write a model of the same \
                     dialect",
                    named.name,
                    theirs.label(),
                    model.label(),
                    ours.label()
                );
                errors.push(file.error(&named.place, text));
                return None;
            }
            Some(to)
        };
        let listed: Vec<(ModelId, &Named)> =
            model.fallback.iter().filter_map(|named| Some((resolve(named)?, named))).collect();
        let context = model.context_fallback.as_ref().and_then(&mut resolve);
        let mut fallback: Vec<ModelId> = Vec::with_capacity(listed.len());
        for (to, named) in listed {
            if fallback.contains(&to) {
                // The same name twice was told when the file was read: this is one model under two names.
                let label = file.models[to.index()].label();
                let text = format!("is \"{label}\", which is there already: write it once");
                errors.push(file.error(&named.place, text));
            } else {
                fallback.push(to);
            }
        }
        chains.push(Chain { fallback: fallback.into(), context });
    }
    chains
}

/// A warning for each circle of fallbacks: it is cut, as only the model that was asked for has its list followed.
pub(super) fn circles(file: &File, route: &route::Table) -> Vec<(Place, String)> {
    let chains = chains(file, route, &mut Vec::new());
    let mut warnings = Vec::new();
    for (first, model) in (0..).map(ModelId).zip(&file.models) {
        let (Some(way), Some(named)) = (circle(&chains, first), model.fallback.first()) else {
            continue;
        };
        let labels: Vec<String> = way.iter().map(|id| file.models[id.index()].label()).collect();
        let text = format!(
            "the fallbacks go in a circle ({}), which is cut: only the list of the model that was asked for is gone \
             through, never that of a fallback",
            labels.join(" -> ")
        );
        warnings.push((named.place.clone(), text));
    }
    warnings
}

/// The shortest way from a model over fallbacks back to it, past no model that comes before it in the file: so each
/// circle is found at its first model.
fn circle(chains: &[Chain], first: ModelId) -> Option<Vec<ModelId>> {
    let mut came_from: Vec<Option<ModelId>> = vec![None; chains.len()];
    let mut waiting = VecDeque::from([first]);
    while let Some(at) = waiting.pop_front() {
        for &to in chains[at.index()].fallback.iter().filter(|to| **to >= first) {
            if to == first {
                let before = |id: &ModelId| came_from[id.index()];
                let mut way: Vec<ModelId> = std::iter::successors(Some(at), before).collect();
                way.insert(0, first);
                way.reverse();
                return Some(way);
            }
            let known = &mut came_from[to.index()];
            if known.is_none() {
                *known = Some(at);
                waiting.push_back(to);
            }
        }
    }
    None
}
