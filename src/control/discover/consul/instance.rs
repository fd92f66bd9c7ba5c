//! An instance of a service, as Consul shows it, to an endpoint. Pure.
//!
//! What is known of it beside its address stands in its meta (`ringway-weight`, `ringway-zone`, ..), or else in its tags
//! (`weight=2`, `zone=a`, ..), or else where the file says it for all.

use std::collections::HashMap;
use std::str::FromStr;

use serde::Deserialize;

use crate::config::Endpoint;
use crate::config::Traits;
use crate::config::Url;
use crate::control::discover::Question;

/// What keys of the meta begin with that are ours.
const META: &str = "ringway-";
/// The longest name in bytes, as in the file.
const NAME_BYTES_MAX: usize = 256;
/// The largest weight, capacity and headroom, as in the file.
const WEIGHT_MAX: u32 = 1000;
const CAPACITY_MAX: u32 = 1_000_000;
/// What Consul says where nobody has said a weight.
const WEIGHT_UNSAID: i64 = 1;

/// One element of the answer of `/v1/health/service/NAME`
/// (<https://developer.hashicorp.com/consul/api-docs/health>).
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Instance {
    node: Node,
    service: Service,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Node {
    node: String,
    address: String,
    datacenter: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Service {
    #[serde(rename = "ID")]
    id: String,
    address: String,
    port: i64,
    tags: Option<Vec<String>>,
    meta: Option<HashMap<String, String>>,
    weights: Option<Weights>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Weights {
    passing: i64,
}

impl Instance {
    /// For people.
    pub(super) fn describe(&self) -> String {
        format!("\"{}\" of the node \"{}\"", self.service.id, self.node.node)
    }

    /// What it is to an upstream that asked `question`.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub(super) fn endpoint(&self, question: &Question) -> Result<Endpoint, String> {
        let discover = &question.discover;
        let datacenter = self.node.datacenter.as_ref().or(question.datacenter.as_ref());
        let own = Traits {
            region: self.name("region")?,
            zone: self.name("zone")?,
            model: self.name("model")?,
            version: self.version()?,
            capacity: self.number("capacity", 1, CAPACITY_MAX)?,
            headroom: self.number("headroom", 0, CAPACITY_MAX)?,
            is_draining: self.is("drain")?.unwrap_or(false),
        };
        let mut traits = own.or(&discover.traits);
        let region = question.region.as_ref().or(datacenter).filter(|region| !region.is_empty());
        traits.region = traits.region.or_else(|| region.cloned());
        let weight = match self.number("weight", 0, WEIGHT_MAX)? {
            Some(weight) => weight,
            None => self.weight_of_consul()?.unwrap_or(discover.weight),
        };
        Ok(Endpoint {
            place: discover.place.clone(),
            url: self.url(question)?,
            weight,
            traits,
            source: None,
            is_stale: false,
            name: None,
        })
    }

    fn url(&self, question: &Question) -> Result<Url, String> {
        let Service { address, port, .. } = &self.service;
        let host = if address.is_empty() { &self.node.address } else { address };
        if host.is_empty() {
            return Err("has no address".to_owned());
        }
        if !(1..=i64::from(u16::MAX)).contains(port) {
            return Err(format!("has the port {port}: register it with one from 1 to 65535"));
        }
        let is_https = self.is("https")?.unwrap_or(question.discover.is_https);
        let scheme = if is_https { "https" } else { "http" };
        let path = self.said("path").unwrap_or(&question.discover.path_prefix);
        if !path.is_empty() && !path.starts_with('/') {
            return Err(format!("path is \"{path}\": begin it with a slash"));
        }
        // Of an address alone the colons are its own.
        let url = if host.contains(':') {
            format!("{scheme}://[{host}]:{port}{path}")
        } else {
            format!("{scheme}://{host}:{port}{path}")
        };
        Url::parse(&url)
    }

    fn weight_of_consul(&self) -> Result<Option<u32>, String> {
        let passing = self.service.weights.as_ref().map(|weights| weights.passing);
        let Some(passing) = passing.filter(|passing| *passing != WEIGHT_UNSAID) else {
            return Ok(None);
        };
        let weight = u32::try_from(passing).ok().filter(|weight| *weight <= WEIGHT_MAX);
        weight.map(Some).ok_or_else(|| {
            format!("Weights.Passing is {passing}: a weight is a number from 0 to {WEIGHT_MAX}")
        })
    }

    /// What the meta says of `key`, or else a tag.
    fn said(&self, key: &str) -> Option<&str> {
        let meta = self.service.meta.as_ref();
        let meta = meta.and_then(|meta| meta.get(&format!("{META}{key}")));
        let tag = || {
            let mut tags = self.service.tags.iter().flatten();
            tags.find_map(|tag| tag.strip_prefix(key)?.strip_prefix('='))
        };
        meta.map(String::as_str).or_else(tag)
    }

    fn name(&self, key: &str) -> Result<Option<String>, String> {
        let Some(name) = self.said(key) else {
            return Ok(None);
        };
        let wrong = if name.is_empty() {
            "may not be empty"
        } else if name.len() > NAME_BYTES_MAX {
            "is too long: at most 256 bytes"
        } else if name.chars().any(char::is_control) {
            "has a control character in it: leave it out"
        } else if name.trim() != name {
            "begins or ends with a space: leave it out"
        } else {
            return Ok(Some(name.to_owned()));
        };
        Err(format!("{key} {wrong}"))
    }

    fn version(&self) -> Result<Option<String>, String> {
        let version = self.name("version")?;
        match version {
            Some(version) if version.contains('@') => {
                Err(format!("version is \"{version}\": write the version alone, without \"@\""))
            }
            version => Ok(version),
        }
    }

    fn number(&self, key: &str, least: u32, most: u32) -> Result<Option<u32>, String> {
        let Some(text) = self.said(key) else {
            return Ok(None);
        };
        let number = u32::from_str(text).ok().filter(|number| (least..=most).contains(number));
        number.map(Some).ok_or_else(|| {
            format!("{key} is \"{text}\": write a whole number from {least} to {most}")
        })
    }

    fn is(&self, key: &str) -> Result<Option<bool>, String> {
        match self.said(key) {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(text) => Err(format!("{key} is \"{text}\": write true or false")),
        }
    }
}

#[cfg(test)]
mod tests;
