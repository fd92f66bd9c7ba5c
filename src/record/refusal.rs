//! Why a request was not served: every reason there is, from a head that is none to a limit that is reached.

use crate::admission::Refusal;
use crate::record::closed::closed;
use crate::wire::Malformed;

closed! {
    /// Why a request was refused without asking who sends it: what it is, where it wants to go, whether there is room.
    pub enum Door {
        /// Not HTTP/1.1 as the standard has it.
        MalformedRequest => "malformed_request",
        /// Nothing is at its path.
        UnknownPath => "unknown_path",
        /// Its path is asked with another method.
        MethodNotAllowed => "method_not_allowed",
        /// Its path has `.` or `..` for a segment.
        DotSegment => "dot_segment_in_path",
        /// Its path has a broken percent-escape.
        BadEscape => "bad_escape_in_path",
        /// Its path has a control character.
        ControlCharacter => "control_character_in_path",
        /// Its path is not UTF-8.
        PathNotUtf8 => "path_not_utf8",
        /// Its body is not what the operation asks for.
        InvalidBody => "invalid_body",
        /// No model is called what it asks for.
        ModelNotFound => "model_not_found",
        /// No version of the model is as it asks for.
        VersionNotFound => "version_not_found",
        /// The version that the operator sends it to is not there now.
        VersionUnavailable => "version_unavailable",
        /// It wants the rest of a stream that is not there, or not its tenant's.
        StreamNotFound => "stream_not_found",
        /// It wants the rest of a stream of which something it has missed is not kept any more.
        StreamGone => "stream_gone",
        /// It has seen more of a stream than there is.
        EventUnknown => "event_unknown",
        /// Its body is too large.
        RequestTooLarge => "request_too_large",
        /// It did not arrive in time.
        RequestTimeout => "request_timeout",
        /// The shard has as many requests as it takes.
        OverloadRequests => "overload_requests",
        /// The shard holds as much memory for requests as it may.
        OverloadHeldBytes => "overload_held_bytes",
    }
}

/// Why a request was not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Before anybody asked who sends it.
    Door(Door),
    /// As [`Door::MalformedRequest`], and in which way.
    Malformed(Malformed),
    /// Its sender may not.
    Admission(Refusal),
}

impl Reason {
    /// How many there are to be counted.
    pub const COUNT: usize = Door::COUNT + Refusal::COUNT;

    /// All that are counted by themselves, in the order of [`Self::index`].
    pub fn all() -> impl Iterator<Item = Self> {
        let doors = Door::ALL.iter().map(|&door| Self::Door(door));
        doors.chain(Refusal::ALL.iter().map(|&refusal| Self::Admission(refusal)))
    }

    /// Where it is counted; below [`Self::COUNT`]. All malformed requests are counted together.
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Self::Door(door) => door.index(),
            Self::Malformed(_) => Door::MalformedRequest.index(),
            Self::Admission(refusal) => Door::COUNT + refusal.index(),
        }
    }

    /// The name in metrics and in the access log: snake case, never changed once published.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Door(door) => door.label(),
            Self::Malformed(_) => Door::MalformedRequest.label(),
            Self::Admission(refusal) => refusal.label(),
        }
    }

    /// More than the label says, where there is more.
    #[must_use]
    pub const fn detail(self) -> Option<&'static str> {
        match self {
            Self::Malformed(why) => Some(why.label()),
            Self::Door(_) | Self::Admission(_) => None,
        }
    }
}

impl From<Door> for Reason {
    fn from(door: Door) -> Self {
        Self::Door(door)
    }
}

impl From<Malformed> for Reason {
    fn from(why: Malformed) -> Self {
        Self::Malformed(why)
    }
}

impl From<Refusal> for Reason {
    fn from(refusal: Refusal) -> Self {
        Self::Admission(refusal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_is_counted_once_and_has_a_name_of_its_own() {
        let places: Vec<usize> = Reason::all().map(Reason::index).collect();
        assert_eq!(places, (0..Reason::COUNT).collect::<Vec<_>>());
        let mut labels: Vec<&str> = Reason::all().map(Reason::label).collect();
        labels.sort_unstable();
        labels.dedup();
        assert_eq!(labels.len(), Reason::COUNT);
    }

    #[test]
    fn what_is_malformed_is_counted_together_and_told_apart() {
        let (one, other) =
            (Reason::from(Malformed::HostMissing), Reason::from(Malformed::LengthInvalid));
        assert_eq!((one.index(), one.label()), (other.index(), other.label()));
        assert_eq!(one.detail(), Some("host_missing"));
        assert_eq!(Reason::from(Door::InvalidBody).detail(), None);
    }
}
