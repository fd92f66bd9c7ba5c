//! From the tree of a TOML text to a [`File`].

mod balance;
mod discover;
mod health;
mod jwt;
mod level;
mod limits;
mod listen;
mod log;
mod model;
mod registry;
mod retry;
mod route;
mod secret;
mod streams;
mod tenant;
mod upstream;

use crate::config::access;
use crate::config::check;
use crate::config::error::Error;
use crate::config::error::Place;
use crate::config::file::File;
use crate::config::section::Elsewhere;
use crate::config::section::Errors;
use crate::config::section::Section;
use std::path::Path;
use std::sync::Arc;
use toml::de::DeTable;

const TOP_ELSEWHERE: &[Elsewhere] =
    &[("middleware", "has no place here: write it into [listen], [[tenant]] or [[model]]")];

/// Reads the text. The file is whole only where there are no errors.
pub(crate) fn file(text: &str, name: &str) -> (File, Vec<Error>) {
    let mut errors = Errors::new(name, text);
    let (tree, wrong) = DeTable::parse_recoverable(text);
    for error in &wrong {
        let line = errors.line(error.span().map_or(0, |span| span.start));
        errors.add(&Place { line, path: String::new() }, error.message().trim_end().to_owned());
    }
    let folder = Path::new(name).parent().unwrap_or(Path::new("")).to_path_buf();
    let mut file = empty(name, &folder, &mut errors);
    if !wrong.is_empty() {
        // A tree with holes would only bring up errors that are not there.
        return (file, errors.list);
    }
    let mut quiet = Errors::new("", "");
    let top = Section::new(tree.get_ref(), Place::default());
    let known = [
        "listen",
        "admin",
        "access_log",
        "node",
        "registry",
        "upstream",
        "model",
        "route",
        "keys",
        "jwt",
        "signature",
        "tenant",
    ];
    top.refuse_unknown(&known, TOP_ELSEWHERE, &mut errors);
    file.listen = listen::listen(top.table("listen", &mut errors), &folder, &mut errors);
    file.admin = listen::admin(top.table("admin", &mut errors), &folder, &mut errors);
    file.access_log = log::access_log(top.table("access_log", &mut errors), &folder, &mut errors);
    file.node = registry::node(top.table("node", &mut errors), &mut errors);
    for section in top.tables("registry", "[[registry]]", &mut errors) {
        file.registries.extend(registry::registry(&section, &folder, &mut errors));
    }
    for section in top.tables("upstream", "[[upstream]]", &mut errors) {
        file.upstreams.push(upstream::upstream(&section, &folder, &mut errors));
    }
    let upstreams: Vec<&str> =
        file.upstreams.iter().map(|upstream| upstream.name.as_str()).collect();
    for section in top.tables("model", "[[model]]", &mut errors) {
        let heartbeat = file.listen.heartbeat;
        file.models.push(model::model(&section, &upstreams, heartbeat, &folder, &mut errors));
    }
    let routes = top.tables("route", "[[route]]", &mut errors);
    file.routes = routes.iter().map(|section| route::route(section, &mut errors)).collect();
    file.keys = tenant::keys_path(top.table("keys", &mut errors), &folder, &mut errors);
    let jwt = top.tables("jwt", "[[jwt]]", &mut errors);
    file.jwt = jwt.iter().map(|section| jwt::jwt(section, &folder, &mut errors)).collect();
    file.signature_window = jwt::window(top.table("signature", &mut errors), &mut errors);
    let tenants = top.tables("tenant", "[[tenant]]", &mut errors);
    file.tenants =
        tenants.iter().map(|section| tenant::tenant(section, &folder, &mut errors)).collect();
    listen::default_identity(top.table("listen", &mut quiet), &mut file);
    registry::check(&file, &mut errors);
    check::whole(&file, &mut errors);
    access::whole(&file, &mut errors);
    (file, errors.list)
}

/// A file of which nothing is read yet.
fn empty(name: &str, folder: &Path, errors: &mut Errors<'_>) -> File {
    File {
        name: name.to_owned(),
        listen: listen::listen(None, folder, errors),
        admin: listen::admin(None, folder, errors),
        access_log: None,
        node: registry::node(None, errors),
        registries: Vec::new(),
        upstreams: Vec::new(),
        models: Vec::new(),
        routes: Vec::new(),
        keys: None,
        jwt: Vec::new(),
        signature_window: jwt::window(None, errors),
        tenants: Arc::default(),
    }
}
