//! Sockets and wake-up descriptors: each system call by name, with errors as `io::Error`.
#![allow(unsafe_code, reason = "system calls; each block says why it is sound")]

use std::io;
use std::mem;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::os::fd::FromRawFd;
use std::os::fd::OwnedFd;
use std::os::fd::RawFd;
use std::time::Duration;

/// Receives what is there, without waiting.
///
/// # Errors
/// `WouldBlock` if nothing is there; else the socket's error. `Ok(0)` means that the sender has closed.
pub fn recv(fd: RawFd, room: &mut [u8]) -> io::Result<usize> {
    // SAFETY: the pointer and length are those of a live, writable slice.
    let got = unsafe { libc::recv(fd, room.as_mut_ptr().cast(), room.len(), libc::MSG_DONTWAIT) };
    usize::try_from(got).map_err(|_| io::Error::last_os_error())
}

/// Receives what is there, without waiting, and leaves it there.
///
/// # Errors
/// `WouldBlock` if nothing is there; else the socket's error. `Ok(0)` means that the sender has closed.
pub fn peek(fd: RawFd, room: &mut [u8]) -> io::Result<usize> {
    let flags = libc::MSG_DONTWAIT | libc::MSG_PEEK;
    // SAFETY: the pointer and length are those of a live, writable slice.
    let got = unsafe { libc::recv(fd, room.as_mut_ptr().cast(), room.len(), flags) };
    usize::try_from(got).map_err(|_| io::Error::last_os_error())
}

