//! HTTP message signatures (RFC 9421).

use crate::admission::refusal::Refusal;
use crate::admission::signature::COVERED_MAX;
use crate::admission::signature::SIGNATURES_MAX;
use crate::admission::signature::Signed;
use crate::admission::signature::Signers;
use crate::admission::signature::digest;
use crate::admission::signature::joined;
use crate::admission::signature::structured::Bare;
use crate::admission::signature::structured::Item;
use crate::admission::signature::structured::Parameters;
use crate::admission::signature::structured::Reader;
use crate::admission::signature::structured::write_parameters;
use crate::wire::head::RequestHead;

/// One member of `Signature-Input`: what one signature covers, and how it was made.
pub(super) struct Input<'t> {
    label: &'t str,
    items: Vec<Item<'t>>,
    parameters: Parameters<'t>,
}

impl<'t> Input<'t> {
    fn parameter(&self, name: &str) -> Option<Bare<'t>> {
        self.parameters.iter().find(|(other, _)| *other == name).map(|(_, value)| *value)
    }

    /// A parameter that is a text if it is there.
    fn text(&self, name: &str) -> Result<Option<std::borrow::Cow<'t, str>>, Refusal> {
        let value = self.parameter(name).map(|value| value.text());
        value.map(|text| text.ok_or(Refusal::SignatureMalformed)).transpose()
    }

    /// A parameter that is a time if it is there.
    fn unix_s(&self, name: &str) -> Result<Option<u64>, Refusal> {
        let value = self.parameter(name).map(|value| value.count());
        value.map(|time| time.ok_or(Refusal::SignatureMalformed)).transpose()
    }

    fn covers(&self, name: &str) -> bool {
        self.items.iter().any(|(item, _)| *item == Bare::Text(name))
    }
}

/// Reads the one signature of a request that names a signer of ours. Others may be there: those of proxies on the way.
pub(super) fn read(head: &RequestHead<'_, '_>, signers: &Signers) -> Result<Signed, Refusal> {
    let malformed = Refusal::SignatureMalformed;
    let field = |name| joined(head.fields, name).ok_or(malformed);
    let (inputs, signatures) = (field("signature-input")?, field("signature")?);
    let inputs = str::from_utf8(&inputs).ok().and_then(inputs_of).ok_or(malformed)?;
    let signatures = str::from_utf8(&signatures).ok().and_then(signatures_of).ok_or(malformed)?;
    let mut ours = None;
    for input in &inputs {
        let Some(id) = input.text("keyid")? else { continue };
        let Some(signer) = signers.find(&id) else { continue };
        if ours.replace((input, signer)).is_some() {
            return Err(Refusal::SignaturesMany);
        }
    }
    let (input, signer) = ours.ok_or(Refusal::SignatureKeyUnknown)?;
    if input.text("alg")?.is_some_and(|name| name != "hmac-sha256") {
        return Err(Refusal::SignatureAlgorithm);
    }
    let signature = signatures.iter().find(|(label, _)| *label == input.label);
    let (_, mac) = signature.ok_or(malformed)?;
    let has_query = head.query.is_some();
    let is_whole = input.covers("@target-uri") || input.covers("@request-target");
    let is_in_parts = input.covers("@path") && (!has_query || input.covers("@query"));
    let value = input.covers("content-digest").then(|| joined(head.fields, "content-digest"));
    let nonce = input.text("nonce")?.map(std::borrow::Cow::into_owned);
    Ok(Signed {
        signer,
        bases: bases(head, input)?,
        mac: mac.clone(),
        nonce,
        created_unix_s: input.unix_s("created")?,
        expires_unix_s: input.unix_s("expires")?,
        is_target_covered: input.covers("@method") && (is_whole || is_in_parts),
        digest: value.flatten().map(|value| digest::content_digest(&value)),
    })
}

/// The members of `Signature-Input`.
pub(super) fn inputs_of(text: &str) -> Option<Vec<Input<'_>>> {
    let mut reader = Reader::new(text);
    let mut inputs: Vec<Input<'_>> = Vec::new();
    loop {
        let label = reader.key()?;
        let items = reader.list(COVERED_MAX)?;
        let parameters = reader.parameters()?;
        if inputs.len() >= SIGNATURES_MAX || inputs.iter().any(|other| other.label == label) {
            return None;
        }
        inputs.push(Input { label, items, parameters });
        if !reader.comma()? {
            return Some(inputs);
        }
    }
}

