//! A connection enters: taken from the listener, bounded, and evened out between the shards.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use crate::ring::listen::Listener;
use crate::ring::stream;
use crate::units::ShardId;
use crate::wire::buffer::Buffers;

pub mod client;
pub mod digest;
pub mod incoming;
pub mod overload;
pub mod proxy;

/// What a shard holds for its clients in bytes: bodies and heads that arrive, and responses that wait.
#[must_use]
pub fn held_bytes(buffers: &Buffers) -> usize {
    buffers.held() + stream::backlog_bytes()
}

/// Connections taken in one turn, so that those that stand are served in between.
const TAKEN_PER_TURN: usize = 64;
/// A shard hands connections over when it holds this many more than the average, and an eighth more.
const EXCESS_MIN: u64 = 16;

/// Why no more connections were taken this turn.
#[derive(Debug)]
pub enum Pause {
    /// None waits.
    Empty,
    /// More may wait: come back next turn.
    TurnIsFull,
    /// The system has no descriptor or memory left: come back later.
    Exhausted(io::Error),
}

/// Takes the connections that wait at the listener, at most a turn's worth.
pub fn take_waiting(listener: &Listener, mut enter: impl FnMut(OwnedFd, SocketAddr)) -> Pause {
    for _ in 0..TAKEN_PER_TURN {
        match listener.try_accept() {
            Ok((fd, address)) => enter(fd, address),
            Err(error) => match error.raw_os_error() {
                Some(libc::EAGAIN) => return Pause::Empty,
                Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM) => {
                    return Pause::Exhausted(error);
                }
                // The connection died before it was taken (RFC 9293 allows it at any time): the next one.
                _ => {}
            },
        }
    }
    Pause::TurnIsFull
}

/// Which shard should hold a new connection: `None` for the one that took it, or the least loaded one if
/// that holds far more than the average. `open` has the open connections of each shard.
#[must_use]
pub fn choose_shard(open: &[u64], me: ShardId) -> Option<ShardId> {
    let mine = *open.get(me.index())?;
    let shards = u64::try_from(open.len()).ok()?;
    let average = open.iter().sum::<u64>() / shards.max(1);
    if mine < average + EXCESS_MIN + average / 8 {
        return None;
    }
    let (least, _) = open.iter().enumerate().min_by_key(|(_, open)| **open)?;
    let least = ShardId(u16::try_from(least).ok()?);
    (least != me).then_some(least)
}

#[cfg(test)]
mod tests {
    use super::choose_shard;
    use crate::units::ShardId;

    #[test]
    fn a_shard_near_the_average_keeps_its_connections() {
        assert_eq!(choose_shard(&[15, 0], ShardId(0)), None);
        assert_eq!(choose_shard(&[1_100, 1_000, 950], ShardId(0)), None);
        assert_eq!(choose_shard(&[5], ShardId(0)), None);
        assert_eq!(choose_shard(&[], ShardId(0)), None);
    }

    #[test]
    fn a_shard_far_above_hands_over_to_the_least_loaded() {
        assert_eq!(choose_shard(&[40, 0], ShardId(0)), Some(ShardId(1)));
        assert_eq!(choose_shard(&[2_000, 1_000, 900], ShardId(0)), Some(ShardId(2)));
    }

    #[test]
    fn handing_over_evens_out() {
        let mut open = [0_u64; 4];
        for _ in 0..10_000 {
            let to = choose_shard(&open, ShardId(1)).unwrap_or(ShardId(1));
            open[to.index()] += 1;
        }
        assert!(open[1] < 3_000, "{open:?}");
    }
}
