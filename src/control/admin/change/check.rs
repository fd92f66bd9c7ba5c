//! A change that is made, and not yet written: is what comes of it a config?

use super::document::Document;
use super::document::Wrong;
use super::edit::Edit;
use crate::config::Error;
use crate::config::File;
use crate::control::discover::overlay;
use crate::control::discover::overlay::Good;
use crate::control::discover::overlay::Held;

/// How many things that are wrong are said.
const SAID_MAX: usize = 20;

/// Reads the file's next text as it would be read, with what registries hold.
///
/// # Errors
/// All that is wrong with it, under the names that the fields have for whoever asks.
pub(super) fn file(
    before: &str,
    after: &Document,
    name: &str,
    held: &[Held],
    edit: &Edit,
) -> Result<(), Wrong> {
    let read = |text: &str| overlay::compose(text, name, held, &mut Good::default());
    let (then, next) = (read(before), read(&after.text()));
    may_open(&then.file, &next.file)?;
    let wrong = next.errors;
    // What was wrong before is not the change's; whether it matters is seen when the file is read for good.
    if wrong.is_empty() || !then.errors.is_empty() {
        return Ok(());
    }
    let own =
        edit.name().and_then(|of| Some(format!("{}[{}]", of.kind.key(), after.position(of)?)));
    let is_of_endpoint = matches!(edit, Edit::Endpoint { .. });
    let mut is_own = !wrong.is_empty();
    let said = wrong.iter().take(SAID_MAX).map(|error| {
        let path = &error.place.path;
        let field = match &own {
            Some(own) if path == own => Some(""),
            Some(own) => path.strip_prefix(own.as_str()).and_then(|rest| rest.strip_prefix('.')),
            None if is_of_endpoint => path.rsplit_once("].").map(|(_, field)| field),
            None => None,
        };
        is_own &= field.is_some();
        line(field.unwrap_or(path), &error.text)
    });
    let said = said.collect::<Vec<_>>().join("\n");
    Err(if is_own { Wrong::Field(said) } else { Wrong::Conflict(said) })
}

/// A gateway that asks for credentials does not stop to because the last of them is deleted: that would let in everybody.
fn may_open(then: &File, next: &File) -> Result<(), Wrong> {
    let is_open = |file: &File| {
        let mut tenants = file.tenants.iter();
        let is_silent = tenants.all(|it| it.keys.is_empty() && it.signatures.is_empty());
        is_silent && file.keys.is_none() && file.jwt.is_empty()
    };
    let is_said = next.listen.level.middleware.is_some();
    if is_open(next) && !is_open(then) && !is_said {
        return Err(Wrong::Conflict(
            "it is the last credential that there is, and without any everybody would be let in: make another first, or \
             change the file by hand"
                .to_owned(),
        ));
    }
    Ok(())
}

/// The same of what a registry is to hold under `key`: `held` has it already, `then` not yet.
///
/// # Errors
/// As above.
pub(super) fn entry(
    text: &str,
    name: &str,
    (then, held): (&[Held], &[Held]),
    (registry, key): (&str, &str),
) -> Result<(), Wrong> {
    let read = |held: &[Held]| overlay::compose(text, name, held, &mut Good::default());
    let composed = read(held);
    may_open(&read(then).file, &composed.file)?;
    let place = format!("{registry}:{key}");
    let own = composed.refused.iter().filter(|error| error.file == place);
    let said: Vec<String> = own
        .take(SAID_MAX)
        .map(|error| {
            let path = error.place.path.split_once("].").map_or("", |(_, field)| field);
            line(path, &error.text)
        })
        .collect();
    if !said.is_empty() {
        return Err(Wrong::Field(said.join("\n")));
    }
    others(&composed.errors, &composed.refused)
}

/// What is wrong elsewhere because of it.
fn others(errors: &[Error], refused: &[Error]) -> Result<(), Wrong> {
    let said = errors.iter().chain(refused).take(SAID_MAX);
    let said: Vec<String> = said.map(ToString::to_string).collect();
    if said.is_empty() { Ok(()) } else { Err(Wrong::Conflict(said.join("\n"))) }
}

