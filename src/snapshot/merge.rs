//! The file with what was found: endpoints of registries beside its own, and a model for each version that they have.

use crate::config::Endpoint;
use crate::config::File;
use crate::config::Model;
use crate::config::Upstream;
use rustls::pki_types::ServerName;
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::Arc;

/// The most endpoints of an upstream; more that are found are left out.
const FOUND_MAX: usize = 4096;

/// The file as if it had listed what was found. Where both name an endpoint, the file wins.
///
/// A model whose upstream has endpoints that do not all serve it gets an upstream of its own, which is the part of the first
/// that does: `NAME/MODEL@VERSION`.
#[must_use]
pub fn merged(file: &File, found: &HashMap<String, Vec<Arc<Endpoint>>>) -> File {
    let mut file = file.clone();
    for upstream in &mut file.upstreams {
        let taken = taken_in(upstream, found).map(Arc::clone).collect();
        upstream.endpoints = taken;
    }
    if file.upstreams.iter().any(|upstream| upstream.endpoints.iter().any(|e| is_particular(e))) {
        divide(&mut file);
    }
    file
}

/// All endpoints of the file and those that were found, as [`merged`] takes them in.
pub fn endpoints<'w>(
    file: &'w File,
    found: &'w HashMap<String, Vec<Arc<Endpoint>>>,
) -> impl Iterator<Item = &'w Endpoint> {
    file.upstreams.iter().flat_map(|upstream| taken_in(upstream, found)).map(|endpoint| &**endpoint)
}

/// An upstream's own endpoints and those that were found for it.
fn taken_in<'w>(
    upstream: &'w Upstream,
    found: &'w HashMap<String, Vec<Arc<Endpoint>>>,
) -> impl Iterator<Item = &'w Arc<Endpoint>> {
    let own = &upstream.endpoints;
    let mut known: HashSet<&str> = own.iter().map(|endpoint| endpoint.url.text.as_str()).collect();
    let new = move |endpoint: &'w Arc<Endpoint>| {
        let name = endpoint.name.as_ref().unwrap_or(&endpoint.url.host);
        let is_nameable = !endpoint.url.is_https || ServerName::try_from(name.as_str()).is_ok();
        let is_new = known.len() < FOUND_MAX && is_nameable && known.insert(&endpoint.url.text);
        is_new.then_some(endpoint)
    };
    let found = found.get(&upstream.name).map_or(&[][..], Vec::as_slice);
    own.iter().chain(found.iter().filter_map(new))
}

/// Whether it does not serve all that its upstream is asked for.
fn is_particular(endpoint: &Endpoint) -> bool {
    endpoint.traits.model.is_some() || endpoint.traits.version.is_some()
}

/// Gives models the parts of their upstreams that serve them, and versions models.
fn divide(file: &mut File) {
    let mut models = Vec::with_capacity(file.models.len());
    let mut parts: Vec<Upstream> = Vec::new();
    for model in &file.models {
        let Some(upstream) = file.upstreams.iter().find(|u| u.name == model.upstream) else {
            models.push(model.clone());
            continue;
        };
        for version in versions(file, model, upstream) {
            models.push(of_version(model, version));
        }
        let mut whole = model.clone();
        whole.upstream = part(upstream, model, model.version.as_deref(), &mut parts);
        models.push(whole);
    }
    for model in &mut models {
        let upstream = file.upstreams.iter().find(|u| u.name == model.upstream);
        if let (true, Some(upstream), Some(version)) =
            (model.has_found_versions, upstream, &model.version)
        {
            model.upstream = part(upstream, model, Some(version), &mut parts);
        }
    }
    // In the file's order, and each before its versions.
    models.sort_by_key(|model| {
        (model.place.line, model.version.is_some() && model.has_found_versions)
    });
    file.models = models;
    file.upstreams.extend(parts);
}

/// Versions of a model that nobody has written down, in their order.
fn versions<'u>(file: &File, model: &Model, upstream: &'u Upstream) -> BTreeSet<&'u str> {
    if !model.has_found_versions {
        return BTreeSet::new();
    }
    let serving = upstream.endpoints.iter().filter(|endpoint| serves(endpoint, model, None));
    let versions = serving.filter_map(|endpoint| endpoint.traits.version.as_deref());
    let is_written = |version: &str| {
        let mut written = file.models.iter().filter(|other| other.name == model.name);
        written.any(|other| other.version.as_deref() == Some(version))
    };
    versions.filter(|version| !is_written(version)).collect()
}

fn of_version(model: &Model, version: &str) -> Model {
    Model { version: Some(version.to_owned()), aliases: Vec::new(), ..model.clone() }
}

/// Whether an endpoint serves this model, in this version if one is wanted.
fn serves(endpoint: &Endpoint, model: &Model, version: Option<&str>) -> bool {
    let traits = &endpoint.traits;
    let is_named = |name: &String| *name == model.upstream_model || *name == model.name;
    let is_wanted = |had: &String| version.is_none_or(|version| version == had);
    traits.model.as_ref().is_none_or(is_named) && traits.version.as_ref().is_none_or(is_wanted)
}

