//! Endpoints of a file, read again when it changes.

use std::path::Path;
use std::time::Duration;
use std::time::SystemTime;

use tokio::time;

use crate::config::DiscoverSource;
use crate::config::Endpoint;
use crate::control::discover::Question;
use crate::control::discover::entry;
use crate::control::discover::tell::Tell;
use crate::control::file::read_bounded;

/// How often the file is looked at. A change is taken up once it has been there for two looks, so that it is not read while
/// it is being written.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// The longest file, in bytes.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// When it was written, and how long it is; none: it cannot be looked at.
type Stamp = Option<(SystemTime, u64)>;

/// Reads the file again and again.
pub(super) async fn watch(question: Question, tell: Tell) {
    let DiscoverSource::File(file) = &question.discover.source else { return };
    let mut seen = stamp(&file.path);
    say(&question, &file.path, &tell);
    let mut used = seen;
    loop {
        time::sleep(LOOK_EVERY).await;
        let now = stamp(&file.path);
        let is_settled = now == seen;
        seen = now;
        if is_settled && seen != used {
            used = seen;
            say(&question, &file.path, &tell);
        }
    }
}

fn stamp(path: &Path) -> Stamp {
    let meta = std::fs::metadata(path).ok()?;
    Some((meta.modified().ok()?, meta.len()))
}

fn say(question: &Question, path: &Path, tell: &Tell) {
    match endpoints(question, path) {
        Ok(endpoints) => tell.found(endpoints),
        Err(why) => tell.failed(format!("{} {why}", path.display())),
    }
}

fn endpoints(question: &Question, path: &Path) -> Result<Vec<Endpoint>, String> {
    let text = read_bounded(path, FILE_BYTES_MAX)?;
    entry::read_list(&text, &question.discover)
}
