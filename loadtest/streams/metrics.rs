//! What the gateway says of its streams.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use serde::Serialize;

use crate::ask;

/// How long the gateway may take to say it.
const PATIENCE: Duration = Duration::from_secs(10);

/// Readings of the metrics about streams, of all shards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Metrics {
    /// Clients that came back while their stream was under way.
    pub resumes_live: f64,
    /// Clients that came back after their stream had ended.
    pub resumes_finished: f64,
    /// Clients that came back too late.
    pub resumes_gone: f64,
    /// Connections that were accepted by one shard and served by another.
    pub handed_over: f64,
    /// Memory of streams whose clients may come back.
    pub replay_bytes: f64,
    /// How much that may be.
    pub replay_budget_bytes: f64,
    /// Streams whose events gave way to others'.
    pub gave_way: f64,
    /// Streams that go on without their clients.
    pub away: f64,
    /// Heartbeats sent.
    pub heartbeats: f64,
    /// Times that the config was read anew, and was right.
    pub reloads: f64,
    /// Number of the newest snapshot.
    pub snapshot: f64,
    /// The lowest number of a snapshot that a shard serves.
    pub adopted: f64,
}

impl Metrics {
    /// Asks the gateway.
    ///
    /// # Errors
    /// The connection's.
    pub fn at(admin: SocketAddr) -> io::Result<Self> {
        Ok(Self::of(&ask::get(admin, "/metrics", PATIENCE)?))
    }

    /// Reads a page.
    #[must_use]
    pub fn of(page: &str) -> Self {
        let sum = |name: &str| ask::samples(page, name).map(|(_, value)| value).sum::<f64>();
        let labelled = |name: &str, label: &str, value: &str| {
            let all = ask::samples(page, name);
            all.filter(|(labels, _)| ask::has_label(labels, label, value))
                .map(|(_, value)| value)
                .sum::<f64>()
        };
        let resumes = |result: &str| labelled("ringway_resumes_total", "result", result);
        let adopted = ask::samples(page, "ringway_snapshot_adopted").map(|(_, number)| number);
        Self {
            resumes_live: resumes("live"),
            resumes_finished: resumes("finished"),
            resumes_gone: resumes("gone"),
            handed_over: sum("ringway_connections_handed_over_total"),
            replay_bytes: sum("ringway_replay_bytes"),
            replay_budget_bytes: sum("ringway_replay_budget_bytes"),
            gave_way: sum("ringway_replay_gave_way_total"),
            away: sum("ringway_streams_away"),
            heartbeats: sum("ringway_heartbeats_total"),
            reloads: labelled("ringway_config_reloads_total", "result", "ok"),
            snapshot: sum("ringway_snapshot_number"),
            adopted: adopted.reduce(f64::min).unwrap_or(0.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_added_up() {
        let page = "ringway_resumes_total{result=\"live\"} 3\nringway_resumes_total{result=\"gone\"} 1\n\
            ringway_connections_handed_over_total{shard=\"0\"} 2\nringway_connections_handed_over_total{shard=\"1\"} 5\n\
            ringway_snapshot_adopted{shard=\"0\"} 2\nringway_snapshot_adopted{shard=\"1\"} 1\nringway_snapshot_number 2\n\
            ringway_config_reloads_total{result=\"ok\"} 4\nringway_config_reloads_total{result=\"failed\"} 1\n";
        let metrics = Metrics::of(page);
        let expected = Metrics {
            resumes_live: 3.0,
            resumes_gone: 1.0,
            handed_over: 7.0,
            snapshot: 2.0,
            adopted: 1.0,
            reloads: 4.0,
            ..Metrics::default()
        };
        assert_eq!(metrics, expected);
    }
}
