//! How a shard stops: no new connections, idle ones close, requests in flight finish.

use crate::shard::Shard;
use crate::shard::state::Place;
use crate::sys::socket;

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
