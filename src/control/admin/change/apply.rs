//! One change from its beginning to its end: checked, written to where the config is kept, taken up, and only then answered.

use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use hyper::HeaderMap;
use hyper::StatusCode;
use serde_json::Value as Json;
use tokio::task;
use tokio::time;
use tokio::time::Instant;

use super::Refused;
use super::ask;
use super::check;
use super::document::Document;
use super::document::Name;
use super::document::Wrong;
use super::edit::Edit;
use super::found;
use super::keep;
use super::keep::Unkept;
use crate::config;
use crate::control::discover::overlay::Held;
use crate::control::discover::reach::Reach;
use crate::control::file::Source;
use crate::control::state::Shared;
use crate::control::watch;

/// How long what a registry was given may take to come back from it.
const RETURN_TIMEOUT: Duration = Duration::from_secs(5);
/// How long shards may take to serve what was published.
const ADOPT_TIMEOUT: Duration = Duration::from_secs(3);
/// How often to look whether it is so.
const POLL: Duration = Duration::from_millis(5);
/// How much of what was and of what is goes into a line of the log, in characters.
const SAID_MAX: usize = 1024;

/// Why there is nothing to write to.
const BUILT_IN: &str =
    "the built-in demo config cannot be changed: write a config file, and start with --config FILE";
/// Who has come in between.
const OVERTAKEN: &str =
    "somebody else has changed it at the same time: look again, and ask once more";

/// Who asks for what, and on which condition.
pub(super) struct Order {
    pub(super) edit: Edit,
    /// For the log and the history: a token's name, an address.
    pub(super) who: String,
    /// The request's fields, for `If-Match`.
    pub(super) fields: HeaderMap,
    /// In which registry something new is to be kept; none: in the file.
    pub(super) registry: Option<String>,
}

/// A change that was made.
#[derive(Debug)]
pub(super) struct Done {
    /// The snapshot that has it; where nothing had to be changed, the one that is served.
    pub(super) number: u64,
    /// False: it was so already.
    pub(super) is_changed: bool,
    /// It was not there before.
    pub(super) is_new: bool,
    /// False: it is written, and has not come back from the registry yet.
    pub(super) is_taken_up: bool,
    /// Where it is written.
    pub(super) kept: String,
    /// What was changed, as it is now.
    pub(super) item: Json,
}

/// Where a model, a tenant or an endpoint is kept.
pub(super) enum Keeper {
    File,
    Registry(Reach),
}

/// What a change works on.
pub(super) struct Scene {
    pub(super) remote: watch::Remote,
    /// As it was when the change began.
    pub(super) state: watch::State,
    /// The file's name in errors, and its text.
    pub(super) name: String,
    pub(super) text: String,
}

impl Scene {
    /// What is served and what is written now.
    ///
    /// # Errors
    /// That nothing is served yet, or the file cannot be read.
    pub(super) fn now(shared: &Shared) -> Result<Self, Refused> {
        let remote = shared.lock().remote();
        let not_yet = || Refused::new(StatusCode::SERVICE_UNAVAILABLE, "nothing is served yet");
        let remote = remote.ok_or_else(not_yet)?;
        let (state, name) = (remote.state(), remote.source().name());
        let unread = |errors: Vec<config::Error>| {
            Refused::new(StatusCode::CONFLICT, config::error_lines(&errors).join("\n"))
        };
        let text = remote.source().text().map_err(unread)?;
        Ok(Self { remote, state, name, text })
    }

    /// What registries hold.
    pub(super) fn held(&self) -> Vec<Held> {
        self.state.reaches.iter().filter_map(Reach::held).collect()
    }

    /// Where a model or a tenant is kept, as far as it is anywhere; what serves it counts.
    pub(super) fn keeper(&self, name: &Name, document: &Document) -> Option<Keeper> {
        let key = name.key();
        let is_in_file = document.position(name).is_some();
        let holds = |reach: &&Reach| {
            let wins = reach.config.as_ref().is_some_and(|config| config.wins);
            (wins || !is_in_file) && reach.entries.iter().any(|(held, _)| *held == key)
        };
        let holder = self.state.reaches.iter().find(holds).cloned().map(Keeper::Registry);
        holder.or_else(|| is_in_file.then_some(Keeper::File))
    }

    /// The file that is changed.
    pub(super) fn path(&self) -> Result<PathBuf, Refused> {
        match self.remote.source() {
            Source::File(path) => Ok(path.clone()),
            Source::BuiltIn(_) => Err(Refused::new(StatusCode::CONFLICT, BUILT_IN)),
        }
    }
}

