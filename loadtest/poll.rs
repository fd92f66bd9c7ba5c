//! Readiness of many sockets, edge-triggered and never re-armed: the cheapest wait there is for a load tester.
//!
//! The runtime of the gateway is left aside on purpose: what measures shares as little as possible with what is measured.
#![allow(unsafe_code, reason = "epoll; each block says why it is sound")]

use std::io;
use std::os::fd::AsRawFd;
use std::os::fd::FromRawFd;
use std::os::fd::OwnedFd;
use std::os::fd::RawFd;
use std::time::Duration;

/// A set of sockets waited for together.
pub struct Poll {
    epoll: OwnedFd,
    events: Vec<libc::epoll_event>,
}

/// A socket that something happened to.
#[derive(Clone, Copy, Debug)]
pub struct Ready {
    /// Its key.
    pub key: u64,
    /// Whether the other side sends no more.
    pub is_hung_up: bool,
}

/// Sockets reported by one wait at most.
const EVENTS_MAX: usize = 1024;

impl Poll {
    /// An empty set.
    ///
    /// # Errors
    /// The system's.
    pub fn open() -> io::Result<Self> {
        // SAFETY: no memory is passed.
        let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: epoll_create1 has just returned this descriptor; nobody else owns it.
        let epoll = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Self { epoll, events: vec![libc::epoll_event { events: 0, u64: 0 }; EVENTS_MAX] })
    }

    /// Adds a socket under a key; it leaves the set when it is closed.
    ///
    /// # Errors
    /// The system's.
    pub fn add(&self, socket: RawFd, key: u64) -> io::Result<()> {
        let interest = libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLRDHUP | libc::EPOLLET;
        let mut event = libc::epoll_event { events: interest.cast_unsigned(), u64: key };
        // SAFETY: event is live.
        let added = unsafe {
            libc::epoll_ctl(self.epoll.as_raw_fd(), libc::EPOLL_CTL_ADD, socket, &raw mut event)
        };
        if added < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Waits at most so long and appends the sockets that something happened to.
    ///
    /// # Errors
    /// The system's; an interruption is no error.
    pub fn wait(&mut self, wait: Duration, sockets: &mut Vec<Ready>) -> io::Result<()> {
        let timeout = libc::timespec {
            tv_sec: libc::time_t::try_from(wait.as_secs()).unwrap_or(libc::time_t::MAX),
            tv_nsec: wait.subsec_nanos().into(),
        };
        // SAFETY: events has room for EVENTS_MAX, timeout is live, no signal mask is passed.
        let ready = unsafe {
            libc::syscall(
                libc::SYS_epoll_pwait2,
                self.epoll.as_raw_fd(),
                self.events.as_mut_ptr(),
                EVENTS_MAX,
                &raw const timeout,
                std::ptr::null::<libc::sigset_t>(),
                0usize,
            )
        };
        let Ok(ready) = usize::try_from(ready) else {
            let error = io::Error::last_os_error();
            let is_interrupted = error.kind() == io::ErrorKind::Interrupted;
            return if is_interrupted { Ok(()) } else { Err(error) };
        };
        let end = libc::EPOLLRDHUP | libc::EPOLLHUP | libc::EPOLLERR;
        sockets.extend(self.events.iter().take(ready).map(|event| Ready {
            key: event.u64,
            is_hung_up: event.events & end.cast_unsigned() != 0,
        }));
        Ok(())
    }
}
