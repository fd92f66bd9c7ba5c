//! Discovery as the watch sees it: the config with all that registries and sources add to it, and when that is another.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use crate::config;
use crate::config::Endpoint;
use crate::config::Error;
use crate::config::File;
use crate::control::discover::overlay::Good;
use crate::control::discover::reach::Reach;
use crate::control::discover::registries::Registries;
use crate::control::discover::sources::Sources;
use crate::control::file::Loaded;
use crate::control::file::Source;
use crate::control::file::world_of;
use crate::control::metrics::SourceNumbers;
use crate::control::register::clerk::Wanted;
use crate::snapshot::World;

/// How long registries and sources that were never asked are waited for, at the start and at a reload.
const FIRST_WAIT: Duration = Duration::from_secs(5);

/// What is another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::control) enum Change {
    /// Endpoints.
    Found,
    /// The config that a registry holds.
    Held,
}

/// All that is discovered.
pub(in crate::control) struct Discovery {
    sources: Sources,
    registries: Registries,
    good: Good,
    /// What is wrong with what registries hold, as it was said last.
    refused: Vec<String>,
    /// The registries of the file that was read last and is right.
    reaches: Arc<[Reach]>,
}

impl Discovery {
    pub(in crate::control) fn new() -> Self {
        let (sources, registries) = (Sources::new(), Registries::new());
        let (good, refused, reaches) = (Good::default(), Vec::new(), Arc::default());
        Self { sources, registries, good, refused, reaches }
    }

    /// Reads the config with what registries hold of it, and asks the sources that it names for what they find. The text is what it was read from.
    ///
    /// # Errors
    /// All that is wrong with the file.
    pub(in crate::control) async fn load(
        &mut self,
        source: &Source,
    ) -> Result<(File, World, Arc<str>), Vec<Error>> {
        let text: Arc<str> = source.text()?.into();
        // Who holds the rest is in the file, whatever else is wrong with it as long as that rest is missing.
        let (part, _) = config::read(&text, &source.name());
        self.want_registries(&part, &world_of(&part));
        self.registries.first(FIRST_WAIT).await;
        let held = self.registries.held();
        let loaded = source.load_with(&text, &held, &mut self.good)?;
        let Loaded { file, mut world, refused } = loaded;
        self.say(refused);
        self.reaches = file
            .registries
            .iter()
            .map(|registry| Reach::new(registry, self.sources.access(registry, &world), &held))
            .collect();
        self.sources.want(&file, &world, Instant::now());
        self.sources.first(FIRST_WAIT).await;
        world.found = self.sources.found();
        Ok((file, world, text))
    }

    /// Goes back to what was asked for before: what was loaded last cannot be served.
    pub(in crate::control) fn want(&mut self, file: &File, world: &World) {
        self.want_registries(file, world);
        self.sources.want(file, world, Instant::now());
    }

    /// Waits until something is another. May be dropped.
    pub(in crate::control) async fn changed(&mut self) -> Change {
        tokio::select! {
            () = self.sources.changed() => Change::Found,
            () = self.registries.changed() => Change::Held,
        }
    }

    /// What is found by now.
    pub(in crate::control) fn found(&mut self) -> HashMap<String, Vec<Arc<Endpoint>>> {
        self.sources.found()
    }

    /// When the first of the answers came that what was given out last is made of; said once.
    pub(in crate::control) fn since(&mut self) -> Option<Instant> {
        self.sources.since()
    }

    /// Where the gateway makes itself known.
    pub(in crate::control) fn registrations(&mut self, file: &File, world: &World) -> Vec<Wanted> {
        Wanted::all(file, |registry| self.sources.access(registry, world))
    }

    /// What is known of each source.
    pub(in crate::control) fn numbers(&self) -> Vec<SourceNumbers> {
        self.sources.numbers(Instant::now())
    }

    /// What is wrong with what registries hold, and with registries that cannot be asked: a line each.
    pub(in crate::control) fn troubles(&self) -> Vec<String> {
        let silent = self.registries.troubles().into_iter();
        let silent = silent.map(|(name, why)| format!("registry \"{name}\": {why}"));
        self.refused.iter().cloned().chain(silent).collect()
    }

    /// The registries of the file, and what they held when it was read last.
    pub(in crate::control) fn reaches(&self) -> Arc<[Reach]> {
        Arc::clone(&self.reaches)
    }

    fn want_registries(&mut self, file: &File, world: &World) {
        let (sources, registries) = (&mut self.sources, &mut self.registries);
        registries.want(file, |index| {
            file.registries
                .get(index)
                .map(|registry| sources.access(registry, world))
                .unwrap_or_default()
        });
    }

    fn say(&mut self, refused: Vec<Error>) {
        let refused = config::error_lines(&refused);
        for line in refused.iter().filter(|line| !self.refused.contains(line)) {
            tracing::error!("{line}; it is left out, or stays as it was");
        }
        self.refused = refused;
    }
}
