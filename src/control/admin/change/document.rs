//! The config's text, opened for changes: what is asked for is found, changed in place, and read again before it counts.

use serde_json::Map;
use serde_json::Value as Json;
use toml_edit::ArrayOfTables;
use toml_edit::DocumentMut;
use toml_edit::Item;
use toml_edit::Table;
use toml_edit::TableLike;

use super::list::List;
use super::list::Removed;
use super::table;
use super::table::EndpointChange;
use super::values;
use crate::config::Url;
use crate::config::suggest;

/// Why a change cannot be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// What is to be changed is not there; what there is instead.
    Missing(String),
    /// What is asked for cannot be, with the field.
    Field(String),
    /// It is right by itself, and does not fit the rest.
    Conflict(String),
}

/// What a change can be of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `[[model]]`.
    Model,
    /// `[[tenant]]`.
    Tenant,
}

impl Kind {
    /// The list's name in the file.
    pub(super) const fn key(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Tenant => "tenant",
        }
    }

    /// The name of the folder in a registry, and in paths of the API.
    pub(super) const fn folder(self) -> &'static str {
        match self {
            Self::Model => "models",
            Self::Tenant => "tenants",
        }
    }
}

/// The name of a model, with its version where it has one, or of a tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) kind: Kind,
    pub(super) name: String,
    pub(super) version: Option<String>,
}

impl Name {
    /// `NAME@VERSION` of a model, or just `NAME`.
    pub(super) fn new(kind: Kind, text: &str) -> Self {
        let (name, version) = match text.split_once('@') {
            Some((name, version)) if kind == Kind::Model => (name, Some(version.to_owned())),
            _ => (text, None),
        };
        Self { kind, name: name.to_owned(), version }
    }

    /// As it is asked for.
    pub(super) fn text(&self) -> String {
        let version = self.version.as_ref().map_or_else(String::new, |it| format!("@{it}"));
        format!("{}{version}", self.name)
    }

    /// The key in a registry, without the prefix.
    pub(super) fn key(&self) -> String {
        format!("{}/{}", self.kind.folder(), self.text())
    }

    /// Whether a table is the one.
    fn is(&self, table: &dyn TableLike) -> bool {
        let version = table.get("version").and_then(Item::as_str);
        table::is(table, "name", &self.name)
            && (self.kind == Kind::Tenant || version == self.version.as_deref())
    }

    /// Name and version, as fields of the file.
    fn fields(&self) -> Map<String, Json> {
        let name = ("name".to_owned(), self.name.as_str().into());
        let version = self.version.as_deref();
        let version = version.map(|version| ("version".to_owned(), version.into()));
        std::iter::once(name).chain(version).collect()
    }

    /// `fields` with name and version before them.
    ///
    /// # Errors
    /// That they say another name or version.
    pub(super) fn with_fields(
        &self,
        fields: &Map<String, Json>,
    ) -> Result<Map<String, Json>, Wrong> {
        let mut all = self.fields();
        for key in ["name", "version"] {
            let wanted = all.get(key).unwrap_or(&Json::Null);
            let is_version_of_a_tenant = key == "version" && self.kind == Kind::Tenant;
            match fields.get(key) {
                Some(said) if said != wanted && !is_version_of_a_tenant => {
                    return Err(Wrong::Field(format!(
                        "{key}: is {said} here and {wanted} in the path: leave it out, or ask for another path"
                    )));
                }
                _ => {}
            }
        }
        for (key, value) in fields {
            all.entry(key.clone()).or_insert_with(|| value.clone());
        }
        Ok(all)
    }
}

/// The text, opened.
#[derive(Clone, Debug)]
pub(super) struct Document {
    tree: DocumentMut,
}

impl Document {
    /// # Errors
    /// That it is not TOML, where it is wrong.
    pub(super) fn open(text: &str) -> Result<Self, Wrong> {
        let tree = text.parse();
        let wrong = |why: toml_edit::TomlError| {
            Wrong::Conflict(format!("the file is no TOML at the moment: {}", why.message()))
        };
        Ok(Self { tree: tree.map_err(wrong)? })
    }

    /// The text with the changes.
    pub(super) fn text(&self) -> String {
        self.tree.to_string()
    }

    /// Where among its kind a model or a tenant is.
    pub(super) fn position(&self, name: &Name) -> Option<usize> {
        let mut copy = self.tree.get(name.kind.key())?.clone();
        List::of(&mut copy)?.position(|table| name.is(table))
    }

    /// A model or a tenant as JSON.
    pub(super) fn get(&mut self, name: &Name) -> Option<Map<String, Json>> {
        Some(values::of_table(self.table(name)?))
    }

    /// A model or a tenant.
    pub(super) fn table(&mut self, name: &Name) -> Option<&mut dyn TableLike> {
        let list = List::of(self.tree.get_mut(name.kind.key())?)?;
        let at = list.position(|table| name.is(table))?;
        list.into_table(at)
    }

    /// Names of all models or tenants.
    pub(super) fn names(&self, kind: Kind) -> Vec<String> {
        let tables = self.tree.get(kind.key()).map(values::of_item).unwrap_or_default();
        let name = |table: &Json| {
            let name = table.get("name")?.as_str()?;
            let version = table.get("version").and_then(Json::as_str);
            Some(Name { kind, name: name.to_owned(), version: version.map(str::to_owned) }.text())
        };
        tables.as_array().into_iter().flatten().filter_map(name).collect()
    }

