//! Key files: one JSON object a line, each a key of a tenant.
//!
//! There may be a million lines, so what lines share is kept once: tenants' names, lists of models, limits.

use crate::config::check;
use crate::config::date;
use crate::config::error::Error;
use crate::config::error::Place;
use crate::config::limits;
use crate::config::limits::Raw;
use crate::config::policy::Count;
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::HashMap;

/// The most errors that are said of one file.
const ERRORS_MAX: usize = 20;

/// The keys of one file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyFile {
    /// How the file is called in errors.
    pub name: String,
    /// One for each key, in the file's order.
    pub lines: Vec<KeyLine>,
    /// The names of tenants that lines speak of.
    pub tenants: Vec<Box<str>>,
    /// The lists of models and limits that lines have.
    pub grants: Vec<Grant>,
}

/// One key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyLine {
    /// Of the key; nothing else is known of it.
    pub sha256: [u8; 32],
    /// Unique in its tenant.
    pub id: Box<str>,
    /// From when on it is not valid, in seconds since 1970.
    pub expires_unix_s: Option<u64>,
    /// Which of the file's `tenants` it belongs to.
    pub tenant: u32,
    /// Which of the file's `grants` it has.
    pub grant: u32,
    /// Its line, from 1.
    pub line: u32,
}

/// What a key may do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Grant {
    /// Which models it may use; none: all that its tenant may.
    pub models: Option<Vec<String>>,
    /// Its own limits.
    pub limits: Vec<Count>,
}

impl KeyFile {
    /// An error of a line of this file, at the key called `path`.
    #[must_use]
    pub fn error(&self, line: u32, path: &str, text: impl Into<String>) -> Error {
        error(&self.name, line, path, text.into())
    }

    /// What a line may do.
    #[must_use]
    pub fn grant(&self, line: &KeyLine) -> Option<&Grant> {
        self.grants.get(usize::try_from(line.grant).ok()?)
    }

    /// Whose key a line is.
    #[must_use]
    pub fn tenant(&self, line: &KeyLine) -> &str {
        let index = usize::try_from(line.tenant).ok();
        index.and_then(|index| self.tenants.get(index)).map_or("", |name| name)
    }
}

fn error(file: &str, line: u32, path: &str, text: String) -> Error {
    Error { file: file.to_owned(), place: Place { line, path: path.to_owned() }, text }
}

/// A line as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'t> {
    #[serde(borrow)]
    sha256: Cow<'t, str>,
    #[serde(borrow)]
    tenant: Cow<'t, str>,
    #[serde(borrow)]
    id: Cow<'t, str>,
    #[serde(borrow, default)]
    expires: Option<Cow<'t, str>>,
    #[serde(default)]
    models: Option<Vec<String>>,
    #[serde(borrow, default)]
    limits: Option<Limits<'t>>,
}

/// `limits` of a line: the same keys as in the config file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Limits<'t> {
    requests_per_second: Option<u64>,
    requests_per_minute: Option<u64>,
    requests_per_hour: Option<u64>,
    requests_per_day: Option<u64>,
    tokens_per_second: Option<u64>,
    tokens_per_minute: Option<u64>,
    tokens_per_hour: Option<u64>,
    tokens_per_day: Option<u64>,
    concurrent: Option<u64>,
    #[serde(borrow)]
    algorithm: Option<Cow<'t, str>>,
    burst: Option<Burst>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Burst {
    requests: Option<u64>,
    tokens: Option<u64>,
}

/// Reads a key file: its keys, and what is wrong with it, at most 20 lines of that. Empty lines and lines that begin with `#`
/// are skipped. Nothing of a line is repeated in an error: it may have a secret in the wrong place.
#[must_use]
pub fn read(text: &str, name: &str) -> (KeyFile, Vec<Error>) {
    let mut file = KeyFile { name: name.to_owned(), ..KeyFile::default() };
    let mut shared = Shared::default();
    let mut errors = Vec::new();
    let mut wrong = 0_usize;
    for (number, line) in (1_u32..).zip(text.lines()) {
        if line.trim_ascii().is_empty() || line.trim_ascii_start().starts_with('#') {
            continue;
        }
        if let Err((path, why)) = shared.read(line, number, &mut file) {
            wrong += 1;
            if errors.len() < ERRORS_MAX {
                errors.push(error(name, number, path, why));
            }
        }
    }
    if wrong > errors.len() {
        let more = wrong - errors.len();
        errors.push(error(name, 0, "", format!("{more} more lines are wrong")));
    }
    (file, errors)
}