/// The name of the upstream that is the part of `upstream` that serves the model; its own, where that is all of it.
fn part(
    upstream: &Upstream,
    model: &Model,
    version: Option<&str>,
    parts: &mut Vec<Upstream>,
) -> String {
    let is_strict = model.has_found_versions && version.is_some();
    let is_in = |endpoint: &&Arc<Endpoint>| {
        serves(endpoint, model, version) && (!is_strict || endpoint.traits.version.is_some())
    };
    let endpoints: Vec<Arc<Endpoint>> = upstream.endpoints.iter().filter(is_in).cloned().collect();
    if endpoints.len() == upstream.endpoints.len() {
        return upstream.name.clone();
    }
    let is_one = |endpoint: &Arc<Endpoint>| endpoint.traits.model.is_some();
    let mut name = upstream.name.clone();
    if upstream.endpoints.iter().any(is_one) {
        name = format!("{name}/{}", model.upstream_model);
    }
    if let Some(version) = version {
        name = format!("{name}@{version}");
    }
    if !parts.iter().any(|part| part.name == name) {
        parts.push(Upstream { name: name.clone(), endpoints, ..upstream.clone() });
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    fn file() -> File {
        let text = r#"
            [[upstream]]
            name = "u"
            endpoints = [{ url = "http://own" }]
            discover = { file = "endpoints.json" }
            [[upstream]]
            name = "other"
            endpoints = [{ url = "http://other" }]
            [[model]]
            name = "a"
            aliases = ["first"]
            versions = "discovered"
            upstream = "u"
            [[model]]
            name = "b"
            version = "2"
            upstream = "u"
            [[model]]
            name = "c"
            upstream = "other"
        "#;
        let (file, errors) = config::read(text, "ringway.toml");
        assert_eq!(errors, []);
        file
    }

    fn found(host: &str, model: Option<&str>, version: Option<&str>) -> Arc<Endpoint> {
        let mut endpoint = Endpoint::clone(&file().upstreams[0].endpoints[0]);
        endpoint.url = config::Url::parse(&format!("http://{host}")).unwrap();
        endpoint.traits.model = model.map(str::to_owned);
        endpoint.traits.version = version.map(str::to_owned);
        endpoint.source = Some("test".to_owned());
        Arc::new(endpoint)
    }

    fn shown(file: &File) -> Vec<String> {
        let hosts = |name: &str| -> Vec<String> {
            let upstream = file.upstreams.iter().find(|u| u.name == name).unwrap();
            upstream.endpoints.iter().map(|endpoint| endpoint.url.host.clone()).collect()
        };
        let line =
            |m: &Model| format!("{} {} {}", m.label(), m.upstream, hosts(&m.upstream).join(" "));
        file.models.iter().map(line).collect()
    }

    #[test]
    fn what_is_found_comes_after_the_files_own_and_never_twice() {
        let found = HashMap::from([(
            "u".to_owned(),
            vec![found("own", None, None), found("x", None, None), found("x", None, None)],
        )]);
        let merged = merged(&file(), &found);
        assert_eq!(shown(&merged), ["a u own x", "b@2 u own x", "c other other"]);
        assert_eq!(merged.upstreams[0].endpoints[0].source, None);
        assert_eq!(merged.upstreams[0].endpoints[1].source.as_deref(), Some("test"));
    }

    #[test]
    fn versions_and_models_divide_an_upstream() {
        let found = HashMap::from([(
            "u".to_owned(),
            vec![
                found("a1", Some("a"), Some("1")),
                found("a2", Some("a"), Some("2")),
                found("b2", Some("b"), Some("2")),
                found("any", None, None),
                found("other2", Some("z"), Some("2")),
            ],
        )]);
        let merged = merged(&file(), &found);
        let expected = [
            "a u/a own a1 a2 any",
            "a@1 u/a@1 a1",
            "a@2 u/a@2 a2",
            "b@2 u/b@2 own b2 any",
            "c other other",
        ];
        assert_eq!(shown(&merged), expected);
        assert_eq!(merged.models[1].aliases, [] as [String; 0]);
        let part = merged.upstreams.iter().find(|u| u.name == "u/a@1").unwrap();
        assert_eq!(
            (part.base.as_str(), part.place.clone()),
            ("u", file().upstreams[0].place.clone())
        );
    }

    #[test]
    fn what_no_certificate_can_name_is_left_out() {
        let mut odd = Endpoint::clone(&found("x", None, None));
        odd.url = config::Url::parse("https://a_b.example").unwrap();
        odd.url.host = "-".to_owned();
        let merged = merged(&file(), &HashMap::from([("u".to_owned(), vec![Arc::new(odd)])]));
        assert_eq!(merged.upstreams[0].endpoints.len(), 1);
    }
}
