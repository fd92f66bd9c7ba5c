//! Weight and drain of an endpoint that the file does not list: rewritten in etcd, or said where they are changed instead.

use hyper::StatusCode;
use serde_json::Map;
use serde_json::Value as Json;
use serde_json::json;

use super::Refused;
use super::apply;
use super::apply::Done;
use super::apply::Order;
use super::apply::Scene;
use super::edit::Edit;
use super::table::EndpointChange;
use crate::config;
use crate::config::Discover;
use crate::config::DiscoverSource;
use crate::config::Url;
use crate::config::suggest;
use crate::control::discover::entry;
use crate::control::discover::reach::Reach;
use crate::snapshot::Endpoint;
use crate::snapshot::Snapshot;

/// Changes an endpoint that a source has found.
///
/// # Errors
/// That there is none, or where it is changed.
pub(super) async fn change(scene: &Scene, order: &Order) -> Result<Done, Refused> {
    let Edit::Endpoint { upstream, url, change } = &order.edit else {
        return Err(Refused::new(StatusCode::CONFLICT, "only endpoints are found"));
    };
    let (found, _) = endpoint(&scene.state.snapshot, upstream, url)?;
    let discover = discover(scene, upstream, found.source.as_deref());
    let Some((discover, prefix)) = discover.as_ref().and_then(|discover| match &discover.source {
        DiscoverSource::Etcd { prefix, .. } => Some((discover, prefix)),
        _ => None,
    }) else {
        return Err(Refused::new(StatusCode::CONFLICT, elsewhere(found, discover.as_ref())));
    };
    let reach = reach(&scene.state.reaches, &discover.source).ok_or_else(|| {
        let why =
            "etcd is not a [[registry]] of the file: write one, and it can be changed from here";
        Refused::new(StatusCode::CONFLICT, why)
    })?;
    let unasked = |why: String| {
        let why = format!("registry \"{}\": {why}", reach.name);
        Refused::new(StatusCode::BAD_GATEWAY, why)
    };
    let entries = reach.below(prefix).await.map_err(unasked)?;
    let gone = || {
        Refused::new(
            StatusCode::NOT_FOUND,
            format!("etcd has no endpoint {} below {prefix} any more", url.text),
        )
    };
    let (key, before, fields) = entries
        .into_iter()
        .find_map(|(key, value)| Some((key, fields_of(&value, discover, url)?, value)))
        .map(|(key, fields, value)| (key, value, fields))
        .ok_or_else(gone)?;
    let (from, to) = (part(&fields), rewritten(&fields, *change));
    let kept = format!("registry \"{}\", key {prefix}{key}", reach.name);
    let number = scene.state.snapshot.number;
    if to == fields {
        let (is_changed, is_new, is_taken_up) = (false, false, true);
        return Ok(Done { number, is_changed, is_new, is_taken_up, kept, item: from });
    }
    let after = Json::from(to.clone()).to_string().into_bytes();
    let key = format!("{prefix}{key}");
    apply::put(reach, &key, Some(before.as_slice()), Some(after)).await?;
    let is_there = |state: &crate::control::watch::State| {
        endpoint(&state.snapshot, upstream, url).is_ok_and(|(found, weight)| {
            let drain = found.traits.is_draining;
            change.drain.is_none_or(|wanted| wanted == drain)
                && change.weight.is_none_or(|wanted| drain || wanted == weight)
        })
    };
    let number = apply::returned(scene, is_there).await;
    let to = part(&to);
    apply::audit(order, &from, &to, &kept, number);
    let (number, is_taken_up) = (number.unwrap_or(scene.state.snapshot.number), number.is_some());
    Ok(Done { number, is_changed: true, is_new: false, is_taken_up, kept, item: to })
}

/// An endpoint that is served, and its weight.
fn endpoint<'s>(
    snapshot: &'s Snapshot,
    upstream: &str,
    url: &Url,
) -> Result<(&'s Endpoint, u32), Refused> {
    let of = snapshot.upstreams.iter().find(|of| of.name == upstream);
    let of = of.ok_or_else(|| {
        let known: Vec<&str> = snapshot.upstreams.iter().map(|of| of.name.as_str()).collect();
        let said = suggest(upstream, &known);
        Refused::new(StatusCode::NOT_FOUND, format!("there is no upstream \"{upstream}\": {said}"))
    })?;
    let all = of.endpoints.iter().map(|id| snapshot.endpoint(*id)).zip(&of.weights);
    let found = all.clone().find(|(endpoint, _)| endpoint.url == url.text);
    found.map(|(endpoint, weight)| (endpoint, *weight)).ok_or_else(|| {
        let known: Vec<&str> = all.map(|(endpoint, _)| endpoint.url.as_str()).collect();
        let said = suggest(&url.text, &known);
        let why = format!("url: upstream \"{upstream}\" has no endpoint {}: {said}", url.text);
        Refused::new(StatusCode::NOT_FOUND, why)
    })
}

