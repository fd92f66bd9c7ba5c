//! What can go wrong with a request after it was admitted: whose fault it is, what the client is told, and whether
//! it may be tried again.

use crate::record::closed::closed;

closed! {
    /// Why an admitted request failed.
    ///
    /// A request that may not enter is not a fault but a refusal; an assertion that does not hold is a bug, and
    /// shows up here as [`Fault::Bug`] only because its request must be recorded too.
    pub enum Fault {
        /// The client closed its connection before the response was complete.
        ClientGone => "client_gone",
        /// The client did not read its response for longer than it may, or was slower than its model allows for too long.
        ClientSlow => "client_slow",
        /// The client stopped sending its request body.
        BodyTimedOut => "body_timed_out",
        /// The endpoint's address refused the connection.
        ConnectRefused => "connect_refused",
        /// The endpoint could not be reached: no route, no local port left, name without addresses.
        ConnectFailed => "connect_failed",
        /// The connection to the endpoint was not there within the connect deadline (TLS included).
        ConnectTimedOut => "connect_timed_out",
        /// The TLS handshake with the endpoint failed: certificate, name, version.
        TlsFailed => "tls_failed",
        /// The upstream has no endpoint that could be asked.
        NoEndpoint => "no_endpoint",
        /// The endpoint closed the connection before the first byte of a response.
        UpstreamClosedEarly => "upstream_closed_early",
        /// The endpoint reset the connection before the first byte of a response.
        UpstreamReset => "upstream_reset",
        /// The endpoint answered with something that is not HTTP.
        UpstreamMalformed => "upstream_malformed",
        /// The first byte of the response did not come within its deadline, counted from the receipt of the request.
        FirstByteTimedOut => "first_byte_timed_out",
        /// The first byte of the response did not come within the deadline of one attempt.
        AttemptTimedOut => "attempt_timed_out",
        /// The time between two pieces of the response was longer than the gap deadline.
        GapTimedOut => "gap_timed_out",
        /// The whole request took longer than its deadline.
        WholeTimedOut => "whole_timed_out",
        /// The endpoint closed or reset the connection in the middle of its response.
        UpstreamTruncated => "upstream_truncated",
        /// The endpoint answered with an error that was not passed on, for the request was to be sent elsewhere; and then
        /// nobody else was there.
        UpstreamStatus => "upstream_status",
        /// The endpoint does not take the credential that the gateway is configured with.
        CredentialRefused => "credential_refused",
        /// Every endpoint serves as many requests as it may, and as many wait for one as may.
        EndpointsFull => "endpoints_full",
        /// Every endpoint served as many requests as it may for longer than a request may wait.
        EndpointWaitTimedOut => "endpoint_wait_timed_out",
        /// The gateway is at one of its bounds (streams, held bytes, files).
        GatewayFull => "gateway_full",
        /// The gateway is shutting down and the drain deadline has passed.
        Draining => "draining",
        /// A bug in the gateway ended this request.
        Bug => "bug",
    }
}

closed! {
    /// Who has to act when a fault shows up often.
    pub enum Whose {
        /// The client or its network.
        Client => "client",
        /// The model server or the network towards it.
        Upstream => "upstream",
        /// This gateway.
        Gateway => "gateway",
    }
}

/// When a request that met a fault may be sent again without being asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Retry {
    /// Never: the endpoint may have begun to work on it, or the client has an answer already.
    Never,
    /// Only if not one byte of the request was sent.
    IfUnsent,
    /// Only if the connection had served a request before and not one byte of the response came: then the endpoint
    /// closed an idle connection in the same moment in which we used it (RFC 9112 section 9.3.1).
    IfReused,
}

impl Fault {
    /// Who has to act.
    #[must_use]
    pub const fn whose(self) -> Whose {
        match self {
            Self::ClientGone | Self::ClientSlow | Self::BodyTimedOut => Whose::Client,
            Self::ConnectRefused
            | Self::ConnectFailed
            | Self::ConnectTimedOut
            | Self::TlsFailed
            | Self::NoEndpoint
            | Self::UpstreamClosedEarly
            | Self::UpstreamReset
            | Self::UpstreamMalformed
            | Self::FirstByteTimedOut
            | Self::AttemptTimedOut
            | Self::GapTimedOut
            | Self::WholeTimedOut
            | Self::UpstreamTruncated
            | Self::UpstreamStatus
            | Self::EndpointsFull
            | Self::EndpointWaitTimedOut => Whose::Upstream,
            // The credential stands in the gateway's configuration.
            Self::CredentialRefused | Self::GatewayFull | Self::Draining | Self::Bug => {
                Whose::Gateway
            }
        }
    }

