//! Endpoints that the file does not list: sources are asked, each by a task of its own, and what they say goes to the board.

pub(super) mod board;
pub(super) mod consul;
pub(super) mod desk;
pub(super) mod dns;
pub(super) mod entry;
pub(super) mod etcd;
pub(super) mod file;
pub(super) mod flaps;
pub(super) mod http;
pub(super) mod overlay;
pub(super) mod reach;
pub(super) mod registries;
pub(super) mod sources;
pub(super) mod tell;

use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;

use crate::config;
use crate::snapshot::Secret;
use crate::sys::random;

/// How long after the first failure a source is asked again; twice as long after each more.
const PAUSE_MIN: Duration = Duration::from_millis(250);
/// The longest pause, without what chance adds.
const PAUSE_MAX: Duration = Duration::from_secs(8);

/// How a registry is reached.
#[derive(Clone, Debug, Default)]
pub(super) struct Access {
    /// Asked in this order.
    pub(super) urls: Vec<config::Url>,
    /// Whom to trust, where a url is `https`.
    pub(super) tls: Option<Arc<ClientConfig>>,
    /// Consul's ACL token.
    pub(super) token: Option<Secret>,
    /// Who asks etcd, and the password.
    pub(super) login: Option<(String, Secret)>,
}

/// What one task asks: one source of one upstream, in one datacenter.
#[derive(Clone, Debug)]
pub(super) struct Question {
    /// What the file says of the source.
    pub(super) discover: config::Discover,
    /// Consul's datacenter; none: the agent's own.
    pub(super) datacenter: Option<String>,
    /// The registry's region.
    pub(super) region: Option<String>,
    /// How the registry is reached; none where there is none.
    pub(super) access: Option<Access>,
}

/// How long to wait after so many failures in a row: up to half as long again by chance, so that not all gateways ask at once.
pub(super) fn pause(failures: u32) -> Duration {
    let dice = random::bytes().map_or(0, |bytes| bytes[0]);
    paused(failures, dice)
}

fn paused(failures: u32, dice: u8) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    let pause = PAUSE_MIN.saturating_mul(1 << doublings).min(PAUSE_MAX);
    pause + pause * u32::from(dice) / 512
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound() {
        let ms = |failures, dice| paused(failures, dice).as_millis();
        assert_eq!([ms(0, 0), ms(1, 0), ms(2, 0), ms(3, 0)], [250, 250, 500, 1_000]);
        assert_eq!([ms(6, 0), ms(u32::MAX, 0)], [8_000, 8_000]);
        assert_eq!([ms(1, 255), ms(9, 255)], [374, 11_984]);
    }
}
