//! A listening socket: connections are waited for poll-first and taken by `accept4`, so that none is lost.

use std::future::poll_fn;
use std::io;
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

    /// Takes one connection, and asks where it comes from; nobody if it has ended already.
    ///
    /// # Errors
    /// `WouldBlock` if none waits; else the system's.
    pub fn try_take(&self) -> io::Result<(OwnedFd, Option<SocketAddr>)> {
        let connection = socket::recv_descriptor(self.fd)?;
        let address = socket::remote_address(connection.as_raw_fd()).ok();
        Ok((connection, address))
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
        match socket::send_descriptor(self.fd, connection.as_raw_fd()) {
            Ok(()) => Ok(()),
            Err(_) => Err(connection),
        }
    }
}