    /// Makes a model or a tenant what `fields` say, or puts it behind the others. A tenant's keys stay as they are where
    /// `fields` say nothing of them.
    ///
    /// # Errors
    /// Which field cannot be.
    pub(super) fn put(&mut self, name: &Name, fields: &Map<String, Json>) -> Result<(), Wrong> {
        let mut all = name.with_fields(fields)?;
        if let Some(found) = self.table(name) {
            let is_silent = name.kind == Kind::Tenant && !all.contains_key("keys");
            table::with_digests(found, &mut all);
            let kept: &[&str] = if is_silent { &["keys"] } else { &[] };
            return table::make(found, &all, kept).map_err(Wrong::Field);
        }
        let root = self.tree.as_table_mut();
        let item = root
            .entry(name.kind.key())
            .or_insert_with(|| Item::ArrayOfTables(ArrayOfTables::new()));
        let list = List::of(item)
            .ok_or_else(|| Wrong::Conflict(format!("{} is no list in the file", name.kind.key())));
        list?.push(&all).map_err(Wrong::Field)
    }

    /// Takes a model or a tenant out; false: it is not there.
    pub(super) fn delete(&mut self, name: &Name) -> bool {
        let Some(item) = self.tree.get_mut(name.kind.key()) else { return false };
        let Some(mut list) = List::of(item) else { return false };
        let Some(at) = list.position(|table| name.is(table)) else { return false };
        let removed = list.remove(at);
        if item.as_array_of_tables().is_some_and(ArrayOfTables::is_empty) {
            self.tree.remove(name.kind.key());
        }
        if let Some(Removed { position, above }) = removed.filter(|it| !it.above.is_empty()) {
            self.keep_above(position.unwrap_or_default(), &above);
        }
        true
    }

    /// Puts comments above the table that comes after `position`, or at the end.
    fn keep_above(&mut self, position: isize, above: &str) {
        let mut next = None;
        first_after(self.tree.as_table_mut(), position, &mut next);
        if let Some((_, table)) = next {
            let own = table.decor().prefix().and_then(|raw| raw.as_str()).unwrap_or_default();
            let prefix = format!("{above}{own}");
            table.decor_mut().set_prefix(prefix);
        } else {
            let end = self.tree.trailing().as_str().unwrap_or_default();
            let end = format!("{above}{end}");
            self.tree.set_trailing(end);
        }
    }

    /// Sets weight or drain of an upstream's endpoint that the file lists. False: the file lists none of this url.
    ///
    /// # Errors
    /// That the file has no such upstream.
    pub(super) fn set_endpoint(
        &mut self,
        upstream: &str,
        url: &Url,
        change: EndpointChange,
    ) -> Result<bool, Wrong> {
        let known = self.upstreams();
        if !known.iter().any(|known| known == upstream) {
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            let said = suggest(upstream, &known);
            return Err(Wrong::Missing(format!("there is no upstream \"{upstream}\": {said}")));
        }
        let Some(endpoint) = self.endpoint_table(upstream, url) else { return Ok(false) };
        table::set_endpoint(endpoint, change).map_err(Wrong::Field)?;
        Ok(true)
    }

    /// What the file says of an endpoint beside its url; null where it lists none of this url.
    pub(super) fn endpoint(&mut self, upstream: &str, url: &Url) -> Json {
        let table = self.endpoint_table(upstream, url).map(|table| values::of_table(table));
        table.map_or(Json::Null, |mut table| {
            table.remove("url");
            table.into()
        })
    }

    fn endpoint_table(&mut self, upstream: &str, url: &Url) -> Option<&mut dyn TableLike> {
        let list = List::of(self.tree.get_mut("upstream")?)?;
        let at = list.position(|table| table::is(table, "name", upstream))?;
        let list = List::of(list.into_table(at)?.get_mut("endpoints")?)?;
        let is_it = |table: &dyn TableLike| {
            let text = table.get("url").and_then(Item::as_str);
            text.and_then(|text| Url::parse(text).ok()).is_some_and(|of| of.text == url.text)
        };
        let at = list.position(is_it)?;
        list.into_table(at)
    }

    /// Names of the upstreams.
    pub(super) fn upstreams(&self) -> Vec<String> {
        let tables = self.tree.get("upstream").map(values::of_item).unwrap_or_default();
        let name = |table: &Json| table.get("name")?.as_str().map(str::to_owned);
        tables.as_array().into_iter().flatten().filter_map(name).collect()
    }
}

/// The table that stands next behind `position` in the file.
fn first_after<'d>(
    table: &'d mut Table,
    position: isize,
    found: &mut Option<(isize, &'d mut Table)>,
) {
    let is_better = |at: isize, found: &Option<(isize, &mut Table)>| {
        at > position && found.as_ref().is_none_or(|(best, _)| at < *best)
    };
    for (_, item) in table.iter_mut() {
        let inner: Vec<&'d mut Table> = match item {
            Item::Table(table) => vec![table],
            Item::ArrayOfTables(tables) => tables.iter_mut().collect(),
            Item::None | Item::Value(_) => Vec::new(),
        };
        for table in inner {
            let is_shown = !table.is_implicit() && !table.is_dotted();
            match table.position() {
                // What is in it comes after it.
                Some(at) if is_shown && is_better(at, found) => *found = Some((at, table)),
                _ => first_after(table, position, found),
            }
        }
    }
}

#[cfg(test)]
mod tests;
