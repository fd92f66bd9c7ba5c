//! Who may enter and how much, as one thing that is the same from snapshot to snapshot while nothing about it changes: thousands of
//! tenants are not looked at again because an endpoint has come.

use crate::admission::Table;
use crate::config;
use crate::config::File;
use crate::route;
use crate::snapshot::Described;
use crate::snapshot::Secret;
use crate::snapshot::World;
use crate::snapshot::describe::describe;
use crate::snapshot::policy::Builder;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

/// The rules of the newest snapshot, and all that they were made of.
#[derive(Debug)]
pub(super) struct Kept {
    source: Source,
    table: Arc<Table>,
    described: Arc<Described>,
}

#[derive(Debug)]
struct Source {
    /// Without upstreams: rules do not speak of them. Where a name leads that they speak of is all in the models.
    file: File,
    steps: Vec<String>,
    secrets: Arc<HashMap<config::SecretPlace, Secret>>,
    address_files: Arc<HashMap<PathBuf, Vec<config::Cidr>>>,
    jwks: HashMap<usize, Vec<u8>>,
}

impl Kept {
    /// For the table, and for people.
    pub(super) fn both(&self) -> (Arc<Table>, Arc<Described>) {
        (Arc::clone(&self.table), Arc::clone(&self.described))
    }
}

impl Builder<'_> {
    /// The rules: those of before if nothing about them has changed. Where there are errors, they are not to be kept.
    pub(super) fn rules(&mut self, route: &route::Table) -> Kept {
        let kept = self.ledger.rules.take();
        if let Some(kept) = kept.filter(|kept| kept.source.is_of(self.file, self.world)) {
            return kept;
        }
        let table = Arc::new(self.table(route));
        let source = Source {
            file: without_upstreams(self.file),
            steps: self.world.steps.clone(),
            secrets: Arc::clone(&self.world.secrets),
            address_files: Arc::clone(&self.world.address_files),
            jwks: self.world.jwks.clone(),
        };
        Kept { source, table, described: Arc::new(describe(self.file)) }
    }
}

impl Source {
    fn is_of(&self, file: &File, world: &World) -> bool {
        let World { steps, secrets, address_files, jwks, .. } = world;
        (&self.steps, &self.jwks) == (steps, jwks)
            && (&self.secrets, &self.address_files) == (secrets, address_files)
            && has_same_rules(&self.file, file)
    }
}

/// Whether all is the same but upstreams.
fn has_same_rules(one: &File, other: &File) -> bool {
    // By their names, so that whatever is new in a file is thought of here.
    let File {
        upstreams: _,
        name,
        listen,
        admin,
        access_log,
        node,
        registries,
        models,
        routes,
        keys,
        jwt,
        signature_window,
        tenants,
    } = one;
    (name, listen, admin, access_log, node, registries)
        == (
            &other.name,
            &other.listen,
            &other.admin,
            &other.access_log,
            &other.node,
            &other.registries,
        )
        && (models, routes, keys, jwt, signature_window, tenants)
            == (
                &other.models,
                &other.routes,
                &other.keys,
                &other.jwt,
                &other.signature_window,
                &other.tenants,
            )
}

fn without_upstreams(file: &File) -> File {
    File { upstreams: Vec::new(), ..file.clone() }
}