/// Where what lines share has its place.
#[derive(Default)]
struct Shared<'t> {
    tenants: HashMap<Cow<'t, str>, u32>,
    grants: HashMap<Grant, u32>,
}

impl<'t> Shared<'t> {
    fn read(
        &mut self,
        text: &'t str,
        number: u32,
        file: &mut KeyFile,
    ) -> Result<(), (&'static str, String)> {
        let line: Line<'t> = serde_json::from_str(text).map_err(|why| ("", explain(&why)))?;
        let sha256 = digest(&line.sha256).ok_or_else(|| {
            let text = "is not the SHA-256 of a key: write the 64 hexadecimal digits that `ringway key new` prints";
            ("sha256", text.to_owned())
        })?;
        check::fits_label(&line.id).map_err(|why| ("id", why.to_owned()))?;
        check::fits_label(&line.tenant).map_err(|why| ("tenant", why.to_owned()))?;
        let expires = line.expires.map(|text| date::parse(&text)).transpose();
        let limits = line.limits.map(|limits| limits.counts()).transpose()?.unwrap_or_default();
        let grant = Grant { models: line.models, limits };
        let tenant = match self.tenants.get(&line.tenant) {
            Some(index) => *index,
            None => {
                let index = count(file.tenants.len());
                file.tenants.push(line.tenant.as_ref().into());
                self.tenants.insert(line.tenant, index);
                index
            }
        };
        let grant = match self.grants.get(&grant) {
            Some(index) => *index,
            None => {
                let index = count(file.grants.len());
                file.grants.push(grant.clone());
                self.grants.insert(grant, index);
                index
            }
        };
        file.lines.push(KeyLine {
            sha256,
            id: line.id.into(),
            expires_unix_s: expires.map_err(|why| ("expires", why))?,
            tenant,
            grant,
            line: number,
        });
        Ok(())
    }
}

impl Limits<'_> {
    fn counts(&self) -> Result<Vec<Count>, (&'static str, String)> {
        let number = |value: Option<u64>| {
            value.map(limits::number).transpose().map_err(|why| ("limits", why))
        };
        let mut raw = Raw::default();
        let written = [
            self.requests_per_second,
            self.requests_per_minute,
            self.requests_per_hour,
            self.requests_per_day,
            self.tokens_per_second,
            self.tokens_per_minute,
            self.tokens_per_hour,
            self.tokens_per_day,
        ];
        for (slot, value) in raw.numbers.iter_mut().zip(written) {
            *slot = number(value)?;
        }
        raw.concurrent = number(self.concurrent)?;
        if let Some(text) = &self.algorithm {
            raw.algorithm = Some(limits::algorithm(text).map_err(|why| ("limits.algorithm", why))?);
        }
        if let Some(burst) = &self.burst {
            raw.burst_requests = number(burst.requests)?;
            raw.burst_tokens = number(burst.tokens)?;
        }
        raw.counts().map_err(|(_, why)| ("limits.burst", why))
    }
}

/// What serde says without the line, which is said already, and without values, which may be secrets.
fn explain(why: &serde_json::Error) -> String {
    let said = why.to_string();
    let said = said.split(" at line ").next().unwrap_or_default();
    let column = why.column();
    match why.classify() {
        // A name that is not known or missing is a name of ours or the operator's; a value of the wrong type is not said.
        serde_json::error::Category::Data if said.starts_with("invalid") => {
            let expected = said.rsplit("expected ").next().unwrap_or_default();
            format!("a value before byte {column} has the wrong type: expected {expected}")
        }
        serde_json::error::Category::Data => said.replace('`', "\""),
        _ => format!(
            "is not JSON at byte {column}: write {{\"sha256\":\"..\",\"tenant\":\"..\",\"id\":\"..\"}}, one object a line"
        ),
    }
}

/// The bytes that 64 hexadecimal digits say.
pub(crate) fn digest(text: &str) -> Option<[u8; 32]> {
    let digits: &[u8; 64] = text.as_bytes().try_into().ok()?;
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.as_chunks::<2>().0) {
        let [high, low] = pair.map(|digit| char::from(digit).to_digit(16));
        *byte = u8::try_from(high? << 4 | low?).ok()?;
    }
    Some(bytes)
}

