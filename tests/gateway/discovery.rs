//! Endpoints that the config does not list: they come and go while the gateway serves.

mod asked;
mod changes;
mod churn;
mod times;

use std::fs;
use std::path::PathBuf;

use crate::support::gateway::fresh_folder;
use crate::support::gateway::fresh_ip;
use crate::support::gateway::sum;
use crate::support::*;

/// A file with endpoints, in a folder of its own.
struct Found(PathBuf);

impl Found {
    /// With these endpoints in it, by their urls.
    fn with(urls: &[String]) -> Self {
        let found = Self(fresh_folder(fresh_ip()));
        found.name(urls);
        found
    }

    /// Names these endpoints from now on.
    fn name(&self, urls: &[String]) {
        let entries: Vec<String> =
            urls.iter().map(|url| format!("{{\"url\": \"{url}\"}}")).collect();
        self.write(&format!("[{}]", entries.join(", ")));
    }

    /// Writes the file anew, all at once; it is the gateway's business to notice.
    fn write(&self, text: &str) {
        let next = self.0.join("next.json");
        fs::write(&next, text).expect("a file");
        fs::rename(&next, self.path()).expect("a file");
    }

    fn path(&self) -> PathBuf {
        self.0.join("endpoints.json")
    }

    /// The model `m` of an upstream `u` with the endpoints of the file; further lines for the upstream.
    fn config(&self, lines: &str) -> String {
        let discover = format!("discover = [{{ file = \"{}\" }}]", self.path().display());
        one("x", lines).replace("endpoints = [{ url = \"x\" }]", &discover)
    }
}

impl Drop for Found {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

/// Waits until so many endpoints are believed of the file.
fn await_found(gateway: &Gateway, count: u64) {
    gateway.await_metric("ringway_source_endpoints", &[("upstream", "u")], count);
}

/// Waits until exactly so many endpoints are served by all shards.
fn await_served(gateway: &Gateway, count: u64) {
    gateway.await_metric(
        "ringway_endpoint_state",
        &[("upstream", "u"), ("state", "usable")],
        count,
    );
    await_true("all shards have adopted it", || {
        let number = gateway.metric("ringway_snapshot_number", &[]);
        let page = gateway.page("/metrics");
        let shards = page.text().matches("\nringway_snapshot_adopted{").count() as u64;
        let adopted = sum(page.text(), "ringway_snapshot_adopted", &[]);
        if adopted == number * shards { Ok(()) } else { Err(format!("{adopted} of {number}")) }
    });
}
