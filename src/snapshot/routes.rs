//! From `[[route]]` to what follows of it: specs of versions become models, and what cannot be is said.

use crate::config;
use crate::config::Error;
use crate::config::File;
use crate::config::Place;
use crate::config::VersionSpec;
use crate::route::Table;
use crate::route::versions::Match;
use crate::route::versions::Rules;
use crate::route::versions::Shadow;
use crate::route::versions::Share;
use crate::route::versions::Spec;
use crate::route::versions::Sticky;
use crate::units::ModelId;
use std::collections::BTreeMap;

/// Has requests go as the routes of a file say. A route of which anything is wrong is left out.
pub(super) fn lay(file: &File, table: &mut Table) -> Vec<Error> {
    table.open(|model| is_open(file, model));
    let mut errors = Vec::new();
    let mut lines: BTreeMap<&str, u32> = BTreeMap::new();
    for route in &file.routes {
        let name = route.model.name.as_str();
        if name.is_empty() {
            continue; // Of that the reading has told.
        }
        if let Some(line) = lines.insert(name, route.place.line) {
            let text =
                format!("the [[route]] at line {line} is for \"{name}\" too: write one of both");
            errors.push(file.error(&route.model.place, text));
            continue;
        }
        let mut reader = Reader { file, table, route, errors: Vec::new() };
        let rules = reader.rules();
        if reader.errors.is_empty() {
            table.lay(name, rules);
        } else {
            errors.append(&mut reader.errors);
        }
    }
    errors
}

/// Whether any endpoint of a model takes new requests.
fn is_open(file: &File, model: ModelId) -> bool {
    let upstream = file
        .models
        .get(model.index())
        .and_then(|model| file.upstreams.iter().find(|upstream| upstream.name == model.upstream));
    let is_open = |endpoint: &config::Endpoint| endpoint.weight > 0;
    upstream.is_some_and(|upstream| upstream.endpoints.iter().any(|endpoint| is_open(endpoint)))
}

/// Reads one route.
struct Reader<'f> {
    file: &'f File,
    table: &'f Table,
    route: &'f config::Route,
    errors: Vec<Error>,
}