fn line(path: &str, text: &str) -> String {
    if path.is_empty() { text.to_owned() } else { format!("{path}: {text}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Url;
    use crate::control::admin::change::document::Kind;
    use crate::control::admin::change::document::Name;
    use crate::control::admin::change::table::EndpointChange;
    use serde_json::json;

    const FILE: &str = "[[upstream]]\nname = \"u\"\nendpoints = [{ url = \"http://127.0.0.1:1\" }]\n\n\
        [[model]]\nname = \"a\"\nupstream = \"u\"\n\n[[model]]\nname = \"b\"\nupstream = \"u\"\nfallback = [\"a\"]\n";

    fn checked(edit: &Edit) -> Result<(), Wrong> {
        let mut document = Document::open(FILE).unwrap();
        edit.change_file(&mut document)?;
        file(FILE, &document, "a.toml", &[], edit)
    }

    fn put(name: &str, fields: &serde_json::Value) -> Edit {
        let (name, fields) = (Name::new(Kind::Model, name), fields.as_object().unwrap().clone());
        Edit::Put { name, fields }
    }

    #[track_caller]
    fn field(edit: &Edit) -> String {
        match checked(edit) {
            Err(Wrong::Field(said)) => said,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_wrong_is_said_by_its_field() {
        assert_eq!(checked(&put("c", &json!({"upstream": "u"}))), Ok(()));
        let said = field(&put("b", &json!({"upstream": "u", "retry": {"attemps": 3}})));
        assert!(said.starts_with("retry.attemps: ") && said.contains("attempts"), "{said}");
        let said = field(&put("c", &json!({"upstream": "x", "deadlines": {"gap_ms": 0}})));
        assert!(said.contains("\nupstream: ") && said.starts_with("deadlines.gap_ms: "), "{said}");
        let url = Url::parse("http://127.0.0.1:1").unwrap();
        let change = EndpointChange { weight: Some(1001), drain: None };
        let said = field(&Edit::Endpoint { upstream: "u".into(), url, change });
        assert!(said.starts_with("weight: "), "{said}");
    }

    #[test]
    fn the_last_credential_stays() {
        let text = format!(
            "{FILE}\n[[tenant]]\nname = \"t\"\nkeys = [{{ id = \"k\", sha256 = \"{}\" }}]\n",
            "0".repeat(64)
        );
        let (tenant, id) = (Name::new(Kind::Tenant, "t"), "k".to_owned());
        for edit in [Edit::Delete { name: tenant.clone() }, Edit::RemoveKey { tenant, id }] {
            let mut document = Document::open(&text).unwrap();
            edit.change_file(&mut document).unwrap();
            let wrong = file(&text, &document, "a.toml", &[], &edit);
            assert!(
                matches!(&wrong, Err(Wrong::Conflict(why)) if why.contains("last credential")),
                "{wrong:?}"
            );
        }
    }

    #[test]
    fn what_others_need_cannot_go() {
        let wrong = checked(&Edit::Delete { name: Name::new(Kind::Model, "a") });
        let Err(Wrong::Conflict(said)) = wrong else { panic!("{wrong:?}") };
        assert!(said.starts_with("model[0].fallback"), "{said}");
        assert_eq!(checked(&Edit::Delete { name: Name::new(Kind::Model, "b") }), Ok(()));
    }

    #[test]
    fn what_a_registry_is_to_hold_is_read_with_the_file() {
        let check = |value: &str| {
            let entries = vec![("models/c".to_owned(), value.as_bytes().to_vec())];
            let held = [Held { registry: "fleet".into(), wins: false, entries }];
            entry(FILE, "a.toml", (&[], &held), ("fleet", "models/c"))
        };
        assert_eq!(check("{\"upstream\": \"u\"}"), Ok(()));
        let Err(Wrong::Field(said)) = check("{\"upstream\": \"x\", \"retry\": {\"attempts\": 99}}")
        else {
            panic!("it is wrong")
        };
        assert!(said.contains("retry.attempts: ") && said.contains("upstream: "), "{said}");
    }
}