/// Makes a change, one at a time.
///
/// # Errors
/// Why it is not made: all is as it was.
pub(super) async fn apply(shared: Shared, order: Order) -> Result<Done, Refused> {
    let remote = Scene::now(&shared)?.remote;
    let _alone = remote.alone().await;
    let scene = Scene::now(&shared)?;
    ask::may_change(&order.fields, scene.state.snapshot.number)?;
    let path = scene.path()?;
    let document = Document::open(&scene.text)?;
    let done = match keeper(&scene, &order, &document)? {
        Keeper::File => change_file(&scene, &order, document, &path).await?,
        Keeper::Registry(reach) => change_registry(&scene, &order, &reach).await?,
    };
    if done.is_changed && done.is_taken_up {
        adopted(&shared, done.number).await;
    }
    Ok(done)
}

/// Where what is asked for is kept, or is to be.
fn keeper(scene: &Scene, order: &Order, document: &Document) -> Result<Keeper, Refused> {
    let Some(name) = order.edit.name() else { return Ok(Keeper::File) };
    let found = scene.keeper(name, document);
    let Some(wanted) = &order.registry else { return Ok(found.unwrap_or(Keeper::File)) };
    let conflict = |why: String| Refused::new(StatusCode::CONFLICT, why);
    match found {
        Some(Keeper::Registry(reach)) if reach.name == *wanted => {
            return Ok(Keeper::Registry(reach));
        }
        Some(Keeper::Registry(reach)) => {
            return Err(conflict(format!("it is kept in registry \"{}\"", reach.name)));
        }
        Some(Keeper::File) => {
            return Err(conflict(format!("it is kept in the file {}", scene.name)));
        }
        None => {}
    }
    let mut reaches = scene.state.reaches.iter();
    let reach = reaches.find(|reach| reach.name == *wanted && reach.config.is_some());
    let missing =
        || conflict(format!("the file has no registry \"{wanted}\" with config = {{ prefix }}"));
    reach.cloned().map(Keeper::Registry).ok_or_else(missing)
}

async fn change_file(
    scene: &Scene,
    order: &Order,
    mut document: Document,
    path: &Path,
) -> Result<Done, Refused> {
    let edit = &order.edit;
    let from = edit.shown(&mut document);
    if !edit.change_file(&mut document)? {
        return found::change(scene, order).await;
    }
    let (to, after) = (edit.shown(&mut document), document.text());
    let kept = format!("the file {}", scene.name);
    let number = scene.state.snapshot.number;
    let is_new = from.is_null();
    if after == scene.text {
        let (is_changed, is_taken_up) = (false, true);
        return Ok(Done { number, is_changed, is_new, is_taken_up, kept, item: to });
    }
    check::file(&scene.text, &document, &scene.name, &scene.held(), edit)?;
    let number = replace(scene, path, &after, cause(order)).await?;
    audit(order, &from, &to, &kept, Some(number));
    Ok(Done { number, is_changed: true, is_new, is_taken_up: true, kept, item: to })
}

/// Has the file say something else, and that served: the number of the snapshot.
///
/// # Errors
/// Why not: the file is as it was.
pub(super) async fn replace(
    scene: &Scene,
    path: &Path,
    after: &str,
    cause: String,
) -> Result<u64, Refused> {
    write(path, &scene.text, after).await?;
    match scene.remote.reload_for(cause).await {
        Ok(number) => Ok(number),
        Err(errors) => {
            put_back(scene, path, after).await;
            Err(Refused { status: StatusCode::CONFLICT, errors })
        }
    }
}

/// What cannot be served does not stay in the file.
async fn put_back(scene: &Scene, path: &Path, after: &str) {
    match write(path, after, &scene.text).await {
        Ok(()) => {
            // The same once more: only so that what was wrong is not said to be so any more.
            drop(
                scene
                    .remote
                    .reload_for("a change that could not be served is taken back".to_owned())
                    .await,
            );
        }
        Err(why) => {
            let why = why.errors.join("; ");
            tracing::error!(
                why,
                "a change that cannot be served could not be taken out of the file"
            );
        }
    }
}

async fn write(path: &Path, before: &str, after: &str) -> Result<(), Refused> {
    let (path, before, after) = (path.to_owned(), before.to_owned(), after.to_owned());
    let writing = task::spawn_blocking(move || keep::write(&path, &before, &after));
    match writing.await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(Unkept::Other)) => Err(Refused::new(StatusCode::CONFLICT, OVERTAKEN)),
        Ok(Err(Unkept::Failed(why))) => Err(Refused::new(StatusCode::CONFLICT, why)),
        Err(_) => Err(Refused::new(StatusCode::INTERNAL_SERVER_ERROR, "the gateway is stopping")),
    }
}

