//! Whether a shard has room for one more request: decided on its head, before a byte of its body is waited for.

/// What a shard takes on at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caps {
    /// Requests in flight: from their head to their record.
    pub requests_max: u64,
    /// Memory for bodies, and for responses that wait for their clients, in bytes.
    pub held_bytes_max: usize,
    /// Requests that wait for their turn at a limit. Whoever lets them wait goes by it, not [`overload`].
    pub queue_max: usize,
}

/// What a shard has taken on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// Requests in flight.
    pub requests: u64,
    /// Memory that is held, in bytes.
    pub held_bytes: usize,
}

/// Which cap is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overload {
    /// [`Caps::requests_max`].
    Requests,
    /// [`Caps::held_bytes_max`].
    HeldBytes,
}

impl Overload {
    /// The name in records.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Requests => "overload_requests",
            Self::HeldBytes => "overload_held_bytes",
        }
    }
}

/// Whether there is no room for one more request, of whose body at least `coming` bytes have not arrived yet.
#[must_use]
pub const fn overload(caps: &Caps, load: &Load, coming: usize) -> Option<Overload> {
    if load.requests >= caps.requests_max {
        return Some(Overload::Requests);
    }
    if load.held_bytes.saturating_add(coming) > caps.held_bytes_max {
        return Some(Overload::HeldBytes);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cap_is_reached_by_itself() {
        let caps = Caps { requests_max: 2, held_bytes_max: 1000, queue_max: 0 };
        let rows = [
            (0, 0, 0, None),
            (1, 1000, 0, None),
            (1, 600, 400, None),
            (2, 0, 0, Some(Overload::Requests)),
            (3, 5000, 0, Some(Overload::Requests)),
            (1, 1001, 0, Some(Overload::HeldBytes)),
            (1, 600, 401, Some(Overload::HeldBytes)),
            (0, 1, usize::MAX, Some(Overload::HeldBytes)),
        ];
        for (requests, held_bytes, coming, found) in rows {
            assert_eq!(overload(&caps, &Load { requests, held_bytes }, coming), found);
        }
    }
}