/// Sends as much as fits, without waiting and without SIGPIPE.
///
/// # Errors
/// `WouldBlock` if nothing fits; else the socket's error.
pub fn send(fd: RawFd, bytes: &[u8]) -> io::Result<usize> {
    // SAFETY: the pointer and length are those of a live, readable slice.
    let sent = unsafe {
        libc::send(fd, bytes.as_ptr().cast(), bytes.len(), libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL)
    };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// Whether the connection was reset or closed in both directions, as far as the kernel knows now.
#[must_use]
pub fn is_reset(fd: RawFd) -> bool {
    let mut poll = libc::pollfd { fd, events: 0, revents: 0 };
    // SAFETY: one live pollfd, count 1, no waiting.
    let ready = unsafe { libc::poll(&raw mut poll, 1, 0) };
    ready > 0 && poll.revents & (libc::POLLERR | libc::POLLHUP) != 0
}

/// Closes the sending direction: the other side reads an end.
pub fn close_send(fd: RawFd) {
    // SAFETY: no memory is passed. A failure means that the connection is gone already.
    unsafe { libc::shutdown(fd, libc::SHUT_WR) };
}

/// Closes the receiving direction: whoever waits for bytes here reads an end.
pub fn close_receive(fd: RawFd) {
    // SAFETY: no memory is passed. A failure means that the connection is gone already.
    unsafe { libc::shutdown(fd, libc::SHUT_RD) };
}

/// Closes both directions: whoever waits for this connection wakes.
pub fn close_both(fd: RawFd) {
    // SAFETY: no memory is passed. A failure means that the connection is gone already.
    unsafe { libc::shutdown(fd, libc::SHUT_RDWR) };
}

/// Makes the coming close a reset (RST) instead of an orderly end.
pub fn reset_on_close(fd: RawFd) {
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    // A failure leaves an orderly close, which is the best that is left.
    let _best_effort = set_option(fd, libc::SOL_SOCKET, libc::SO_LINGER, &linger);
}

/// Sends small writes at once (TCP_NODELAY): an event never waits for an acknowledgement.
///
/// # Errors
/// The system's.
pub fn set_nodelay(fd: RawFd) -> io::Result<()> {
    set_option(fd, libc::IPPROTO_TCP, libc::TCP_NODELAY, &1i32)
}

/// Bounds what the kernel takes of bytes that it cannot send yet, in bytes: a socket whose reader is slow is full after
/// that, while one whose reader is fast may have as much under way as the network holds (TCP_NOTSENT_LOWAT).
///
/// # Errors
/// The system's.
pub fn set_unsent_max(fd: RawFd, bytes: u32) -> io::Result<()> {
    set_option(fd, libc::IPPROTO_TCP, libc::TCP_NOTSENT_LOWAT, &bytes)
}

/// Opens a listening TCP socket, not blocking, closed on exec. With `may_share`, several sockets may
/// listen on the address and the kernel spreads connections over them (SO_REUSEPORT).
///
/// # Errors
/// The system's, `AddrInUse` above all.
pub fn listen(address: SocketAddr, may_share: bool, backlog: i32) -> io::Result<OwnedFd> {
    let socket = tcp_socket(address)?;
    let fd = socket.as_raw_fd();
    set_option(fd, libc::SOL_SOCKET, libc::SO_REUSEADDR, &1i32)?;
    if may_share {
        set_option(fd, libc::SOL_SOCKET, libc::SO_REUSEPORT, &1i32)?;
    }
    bind(fd, address)?;
    // SAFETY: no memory is passed.
    checked(unsafe { libc::listen(fd, backlog) })?;
    Ok(socket)
}

/// Takes one waiting connection from a listener; it does not block and is closed on exec.
///
/// # Errors
/// `WouldBlock` if none waits; else the system's (`EMFILE` above all).
pub fn accept(listener: RawFd) -> io::Result<(OwnedFd, SocketAddr)> {
    // SAFETY: all zeroes is a valid sockaddr_storage.
    let mut storage: libc::sockaddr_storage = unsafe { mem::zeroed() };
    let mut len = socklen::<libc::sockaddr_storage>();
    // SAFETY: storage and len are live and len is the size of storage.
    let fd = checked(unsafe {
        libc::accept4(
            listener,
            (&raw mut storage).cast(),
            &raw mut len,
            libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC,
        )
    })?;
    // SAFETY: accept4 has just returned this descriptor; nobody else owns it.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    Ok((fd, address_of(&storage)))
}

/// How to connect.
#[derive(Clone, Copy, Debug, Default)]
pub struct Dial {
    /// From where; the port may be 0.
    pub local: Option<SocketAddr>,
    /// What the kernel holds, at most and about, of what comes and is not read, in bytes; 0 leaves that to the system,
    /// which may let it grow to many megabytes.
    pub receive_bytes: u32,
}

/// Begins to connect. The connection stands once the socket is writable and [`take_error`] finds nothing.
///
/// # Errors
/// The system's; "in progress" is no error.
pub fn connect(remote: SocketAddr, dial: Dial) -> io::Result<OwnedFd> {
    let socket = tcp_socket(remote)?;
    let fd = socket.as_raw_fd();
    set_nodelay(fd)?;
    if let Some(local) = dial.local {
        // The port is chosen at connect, so that one address serves 28,000 connections per destination.
        set_option(fd, libc::IPPROTO_IP, libc::IP_BIND_ADDRESS_NO_PORT, &1i32)?;
        bind(fd, local)?;
    }
    if dial.receive_bytes > 0 {
        // Before connecting: the window's scale is agreed on in the handshake.
        set_option(fd, libc::SOL_SOCKET, libc::SO_RCVBUF, &dial.receive_bytes)?;
    }
    let (storage, len) = sockaddr_of(remote);
    // SAFETY: storage is live and len is its length.
    match checked(unsafe { libc::connect(fd, (&raw const storage).cast(), len) }) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
        _ => Ok(socket),
    }
}

/// The pending error of a socket, which reading clears.
///
/// # Errors
/// That error, or the system's.
pub fn take_error(fd: RawFd) -> io::Result<()> {
    let mut error: libc::c_int = 0;
    let mut len = socklen::<libc::c_int>();
    // SAFETY: error and len are live and len is the size of error.
    checked(unsafe {
        libc::getsockopt(
            fd,
            libc::SOL_SOCKET,
            libc::SO_ERROR,
            (&raw mut error).cast(),
            &raw mut len,
        )
    })?;
    if error == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(error)) }
}

