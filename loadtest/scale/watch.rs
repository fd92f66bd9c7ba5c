//! What is looked at while the streams go on: memory and time of the gateway, what it says of itself, what the mocks have
//! open; and the change of its config in the middle.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use ringway::ring::clock;
use ringway::units::Moment;
use serde::Serialize;
use toml::Table;
use toml::Value;

use crate::ask::MockCounts;
use crate::client::destination::Destination;
use crate::measure::process::Reading;
use crate::streams::metrics::Metrics;

/// One look.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Look {
    /// Seconds from the beginning of the measured time.
    pub at_s: f64,
    /// Resident memory of the gateway in KiB.
    pub rss_kib: u64,
    /// CPU time of all its threads so far, in nanoseconds.
    pub cpu_nanos: u64,
    /// Streams that the mocks have open.
    pub open: u64,
    /// What the gateway says.
    pub metrics: Metrics,
}

/// All that was seen.
#[derive(Debug, Default)]
pub struct Seen {
    /// The looks.
    pub looks: Vec<Look>,
    /// Who did not answer when.
    pub silent: Vec<String>,
    /// How long the shards took for the new config; none: they do not serve by it.
    pub adopted: Option<Duration>,
    has_changed: bool,
}

/// What is looked at.
#[derive(Debug)]
pub struct Watched {
    /// The gateway.
    pub pid: u32,
    /// Where it tells of itself.
    pub admin: SocketAddr,
    /// Its config.
    pub config: std::path::PathBuf,
    /// The mocks.
    pub mocks: Vec<Destination>,
}

/// Time between two looks.
const PAUSE: Duration = Duration::from_secs(2);
/// How long all shards may take to adopt a new config.
const ADOPT_PATIENCE: Duration = Duration::from_secs(10);
/// Time between two looks at whether they have.
const ADOPT_PAUSE: Duration = Duration::from_millis(5);

impl Watched {
    /// Looks once.
    ///
    /// # Errors
    /// The gateway or a mock does not answer.
    pub fn look(&self, from: Moment) -> io::Result<Look> {
        let reading = Reading::of(&[self.pid]);
        let silent = |who: &'static str| {
            move |error: io::Error| io::Error::new(error.kind(), format!("{who}: {error}"))
        };
        Ok(Look {
            at_s: clock::now().since(from).as_secs_f64(),
            rss_kib: reading.rss_kib,
            cpu_nanos: reading.cpu_nanos,
            open: MockCounts::of(&self.mocks).map_err(silent("a mock"))?.streams_open,
            metrics: Metrics::at(self.admin).map_err(silent("the gateway's metrics"))?,
        })
    }

    /// Looks until the end of the measured time and has the gateway read a changed config in the middle of it; `each` is
    /// told of every look.
    ///
    /// # Errors
    /// Those of `each`; the system's where the config cannot be changed.
    pub fn run(
        &self,
        (from, to): (Moment, Moment),
        mut each: impl FnMut(&Look) -> io::Result<()>,
    ) -> io::Result<Seen> {
        let middle = from.after(to.since(from) / 2);
        let mut seen = Seen::default();
        let mut next = from;
        loop {
            thread::sleep(next.min(to).since(clock::now()));
            if clock::now() >= to {
                return Ok(seen);
            }
            if !seen.has_changed && clock::now() >= middle {
                seen.has_changed = true;
                seen.adopted = self.reload()?;
            }
            match self.look(from) {
                Ok(look) => {
                    each(&look)?;
                    seen.looks.push(look);
                }
                Err(error) => {
                    let at = clock::now().since(from).as_secs();
                    seen.silent.push(format!("after {at} s no answer from {error}"));
                }
            }
            next = next.after(PAUSE).max(clock::now());
        }
    }

    /// Changes the config, has the gateway read it, and waits until all shards serve by it; none: they do not.
    fn reload(&self) -> io::Result<Option<Duration>> {
        let Ok(before) = Metrics::at(self.admin) else { return Ok(None) };
        change(&self.config)?;
        let begun = clock::now();
        let sent = Command::new("kill").args(["-HUP", &self.pid.to_string()]).status()?;
        if !sent.success() {
            return Err(io::Error::other("the gateway could not be told to read its config"));
        }
        loop {
            let now = Metrics::at(self.admin).unwrap_or_default();
            let took = clock::now().since(begun);
            if now.snapshot > before.snapshot && now.adopted >= now.snapshot {
                return Ok(Some(took));
            }
            if took > ADOPT_PATIENCE {
                return Ok(None);
            }
            thread::sleep(ADOPT_PAUSE);
        }
    }
}

/// Gives the model another name that nobody uses: a change that makes a new snapshot and alters no request.
fn change(config: &Path) -> io::Result<()> {
    let mut table: Table = fs::read_to_string(config)?.parse().map_err(io::Error::other)?;
    let model = table.get_mut("model").and_then(|models| models.get_mut(0));
    let Some(model) = model.and_then(Value::as_table_mut) else {
        return Err(io::Error::other("the config has no model"));
    };
    model.insert("aliases".to_owned(), vec![Value::from("another-name")].into());
    let text = toml::to_string(&table).map_err(io::Error::other)?;
    // A gateway that watches its file must not see half of it.
    let new = config.with_extension("new");
    fs::write(&new, text)?;
    fs::rename(new, config)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::Folder;

    #[test]
    fn a_changed_config_has_one_more_name() {
        let folder = Folder::make().unwrap();
        let path = folder.path().join("ringway.toml");
        fs::write(&path, "[[model]]\nname = 'm'\n[admin]\naddress = 'a'\n").unwrap();
        change(&path).unwrap();
        let table: Table = fs::read_to_string(&path).unwrap().parse().unwrap();
        assert_eq!(table["model"][0]["aliases"][0].as_str(), Some("another-name"));
        assert_eq!(table["model"][0]["name"].as_str(), Some("m"));
        fs::write(&path, "").unwrap();
        change(&path).unwrap_err();
    }
}
