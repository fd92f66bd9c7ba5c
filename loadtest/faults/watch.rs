//! Looks at the servers while a phase goes on: how many requests each mock has had, what the gateway says of the one that
//! fails.

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use ringway::ring::clock;
use ringway::units::Moment;

use crate::ask;
use crate::ask::MockCounts;

/// What is looked at.
#[derive(Clone, Debug)]
pub struct Watched {
    /// Where the mocks tell what they have counted, the failing one first.
    pub mocks: Vec<SocketAddr>,
    /// Where the gateway has its metrics.
    pub admin: SocketAddr,
    /// The failing endpoint, as it is called there.
    pub failing_url: String,
}

/// What the gateway says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// Whether it takes the failing endpoint for usable.
    pub is_usable: bool,
    /// Attempts at all endpoints so far, those included that never reached one.
    pub attempts: u64,
}

/// One look.
#[derive(Clone, Debug)]
pub struct Look {
    /// When.
    pub at: Moment,
    /// Requests that each mock has had so far; none where it gave no answer.
    pub requests: Vec<Option<u64>>,
    /// What the gateway says; none if it says no such thing.
    pub told: Option<Told>,
}

/// From one look to the next.
const PAUSE: Duration = Duration::from_millis(50);
/// Who answers later than this does not answer.
const PATIENCE: Duration = Duration::from_millis(50);

impl Watched {
    /// Looks again and again until a moment.
    #[must_use]
    pub fn until(&self, end: Moment) -> Vec<Look> {
        let mut looks = vec![self.look()];
        while clock::now() < end {
            thread::sleep(PAUSE);
            looks.push(self.look());
        }
        looks
    }

    fn look(&self) -> Look {
        let ask = |mock: &SocketAddr| MockCounts::at(*mock, PATIENCE).ok();
        let requests: Vec<Option<u64>> =
            self.mocks.iter().map(|mock| ask(mock).map(|counts| counts.requests)).collect();
        Look { told: self.told(), requests, at: clock::now() }
    }

    /// What the gateway says now.
    #[must_use]
    pub fn told(&self) -> Option<Told> {
        let page = ask::get(self.admin, "/metrics", PATIENCE * 10).ok()?;
        told(&page, &self.failing_url)
    }
}

/// What a page of metrics says.
fn told(page: &str, failing_url: &str) -> Option<Told> {
    let usable = ask::samples(page, "ringway_endpoint_state").find(|(labels, _)| {
        ask::has_label(labels, "endpoint", failing_url) && ask::has_label(labels, "state", "usable")
    });
    let attempts: f64 =
        ask::samples(page, "ringway_endpoint_attempts_total").map(|(_, count)| count).sum();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a counter of whole numbers"
    )]
    usable.map(|(_, usable)| Told { is_usable: usable > 0.5, attempts: attempts as u64 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gateways_word_is_found_on_its_page() {
        let page = "ringway_endpoint_state{upstream=\"mock\",endpoint=\"http://a:1\",state=\"usable\"} 0\n\
            ringway_endpoint_state{upstream=\"mock\",endpoint=\"http://a:1\",state=\"open\"} 1\n\
            ringway_endpoint_state{upstream=\"mock\",endpoint=\"http://a:12\",state=\"usable\"} 1\n\
            ringway_endpoint_attempts_total{endpoint=\"http://a:1\",result=\"bad\"} 5\n\
            ringway_endpoint_attempts_total{endpoint=\"http://a:12\",result=\"good\"} 7\n";
        assert_eq!(told(page, "http://a:1"), Some(Told { is_usable: false, attempts: 12 }));
        assert_eq!(told(page, "http://a:12").map(|told| told.is_usable), Some(true));
        assert_eq!(told("ringway_requests_total 1\n", "http://a:1"), None);
    }
}