/// The members of `Signature`.
fn signatures_of(text: &str) -> Option<Vec<(&str, Vec<u8>)>> {
    let mut reader = Reader::new(text);
    let mut signatures: Vec<(&str, Vec<u8>)> = Vec::new();
    loop {
        let label = reader.key()?;
        let bytes = reader.value()?.bytes()?;
        reader.parameters()?;
        if signatures.len() >= SIGNATURES_MAX || signatures.iter().any(|(other, _)| *other == label)
        {
            return None;
        }
        signatures.push((label, bytes));
        if !reader.comma()? {
            return Some(signatures);
        }
    }
}

/// The texts that may have been signed. Which scheme the client has seen is not known here: something in front may have
/// ended its TLS.
fn bases(head: &RequestHead<'_, '_>, input: &Input<'_>) -> Result<Vec<Vec<u8>>, Refusal> {
    let depends = ["@target-uri", "@authority", "@scheme"].iter().any(|name| input.covers(name));
    let schemes: &[Scheme] = if depends { &[Scheme::Http, Scheme::Https] } else { &[Scheme::Http] };
    schemes.iter().map(|scheme| base(head, *scheme, input)).collect()
}

/// The scheme of the target as the client has seen it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    Http,
    Https,
}

impl Scheme {
    const fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// Host and port in lower case, the port left out where it is the scheme's own (section 2.2.3).
    fn authority(self, head: &RequestHead<'_, '_>) -> String {
        let own = if self == Self::Http { ":80" } else { ":443" };
        let authority = head.authority.to_ascii_lowercase();
        authority.strip_suffix(own).map_or_else(|| authority.clone(), str::to_owned)
    }
}

/// The signature base (section 2.5).
pub(super) fn base(
    head: &RequestHead<'_, '_>,
    scheme: Scheme,
    input: &Input<'_>,
) -> Result<Vec<u8>, Refusal> {
    let mut out = Vec::with_capacity(512);
    let mut seen: Vec<&str> = Vec::with_capacity(input.items.len());
    let mut list = Vec::with_capacity(256);
    for (item, parameters) in &input.items {
        // Parameters say that only a part of a field is covered, or a form of it that we do not make.
        let Bare::Text(name) = item else { return Err(Refusal::SignatureMalformed) };
        let is_name = name.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"\\:".contains(&byte));
        let is_lower = !name.bytes().any(|byte| byte.is_ascii_uppercase());
        let is_fit = is_name && is_lower && parameters.is_empty() && !seen.contains(name);
        if !is_fit || name.is_empty() {
            return Err(Refusal::SignatureMalformed);
        }
        seen.push(name);
        list.extend_from_slice(if list.is_empty() { b"\"" } else { b" \"" });
        list.extend_from_slice(name.as_bytes());
        list.push(b'"');
        out.push(b'"');
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\": ");
        component(head, scheme, name, &mut out)?;
        out.push(b'\n');
    }
    out.extend_from_slice(b"\"@signature-params\": (");
    out.extend_from_slice(&list);
    out.push(b')');
    write_parameters(&input.parameters, &mut out);
    Ok(out)
}

/// The value of one component (sections 2.1 and 2.2).
fn component(
    head: &RequestHead<'_, '_>,
    scheme: Scheme,
    name: &str,
    out: &mut Vec<u8>,
) -> Result<(), Refusal> {
    let mut write = |text: &str| out.extend_from_slice(text.as_bytes());
    let mut target = |is_with_query: bool| {
        write(head.path);
        if let Some(query) = head.query.filter(|_| is_with_query) {
            write("?");
            write(query);
        }
    };
    match name {
        "@method" => write(head.method_text),
        "@path" => target(false),
        "@request-target" => target(true),
        "@query" => {
            write("?");
            write(head.query.unwrap_or_default());
        }
        "@scheme" => write(scheme.name()),
        "@authority" => write(&scheme.authority(head)),
        "@target-uri" => {
            let authority = scheme.authority(head);
            out.extend_from_slice(scheme.name().as_bytes());
            out.extend_from_slice(b"://");
            out.extend_from_slice(authority.as_bytes());
            return component(head, scheme, "@request-target", out);
        }
        name if name.starts_with('@') => return Err(Refusal::SignatureMalformed),
        name => {
            let value = joined(head.fields, name).ok_or(Refusal::SignatureWrong)?;
            out.extend_from_slice(&value);
        }
    }
    Ok(())
}
