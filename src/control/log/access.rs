//! The access log: lines of JSON in batches, written by a thread that may block while control does not.
//!
//! Invariant: at most one batch is being written and at most [`WAITING_BYTES_MAX`] wait; what comes on top is dropped and
//! counted. A full disk, a dead pipe or a reader that has stopped reading costs lines, never requests.

use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::Write as _;
use std::mem;
use std::os::fd::AsFd as _;
use std::time::Duration;
use std::time::Instant;

use tokio::task::JoinHandle;

use crate::config::LogPath;
use crate::control::log::line;
use crate::control::names::Names;
use crate::record::Record;
use crate::snapshot::Snapshot;

/// Bytes that wait to be written at most: about 20,000 lines.
pub const WAITING_BYTES_MAX: usize = 8 << 20;

/// How long to leave a log alone that could not be written.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What the access log has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Lines written.
    pub lines: u64,
    /// Lines lost.
    pub dropped: u64,
    /// Writes or opens that failed.
    pub errors: u64,
}

/// The access log.
#[derive(Debug, Default)]
pub struct AccessLog {
    destination: Option<LogPath>,
    waiting: Batch,
    file: Option<File>,
    writing: Option<JoinHandle<Outcome>>,
    /// The file must be opened anew before the next batch: rotated, or another destination.
    is_reopening: bool,
    /// The last batch ended in the middle of a line.
    is_torn: bool,
    retry_at: Option<Instant>,
    state: State,
    counts: Counts,
}

/// Whole lines that belong together.
#[derive(Debug, Default)]
struct Batch {
    bytes: Vec<u8>,
    lines: u64,
}

/// How the log is doing. Said once for each change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Good,
    Failing,
    Behind,
}

/// What became of a batch.
#[derive(Debug)]
struct Outcome {
    file: Option<File>,
    batch: Batch,
    written: usize,
    error: Option<io::Error>,
}

impl AccessLog {
    /// Writes to `destination` from now on; `None` writes nothing.
    pub fn aim(&mut self, destination: Option<LogPath>) {
        if self.destination != destination {
            self.destination = destination;
            self.reopen();
        }
    }

    /// Opens the file again before the next batch: somebody has renamed it.
    pub fn reopen(&mut self) {
        self.is_reopening = true;
        self.retry_at = None;
    }

    /// Whether records are wanted at all.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.destination.is_some()
    }

    /// What was done so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Puts one line into the batch that waits, or drops it.
    /// `world` is the snapshot that served the request.
    pub fn write(&mut self, record: &Record, names: &Names, world: Option<&Snapshot>) {
        if !self.is_on() {
            return;
        }
        if self.waiting.bytes.len() >= WAITING_BYTES_MAX {
            self.counts.dropped += 1;
            if self.state == State::Good {
                self.turn(State::Behind, "lines are dropped");
            }
            return;
        }
        line::write(record, names, world, &mut self.waiting.bytes);
        self.waiting.lines += 1;
    }

    /// Looks after the batch being written and starts the next. Must be called inside a runtime; never waits.
    pub async fn turn_over(&mut self, now: Instant) {
        if self.writing.as_ref().is_some_and(JoinHandle::is_finished) {
            self.settle(now).await;
        }
        let is_resting = self.retry_at.is_some_and(|at| now < at);
        if self.writing.is_none() && !is_resting && self.waiting.lines > 0 {
            self.begin();
        }
    }

    /// Writes what waits, as far as `patience` allows.
    pub async fn finish(&mut self, patience: Duration) {
        let whole = async {
            self.retry_at = None;
            while self.writing.is_some() || self.waiting.lines > 0 {
                if self.writing.is_none() {
                    self.begin();
                }
                self.settle(Instant::now()).await;
                if self.state == State::Failing {
                    break;
                }
            }
        };
        if tokio::time::timeout(patience, whole).await.is_err() {
            tracing::warn!("the access log could not be finished in time");
        }
    }

    fn begin(&mut self) {
        let Some(destination) = self.destination.clone() else {
            self.waiting = Batch::default();
            return;
        };
        let batch = mem::take(&mut self.waiting);
        let file = self.file.take().filter(|_| !self.is_reopening);
        // A file that was just opened may hold the other half of a torn line as well.
        let is_torn = mem::take(&mut self.is_torn);
        self.is_reopening = false;
        self.writing =
            Some(tokio::task::spawn_blocking(move || put(&destination, file, batch, is_torn)));
    }

    /// Waits for the batch being written and takes stock.
    async fn settle(&mut self, now: Instant) {
        let Some(writing) = self.writing.as_mut() else { return };
        let outcome = writing.await;
        self.writing = None;
        let Ok(Outcome { file, mut batch, written, error }) = outcome else {
            self.counts.errors += 1;
            return;
        };
        let Some(error) = error else {
            self.file = file;
            self.counts.lines += batch.lines;
            // The buffer serves again, unless a burst has made it large.
            if self.waiting.lines == 0 && batch.bytes.capacity() <= WAITING_BYTES_MAX / 8 {
                batch.bytes.clear();
                self.waiting.bytes = batch.bytes;
            }
            self.turn(State::Good, "");
            return;
        };
        let whole = batch.bytes.get(..written).unwrap_or_default();
        let lines = memchr::memchr_iter(b'\n', whole).count() as u64;
        self.is_torn = whole.last().is_some_and(|&byte| byte != b'\n');
        self.counts.lines += lines;
        self.counts.dropped += batch.lines.saturating_sub(lines);
        self.counts.errors += 1;
        self.retry_at = Some(now + RETRY_AFTER);
        self.turn(State::Failing, &error.to_string());
    }

    fn turn(&mut self, state: State, why: &str) {
        if self.state == state {
            return;
        }
        self.state = state;
        let destination = self.destination.as_ref().map(|destination| match destination {
            LogPath::Stdout => "stdout".into(),
            LogPath::File(path) => path.to_string_lossy(),
        });
        let path = destination.unwrap_or_default();
        match state {
            State::Good => tracing::info!(%path, "the access log is in order again"),
            State::Failing => tracing::error!(%path, why, "the access log cannot be written"),
            State::Behind => {
                tracing::warn!(%path, why, "the access log is slower than the requests")
            }
        }
    }
}

fn open(destination: &LogPath) -> io::Result<File> {
    match destination {
        // A descriptor of its own: a write that blocks must not hold the lock of `io::stdout`.
        LogPath::Stdout => Ok(File::from(io::stdout().as_fd().try_clone_to_owned()?)),
        LogPath::File(path) => OpenOptions::new().create(true).append(true).open(path),
    }
}

/// Writes a batch; runs on a thread where blocking is allowed.
fn put(destination: &LogPath, file: Option<File>, batch: Batch, is_torn: bool) -> Outcome {
    let mut file = match file.map_or_else(|| open(destination), Ok) {
        Ok(file) => file,
        Err(error) => return Outcome { file: None, batch, written: 0, error: Some(error) },
    };
    let mut written = 0;
    let done = (|| {
        if is_torn {
            file.write_all(b"\n")?;
        }
        while let Some(rest) = batch.bytes.get(written..).filter(|rest| !rest.is_empty()) {
            match file.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Standard output may be shared with somebody who made it non-blocking.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    std::thread::sleep(Duration::from_millis(10));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    })();
    match done {
        Ok(()) => Outcome { file: Some(file), batch, written, error: None },
        Err(error) => Outcome { file: None, batch, written, error: Some(error) },
    }
}

#[cfg(test)]
mod tests;
