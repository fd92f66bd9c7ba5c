//! Whether a connection may carry another message, and if not, why.

use crate::wire::head::BodyLength;
use crate::wire::head::Version;

/// Why a connection is closed after, or instead of, a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// The sender wrote `Connection: close`.
    Asked,
    /// It is HTTP/1.0 without `Connection: keep-alive`.
    Http10,
    /// The body lasts until the sender closes.
    UntilClose,
    /// The request's body was not read, or not sent, to its end.
    RequestUnfinished,
    /// The response was not read, or not sent, to its end.
    ResponseUnfinished,
    /// An upstream sent bytes after the end of its response, or before it was asked
    /// (they would be taken for the next answer).
    Unasked,
    /// What came was not HTTP/1.1 as we accept it.
    Malformed,
    /// Nothing is to be carried any more: the process is about to end.
    Draining,
}

impl CloseReason {
    /// All of them, in order: for tables of counters.
    pub const ALL: [Self; 8] = [
        Self::Asked,
        Self::Http10,
        Self::UntilClose,
        Self::RequestUnfinished,
        Self::ResponseUnfinished,
        Self::Unasked,
        Self::Malformed,
        Self::Draining,
    ];

    /// The reason in a sentence.
    #[must_use]
    pub const fn explain(self) -> &'static str {
        match self {
            Self::Asked => "the other side asked for it with Connection: close",
            Self::Http10 => "the other side speaks HTTP/1.0 and did not ask to keep the connection",
            Self::UntilClose => "the end of the body is the end of the connection",
            Self::RequestUnfinished => "the request's body did not cross to its end",
            Self::ResponseUnfinished => "the response did not cross to its end",
            Self::Unasked => "the upstream sent bytes that nobody asked for",
            Self::Malformed => "what came cannot be read as HTTP/1.1",
            Self::Draining => "the gateway is about to end",
        }
    }

    /// A word for it in metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Http10 => "http10",
            Self::UntilClose => "until_close",
            Self::RequestUnfinished => "request_unfinished",
            Self::ResponseUnfinished => "response_unfinished",
            Self::Unasked => "unasked",
            Self::Malformed => "malformed",
            Self::Draining => "draining",
        }
    }
}

/// One exchange on a connection, as it stands when the response is done with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// Version of the head that the other side sent.
    pub version: Version,
    /// `is_keep_alive` of that head.
    pub is_keep_alive: bool,
    /// `body` of that head.
    pub body: BodyLength,
    /// Whether the request's body crossed to its end (or there was none).
    pub is_request_whole: bool,
    /// Whether the response's body crossed to its end (or there was none).
    pub is_response_whole: bool,
}

impl Exchange {
    /// Why the connection of a client may not carry another request; `None` if it may. Bytes that the
    /// client has already sent after its request are the next one (pipelining).
    #[must_use]
    pub const fn client_close(&self) -> Option<CloseReason> {
        if !self.is_response_whole {
            return Some(CloseReason::ResponseUnfinished);
        }
        if !self.is_request_whole {
            return Some(CloseReason::RequestUnfinished);
        }
        self.close_of_head()
    }

    /// Why the connection of an upstream may not go (back) to the pool; `None` if it may. `unread`:
    /// bytes that came after the end of the response.
    #[must_use]
    pub const fn upstream_close(&self, unread: usize) -> Option<CloseReason> {
        if let BodyLength::UntilClose = self.body {
            return Some(CloseReason::UntilClose);
        }
        if !self.is_response_whole {
            return Some(CloseReason::ResponseUnfinished);
        }
        if unread > 0 {
            return Some(CloseReason::Unasked);
        }
        if !self.is_request_whole {
            return Some(CloseReason::RequestUnfinished);
        }
        self.close_of_head()
    }

    const fn close_of_head(&self) -> Option<CloseReason> {
        match (self.is_keep_alive, self.version) {
            (true, _) => None,
            (false, Version::Http10) => Some(CloseReason::Http10),
            (false, Version::Http11) => Some(CloseReason::Asked),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::CloseReason;
    use super::Exchange;
    use crate::wire::head::BodyLength;
    use crate::wire::head::Version;

    const FINE: Exchange = Exchange {
        version: Version::Http11,
        is_keep_alive: true,
        body: BodyLength::Chunked,
        is_request_whole: true,
        is_response_whole: true,
    };

    #[test]
    fn a_clean_exchange_leaves_a_connection_that_goes_on() {
        assert_eq!(FINE.client_close(), None);
        assert_eq!(FINE.upstream_close(0), None);
        let old = Exchange { version: Version::Http10, ..FINE };
        assert_eq!((old.client_close(), old.upstream_close(0)), (None, None));
    }

    #[test]
    fn whatever_is_left_over_ends_it() {
        let asked = Exchange { is_keep_alive: false, ..FINE };
        let old = Exchange { version: Version::Http10, ..asked };
        let early = Exchange { is_request_whole: false, ..FINE };
        let cut = Exchange { is_response_whole: false, ..FINE };
        let until_close = Exchange { body: BodyLength::UntilClose, ..asked };
        for (exchange, why) in [
            (asked, CloseReason::Asked),
            (old, CloseReason::Http10),
            (early, CloseReason::RequestUnfinished),
            (cut, CloseReason::ResponseUnfinished),
        ] {
            assert_eq!(exchange.client_close(), Some(why));
            assert_eq!(exchange.upstream_close(0), Some(why));
        }
        assert_eq!(until_close.upstream_close(0), Some(CloseReason::UntilClose));
        assert_eq!(FINE.upstream_close(1), Some(CloseReason::Unasked));
    }

    #[test]
    fn each_reason_is_listed_once() {
        for (position, reason) in CloseReason::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, position);
            assert!(!reason.explain().is_empty() && !reason.label().is_empty());
        }
    }
}
