//! A listening socket: connections are waited for poll-first and taken by `accept4`, so that none is lost.

use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::os::fd::OwnedFd;
use std::os::fd::RawFd;
use std::task::Context;
use std::task::Poll;

use crate::ring::stream::Readiness;
use crate::sys::socket;

/// A listener of this ring.
pub struct Listener {
    fd: RawFd,
    readiness: Readiness,
}

impl Listener {
    /// Listens on an address; with `may_share` beside other listeners on it (SO_REUSEPORT).
    ///
    /// # Errors
    /// The system's, `AddrInUse` above all.
    pub fn bind(address: SocketAddr, may_share: bool, backlog: i32) -> io::Result<Self> {
        Self::from_fd(socket::listen(address, may_share, backlog)?)
    }

    /// Takes over a listening socket that does not block.
    ///
    /// # Errors
    /// The system's, where the runtime has to register descriptors.
    pub fn from_fd(fd: OwnedFd) -> io::Result<Self> {
        Ok(Self { fd: fd.as_raw_fd(), readiness: Readiness::new(fd)? })
    }

    /// The address it listens on.
    ///
    /// # Errors
    /// The system's.
    pub fn address(&self) -> io::Result<SocketAddr> {
        socket::local_address(self.fd)
    }

    /// Ready when a connection waits.
    pub fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.readiness.poll_readable(cx)
    }

    /// Waits until a connection waits.
    ///
    /// # Errors
    /// The system's.
    pub async fn readable(&mut self) -> io::Result<()> {
        poll_fn(|cx| self.readiness.poll_readable(cx)).await
    }

    /// Takes one waiting connection.
    ///
    /// # Errors
    /// `WouldBlock` if none waits; else the system's (`EMFILE` above all).
    pub fn try_accept(&self) -> io::Result<(OwnedFd, SocketAddr)> {
        socket::accept(self.fd)
    }
}

/// Where a shard finds connections that another shard has handed to it.
pub struct Inbox {
    fd: RawFd,
    readiness: Readiness,
}

/// Where a shard puts connections for another one. It can be used from every file table that was copied
/// after the pair was made.
#[derive(Clone, Copy, Debug)]
pub struct Outbox {
    fd: RawFd,
}

/// Bytes that travel with a connection at most: what a shard reads of one in a step, and as much of a head again.
const LETTER_BYTES_MAX: usize = 160 << 10;
const ADDRESS_BYTES: usize = 16;

impl Inbox {
    /// Takes over the receiving end of a descriptor channel.
    ///
    /// # Errors
    /// The system's, where the runtime has to register descriptors.
    pub fn from_fd(fd: OwnedFd) -> io::Result<Self> {
        Ok(Self { fd: fd.as_raw_fd(), readiness: Readiness::new(fd)? })
    }

    /// Waits until a connection waits.
    ///
    /// # Errors
    /// The system's.
    pub async fn readable(&mut self) -> io::Result<()> {
        poll_fn(|cx| self.readiness.poll_readable(cx)).await
    }

    /// Takes one connection, and asks where it comes from; nobody if it has ended already. What it has sent already and
    /// was read elsewhere is put into `has_sent`; then where it comes from is what was found out there.
    ///
    /// # Errors
    /// `WouldBlock` if none waits; else the system's.
    pub fn try_take(&self, has_sent: &mut Vec<u8>) -> io::Result<(OwnedFd, Option<IpAddr>)> {
        has_sent.resize(LETTER_BYTES_MAX, 0);
        let (connection, length) = socket::recv_descriptor(self.fd, has_sent)?;
        has_sent.truncate(length);
        if let Some((from, sent)) = has_sent.split_first_chunk::<ADDRESS_BYTES>() {
            let address = IpAddr::from(*from).to_canonical();
            let kept = sent.len();
            has_sent.copy_within(ADDRESS_BYTES.., 0);
            has_sent.truncate(kept);
            return Ok((connection, Some(address)));
        }
        has_sent.clear();
        let address = socket::remote_address(connection.as_raw_fd()).ok();
        Ok((connection, address.map(|address| address.ip())))
    }
}

impl Outbox {
    /// The sending end of a descriptor channel, which must stay open for the life of the process.
    #[must_use]
    pub const fn from_fd(fd: RawFd) -> Self {
        Self { fd }
    }

    /// Hands a connection over. This thread's descriptor of it is closed in any case.
    ///
    /// # Errors
    /// The connection, if the other shard's inbox is full.
    pub fn try_send(&self, connection: OwnedFd) -> Result<(), OwnedFd> {
        match socket::send_descriptor(self.fd, connection.as_raw_fd(), &[0]) {
            Ok(()) => Ok(()),
            Err(_) => Err(connection),
        }
    }

    /// Hands a connection over that has `sent` something already, and comes from `address`. This thread's descriptor of it
    /// stays open, and is to be closed.
    ///
    /// False: the other shard's inbox is full, or so much is not handed over.
    #[must_use]
    pub fn try_lend(&self, connection: RawFd, address: IpAddr, sent: &[u8]) -> bool {
        if sent.is_empty() || sent.len() > LETTER_BYTES_MAX - ADDRESS_BYTES {
            return false;
        }
        let address = match address {
            IpAddr::V4(address) => address.to_ipv6_mapped(),
            IpAddr::V6(address) => address,
        };
        let letter = [&address.octets()[..], sent].concat();
        socket::send_descriptor(self.fd, connection, &letter).is_ok()
    }
}
