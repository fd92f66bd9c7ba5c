//! What credentials a head carries, before any of them is believed.

use crate::admission::jwt;
use crate::admission::jwt::TOKEN_BYTES_MAX;
use crate::admission::refusal::Refusal;
use crate::wire::head::RequestHead;
use crate::wire::head::is_same_name;

/// Longest key, in bytes: those that are minted here have 52, those of the large providers up to 200.
const KEY_BYTES_MAX: usize = 1 << 10;

/// What a head carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Presented<'h> {
    /// What may be an API key.
    pub(super) key: Option<&'h [u8]>,
    /// What may be a JSON Web Token.
    pub(super) token: Option<&'h str>,
    /// Whether there is a signature, in either vocabulary.
    pub(super) is_signed: bool,
    /// Why keys and tokens cannot be told from what there is.
    pub(super) trouble: Option<Refusal>,
}

/// Reads `Authorization: Bearer`, `x-api-key` and `api-key`, which may carry the same value but not different ones, and
/// none of which may be there twice. With `has_issuers` what looks like a token is one; all else is a key.
pub(super) fn presented<'h>(head: &RequestHead<'h, '_>, has_issuers: bool) -> Presented<'h> {
    let mut presented = Presented::default();
    let mut seen = [false; 3];
    for field in head.fields {
        // Most fields are none of these, and the length says so.
        let (place, value) = match field.name.len() {
            13 if is_same_name(field.name, "authorization") => {
                let (scheme, value) = split(field.value);
                presented.is_signed |= scheme.eq_ignore_ascii_case(b"signature");
                (0, scheme.eq_ignore_ascii_case(b"bearer").then_some(value))
            }
            9 if is_same_name(field.name, "x-api-key") => (1, Some(field.value)),
            7 if is_same_name(field.name, "api-key") => (2, Some(field.value)),
            9 if is_same_name(field.name, "signature") => {
                presented.is_signed = true;
                continue;
            }
            15 if is_same_name(field.name, "signature-input") => {
                presented.is_signed = true;
                continue;
            }
            _ => continue,
        };
        let [authorization, x_api_key, api_key] = &mut seen;
        let is_again = match place {
            0 => std::mem::replace(authorization, true),
            1 => std::mem::replace(x_api_key, true),
            _ => std::mem::replace(api_key, true),
        };
        if is_again {
            presented.trouble = Some(Refusal::CredentialsMany);
        }
        if let Some(value) = value {
            presented.take(value, has_issuers);
        }
    }
    presented
}

impl<'h> Presented<'h> {
    fn take(&mut self, value: &'h [u8], has_issuers: bool) {
        let trouble = match has_issuers.then(|| token(value)).flatten() {
            Some(token) if token.len() > TOKEN_BYTES_MAX => Some(Refusal::CredentialMalformed),
            Some(token) => {
                let before = self.token.replace(token);
                before.filter(|before| *before != token).map(|_| Refusal::CredentialsMany)
            }
            None if !is_key(value) => Some(Refusal::CredentialMalformed),
            None => {
                let before = self.key.replace(value);
                before.filter(|before| *before != value).map(|_| Refusal::CredentialsMany)
            }
        };
        self.trouble = self.trouble.or(trouble);
    }
}

/// The scheme, and what follows it and the spaces.
fn split(value: &[u8]) -> (&[u8], &[u8]) {
    match value.iter().position(|byte| matches!(byte, b' ' | b'\t')) {
        Some(at) => {
            let (scheme, rest) = value.split_at(at);
            (scheme, rest.trim_ascii())
        }
        None => (value, &[]),
    }
}

fn is_key(value: &[u8]) -> bool {
    (1..=KEY_BYTES_MAX).contains(&value.len()) && value.iter().all(u8::is_ascii_graphic)
}

/// The value, if it looks like a token.
fn token(value: &[u8]) -> Option<&str> {
    if jwt::has_shape(value) { std::str::from_utf8(value).ok() } else { None }
}

#[cfg(test)]
mod tests;
