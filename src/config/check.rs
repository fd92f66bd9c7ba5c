//! What one value cannot know: names that must exist, be unique or be spelled in a certain way.

use crate::config::error::Error;
use crate::config::error::Place;
use crate::config::file::File;
use crate::config::file::Listen;
use crate::config::nearest::listed;
use crate::config::nearest::nearest;
use crate::config::section::Errors;
use crate::config::section::Located;
use crate::config::section::Section;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

/// The longest name of a model, version or upstream, in bytes.
const NAME_BYTES_MAX: usize = 256;
/// The most endpoints a file may have.
const ENDPOINTS_MAX: usize = 4096;
/// The most upstreams and the most models a file may have.
const ENTRIES_MAX: usize = 1024;
/// The shortest time to live of a registration: what is shorter runs out between two signs of life.
const TTL_MIN: Duration = Duration::from_secs(2);

/// A name goes into JSON, header fields, labels and log lines.
pub(crate) fn name(name: &Located<String>, errors: &mut Errors<'_>) {
    if name.value.is_empty() {
        errors.add(&name.place, "may not be empty");
    } else if name.value.len() > NAME_BYTES_MAX {
        let text = format!("is {} bytes long: at most {NAME_BYTES_MAX}", name.value.len());
        errors.add(&name.place, text);
    } else if name.value.chars().any(char::is_control) {
        errors.add(&name.place, "has a control character in it: leave it out");
    } else if name.value.trim() != name.value {
        errors.add(&name.place, "begins or ends with a space: leave it out");
    }
}

/// The longest name of a tenant, a key or a signature, in bytes.
const LABEL_BYTES_MAX: usize = 128;

/// A name that goes into header fields and logs without being quoted.
pub(crate) fn label(name: &Located<String>, errors: &mut Errors<'_>) {
    if let Err(why) = fits_label(&name.value) {
        errors.add(&name.place, why);
    }
}

/// Whether a text can be the name of a tenant, a key or a signature.
///
/// # Errors
/// Why not, as the end of a sentence that begins with what it is.
pub fn fits_label(text: &str) -> Result<(), &'static str> {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"\"\\,".contains(&byte);
    if text.is_empty() {
        Err("may not be empty")
    } else if text.len() > LABEL_BYTES_MAX {
        Err("is longer than 128 bytes: write a shorter name")
    } else if !text.bytes().all(is_plain) {
        Err(
            "goes into a header field: write letters, digits and signs of ASCII, without spaces, quotes, commas \
             and backslashes",
        )
    } else {
        Ok(())
    }
}

/// Fields that mean something already, so that ours may not be called so.
const FIELDS_TAKEN: &[&str] = &[
    "accept",
    "accept-encoding",
    "api-key",
    "authorization",
    "connection",
    "content-digest",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "date",
    "digest",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "signature",
    "signature-input",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "via",
    "x-api-key",
    "x-forwarded-for",
    "x-request-id",
];

/// Why a field that we add may not have this name; the empty name is for fields that are not sent.
pub(crate) fn not_a_field_of_ours(name: &str) -> Option<String> {
    if !name.is_empty() && !is_field_name(name) {
        return Some(
            "is not the name of a field: write for instance \"x-ringway-tenant\"".to_owned(),
        );
    }
    let is_taken = FIELDS_TAKEN.iter().any(|taken| taken.eq_ignore_ascii_case(name));
    is_taken.then(|| format!("\"{name}\" has a meaning already: write another name"))
}

/// Whether a text can be the name of a field, and one that is not absurdly long.
pub(crate) fn is_field_name(text: &str) -> bool {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    (1..=LABEL_BYTES_MAX).contains(&text.len()) && text.bytes().all(is_token)
}

/// `@` separates a model's name from its version.
pub(crate) fn has_no_at(name: &Located<String>, instead: &str, errors: &mut Errors<'_>) {
    if name.value.contains('@') {
        let text = format!(
            "\"{}\" has an \"@\", which separates name and version: write {instead}",
            name.value
        );
        errors.add(&name.place, text);
    }
}

pub(crate) fn upstream_exists(name: &Located<String>, known: &[&str], errors: &mut Errors<'_>) {
    if known.contains(&name.value.as_str()) {
        return;
    }
    errors.add(&name.place, unknown("upstream", "[[upstream]]", &name.value, known));
}

/// That nothing has this name, what has, and what may have been meant.
#[must_use]
pub fn unknown(what: &str, table: &str, name: &str, known: &[&str]) -> String {
    let named: Vec<&str> = known.iter().copied().filter(|name| !name.is_empty()).collect();
    let there_are = if named.is_empty() {
        format!("there is no {table} yet")
    } else {
        format!("there are: {}", listed(&named))
    };
    let meant = nearest(name, &named)
        .map_or_else(String::new, |near| format!("; did you mean \"{near}\"?"));
    format!("no {what} is called \"{name}\" ({there_are}{meant})")
}