async fn change_registry(scene: &Scene, order: &Order, reach: &Reach) -> Result<Done, Refused> {
    let edit = &order.edit;
    let prefix = reach.config.as_ref().map_or("", |config| &config.prefix);
    let key = edit.name().map(Name::key).unwrap_or_default();
    let held = reach.entries.iter().find(|(held, _)| *held == key);
    let before = held.map(|(_, value)| value.as_slice());
    let after = edit.change_entry(before)?;
    let kept = format!("registry \"{}\", key {prefix}{key}", reach.name);
    let (from, to) = (edit.shown_entry(before), edit.shown_entry(after.as_deref()));
    let (number, is_new) = (scene.state.snapshot.number, before.is_none());
    if before == after.as_deref() {
        let (is_changed, is_taken_up) = (false, true);
        return Ok(Done { number, is_changed, is_new, is_taken_up, kept, item: to });
    }
    let mut all = scene.held();
    if let Some(held) = all.iter_mut().find(|held| held.registry == reach.name) {
        held.entries.retain(|(held, _)| *held != key);
        held.entries.extend(after.clone().map(|value| (key.clone(), value)));
    }
    check::entry(&scene.text, &scene.name, (&scene.held(), &all), (&reach.name, &key))?;
    put(reach, &format!("{prefix}{key}"), before, after.clone()).await?;
    let is_there = |state: &watch::State| {
        let reach = state.reaches.iter().find(|of| of.name == reach.name);
        let held = reach.and_then(|of| of.entries.iter().find(|(held, _)| *held == key));
        held.map(|(_, value)| value) == after.as_ref()
    };
    let number = returned(scene, is_there).await;
    audit(order, &from, &to, &kept, number);
    let (number, is_taken_up) = (number.unwrap_or(scene.state.snapshot.number), number.is_some());
    Ok(Done { number, is_changed: true, is_new, is_taken_up, kept, item: to })
}

/// Has a registry hold something else.
pub(super) async fn put(
    reach: &Reach,
    key: &str,
    before: Option<&[u8]>,
    after: Option<Vec<u8>>,
) -> Result<(), Refused> {
    match reach.change(key, before, after).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(Refused::new(StatusCode::CONFLICT, OVERTAKEN)),
        Err(why) => {
            let why = format!("registry \"{}\": {why}", reach.name);
            Err(Refused::new(StatusCode::BAD_GATEWAY, why))
        }
    }
}

/// Waits until what a registry was given has come back from it: the number of the snapshot; none: not in time.
pub(super) async fn returned(
    scene: &Scene,
    is_there: impl Fn(&watch::State) -> bool,
) -> Option<u64> {
    let deadline = Instant::now() + RETURN_TIMEOUT;
    loop {
        let state = scene.remote.state();
        let is_newer = state.snapshot.number > scene.state.snapshot.number;
        if is_newer && is_there(&state) {
            return Some(state.snapshot.number);
        }
        if Instant::now() >= deadline {
            return None;
        }
        time::sleep(POLL).await;
    }
}

/// Waits until every shard serves the snapshot, for a moment: one that is stuck is said by `/livez`.
pub(super) async fn adopted(shared: &Shared, number: u64) {
    let deadline = Instant::now() + ADOPT_TIMEOUT;
    while Instant::now() < deadline {
        if shared.lock().adopted().iter().all(|adopted| *adopted >= number) {
            return;
        }
        time::sleep(POLL).await;
    }
}

/// Why there is a snapshot, for the history.
pub(super) fn cause(order: &Order) -> String {
    format!("{}: {}", order.who, order.edit.describe())
}

/// One line for each change.
pub(super) fn audit(order: &Order, from: &Json, to: &Json, kept: &str, number: Option<u64>) {
    let (who, what) = (&order.who, order.edit.describe());
    let (from, to) = (said(from), said(to));
    tracing::info!(who, what, from, to, kept, number, "changed by the admin API");
}

fn said(json: &Json) -> String {
    let text = json.to_string();
    match text.char_indices().nth(SAID_MAX).and_then(|(at, _)| text.split_at_checked(at)) {
        Some((head, _)) => format!("{head}.."),
        None => text,
    }
}

impl From<Wrong> for Refused {
    fn from(wrong: Wrong) -> Self {
        match wrong {
            Wrong::Missing(why) => Self::new(StatusCode::NOT_FOUND, why),
            Wrong::Field(why) => Self::new(StatusCode::BAD_REQUEST, why),
            Wrong::Conflict(why) => Self::new(StatusCode::CONFLICT, why),
        }
    }
}