    /// Whether the request may be sent again whatever the policy of its model says, given that not one byte of a response
    /// went to the client.
    #[must_use]
    pub const fn retry(self) -> Retry {
        match self {
            Self::ConnectRefused
            | Self::ConnectFailed
            | Self::ConnectTimedOut
            | Self::TlsFailed
            | Self::NoEndpoint => Retry::IfUnsent,
            Self::UpstreamClosedEarly | Self::UpstreamReset => Retry::IfReused,
            Self::ClientGone
            | Self::ClientSlow
            | Self::BodyTimedOut
            | Self::UpstreamMalformed
            | Self::FirstByteTimedOut
            | Self::AttemptTimedOut
            | Self::GapTimedOut
            | Self::WholeTimedOut
            | Self::UpstreamTruncated
            | Self::UpstreamStatus
            | Self::CredentialRefused
            | Self::EndpointsFull
            | Self::EndpointWaitTimedOut
            | Self::GatewayFull
            | Self::Draining
            | Self::Bug => Retry::Never,
        }
    }

    /// The status to answer with, if no status was sent yet. 499 is recorded only: nobody is there to read it.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::ClientGone => 499,
            Self::ClientSlow | Self::BodyTimedOut => 408,
            Self::ConnectRefused
            | Self::ConnectFailed
            | Self::TlsFailed
            | Self::UpstreamClosedEarly
            | Self::UpstreamReset
            | Self::UpstreamMalformed
            | Self::UpstreamTruncated
            | Self::UpstreamStatus
            | Self::CredentialRefused => 502,
            Self::NoEndpoint
            | Self::EndpointsFull
            | Self::EndpointWaitTimedOut
            | Self::GatewayFull
            | Self::Draining => 503,
            Self::ConnectTimedOut
            | Self::FirstByteTimedOut
            | Self::AttemptTimedOut
            | Self::GapTimedOut
            | Self::WholeTimedOut => 504,
            Self::Bug => 500,
        }
    }

    /// The `code` of the error body.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self.status() {
            408 => "request_timeout",
            499 => "client_closed_request",
            502 => "upstream_error",
            503 => "overloaded",
            504 => "upstream_timeout",
            _ => "internal_error",
        }
    }

    /// What the client is told: what happened, and where it helps, what to do. Names no address of ours.
    #[must_use]
    pub const fn explain(self) -> &'static str {
        match self {
            Self::ClientGone => {
                "The client closed the connection before the response was complete."
            }
            Self::ClientSlow => "The client did not read the response in time.",
            Self::BodyTimedOut => {
                "The request body did not arrive in time. Send it without long pauses."
            }
            Self::ConnectRefused => "The model server refused the connection.",
            Self::ConnectFailed => "The model server cannot be reached.",
            Self::ConnectTimedOut => {
                "The model server did not accept the connection in time. Try again later."
            }
            Self::TlsFailed => "The TLS handshake with the model server failed.",
            Self::NoEndpoint => "No model server is available for this model. Try again later.",
            Self::UpstreamClosedEarly => {
                "The model server closed the connection without an answer."
            }
            Self::UpstreamReset => "The model server reset the connection before it answered.",
            Self::UpstreamMalformed => "The model server's answer is not valid HTTP.",
            Self::FirstByteTimedOut | Self::AttemptTimedOut => {
                "The model server did not begin to answer in time."
            }
            Self::GapTimedOut => "The model server stopped in the middle of its answer.",
            Self::WholeTimedOut => "The request took longer than the gateway allows.",
            Self::UpstreamTruncated => {
                "The model server closed the connection in the middle of its answer."
            }
            Self::UpstreamStatus => {
                "The model server answered with an error, and no other one was available. Try again later."
            }
            Self::CredentialRefused => {
                "The model server refuses the gateway's own credential. Tell the gateway's operator."
            }
            Self::EndpointsFull => "All model servers of this model are busy. Try again later.",
            Self::EndpointWaitTimedOut => {
                "No model server of this model became free in time. Try again later."
            }
            Self::GatewayFull => "The gateway is at its capacity. Try again later.",
            Self::Draining => "The gateway is shutting down. Try again.",
            Self::Bug => "The gateway failed because of an error of its own.",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_consistent() {
        for (place, fault) in Fault::ALL.iter().enumerate() {
            assert_eq!(fault.index(), place);
            let label = fault.label();
            assert!(label.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{label}");
            assert!(fault.explain().ends_with('.'), "{label}");
            match fault.whose() {
                Whose::Client => assert!((400..500).contains(&fault.status()), "{label}"),
                Whose::Upstream => assert!((502..=504).contains(&fault.status()), "{label}"),
                Whose::Gateway => assert!(matches!(fault.status(), 500 | 502 | 503), "{label}"),
            }
            assert!(!fault.code().is_empty());
        }
    }

    #[test]
    fn labels_are_distinct() {
        let mut labels: Vec<_> = Fault::ALL.iter().map(|fault| fault.label()).collect();
        labels.sort_unstable();
        labels.dedup();
        assert_eq!(labels.len(), Fault::COUNT);
    }

    #[test]
    fn only_what_the_endpoint_cannot_have_seen_is_repeated() {
        assert_eq!(Fault::ConnectRefused.retry(), Retry::IfUnsent);
        assert_eq!(Fault::UpstreamClosedEarly.retry(), Retry::IfReused);
        assert_eq!(Fault::UpstreamReset.retry(), Retry::IfReused);
        for fault in [Fault::FirstByteTimedOut, Fault::UpstreamTruncated, Fault::UpstreamMalformed]
        {
            assert_eq!(fault.retry(), Retry::Never);
        }
    }
}