/// The entry of the file that has found it.
fn discover(scene: &Scene, upstream: &str, source: Option<&str>) -> Option<Discover> {
    let (file, _) = config::read(&scene.text, &scene.name);
    let upstream = file.upstreams.into_iter().find(|of| of.name == upstream)?;
    let mut all = upstream.discover.into_iter();
    // With several datacenters theirs stands behind it.
    all.find(|discover| source.is_some_and(|it| it.starts_with(&discover.source.describe())))
}

/// Why it is not changed from here, and where it is.
fn elsewhere(found: &Endpoint, discover: Option<&Discover>) -> String {
    let source = found.source.as_deref().unwrap_or("the file as it was before");
    let place = match discover.map(|discover| &discover.source) {
        Some(DiscoverSource::Consul { service, .. }) => format!(
            "register service \"{service}\" anew in Consul with the meta ringway-weight or ringway-drain"
        ),
        Some(DiscoverSource::Srv { name, .. }) => {
            format!("set the weight of the SRV record of {name}")
        }
        Some(DiscoverSource::Dns { .. }) => {
            "set weight or drain for all of the name's addresses, beside dns in the file".to_owned()
        }
        Some(DiscoverSource::File(file)) => {
            format!("set weight or drain in {}", file.path.display())
        }
        Some(DiscoverSource::Etcd { .. }) | None => "look again at who names it".to_owned(),
    };
    format!(
        "{} is named by {source}, which cannot be written from here: {place}; or list it in the upstream's endpoints in the \
         file, which win",
        found.url
    )
}

/// The registry of an etcd source: the one that is named, or the first.
fn reach<'r>(reaches: &'r [Reach], source: &DiscoverSource) -> Option<&'r Reach> {
    let DiscoverSource::Etcd { registry, .. } = source else { return None };
    let mut etcds = reaches.iter().filter(|reach| reach.is_etcd());
    match registry {
        Some(named) => etcds.find(|reach| reach.name == named.name),
        None => etcds.next(),
    }
}

/// The fields of a value of etcd, if it is this endpoint.
fn fields_of(value: &[u8], discover: &Discover, url: &Url) -> Option<Map<String, Json>> {
    let value: Json = serde_json::from_slice(value).ok()?;
    let read = entry::read(&value, discover).ok()?;
    let Json::Object(fields) = value else { return None };
    (read.url == *url).then_some(fields)
}

fn rewritten(fields: &Map<String, Json>, change: EndpointChange) -> Map<String, Json> {
    let mut fields = fields.clone();
    if let Some(weight) = change.weight {
        fields.insert("weight".to_owned(), weight.into());
    }
    match change.drain {
        Some(true) => drop(fields.insert("drain".to_owned(), true.into())),
        Some(false) => drop(fields.remove("drain")),
        None => {}
    }
    fields
}

/// What of it can be changed.
fn part(fields: &Map<String, Json>) -> Json {
    let weight = fields.get("weight").cloned().unwrap_or_else(|| 1.into());
    let drain = fields.get("drain").cloned().unwrap_or_else(|| false.into());
    json!({ "weight": weight, "drain": drain })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_of_etcd_is_found_and_rewritten() {
        let text = "[[upstream]]\nname = \"u\"\ndiscover = [{ etcd = \"/llm/\", weight = 3 }]\n\
                    [[model]]\nname = \"m\"\nupstream = \"u\"\n";
        let (file, errors) = config::read(text, "a.toml");
        assert_eq!(errors, []);
        let discover = &file.upstreams[0].discover[0];
        let url = Url::parse("http://10.0.0.1:8000").unwrap();
        let value = r#"{"url": "http://10.0.0.1:8000/", "zone": "a", "drain": true}"#;
        let fields = fields_of(value.as_bytes(), discover, &url).unwrap();
        assert_eq!(part(&fields), json!({"weight": 1, "drain": true}));
        let to = rewritten(&fields, EndpointChange { weight: Some(5), drain: Some(false) });
        assert_eq!(
            Json::from(to),
            json!({"url": "http://10.0.0.1:8000/", "zone": "a", "weight": 5})
        );
        let other = Url::parse("http://10.0.0.2:8000").unwrap();
        assert_eq!(fields_of(value.as_bytes(), discover, &other), None);
    }
}