/// The address a socket is bound to.
///
/// # Errors
/// The system's.
pub fn local_address(fd: RawFd) -> io::Result<SocketAddr> {
    // SAFETY: all zeroes is a valid sockaddr_storage.
    let mut storage: libc::sockaddr_storage = unsafe { mem::zeroed() };
    let mut len = socklen::<libc::sockaddr_storage>();
    // SAFETY: storage and len are live and len is the size of storage.
    checked(unsafe { libc::getsockname(fd, (&raw mut storage).cast(), &raw mut len) })?;
    Ok(address_of(&storage))
}

/// The address at the other end of a connection.
///
/// # Errors
/// The system's: `NotConnected` if the connection has ended already.
pub fn remote_address(fd: RawFd) -> io::Result<SocketAddr> {
    // SAFETY: all zeroes is a valid sockaddr_storage.
    let mut storage: libc::sockaddr_storage = unsafe { mem::zeroed() };
    let mut len = socklen::<libc::sockaddr_storage>();
    // SAFETY: storage and len are live and len is the size of storage.
    checked(unsafe { libc::getpeername(fd, (&raw mut storage).cast(), &raw mut len) })?;
    Ok(address_of(&storage))
}

/// Whether a descriptor is a socket of the internet, connected or not.
#[must_use]
pub fn is_internet(fd: RawFd) -> bool {
    // SAFETY: all zeroes is a valid sockaddr_storage.
    let mut storage: libc::sockaddr_storage = unsafe { mem::zeroed() };
    let mut len = socklen::<libc::sockaddr_storage>();
    // SAFETY: storage and len are live and len is the size of storage; fd need not be a socket, nor open.
    let named = unsafe { libc::getsockname(fd, (&raw mut storage).cast(), &raw mut len) };
    let families = [family(libc::AF_INET), family(libc::AF_INET6)];
    named == 0 && families.contains(&storage.ss_family)
}

/// A counter that one thread raises and another waits for (eventfd).
///
/// # Errors
/// The system's.
pub fn eventfd() -> io::Result<OwnedFd> {
    // SAFETY: no memory is passed.
    let fd = checked(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
    // SAFETY: eventfd has just returned this descriptor; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Raises an eventfd: whoever waits for it wakes.
pub fn raise(fd: RawFd) {
    let one = 1u64.to_ne_bytes();
    // SAFETY: eight readable bytes. It can only fail when the counter is full, and then it is raised.
    unsafe { libc::write(fd, one.as_ptr().cast(), one.len()) };
}

/// Empties an eventfd or timerfd, so that it can be waited for again.
pub fn lower(fd: RawFd) {
    let mut count = [0u8; 8];
    // SAFETY: eight writable bytes; nothing to read is fine.
    unsafe { libc::read(fd, count.as_mut_ptr().cast(), count.len()) };
}

/// A descriptor that becomes readable at a time (timerfd on the monotonic clock).
///
/// # Errors
/// The system's.
pub fn timerfd() -> io::Result<OwnedFd> {
    let flags = libc::TFD_CLOEXEC | libc::TFD_NONBLOCK;
    // SAFETY: no memory is passed.
    let fd = checked(unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, flags) })?;
    // SAFETY: timerfd_create has just returned this descriptor; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Sets when a timerfd becomes readable, as time since the clock's zero.
pub fn arm(fd: RawFd, at: Duration) {
    // Zero would disarm it; a nanosecond past zero is as good as now.
    let at = at.max(Duration::from_nanos(1));
    // SAFETY: all zeroes is a valid itimerspec.
    let mut spec: libc::itimerspec = unsafe { mem::zeroed() };
    spec.it_value.tv_sec = at.as_secs().try_into().unwrap_or(libc::time_t::MAX);
    spec.it_value.tv_nsec = at.subsec_nanos().into();
    // SAFETY: spec is live; no old value is asked for.
    unsafe {
        libc::timerfd_settime(fd, libc::TFD_TIMER_ABSTIME, &raw const spec, std::ptr::null_mut())
    };
}

/// Two connected datagram sockets, over which descriptors travel between file tables.
///
/// # Errors
/// The system's.
pub fn descriptor_channel() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut fds = [0; 2];
    let kind = libc::SOCK_DGRAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: room for two descriptors.
    checked(unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, fds.as_mut_ptr()) })?;
    // SAFETY: socketpair has just returned both descriptors; nobody else owns them.
    Ok(unsafe { (OwnedFd::from_raw_fd(fds[0]), OwnedFd::from_raw_fd(fds[1])) })
}

