//! Facts about the kernel that the design rests on. Each says what breaks where it does not hold: a test here that fails
//! means that the design is wrong on that machine, not that the code is. Never delete one because it fails.

use std::fs::File;
use std::io::Read;
use std::io::Write;
use std::net::TcpListener;
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::thread;
use std::time::Duration;

use ringway::sys::limits;
use ringway::sys::socket;

fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("an address");
    let near = TcpStream::connect(listener.local_addr().expect("an address")).expect("it listens");
    near.set_read_timeout(Some(Duration::from_secs(10))).expect("a socket");
    (near, listener.accept().expect("a connection").0)
}

/// Each shard has a listener of its own at the same port. Were all connections given to one of them, one core would do
/// all the work, and every connection would have to be handed over.
#[test]
fn listeners_that_share_a_port_share_its_connections() {
    let first = socket::listen("127.0.0.1:0".parse().expect("an address"), true, 256);
    let first = TcpListener::from(first.expect("a listener"));
    let address = first.local_addr().expect("an address");
    let second = TcpListener::from(socket::listen(address, true, 256).expect("a second one"));
    let clients: Vec<_> = (0..128).map(|_| TcpStream::connect(address).expect("taken")).collect();
    let taken = |listener: &TcpListener| {
        listener.set_nonblocking(true).expect("a socket");
        std::iter::from_fn(|| listener.accept().ok()).count()
    };
    let (a, b) = (taken(&first), taken(&second));
    assert_eq!(a + b, clients.len());
    assert!(a > 16 && b > 16, "{a} and {b}");
}

/// A listener that is closed takes its unaccepted connections down with it. So a drain refuses, loudly and at once, what
/// it has not taken; a listener that stayed open unserved would leave its part of all clients waiting for ever, which is
/// why a shard that ends takes the process with it.
#[test]
fn a_closed_listener_resets_what_it_did_not_take() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("an address");
    let mut client = TcpStream::connect(listener.local_addr().expect("an address")).expect("taken");
    client.set_read_timeout(Some(Duration::from_secs(10))).expect("a socket");
    drop(listener);
    let error = client.read(&mut [0]).expect_err("it was reset");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

/// A thread with a file table of its own shares what was opened before (an eventfd made before wakes across), and
/// nothing that is opened after: descriptor numbers must not cross threads, so connections do by `SCM_RIGHTS`.
#[test]
fn a_file_table_of_its_own_keeps_what_was_open_and_shares_nothing_new() {
    let (mut near, far) = pair();
    let opened = thread::spawn(move || {
        limits::own_file_table().expect("unshare");
        { &far }.write_all(b"x").expect("what was open before still is");
        let file = File::open("/proc/self/stat").expect("a file");
        let fd = file.as_raw_fd();
        let link = format!("/proc/thread-self/fd/{fd}");
        assert!(std::fs::read_link(link).is_ok(), "it is open here");
        // Kept open until the other thread has looked.
        (fd, file, far)
    });
    let mut byte = [0];
    near.read_exact(&mut byte).expect("it came across");
    let (fd, file, far) = opened.join().expect("no panic");
    let seen = std::fs::read_link(format!("/proc/thread-self/fd/{fd}")).unwrap_or_default();
    assert_ne!(seen.to_string_lossy(), format!("/proc/{}/stat", std::process::id()));
    // Their numbers are those of a table that is gone: closing them here would close what others have opened.
    let _theirs =
        (std::os::fd::IntoRawFd::into_raw_fd(file), std::os::fd::IntoRawFd::into_raw_fd(far));
}

/// What came before a reset can still be read. An endpoint that refuses a large request (401, 413) and closes is
/// heard because of this, although sending to it fails.
#[test]
fn what_came_before_a_reset_can_be_read() {
    let (mut near, mut far) = pair();
    near.write_all(b"unread").expect("sent");
    far.write_all(b"answer").expect("sent");
    let mut waits = [0; 6];
    while near.peek(&mut waits).expect("it comes") < waits.len() {}
    // Closing with bytes unread resets the connection.
    far.set_nonblocking(true).expect("a socket");
    while far.peek(&mut [0]).is_err() {}
    drop(far);
    while near.write(b"more").is_ok() {}
    let mut answer = [0; 6];
    near.read_exact(&mut answer).expect("the answer is still there");
    assert_eq!(&answer, b"answer");
}

/// A client that has closed and one that has only half-closed look the same until something is sent: the one that
/// is gone answers with a reset. Hence the probe (100 Continue, a comment) of clients that have said their last.
#[test]
fn only_sending_tells_a_close_from_a_half_close() {
    for is_gone in [true, false] {
        let (near, mut far) = pair();
        near.shutdown(std::net::Shutdown::Write).expect("open");
        let near = (!is_gone).then_some(near);
        assert_eq!(far.read(&mut [0]).expect("an end"), 0);
        assert!(!socket::is_reset(far.as_raw_fd()), "nothing tells");
        far.write_all(b"probe").expect("taken by the kernel");
        far.set_read_timeout(Some(Duration::from_millis(200))).expect("a socket");
        // The reset is there by the time a loopback send returns; without one the next send goes well, too.
        assert_eq!(socket::is_reset(far.as_raw_fd()), is_gone);
        assert_eq!(far.write_all(b"more").is_err(), is_gone);
        drop(near);
    }
}
