//! Opens a connection to an endpoint: its addresses in turn, each with its share of what is left of the deadline.

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
#[derive(Clone, Debug)]
pub struct Tls<'t> {
    /// Roots, versions, session tickets.
    pub config: Arc<ClientConfig>,
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

/// Opens a connection to the first of `addresses` that takes one. One that is silent may use up its share of the time that
/// is left, so that the others are asked as well.
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
    for (asked, &address) in addresses.iter().enumerate() {
        let until = share(clock::now(), deadline, addresses.len() - asked);
        match Stream::connect(address, dial, until).await {
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

/// By when the next of so many must have answered that share the time until the deadline.
fn share(now: Moment, deadline: Moment, left: usize) -> Moment {
    let left = u32::try_from(left).unwrap_or(u32::MAX).max(1);
    now.after(deadline.since(now) / left)
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

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::net::TcpStream;
    use std::time::Duration;

    use super::*;
    use crate::ring::Options;
    use crate::ring::Ring;
    use crate::ring::listen::Listener;

    /// A listener that has as many connections waiting as it takes: who comes now hears nothing.
    fn silent() -> (Listener, Vec<TcpStream>) {
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), false, 1).unwrap();
        let address = listener.address().unwrap();
        let connect = || TcpStream::connect_timeout(&address, Duration::from_millis(100)).ok();
        let waiting = std::iter::from_fn(connect).collect();
        (listener, waiting)
    }

    #[test]
    fn an_address_that_is_silent_leaves_time_for_the_next() {
        Ring::build(&Options::default()).unwrap().run(async {
            let (silent, _waiting) = silent();
            let live = TcpListener::bind("127.0.0.1:0").unwrap();
            let addresses = [silent.address().unwrap(), live.local_addr().unwrap()];
            let deadline = || clock::now().after(Duration::from_secs(1));
            assert!(open(&addresses, None, Dial::default(), deadline()).await.is_ok());
            let failed = open(&addresses[..1], None, Dial::default(), deadline()).await;
            assert!(matches!(failed, Err(Failure::TimedOut)));
        });
    }

    #[test]
    fn addresses_share_the_time_and_the_last_has_all_that_is_left() {
        let at = |ms| Moment::default().after(Duration::from_millis(ms));
        assert_eq!(share(at(0), at(900), 3), at(300));
        assert_eq!(share(at(10), at(900), 2), at(455));
        assert_eq!(share(at(455), at(900), 1), at(900));
        assert_eq!(share(at(901), at(900), 1), at(901), "it is over");
    }
}