/// Sends a descriptor over a channel of [`descriptor_channel`], and at least one byte with it; the receiver gets its own.
///
/// # Errors
/// `WouldBlock` if the channel is full; else the system's.
pub fn send_descriptor(channel: RawFd, descriptor: RawFd, bytes: &[u8]) -> io::Result<()> {
    let mut part = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    let mut control = ControlSpace([0; CONTROL_BYTES]);
    // SAFETY: all zeroes is a valid msghdr.
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = control.0.as_mut_ptr().cast();
    // SAFETY: CMSG_SPACE only computes.
    message.msg_controllen = unsafe { libc::CMSG_SPACE(FD_BYTES) } as _;
    // SAFETY: the control space is aligned and has room for one descriptor's message.
    unsafe {
        let head = libc::CMSG_FIRSTHDR(&raw const message);
        (*head).cmsg_level = libc::SOL_SOCKET;
        (*head).cmsg_type = libc::SCM_RIGHTS;
        (*head).cmsg_len = libc::CMSG_LEN(FD_BYTES) as _;
        libc::CMSG_DATA(head).cast::<RawFd>().write_unaligned(descriptor);
    }
    // SAFETY: message points to live parts.
    let sent = unsafe {
        libc::sendmsg(channel, &raw const message, libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL)
    };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Receives one descriptor from a channel, and the bytes that came with it: how many.
///
/// # Errors
/// `WouldBlock` if none waits; `InvalidData` for a message without one; else the system's.
pub fn recv_descriptor(channel: RawFd, room: &mut [u8]) -> io::Result<(OwnedFd, usize)> {
    let mut part = libc::iovec { iov_base: room.as_mut_ptr().cast(), iov_len: room.len() };
    let mut control = ControlSpace([0; CONTROL_BYTES]);
    // SAFETY: all zeroes is a valid msghdr.
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = control.0.as_mut_ptr().cast();
    message.msg_controllen = control.0.len();
    let flags = libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC;
    // SAFETY: message points to live parts with their true lengths.
    let got = unsafe { libc::recvmsg(channel, &raw mut message, flags) };
    if got < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has filled in the control space and its length; CMSG_FIRSTHDR is null if there
    // is none. A SCM_RIGHTS message carries at least one descriptor, which is now ours.
    unsafe {
        let head = libc::CMSG_FIRSTHDR(&raw const message);
        if head.is_null()
            || (*head).cmsg_level != libc::SOL_SOCKET
            || (*head).cmsg_type != libc::SCM_RIGHTS
        {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let fd = OwnedFd::from_raw_fd(libc::CMSG_DATA(head).cast::<RawFd>().read_unaligned());
        Ok((fd, usize::try_from(got).unwrap_or(0)))
    }
}

/// Room for the control message of one descriptor, aligned as `cmsghdr` wants it.
#[repr(align(8))]
struct ControlSpace([u8; CONTROL_BYTES]);

const CONTROL_BYTES: usize = 64;
const FD_BYTES: u32 = 4;

fn tcp_socket(address: SocketAddr) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    let kind = libc::SOCK_STREAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: no memory is passed.
    let fd = checked(unsafe { libc::socket(family, kind, 0) })?;
    // SAFETY: socket has just returned this descriptor; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn bind(fd: RawFd, address: SocketAddr) -> io::Result<()> {
    let (storage, len) = sockaddr_of(address);
    // SAFETY: storage is live and len is its length.
    checked(unsafe { libc::bind(fd, (&raw const storage).cast(), len) }).map(|_| ())
}

fn set_option<T>(fd: RawFd, level: i32, option: i32, value: &T) -> io::Result<()> {
    // SAFETY: value is live and the length is its size.
    checked(unsafe {
        libc::setsockopt(fd, level, option, std::ptr::from_ref(value).cast(), socklen::<T>())
    })
    .map(|_| ())
}

fn checked(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn socklen<T>() -> libc::socklen_t {
    libc::socklen_t::try_from(size_of::<T>()).unwrap_or(0)
}

fn sockaddr_of(address: SocketAddr) -> (libc::sockaddr_storage, libc::socklen_t) {
    // SAFETY: all zeroes is a valid sockaddr_storage.
    let mut storage: libc::sockaddr_storage = unsafe { mem::zeroed() };
    match address {
        SocketAddr::V4(v4) => {
            let sin = libc::sockaddr_in {
                sin_family: family(libc::AF_INET),
                sin_port: v4.port().to_be(),
                sin_addr: libc::in_addr { s_addr: u32::from(*v4.ip()).to_be() },
                sin_zero: [0; 8],
            };
            // SAFETY: sockaddr_storage is large enough and aligned for every sockaddr.
            unsafe { (&raw mut storage).cast::<libc::sockaddr_in>().write(sin) };
            (storage, socklen::<libc::sockaddr_in>())
        }
        SocketAddr::V6(v6) => {
            let sin6 = libc::sockaddr_in6 {
                sin6_family: family(libc::AF_INET6),
                sin6_port: v6.port().to_be(),
                sin6_flowinfo: v6.flowinfo(),
                sin6_addr: libc::in6_addr { s6_addr: v6.ip().octets() },
                sin6_scope_id: v6.scope_id(),
            };
            // SAFETY: sockaddr_storage is large enough and aligned for every sockaddr.
            unsafe { (&raw mut storage).cast::<libc::sockaddr_in6>().write(sin6) };
            (storage, socklen::<libc::sockaddr_in6>())
        }
    }
}

fn family(number: libc::c_int) -> libc::sa_family_t {
    libc::sa_family_t::try_from(number).unwrap_or(0)
}

fn address_of(storage: &libc::sockaddr_storage) -> SocketAddr {
    if storage.ss_family == family(libc::AF_INET6) {
        // SAFETY: the family says that this is a sockaddr_in6.
        let sin6 = unsafe { (&raw const *storage).cast::<libc::sockaddr_in6>().read() };
        let ip = Ipv6Addr::from(sin6.sin6_addr.s6_addr);
        return SocketAddr::new(ip.into(), u16::from_be(sin6.sin6_port));
    }
    // SAFETY: TCP sockets here are IPv4 or IPv6; a sockaddr_in fits into the storage in any case.
    let sin = unsafe { (&raw const *storage).cast::<libc::sockaddr_in>().read() };
    let ip = Ipv4Addr::from(u32::from_be(sin.sin_addr.s_addr));
    SocketAddr::new(ip.into(), u16::from_be(sin.sin_port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_descriptor_travels_over_a_channel() {
        let (near, far) = descriptor_channel().unwrap();
        let event = eventfd().unwrap();
        send_descriptor(near.as_raw_fd(), event.as_raw_fd(), b"with words").unwrap();
        let mut room = [0; 64];
        let (twin, length) = recv_descriptor(far.as_raw_fd(), &mut room).unwrap();
        assert_eq!(&room[..length], b"with words");
        raise(event.as_raw_fd());
        let mut poll = libc::pollfd { fd: twin.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one live pollfd.
        assert_eq!(unsafe { libc::poll(&raw mut poll, 1, 0) }, 1);
        let empty = recv_descriptor(far.as_raw_fd(), &mut room).unwrap_err();
        assert_eq!(empty.kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn only_internet_sockets_are_taken_for_such() {
        let (near, _far) = descriptor_channel().unwrap();
        let event = eventfd().unwrap();
        let listener = listen("127.0.0.1:0".parse().unwrap(), false, 8).unwrap();
        assert!(is_internet(listener.as_raw_fd()));
        assert!(
            !is_internet(near.as_raw_fd()) && !is_internet(event.as_raw_fd()) && !is_internet(-1)
        );
    }

    #[test]
    fn addresses_survive_the_way_through_the_kernel() {
        for text in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = listen(text.parse().unwrap(), true, 8) else {
                continue; // no IPv6 here
            };
            let address = local_address(listener.as_raw_fd()).unwrap();
            assert_ne!(address.port(), 0);
            assert_eq!(address.ip(), text.parse::<SocketAddr>().unwrap().ip());
        }
    }
}
