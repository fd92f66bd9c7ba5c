//! What is to be changed, done to the file's text or to what a registry holds under a key.

use serde_json::Map;
use serde_json::Value as Json;
use serde_json::json;
use toml_edit::DocumentMut;
use toml_edit::TableLike;

use super::document::Document;
use super::document::Kind;
use super::document::Name;
use super::document::Wrong;
use super::table;
use super::table::EndpointChange;
use super::values;
use crate::config::Url;

/// One change.
#[derive(Clone, Debug)]
pub(super) enum Edit {
    /// Weight or drain of an endpoint.
    Endpoint { upstream: String, url: Url, change: EndpointChange },
    /// A model or a tenant is this from now on.
    Put { name: Name, fields: Map<String, Json> },
    /// There is no such model or tenant any more.
    Delete { name: Name },
    /// A tenant has one key more.
    AddKey { tenant: Name, key: Map<String, Json> },
    /// A tenant has one key less.
    RemoveKey { tenant: Name, id: String },
}

impl Edit {
    /// The model or the tenant that is changed.
    pub(super) fn name(&self) -> Option<&Name> {
        match self {
            Self::Endpoint { .. } => None,
            Self::Put { name, .. } | Self::Delete { name } => Some(name),
            Self::AddKey { tenant, .. } | Self::RemoveKey { tenant, .. } => Some(tenant),
        }
    }

    /// For logs and the history.
    pub(super) fn describe(&self) -> String {
        let of = |name: &Name| format!("{} \"{}\"", name.kind.key(), name.text());
        match self {
            Self::Endpoint { upstream, url, .. } => {
                format!("endpoint {} of upstream \"{upstream}\"", url.text)
            }
            Self::Put { name, .. } => of(name),
            Self::Delete { name } => format!("deletion of {}", of(name)),
            Self::AddKey { tenant, key } => {
                let id = key.get("id").and_then(Json::as_str).unwrap_or_default();
                format!("new key \"{id}\" of {}", of(tenant))
            }
            Self::RemoveKey { tenant, id } => format!("deletion of key \"{id}\" of {}", of(tenant)),
        }
    }

    /// Does it to the file. False: it is an endpoint that the file does not list.
    ///
    /// # Errors
    /// Why it cannot be.
    pub(super) fn change_file(&self, document: &mut Document) -> Result<bool, Wrong> {
        match self {
            Self::Endpoint { upstream, url, change } => {
                return document.set_endpoint(upstream, url, *change);
            }
            Self::Put { name, fields } => document.put(name, fields)?,
            Self::Delete { name } => {
                if !document.delete(name) {
                    return Err(missing(name, document));
                }
            }
            Self::AddKey { tenant, .. } | Self::RemoveKey { tenant, .. } => {
                let Some(found) = document.table(tenant) else {
                    return Err(missing(tenant, document));
                };
                self.change_keys(found)?;
            }
        }
        Ok(true)
    }

    /// Does it to what a registry holds under the key of [`Self::name`]; none: nothing is to be there.
    ///
    /// # Errors
    /// Why it cannot be.
    pub(super) fn change_entry(&self, before: Option<&[u8]>) -> Result<Option<Vec<u8>>, Wrong> {
        let mut entry = Entry::open(before.unwrap_or(b"{}"))?;
        let table = entry.tree.as_table_mut();
        match self {
            Self::Endpoint { .. } => {}
            Self::Put { name, fields } => {
                let mut fields = name.with_fields(fields)?;
                fields.remove("name");
                if name.version.is_some() {
                    fields.remove("version");
                }
                table::with_digests(table, &mut fields);
                let is_silent = name.kind == Kind::Tenant && !fields.contains_key("keys");
                let kept: &[&str] = if is_silent { &["keys"] } else { &[] };
                table::make(table, &fields, kept).map_err(Wrong::Field)?;
            }
            Self::Delete { .. } => return Ok(None),
            Self::AddKey { .. } | Self::RemoveKey { .. } => self.change_keys(table)?,
        }
        Ok(Some(entry.bytes()))
    }

    fn change_keys(&self, tenant: &mut dyn TableLike) -> Result<(), Wrong> {
        match self {
            Self::AddKey { key, .. } => table::add_key(tenant, key).map_err(Wrong::Conflict),
            Self::RemoveKey { id, .. } if !table::remove_key(tenant, id) => {
                let ids = table::key_ids(tenant);
                let known: Vec<&str> = ids.iter().map(String::as_str).collect();
                let said = crate::config::suggest(id, &known);
                Err(Wrong::Missing(format!(
                    "the config has no key \"{id}\" of this tenant ({said}); keys in key files are changed there"
                )))
            }
            _ => Ok(()),
        }
    }

    /// What is changed, as it is in the file, without digests.
    pub(super) fn shown(&self, document: &mut Document) -> Json {
        match self {
            Self::Endpoint { upstream, url, .. } => document.endpoint(upstream, url),
            _ => self.name().and_then(|name| document.get(name)).map_or(Json::Null, |it| {
                let mut it = it;
                hide(&mut it);
                self.part(it)
            }),
        }
    }

