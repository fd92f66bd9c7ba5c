//! The older vocabulary: draft-cavage-http-signatures, up to its last version (12).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::admission::refusal::Refusal;
use crate::admission::signature::COVERED_MAX;
use crate::admission::signature::Signed;
use crate::admission::signature::Signers;
use crate::admission::signature::digest;
use crate::admission::signature::joined;
use crate::wire::head::RequestHead;

/// What stands in `Authorization` behind the scheme; `None` if the scheme is another.
pub(super) fn parameters(value: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = value.split_at_checked(b"signature ".len())?;
    scheme.eq_ignore_ascii_case(b"signature ").then_some(rest)
}

/// The parameters that mean something. Others are not covered by the signature, and change nothing.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Parameters<'t> {
    key_id: Option<&'t str>,
    signature: Option<&'t str>,
    algorithm: Option<&'t str>,
    headers: Option<&'t str>,
    created: Option<&'t str>,
    expires: Option<&'t str>,
}

/// Reads `name="text"` and `name=number`, separated by commas, each name once.
pub(super) fn parameters_of(text: &str) -> Option<Parameters<'_>> {
    const PARAMETERS_MAX: usize = 16;
    let mut found = Parameters::default();
    let mut seen: Vec<&str> = Vec::new();
    let mut rest = text.trim_matches(' ');
    loop {
        let (name, behind) = rest.split_once('=')?;
        let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !is_name || seen.contains(&name) || seen.len() >= PARAMETERS_MAX {
            return None;
        }
        seen.push(name);
        let (value, behind) = match behind.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => {
                let is_digit = |c: char| c.is_ascii_digit();
                let end = behind.find(|c| !is_digit(c)).unwrap_or(behind.len());
                behind.split_at_checked(end).filter(|(number, _)| !number.is_empty())?
            }
        };
        // No escapes: what they stand for would be for each reader to decide.
        if value.contains('\\') || value.bytes().any(|byte| byte.is_ascii_control()) {
            return None;
        }
        match name {
            "keyId" => found.key_id = Some(value),
            "signature" => found.signature = Some(value),
            "algorithm" => found.algorithm = Some(value),
            "headers" => found.headers = Some(value),
            "created" => found.created = Some(value),
            "expires" => found.expires = Some(value),
            _ => {}
        }
        let behind = behind.trim_start_matches(' ');
        if behind.is_empty() {
            return Some(found);
        }
        rest = behind.strip_prefix(',')?.trim_start_matches(' ');
    }
}

/// Reads the signature of a request.
pub(super) fn read(
    head: &RequestHead<'_, '_>,
    value: &[u8],
    signers: &Signers,
) -> Result<Signed, Refusal> {
    let malformed = Refusal::SignatureMalformed;
    let text = parameters(value).and_then(|text| str::from_utf8(text).ok()).ok_or(malformed)?;
    let found = parameters_of(text).ok_or(malformed)?;
    let (key_id, signature) = (found.key_id.ok_or(malformed)?, found.signature.ok_or(malformed)?);
    let mac = STANDARD.decode(signature).map_err(|_| malformed)?;
    // `hs2019` leaves it to the key, and ours have but one.
    if !matches!(found.algorithm, None | Some("hs2019" | "hmac-sha256")) {
        return Err(Refusal::SignatureAlgorithm);
    }
    let headers = found.headers.unwrap_or("(created)").to_ascii_lowercase();
    let covered: Vec<&str> = headers.split(' ').collect();
    let is_twice = |(at, name): (usize, &&str)| covered.iter().take(at).any(|other| other == name);
    if covered.len() > COVERED_MAX || covered.iter().enumerate().any(is_twice) {
        return Err(malformed);
    }
    let created = unix_s(found.created)?;
    let expires_unix_s = unix_s(found.expires)?;
    let base = base(head, &covered, &found)?;
    let signer = signers.find(key_id).ok_or(Refusal::SignatureKeyUnknown)?;
    let covers = |name: &str| covered.contains(&name);
    let field = |name: &str| joined(head.fields, name).filter(|_| covers(name));
    let created_unix_s = match field("date") {
        _ if covers("(created)") => created,
        Some(date) => Some(date_unix_s(&date).ok_or(malformed)?),
        None => None,
    };
    let digest = field("content-digest").map(|value| digest::content_digest(&value));
    let digest = digest.or_else(|| field("digest").map(|value| digest::digest(&value)));
    Ok(Signed {
        signer,
        bases: vec![base],
        mac,
        nonce: None,
        created_unix_s,
        expires_unix_s,
        is_target_covered: covers("(request-target)"),
        digest,
    })
}

fn unix_s(text: Option<&str>) -> Result<Option<u64>, Refusal> {
    text.map(|text| text.parse().map_err(|_| Refusal::SignatureMalformed)).transpose()
}

/// The signature string (section 2.3).
pub(super) fn base(
    head: &RequestHead<'_, '_>,
    covered: &[&str],
    parameters: &Parameters<'_>,
) -> Result<Vec<u8>, Refusal> {
    let malformed = Refusal::SignatureMalformed;
    let mut out = Vec::with_capacity(512);
    for name in covered {
        if !out.is_empty() {
            out.push(b'\n');
        }
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b": ");
        match *name {
            "(request-target)" => {
                out.extend_from_slice(head.method_text.to_ascii_lowercase().as_bytes());
                out.push(b' ');
                out.extend_from_slice(head.path.as_bytes());
                if let Some(query) = head.query {
                    out.push(b'?');
                    out.extend_from_slice(query.as_bytes());
                }
            }
            "(created)" => out.extend_from_slice(parameters.created.ok_or(malformed)?.as_bytes()),
            "(expires)" => out.extend_from_slice(parameters.expires.ok_or(malformed)?.as_bytes()),
            name if name.is_empty() || name.starts_with('(') => return Err(malformed),
            name => {
                out.extend_from_slice(&joined(head.fields, name).ok_or(Refusal::SignatureWrong)?);
            }
        }
    }
    Ok(out)
}

/// The time of a date as it is written today (RFC 9110, section 5.6.7: `Sun, 06 Nov 1994 08:49:37 GMT`), in seconds
/// since 1970. The name of the day is not looked at.
pub(super) fn date_unix_s(date: &[u8]) -> Option<u64> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let text = str::from_utf8(date).ok().filter(|text| text.len() == 29 && text.is_ascii())?;
    let (_, rest) = text.split_once(", ")?;
    let parts: Vec<&str> = rest.split(' ').collect();
    let [day, month, year, time, "GMT"] = *parts.as_slice() else { return None };
    let clock: Vec<&str> = time.split(':').collect();
    let [hour, minute, second] = *clock.as_slice() else { return None };
    let number = |text: &str, digits: usize, max: u64| {
        let is_number = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u64>().ok().filter(|number| is_number && *number <= max)
    };
    let (day, year) = (number(day, 2, 31)?, number(year, 4, 9999)?);
    let month = MONTHS.iter().position(|name| *name == month)? as u64 + 1;
    let (hour, minute, second) =
        (number(hour, 2, 23)?, number(minute, 2, 59)?, number(second, 2, 60)?);
    // Days since 1 March of the year 0: the leap day is then the last of its year.
    let (year, month) =
        if month > 2 { (year, month - 3) } else { (year.checked_sub(1)?, month + 9) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day;
    let days = days.checked_sub(1 + 719_468)?;
    Some(((days * 24 + hour) * 60 + minute) * 60 + second)
}