impl Reader<'_> {
    fn rules(&mut self) -> Rules {
        let route = self.route;
        let name = route.model.name.as_str();
        if !self.file.models.iter().any(|model| model.name == name) {
            if !self.may_come() {
                let mut names: Vec<&str> =
                    self.file.models.iter().map(|m| m.name.as_str()).collect();
                names.dedup();
                let text = config::unknown("model", "[[model]]", name, &names);
                self.error(&route.model.place, text);
            }
            return Rules::default();
        }
        for (label, spec) in &route.labels {
            self.check_label(label, &spec.place);
        }
        let labels = route.labels.iter();
        let labels = labels.map(|(label, spec)| (label.clone(), self.version(spec, false)));
        let labels: Vec<_> = labels.collect();
        let shares = route.split.iter().map(|share| {
            let model = self.version(&share.version, true);
            (share.version.text.clone(), Share::new(model, share.weight))
        });
        let shares = shares.collect();
        let matches = route.matches.iter().map(|it| Match {
            field: it.header.as_str().into(),
            value: it.value.as_deref().map(Into::into),
            model: self.version(&it.version, true),
        });
        let matches = matches.collect();
        let shadow = route.shadow.as_ref().and_then(|shadow| {
            Some(Shadow { model: self.version(&shadow.version, true)?, share: shadow.share })
        });
        let sticky = route.sticky.as_ref().map(|sticky| match sticky {
            config::Sticky::Tenant => Sticky::Tenant,
            config::Sticky::User => Sticky::User,
            config::Sticky::Header(name) => Sticky::Field(name.as_str().into()),
        });
        Rules { labels, matches, shares, sticky, shadow }
    }

    /// A label must not be what a request could mean something else by.
    fn check_label(&mut self, label: &str, place: &Place) {
        let name = &self.route.model.name;
        if Spec::read(label) != Spec::Named(label) {
            let text =
                format!("\"{label}\" reads as a range of versions: give the label another name");
            self.error(place, text);
        } else if label.contains('@') {
            let text = format!(
                "\"{label}\" has an \"@\", which separates name and label: write it without"
            );
            self.error(place, text);
        } else if self.table.fit(name, &Spec::Named(label)).is_some() {
            let text =
                format!("\"{label}\" is a version of \"{name}\": give the label another name");
            self.error(place, text);
        }
    }

    /// The version that is meant, if it is there now.
    fn version(&mut self, spec: &VersionSpec, may_be_label: bool) -> Option<ModelId> {
        let name = &self.route.model.name;
        let text = spec.text.as_str();
        if text.is_empty() {
            return None;
        }
        let mut labels = self.route.labels.iter();
        if let Some((_, behind)) = labels.find(|(label, _)| *label == spec.text) {
            if may_be_label {
                return self.table.fit(name, &Spec::read(&behind.text));
            }
            let text =
                format!("\"{text}\" is a label itself: write the version that it stands for");
            self.error(&spec.place, text);
            return None;
        }
        let read = Spec::read(text);
        let fit = self.table.fit(name, &read);
        if fit.is_none() && (read == Spec::Broken || !self.may_come()) {
            let text = self.unfit(&read, text, may_be_label);
            self.error(&spec.place, text);
        }
        fit
    }

    /// Whether versions may come that the file does not name.
    fn may_come(&self) -> bool {
        let name = &self.route.model.name;
        let is_found = |model: &config::Model| model.name == *name && model.has_found_versions;
        self.file.models.iter().any(is_found)
            || self.file.registries.iter().any(|registry| registry.config.is_some())
    }

    /// Why a spec means nothing, and what to write.
    fn unfit(&self, read: &Spec<'_>, text: &str, may_be_label: bool) -> String {
        let name = &self.route.model.name;
        let all: Vec<String> =
            self.table.versions(name).map(|text| format!("\"{text}\"")).collect();
        if all.is_empty() {
            return format!(
                "\"{name}\" has no versions: give its [[model]] entries a version each, or one of them versions = \
                 \"discovered\""
            );
        }
        let labels = self.route.labels.iter().map(|(label, _)| format!("\"{label}\""));
        let labels: Vec<String> = labels.filter(|_| may_be_label).collect();
        let labelled = if labels.is_empty() {
            String::new()
        } else {
            format!("; labels: {}", labels.join(", "))
        };
        let why = match read {
            Spec::Broken => format!("\"{text}\" is no range of versions"),
            Spec::Range(_) => format!("no version of \"{name}\" fits \"{text}\""),
            Spec::Named(_) => format!("no version of \"{name}\" is called \"{text}\""),
        };
        format!(
            "{why} (there are: {}{labelled}): write one of them, or a range such as \"^1.2\"",
            all.join(", ")
        )
    }

    fn error(&mut self, place: &Place, text: String) {
        self.errors.push(self.file.error(place, text));
    }
}

/// What a route says, for people.
pub(super) fn words(route: &config::Route) -> String {
    let labels = route.labels.iter().map(|(label, spec)| format!("{label} is {}", spec.text));
    let shares =
        route.split.iter().map(|share| format!("{} gets {}", share.version.text, share.weight));
    let sticky = route.sticky.iter().map(|sticky| match sticky {
        config::Sticky::Tenant => "sticky by tenant".to_owned(),
        config::Sticky::User => "sticky by user".to_owned(),
        config::Sticky::Header(name) => format!("sticky by the field {name}"),
    });
    let matches = route.matches.iter().map(|it| {
        let value = it.value.as_ref().map_or_else(String::new, |value| format!(": {value}"));
        format!("the field {}{value} leads to {}", it.header, it.version.text)
    });
    let shadow = route.shadow.iter().map(|shadow| {
        format!("{} gets copies of {} %", shadow.version.text, f64::from(shadow.share) / 100.0)
    });
    let all = labels.chain(matches).chain(shares).chain(sticky).chain(shadow);
    all.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests;
