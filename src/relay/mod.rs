//! Request up, response down: the one exchange with an endpoint, and every response the gateway itself writes.

pub mod exchange;
pub mod onward;
pub mod replay;
pub mod reply;
pub mod response;
pub mod throttle;
pub mod upload;
