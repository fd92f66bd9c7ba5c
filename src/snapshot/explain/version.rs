//! The part of an explanation that says which version of a model it is.

use crate::admission::Caller;
use crate::route::Found;
use crate::route::Route;
use crate::route::Why;
use crate::route::versions;
use crate::route::versions::Share;
use crate::route::versions::Split;
use crate::route::versions::Sticky;
use crate::snapshot::Snapshot;
use crate::snapshot::explain::Asked;
use crate::snapshot::explain::Explanation;
use crate::units::ModelId;
use crate::wire::head::is_same_name;

/// The model that is described under a name.
pub(super) fn described(snapshot: &Snapshot, name: &str) -> Option<ModelId> {
    match snapshot.route.find(name) {
        Found::Model(id, _) | Found::Route(id, _) => Some(id),
        Found::NoVersion | Found::Nothing => None,
    }
}

impl Explanation {
    /// Says which model it is, and which version of it. None: none; then that is said.
    pub(super) fn version(
        &mut self,
        snapshot: &Snapshot,
        asked: &Asked<'_>,
        caller: &Caller,
        name: &str,
        version: Option<&str>,
    ) -> Option<ModelId> {
        let found = match version {
            Some(version) => snapshot.route.find_version(name, version),
            None => snapshot.route.find(name),
        };
        let called = version.map_or_else(|| name.to_owned(), |spec| format!("{name}@{spec}"));
        let id = match found {
            Found::Model(id, why) => {
                self.named(snapshot, name, &called, (id, why));
                Some(id)
            }
            Found::Route(id, route) => self.routed(snapshot, asked, caller, name, (id, route)),
            Found::NoVersion => {
                let name = called.rsplit_once('@').map_or(name, |(name, _)| name);
                let all: Vec<&str> = snapshot.route.versions(name).collect();
                let there_are = all.join(", ");
                let why =
                    format!("no version of \"{name}\" is \"{called}\" (there are: {there_are})");
                self.refuse(404, "model_not_found", why);
                None
            }
            Found::Nothing => {
                self.refuse_model(snapshot, &called);
                None
            }
        }?;
        if let Some(shadow) = snapshot.model(id).shadow {
            let percent = f64::from(shadow.share) / 100.0;
            let label = snapshot.model(shadow.model).label();
            self.step(format!(
                "{percent} % of such requests are copied to {label}, whose answers are thrown away"
            ));
        }
        Some(id)
    }

    fn named(
        &mut self,
        snapshot: &Snapshot,
        name: &str,
        called: &str,
        (id, why): (ModelId, Option<Why>),
    ) {
        let model = snapshot.model(id);
        let label = model.label();
        self.step(match why {
            Some(Why::Range) => {
                format!("{label} is the highest version in the range that \"{called}\" asks for")
            }
            Some(Why::Label) => format!("\"{called}\" is a label of the version {label}"),
            _ => {
                let is_alias = model.aliases.iter().any(|alias| alias == name);
                let how = if is_alias { "an alias" } else { "a name" };
                format!("\"{called}\" is {how} of the model {label}")
            }
        });
    }

    /// Where the operator sends a request for the bare name.
    fn routed(
        &mut self,
        snapshot: &Snapshot,
        asked: &Asked<'_>,
        caller: &Caller,
        name: &str,
        (default, route): (ModelId, &Route),
    ) -> Option<ModelId> {
        self.step(format!("which version of \"{name}\" it is, its [[route]] says"));
        let fields = asked.fields.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
        let matching = route.matching(fields);
        if let Some(matching) = matching {
            let field = &matching.field;
            let Some(id) = matching.model else {
                self.gone(format!("the field {field} leads to a version that is not there now"));
                return None;
            };
            let label = snapshot.model(id).label();
            self.step(format!("the field {field} leads to {label}, whatever the split says"));
            return Some(id);
        }
        if !route.matches().is_empty() {
            let names: Vec<&str> = route.matches().iter().map(|it| &*it.field).collect();
            self.step(format!("no field leads to a version ({} would)", names.join(", ")));
        }
        let Some(split) = route.split() else {
            self.step(format!("it is {}", snapshot.model(default).label()));
            return Some(default);
        };
        self.split(snapshot, asked, caller, split)
    }

    fn split(
        &mut self,
        snapshot: &Snapshot,
        asked: &Asked<'_>,
        caller: &Caller,
        split: &Split,
    ) -> Option<ModelId> {
        let counted = |share: &&Share| share.counts() > 0;
        let shown = |share: &Share| {
            let label = share.model.map_or_else(String::new, |id| snapshot.model(id).label());
            format!("{label} {} of {}", share.counts(), split.sum())
        };
        let shares: Vec<String> = split.shares().iter().filter(counted).map(shown).collect();
        let missing = split.shares().len() - shares.len();
        if shares.is_empty() {
            self.gone("no version of the split is there now".to_owned());
            return None;
        }
        let without = if missing > 0 {
            format!(" ({missing} more: no weight, not there, or about to leave)")
        } else {
            String::new()
        };
        self.step(format!("requests are split: {}{without}", shares.join(", ")));
        if let Some(sticky) = split.sticky() {
            let (what, key) = key(snapshot, asked, caller, sticky);
            if let Some((id, _)) = key.and_then(|key| split.choose(Some(key), 0)) {
                self.step(format!("{what} leads to {}", snapshot.model(id).label()));
                return Some(id);
            }
            self.step(match sticky {
                Sticky::User => format!("{what} would lead to one, if the body names it"),
                _ => format!("{what} would lead to one, and is not there"),
            });
        }
        let greatest = split.shares().iter().filter(counted).max_by_key(|share| share.counts())?;
        let id = greatest.model?;
        self.step(format!("it is drawn; shown is {}", snapshot.model(id).label()));
        Some(id)
    }

    fn gone(&mut self, why: String) {
        self.refuse(503, "overloaded", why);
    }
}

/// What leads a request to the same version each time, and its key if it is there.
fn key(
    snapshot: &Snapshot,
    asked: &Asked<'_>,
    caller: &Caller,
    sticky: &Sticky,
) -> (String, Option<u64>) {
    let (what, value) = match sticky {
        Sticky::Tenant => {
            let tenant = caller.tenant.and_then(|tenant| snapshot.admission.tenant(tenant));
            ("the tenant".to_owned(), tenant.map(|tenant| tenant.name.as_bytes()))
        }
        Sticky::User => ("the user".to_owned(), caller.user().map(str::as_bytes)),
        Sticky::Field(name) => {
            let field = asked.fields.iter().find(|(other, _)| is_same_name(other, name));
            (format!("the field {name}"), field.map(|(_, value)| value.as_bytes()))
        }
    };
    (what, value.map(versions::key))
}
