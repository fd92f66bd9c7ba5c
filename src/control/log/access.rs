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
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

use tokio::task::JoinHandle;

use crate::control::log::line;
use crate::control::names::Names;
use crate::record::Record;

/// Bytes that wait to be written at most: about 20,000 lines.
pub const WAITING_BYTES_MAX: usize = 8 << 20;

/// How long to leave a log alone that could not be written.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Where the access log goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Standard output.
    Stdout,
    /// A file, appended to; opened again on SIGHUP.
    File(PathBuf),
}

impl Destination {
    /// `"stdout"`, or the path of a file.
    #[must_use]
    pub fn of(path: &str) -> Self {
        match path {
            "stdout" => Self::Stdout,
            path => Self::File(path.into()),
        }
    }

    fn open(&self) -> io::Result<File> {
        match self {
            // A descriptor of its own: a write that blocks must not hold the lock of `io::stdout`.
            Self::Stdout => Ok(File::from(io::stdout().as_fd().try_clone_to_owned()?)),
            Self::File(path) => OpenOptions::new().create(true).append(true).open(path),
        }
    }
}

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
    destination: Option<Destination>,
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
    pub fn aim(&mut self, destination: Option<Destination>) {
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
    pub fn write(&mut self, record: &Record, names: &Names) {
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
        line::write(record, names, &mut self.waiting.bytes);
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
            Destination::Stdout => "stdout".into(),
            Destination::File(path) => path.to_string_lossy(),
        });
        let path = destination.unwrap_or_default();
        match state {
            State::Good => tracing::info!(%path, "the access log is written again"),
            State::Failing => tracing::error!(%path, why, "the access log cannot be written"),
            State::Behind => {
                tracing::warn!(%path, why, "the access log is slower than the requests")
            }
        }
    }
}

/// Writes a batch; runs on a thread where blocking is allowed.
fn put(destination: &Destination, file: Option<File>, batch: Batch, is_torn: bool) -> Outcome {
    let mut file = match file.map_or_else(|| destination.open(), Ok) {
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
mod tests {
    use std::path::Path;

    use super::*;

    fn record(number: u64) -> Record {
        Record { started_unix_ms: number, status: 200, ..Record::default() }
    }

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
    }

    fn temporary(name: &str) -> PathBuf {
        let place = std::env::temp_dir().join(format!("ringway-{}-{name}", std::process::id()));
        std::fs::remove_file(&place).ok();
        place
    }

    fn line_count(path: &Path) -> usize {
        let text = std::fs::read_to_string(path).unwrap();
        for line in text.lines() {
            serde_json::from_str::<serde_json::Value>(line).unwrap();
        }
        text.lines().count()
    }

    async fn settled(log: &mut AccessLog) {
        for _ in 0..500 {
            log.turn_over(Instant::now()).await;
            if log.writing.is_none() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        panic!("the batch was not written");
    }

    #[test]
    fn lines_are_written_in_batches_and_the_file_is_reopened() {
        let path = temporary("access.log");
        let moved = temporary("access.log.1");
        runtime().block_on(async {
            let mut log = AccessLog::default();
            log.write(&record(0), &Names::default());
            assert_eq!(log.waiting.lines, 0, "off until aimed");
            log.aim(Some(Destination::File(path.clone())));
            for number in 0..1_000 {
                log.write(&record(number), &Names::default());
            }
            settled(&mut log).await;
            assert_eq!(line_count(&path), 1_000);

            std::fs::rename(&path, &moved).unwrap();
            log.write(&record(0), &Names::default());
            settled(&mut log).await;
            assert_eq!(line_count(&moved), 1_001, "still the old file");
            log.reopen();
            log.write(&record(0), &Names::default());
            log.finish(Duration::from_secs(5)).await;
            assert_eq!(line_count(&path), 1);
            assert_eq!(log.counts(), Counts { lines: 1_002, dropped: 0, errors: 0 });
        });
        std::fs::remove_file(path).unwrap();
        std::fs::remove_file(moved).unwrap();
    }

    #[test]
    fn a_full_disk_is_counted_and_tried_again_later() {
        runtime().block_on(async {
            let mut log = AccessLog::default();
            log.aim(Some(Destination::File("/dev/full".into())));
            log.write(&record(0), &Names::default());
            settled(&mut log).await;
            log.write(&record(1), &Names::default());
            log.turn_over(Instant::now()).await;
            assert!(log.writing.is_none(), "rests before it tries again");
            assert_eq!(log.state, State::Failing);
            log.turn_over(Instant::now() + RETRY_AFTER).await;
            assert!(log.writing.is_some());
            log.settle(Instant::now()).await;
            assert_eq!(log.counts(), Counts { lines: 0, dropped: 2, errors: 2 });

            let path = temporary("recovered.log");
            log.aim(Some(Destination::File(path.clone())));
            log.write(&record(2), &Names::default());
            settled(&mut log).await;
            assert_eq!(log.state, State::Good);
            assert_eq!(line_count(&path), 1);
            std::fs::remove_file(path).unwrap();
        });
    }

    #[test]
    fn a_path_that_cannot_be_opened_is_an_error_of_the_log_only() {
        runtime().block_on(async {
            let mut log = AccessLog::default();
            log.aim(Some(Destination::File("/nowhere/at/all.log".into())));
            log.write(&record(0), &Names::default());
            settled(&mut log).await;
            assert_eq!(log.counts(), Counts { lines: 0, dropped: 1, errors: 1 });
        });
    }

    #[test]
    fn a_reader_that_has_stopped_costs_lines_and_no_time() {
        let runtime = runtime();
        runtime.block_on(async {
            let (reader, writer) = io::pipe().unwrap();
            let mut log = AccessLog::default();
            log.aim(Some(Destination::File("unused".into())));
            log.is_reopening = false;
            log.file = Some(File::from(std::os::fd::OwnedFd::from(writer)));
            for number in 0..60_000 {
                log.write(&record(number), &Names::default());
                if number % 1_000 == 0 {
                    log.turn_over(Instant::now()).await;
                }
            }
            assert!(log.waiting.bytes.len() < WAITING_BYTES_MAX + 4096);
            assert!(log.counts().dropped > 0);
            assert_eq!(log.state, State::Behind);
            // Another reader of the same end would keep it alive: with none, the write fails and the batch is lost.
            drop(reader);
            log.settle(Instant::now()).await;
            assert_eq!(log.counts().errors, 1);
        });
        runtime.shutdown_background();
    }

    #[test]
    fn a_torn_line_is_ended_before_the_next() {
        let path = temporary("torn.log");
        std::fs::write(&path, "{\"half").unwrap();
        let batch = Batch { bytes: b"{}\n".to_vec(), lines: 1 };
        let outcome = put(&Destination::File(path.clone()), None, batch, true);
        assert!(outcome.error.is_none());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{\"half\n{}\n");
        std::fs::remove_file(path).unwrap();
    }
}