/// A header of the PROXY protocol is taken from those alone who are trusted.
pub(crate) fn somebody_is_trusted(section: &Section<'_>, listen: &Listen, errors: &mut Errors<'_>) {
    let has_wrong = errors.list.iter().any(|error| error.place.path.contains("trusted_proxies"));
    if listen.proxy_protocol && listen.trusted_proxies.is_empty() && !has_wrong {
        let text = "nobody is trusted to speak for others: write trusted_proxies = [\"ADDRESS\", \"NETWORK/PREFIX\"] \
                    with those of the proxies";
        errors.add(&section.place_of("proxy_protocol", errors), text);
    }
}

/// Others must be able to reach the gateway where it says that it is, and hear of it often enough.
fn registrations(file: &File, errors: &mut Errors<'_>) {
    for register in &file.node.register {
        if let Some(address) = &register.address
            && address.parse::<SocketAddr>().is_err()
        {
            let text = format!("\"{address}\" is no address: write \"10.0.0.5:8080\"");
            errors.add(&register.place, text);
        }
        if register.ttl < TTL_MIN {
            let text = "ttl_ms is too short for signs of life: write 2000 or more";
            errors.add(&register.place, text);
        }
    }
}

/// What must hold between the parts of a file.
pub(crate) fn whole(file: &File, errors: &mut Errors<'_>) {
    registrations(file, errors);
    if file.listen.address == file.admin.address && file.listen.address.port() != 0 {
        let text = format!(
            "{} is also the address of [admin]: give one of them another port",
            file.listen.address
        );
        errors.add(&file.listen.place, text);
    }
    let mut lines: BTreeMap<&str, u32> = BTreeMap::new();
    for upstream in &file.upstreams {
        if upstream.name.is_empty() {
            continue;
        }
        if let Some(line) = lines.insert(&upstream.name, upstream.place.line) {
            let text = format!(
                "the upstream at line {line} is called \"{}\" too: give one of them another name",
                upstream.name
            );
            errors.add(&upstream.place, text);
        }
        let weights = upstream.endpoints.iter().map(|endpoint| endpoint.weight);
        if !upstream.endpoints.is_empty() && weights.sum::<u32>() == 0 {
            let text = "every endpoint has weight 0, so none would be used: give one a weight";
            errors.add(&upstream.place, text);
        }
        let mut seen = BTreeSet::new();
        for endpoint in &upstream.endpoints {
            if !seen.insert(&endpoint.url) {
                let text = format!(
                    "{} is named twice: write it once, with the sum of the weights",
                    endpoint.url.text
                );
                errors.add(&endpoint.place, text);
            }
        }
    }
    bounds(file, errors);
}

fn bounds(file: &File, errors: &mut Errors<'_>) {
    let top = Place::default();
    // Registries may hold them, and may be empty, or not be asked yet.
    let is_held = file.registries.iter().any(|registry| registry.config.is_some());
    if file.models.is_empty() && !is_held && errors.list.is_empty() {
        errors.add(
            &top,
            "there is no [[model]], so every request would be refused: write one, with name and \
             upstream",
        );
    }
    let endpoints = file.upstreams.iter().map(|upstream| upstream.endpoints.len()).sum();
    for (what, count, most) in [
        ("upstreams", file.upstreams.len(), ENTRIES_MAX),
        ("models", file.models.len(), ENTRIES_MAX),
        ("endpoints", endpoints, ENDPOINTS_MAX),
    ] {
        if count > most {
            errors.add(&top, format!("there are {count} {what}: at most {most} are supported"));
        }
    }
}

/// What is allowed and yet hardly meant, for `ringway check` and the log.
pub(crate) fn warnings(file: &File) -> Vec<Error> {
    let mut warnings = Vec::new();
    if !file.admin.address.ip().is_loopback() {
        let text = format!(
            "the admin pages have no password and {} is not a loopback address",
            file.admin.address
        );
        warnings.push(file.error(&Place { line: 0, path: "admin.address".to_owned() }, text));
    }
    for upstream in &file.upstreams {
        if !file.models.iter().any(|model| model.upstream == upstream.name) {
            let text = format!("no model uses the upstream \"{}\"", upstream.name);
            warnings.push(file.error(&upstream.place, text));
        }
        for endpoint in &upstream.endpoints {
            let is_local = endpoint.url.host == "localhost"
                || endpoint.url.ip().is_some_and(|ip| ip.is_loopback());
            if upstream.api_key.is_some() && !endpoint.url.is_https && !is_local {
                let text = format!(
                    "the api_key of \"{}\" goes to {} in clear text",
                    upstream.name, endpoint.url.text
                );
                warnings.push(file.error(&endpoint.place, text));
            }
        }
        if upstream.ca.is_some() && !upstream.endpoints.iter().any(|e| e.url.is_https) {
            let text =
                format!("no endpoint of \"{}\" is https, so its ca is not used", upstream.name);
            warnings.push(file.error(&upstream.place, text));
        }
        let deadlines = upstream.deadlines;
        if deadlines.whole < deadlines.first_byte {
            let text = format!(
                "the deadline whole_ms of \"{}\" ends before its first_byte_ms",
                upstream.name
            );
            warnings.push(file.error(&upstream.place, text));
        }
    }
    warnings
}
