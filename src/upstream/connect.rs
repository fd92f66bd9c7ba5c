//! Opens a connection to an endpoint: its addresses in turn, each with what is left of the deadline.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls_pki_types::ServerName;

use super::Link;
use super::tls;
use crate::ring::clock;
use crate::ring::stream::Dial;
use crate::ring::stream::Stream;
use crate::units::Moment;

/// How TLS is spoken to an endpoint.
#[derive(Clone, Copy, Debug)]
pub struct Tls<'t> {
    /// Roots, versions, session tickets.
    pub config: &'t Arc<ClientConfig>,
    /// The name that is asked for (SNI) and that the certificate must carry.
    pub server_name: &'t ServerName<'static>,
}

/// Why no connection could be opened. Nothing of a request was sent.
#[derive(Debug)]
pub enum Failure {
    /// The name has no address (yet).
    NoAddress,
    /// The endpoint did not take the connection.
    Refused(io::Error),
    /// The deadline passed.
    TimedOut,
    /// The endpoint's certificate or protocol was not acceptable.
    Tls(rustls::Error),
}

/// Opens a connection to the first of `addresses` that takes one.
///
/// # Errors
/// What the last address failed with.
pub async fn open(
    addresses: &[SocketAddr],
    tls: Option<&Tls<'_>>,
    dial: Dial,
    deadline: Moment,
) -> Result<Link, Failure> {
    let mut failure = Failure::NoAddress;
    for &address in addresses {
        match Stream::connect(address, dial, deadline).await {
            Ok(stream) => return secure(stream, tls, deadline).await,
            Err(error) if error.kind() == io::ErrorKind::TimedOut => failure = Failure::TimedOut,
            Err(error) => failure = Failure::Refused(error),
        }
        if clock::now() >= deadline {
            return Err(Failure::TimedOut);
        }
    }
    Err(failure)
}

async fn secure(
    mut stream: Stream,
    tls: Option<&Tls<'_>>,
    deadline: Moment,
) -> Result<Link, Failure> {
    let session = match tls {
        None => None,
        Some(tls) => {
            // Boxed: a handshake is rare, and an open stream must not pay for the room it takes.
            let shake = Box::pin(tls::handshake(&mut stream, tls, deadline));
            Some(Box::new(shake.await?))
        }
    };
    Ok(Link { stream, tls: session, opened: clock::now(), is_reused: false })
}
