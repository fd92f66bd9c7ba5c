//! How a shard stops: no new connections, idle ones close, requests in flight finish, or are broken off in the end.

use std::rc::Rc;
use std::time::Duration;

use crate::ring::clock;
use crate::shard::Shard;
use crate::shard::resume::Berth;
use crate::shard::state::Place;
use crate::sys::socket;

/// Connections that are broken off in one go, and the pause before the next: control must have had the time to fetch
/// their records.
const BROKEN_OFF_AT_ONCE: usize = 4096;
const BROKEN_OFF_EVERY: Duration = Duration::from_millis(60);

/// Closes the client connections that are between two requests. Their tasks read an end and leave.
pub(super) fn close_idle(shard: &Shard) {
    shard.state.with(|own| {
        for place in &own.connections {
            if let Place::Idle(fd) = place {
                socket::close_receive(*fd);
            }
        }
    });
}

/// Ends what need not be waited for, and in the end what was.
pub(super) async fn advance(shard: &Shard) {
    shard.end_copies().await;
    if shard.is_ending.get() {
        break_off(shard).await;
    }
}

/// Has every request that is still in flight end now: its task wakes up, as if the client had no more to say, finds that the
/// gateway ends, tells its client so, and writes that down.
async fn break_off(shard: &Shard) {
    let mut done = 0;
    loop {
        let is_more = shard.state.with(|own| {
            let rest = own.connections.get(done..).unwrap_or_default();
            for place in rest.iter().take(BROKEN_OFF_AT_ONCE) {
                if let Place::Busy(fd) = place {
                    socket::close_receive(*fd);
                }
            }
            rest.len() > BROKEN_OFF_AT_ONCE
        });
        if !is_more {
            break;
        }
        done += BROKEN_OFF_AT_ONCE;
        clock::sleep(BROKEN_OFF_EVERY).await;
    }
    // Streams that go on without their clients.
    let berths: Vec<Rc<Berth>> = shard.state.with(|own| own.berths.values().cloned().collect());
    berths.iter().for_each(|berth| berth.wake());
}
