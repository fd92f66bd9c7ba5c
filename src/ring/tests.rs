//! The ring against the real kernel: on io_uring and without it.

use std::cell::Cell;
use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use super::Options;
use super::Ring;
use super::clock;
use super::listen::Listener;
use super::stream::Stream;
use super::task;
use crate::sys::socket::Dial;
use crate::units::Moment;

fn on_both_drivers(run: impl Fn(Ring)) {
    for is_legacy_forced in [false, true] {
        run(Ring::build(&Options { is_legacy_forced, ..Options::default() }).unwrap());
    }
}

fn soon() -> Moment {
    clock::now().after(Duration::from_secs(5))
}

async fn pair() -> (Stream, Stream) {
    let mut listener = Listener::bind("127.0.0.1:0".parse().unwrap(), false, 8).unwrap();
    let near = Stream::connect(listener.address().unwrap(), Dial::default(), soon()).await.unwrap();
    listener.readable().await.unwrap();
    let (far, _) = listener.try_accept().unwrap();
    (near, Stream::from_fd(far).unwrap())
}

#[test]
fn bytes_travel_both_ways_and_an_end_is_read_as_zero() {
    on_both_drivers(|ring| {
        ring.run(async {
            let (mut near, mut far) = pair().await;
            let mut room = [0; 16];
            for _ in 0..100 {
                near.send_all(b"ping", soon()).await.unwrap();
                far.readable(soon()).await.unwrap();
                assert_eq!(far.try_recv(&mut room).unwrap(), 4);
                far.send_all(b"pong!", soon()).await.unwrap();
                near.readable(soon()).await.unwrap();
                assert_eq!(near.try_recv(&mut room).unwrap(), 5);
            }
            near.close_send();
            far.readable(soon()).await.unwrap();
            assert_eq!(far.try_recv(&mut room).unwrap(), 0);
        });
    });
}

#[test]
fn a_wait_ends_at_its_deadline_and_loses_nothing() {
    on_both_drivers(|ring| {
        ring.run(async {
            let (near, mut far) = pair().await;
            let wait = far.readable(clock::now().after(Duration::from_millis(5))).await;
            assert_eq!(wait.unwrap_err().kind(), io::ErrorKind::TimedOut);
            near.try_send(b"late").unwrap();
            far.readable(soon()).await.unwrap();
            let mut room = [0; 16];
            assert_eq!(far.try_recv(&mut room).unwrap(), 4);
        });
    });
}

#[test]
fn a_dropped_wait_loses_nothing() {
    on_both_drivers(|ring| {
        ring.run(async {
            let (near, mut far) = pair().await;
            let is_ready = poll_fn(|cx| Poll::Ready(far.poll_readable(cx).is_ready())).await;
            assert!(!is_ready);
            near.try_send(b"once").unwrap();
            far.readable(soon()).await.unwrap();
            let mut room = [0; 16];
            assert_eq!(far.try_recv(&mut room).unwrap(), 4);
            assert_eq!(far.try_recv(&mut room).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        });
    });
}

#[test]
fn a_reset_is_seen_and_a_refused_connection_is_an_error() {
    on_both_drivers(|ring| {
        ring.run(async {
            let (near, mut far) = pair().await;
            assert!(!far.is_reset());
            near.reset();
            far.readable(soon()).await.unwrap();
            assert!(far.is_reset());
            let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), false, 8).unwrap();
            let address = listener.address().unwrap();
            drop(listener);
            clock::sleep(Duration::from_millis(5)).await;
            let refused = Stream::connect(address, Dial::default(), soon()).await.err().unwrap();
            assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        });
    });
}

#[test]
fn a_full_socket_is_writable_again_once_it_was_read() {
    on_both_drivers(|ring| {
        ring.run(async {
            let (mut near, mut far) = pair().await;
            let got = Rc::new(Cell::new(0));
            let seen = Rc::clone(&got);
            task::spawn(async move {
                let mut room = vec![0; 65_536];
                loop {
                    far.readable(soon()).await.unwrap();
                    match far.try_recv(&mut room).unwrap() {
                        0 => break,
                        n => seen.set(seen.get() + n),
                    }
                }
            });
            let bytes = vec![7; 16 << 20];
            near.send_all(&bytes, soon()).await.unwrap();
            near.close_send();
            while got.get() < bytes.len() {
                clock::sleep(Duration::from_millis(1)).await;
            }
        });
    });
}

#[test]
fn a_panic_ends_its_task_and_drops_what_it_owns_and_no_other() {
    on_both_drivers(|ring| {
        ring.run(async {
            let before = task::bugs();
            let (near, mut far) = pair().await;
            task::spawn(async move {
                task::yield_now().await;
                near.try_send(b"x").unwrap();
                panic!("on purpose");
            });
            far.readable(soon()).await.unwrap();
            let mut room = [0; 16];
            assert_eq!(far.try_recv(&mut room).unwrap(), 1);
            far.readable(soon()).await.unwrap();
            assert_eq!(far.try_recv(&mut room).unwrap(), 0, "the connection was closed");
            assert_eq!(task::bugs(), before + 1);
        });
    });
}

#[test]
fn sleeps_end_in_the_order_of_their_deadlines() {
    on_both_drivers(|ring| {
        ring.run(async {
            let order = Rc::new(RefCell::new(Vec::new()));
            for ms in [9_u64, 3, 6] {
                let order = Rc::clone(&order);
                task::spawn(async move {
                    clock::sleep(Duration::from_millis(ms)).await;
                    order.borrow_mut().push(ms);
                });
            }
            clock::sleep(Duration::from_millis(15)).await;
            assert_eq!(*order.borrow(), [3, 6, 9]);
        });
    });
}
