//! Newtypes that keep one kind of number from being taken for another.

use std::num::NonZeroU64;
use std::time::Duration;

/// A point on the monotonic clock, in nanoseconds since that clock's own zero.
///
/// Decisions take a `Moment` as an argument; only the ring and the control thread read the clock.
///
/// It is kept as one more than it is, so that there is a number left for no moment: every open stream has some that may
/// not have been yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(NonZeroU64);

impl Moment {
    /// The far end of the clock: a deadline that never comes.
    pub const NEVER: Self = Self(NonZeroU64::MAX);

    /// The moment `nanos` nanoseconds after the clock's zero.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(NonZeroU64::MIN.saturating_add(nanos))
    }

    /// Nanoseconds since the clock's zero.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0.get() - 1
    }

    /// How long after `earlier` this moment is; zero if it is not after it.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.get().saturating_sub(earlier.0.get()))
    }

    /// The moment `wait` after this one; [`Moment::NEVER`] where the clock ends before.
    #[must_use]
    pub fn after(self, wait: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX)))
    }
}

/// The clock's zero.
impl Default for Moment {
    fn default() -> Self {
        Self::from_nanos(0)
    }
}

/// A span of time to the millisecond, as small as spans are kept where there is one for each stream; 49 days at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Millis(pub u32);

impl Millis {
    /// So long that it is never over.
    pub const MAX: Self = Self(u32::MAX);

    /// Whether it is no time at all.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// The span, rounded up to a millisecond.
    #[must_use]
    pub fn of(span: Duration) -> Self {
        let millis = span.as_nanos().div_ceil(1_000_000);
        Self(u32::try_from(millis).unwrap_or(u32::MAX))
    }

    /// The span.
    #[must_use]
    pub const fn span(self) -> Duration {
        Duration::from_millis(self.0 as u64)
    }
}

/// Number of a shard, from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId(pub u16);

/// Index of a model in one snapshot's `models`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModelId(pub u32);

/// Index of an upstream in one snapshot's `upstreams`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UpstreamId(pub u32);

/// Index of an endpoint in one snapshot's `endpoints` (of all its upstreams together).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EndpointId(pub u32);

/// Number of an endpoint that stays the same from snapshot to snapshot, for the life of the process:
/// pools and counts hang on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotId(pub u32);

/// Number of places at endpoints: of the endpoints of one upstream, and of how many requests each may have. It stays the same from
/// snapshot to snapshot while all of these do: lines hang on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId(pub u32);

/// Number of a (model, upstream) pair that stays the same for the life of the process: counters hang on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LaneId(pub u32);

/// Index of a tenant in one snapshot's `tenants`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TenantId(pub u32);

/// Index of an API key in one snapshot's `keys`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub u32);

/// Number of a limit that stays the same from snapshot to snapshot while the limit does: what is used of it hangs on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QuotaId(pub u32);

macro_rules! index {
    ($($name:ident),*) => {$(
        impl $name {
            /// The number as an index.
            #[must_use]
            pub const fn index(self) -> usize {
                self.0 as usize
            }
        }
    )*};
}
index!(ShardId, ModelId, UpstreamId, EndpointId, SlotId, LaneId, TenantId, KeyId, QuotaId);