    /// The same of what a registry holds.
    pub(super) fn shown_entry(&self, entry: Option<&[u8]>) -> Json {
        let entry = entry.and_then(|bytes| Entry::open(bytes).ok());
        entry.map_or(Json::Null, |entry| self.part(entry.shown()))
    }

    /// Of a tenant whose keys are changed only their ids.
    fn part(&self, table: Map<String, Json>) -> Json {
        match self {
            Self::AddKey { .. } | Self::RemoveKey { .. } => {
                let keys = table.get("keys").and_then(Json::as_array).into_iter().flatten();
                json!({ "keys": keys.filter_map(|key| key.get("id")).collect::<Vec<_>>() })
            }
            _ => table.into(),
        }
    }
}

/// That it is not there, and what there is.
pub(super) fn missing(name: &Name, document: &Document) -> Wrong {
    let names = document.names(name.kind);
    let known: Vec<&str> = names.iter().map(String::as_str).collect();
    let said = crate::config::suggest(&name.text(), &known);
    Wrong::Missing(format!("there is no {} \"{}\": {said}", name.kind.key(), name.text()))
}

/// Digests of keys are nobody's business but the gateway's.
pub(super) fn hide(tenant: &mut Map<String, Json>) {
    let keys = tenant.get_mut("keys").and_then(Json::as_array_mut).into_iter().flatten();
    for key in keys.filter_map(Json::as_object_mut) {
        key.remove("sha256");
    }
}

/// What a registry holds under a key: JSON or TOML, and written as it was.
pub(super) struct Entry {
    tree: DocumentMut,
    is_json: bool,
}

impl Entry {
    /// # Errors
    /// That it is neither.
    pub(super) fn open(bytes: &[u8]) -> Result<Self, Wrong> {
        let wrong = |why: String| Wrong::Conflict(format!("what the registry holds {why}"));
        let text = std::str::from_utf8(bytes).map_err(|_| wrong("is not UTF-8".to_owned()))?;
        if !text.trim_start().starts_with('{') {
            let tree = text.parse();
            let tree = tree.map_err(|why: toml_edit::TomlError| {
                wrong(format!("is no TOML: {}", why.message()))
            });
            return Ok(Self { tree: tree?, is_json: false });
        }
        let fields: Map<String, Json> =
            serde_json::from_str(text).map_err(|why| wrong(format!("is no JSON: {why}")))?;
        let table = values::to_inline(&fields).map_err(wrong)?.into_table();
        Ok(Self { tree: DocumentMut::from(table), is_json: true })
    }

    fn bytes(&self) -> Vec<u8> {
        if self.is_json {
            return format!("{:#}", Json::from(values::of_table(self.tree.as_table())))
                .into_bytes();
        }
        self.tree.to_string().into_bytes()
    }

    /// As JSON, without digests.
    pub(super) fn shown(&self) -> Map<String, Json> {
        let mut fields = values::of_table(self.tree.as_table());
        hide(&mut fields);
        fields
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(text: &str, fields: &Json) -> Edit {
        let (name, fields) = (Name::new(Kind::Model, text), fields.as_object().unwrap().clone());
        Edit::Put { name, fields }
    }

    #[test]
    fn a_registry_s_entry_stays_what_it_was_written_in() {
        let edit = put("m@1", &json!({"upstream": "v", "name": "m", "version": "1"}));
        let after = edit.change_entry(Some(b"# why\nupstream = \"u\" # c\n")).unwrap().unwrap();
        assert_eq!(String::from_utf8(after).unwrap(), "# why\nupstream = \"v\" # c\n");
        let after = edit.change_entry(Some(b"{\"upstream\": \"u\"}")).unwrap().unwrap();
        assert_eq!(String::from_utf8(after).unwrap(), "{\n  \"upstream\": \"v\"\n}");
        assert_eq!(edit.change_entry(None).unwrap().unwrap(), b"{\n  \"upstream\": \"v\"\n}");
        assert!(matches!(edit.change_entry(Some(b"{")), Err(Wrong::Conflict(_))));
    }

    #[test]
    fn digests_are_not_shown() {
        let tenant = Name::new(Kind::Tenant, "acme");
        let text = r#"{"keys": [{"id": "a", "sha256": "SECRET"}], "priority": "low"}"#;
        let all = Edit::Delete { name: tenant.clone() }.shown_entry(Some(text.as_bytes()));
        assert_eq!(all, json!({"keys": [{"id": "a"}], "priority": "low"}));
        let edit = Edit::RemoveKey { tenant, id: "a".into() };
        assert_eq!(edit.shown_entry(Some(text.as_bytes())), json!({"keys": ["a"]}));
        assert_eq!(edit.shown_entry(None), Json::Null);
        let after = edit.change_entry(Some(text.as_bytes())).unwrap().unwrap();
        assert!(!String::from_utf8(after).unwrap().contains("SECRET"));
    }

    #[test]
    fn what_is_not_there_is_said() {
        let mut document = Document::open("[[model]]\nname = \"llama\"\n").unwrap();
        let wrong =
            Edit::Delete { name: Name::new(Kind::Model, "lama") }.change_file(&mut document);
        let expected = "there is no model \"lama\": did you mean \"llama\"?";
        assert_eq!(wrong, Err(Wrong::Missing(expected.into())));
    }
}