fn count(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::read;

    const DIGEST: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

    fn why(line: &str) -> String {
        let (file, errors) = read(line, "k.jsonl");
        assert!(file.lines.is_empty(), "{line}");
        assert_eq!(errors.len(), 1, "{line}");
        errors[0].to_string()
    }

    #[test]
    fn what_lines_share_is_kept_once() {
        let line = |tenant: &str, id: usize, rest: &str| {
            format!("{{\"sha256\":\"{DIGEST}\",\"tenant\":\"{tenant}\",\"id\":\"k{id}\"{rest}}}\n")
        };
        let limits = ",\"models\":[\"m\"],\"limits\":{\"requests_per_minute\":5}";
        let text = [
            "# keys\n\n".to_owned(),
            line("a", 1, ""),
            line("b", 2, limits),
            line("a", 3, limits),
            line("a", 4, ",\"expires\":\"2027-01-01\",\"models\":null"),
        ];
        let (file, errors) = read(&text.concat(), "k.jsonl");
        assert!(errors.is_empty(), "{errors:?}");
        assert_eq!((file.lines.len(), file.tenants.len(), file.grants.len()), (4, 2, 2));
        assert_eq!(file.lines[0].line, 3);
        assert_eq!(file.tenant(&file.lines[2]), "a");
        assert_eq!(file.grant(&file.lines[1]), file.grant(&file.lines[2]));
        assert_eq!(file.lines[3].expires_unix_s, Some(1_798_761_600));
    }

    #[test]
    fn a_wrong_line_says_where_and_what_and_nothing_of_its_values() {
        let line = |more: &str| format!("{{\"sha256\":\"{DIGEST}\",\"tenant\":\"a\",{more}}}");
        for (line, wanted) in [
            ("secret".to_owned(), "k.jsonl:1: is not JSON at byte 1: write {\"sha256\""),
            ("{\"tenant\":\"secret\"}".to_owned(), "k.jsonl:1: missing field \"sha256\""),
            ("[]".to_owned(), "k.jsonl:1: "),
            (line("\"id\":\"x\",\"key\":\"secret\""), "unknown field \"key\", expected one of"),
            (line("\"id\":\"x\",\"expires\":7"), "wrong type: expected"),
            (line("\"id\":\"x\",\"id\":\"secret\""), "duplicate field \"id\""),
            (line("\"id\":\"\""), "k.jsonl:1: id: may not be empty"),
            (line("\"id\":\"se cret\""), "k.jsonl:1: id: goes into a header field"),
            (
                line("\"id\":\"x\",\"expires\":\"soon\""),
                "k.jsonl:1: expires: \"soon\" is not a date",
            ),
            (
                line("\"id\":\"x\",\"limits\":{\"concurrent\":0}"),
                "k.jsonl:1: limits: 0 is out of range",
            ),
            (
                line("\"id\":\"x\",\"limits\":{\"burst\":{\"tokens\":1}}"),
                "limits.burst: there is no limit",
            ),
            (
                line("\"id\":\"x\",\"limits\":{\"algorithm\":\"window\"}"),
                "limits.algorithm: no algorithm",
            ),
            (
                "{\"sha256\":\"rw_secret\",\"tenant\":\"a\",\"id\":\"x\"}".to_owned(),
                "k.jsonl:1: sha256: is not the SHA-256 of a key",
            ),
            (
                "{\"sha256\":[\"secret\"],\"tenant\":\"a\",\"id\":\"x\"}".to_owned(),
                "has the wrong type: expected a",
            ),
        ] {
            let said = why(&line);
            assert!(said.contains(wanted), "{line}: {said}");
            assert!(!said.contains("secret"), "{said}");
        }
    }

    #[test]
    fn of_many_wrong_lines_some_are_said() {
        let (_, errors) = read(&"{}\n".repeat(100_000), "k.jsonl");
        assert_eq!(errors.len(), 21);
        assert_eq!(errors[20].to_string(), "k.jsonl: 99980 more lines are wrong");
    }

    /// Whatever is cut off or changed: no panic, and no key that was not there.
    #[test]
    fn any_beginning_of_a_line_is_read() {
        let line = format!(
            "{{\"sha256\":\"{DIGEST}\",\"tenant\":\"a\",\"id\":\"x\",\"limits\":{{\"tokens_per_day\":9}}}}"
        );
        for end in 0..line.len() {
            let (file, errors) = read(&line[..end], "k.jsonl");
            assert_eq!((file.lines.len(), errors.len()), (0, usize::from(end > 0)), "{end}");
        }
    }
}
