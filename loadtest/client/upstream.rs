//! A model server in the tester's own loop: whole sealed answers, for runs in which a mock beside it would cost too much.
//!
//! A mock is a process of its own on the tester's core, and changing between the two costs as much as a good part of a
//! request. What is given up for that: it answers at once, whole and right, whatever is asked.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::os::fd::OwnedFd;

use ringway::mock::content;
use ringway::mock::content::Seal;
use ringway::mock::content::Template;
use ringway::ring::clock;
use ringway::sys::socket;
use ringway::wire::http1::body::Body;
use ringway::wire::http1::parse;
use ringway::wire::http1::parse::Slots;

use crate::poll::Poll;
use crate::poll::Ready;

/// Where it listens, and what it answers.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Where; all threads of the tester share it.
    pub address: SocketAddr,
    /// Bytes of each answer's body.
    pub bytes: usize,
}

/// Sockets of the upstream have keys from here on, those of clients have smaller ones.
pub const KEYS: u64 = 1 << 32;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 4096;
/// A gateway that sends more than this before an answer is cut off.
const HELD_BYTES_MAX: usize = 64 * 1024 * 1024;
/// A connection between requests keeps no more memory than this.
const HELD_KEPT_BYTES: usize = 4096;

/// The listener and its connections.
pub struct Upstream {
    listener: OwnedFd,
    head: Vec<u8>,
    template: Template,
    served: Vec<Served>,
    free: Vec<usize>,
}

/// One connection from the gateway.
#[derive(Debug, Default)]
struct Served {
    socket: Option<OwnedFd>,
    /// Bytes of a request that is not whole.
    held: Vec<u8>,
    /// Bytes of answers that the kernel did not take yet.
    unsent: Vec<u8>,
}

/// A connection is of no more use.
#[derive(Debug, PartialEq, Eq)]
struct Gone;

impl Upstream {
    /// Listens.
    ///
    /// # Errors
    /// The system's.
    pub fn listen(place: Place, poll: &Poll) -> io::Result<Self> {
        let listener = socket::listen(place.address, true, BACKLOG)?;
        poll.add(listener.as_raw_fd(), KEYS)?;
        let before = "{\"id\":\"chatcmpl-tester\",\"object\":\"chat.completion\",\"choices\":[{\"index\":0,\
                      \"message\":{\"role\":\"assistant\",\"content\":\"";
        let after = "\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1,\
                     \"total_tokens\":2}}";
        let template = Template::new(before, after, place.bytes);
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            template.len()
        );
        let (served, free) = (Vec::new(), Vec::new());
        Ok(Self { listener, head: head.into_bytes(), template, served, free })
    }

    /// Something happened to the socket of a key of [`KEYS`] or above.
    ///
    /// # Errors
    /// The system's, where the tester itself cannot go on.
    pub fn go_on(&mut self, ready: Ready, room: &mut [u8], poll: &Poll) -> io::Result<()> {
        let Some(slot) = ready.key.checked_sub(KEYS + 1) else { return self.accept(poll) };
        let Some(slot) = usize::try_from(slot).ok().filter(|slot| *slot < self.served.len()) else {
            return Ok(());
        };
        if self.serve(slot, ready.is_hung_up, room) == Err(Gone) {
            self.served[slot] = Served::default();
            self.free.push(slot);
        }
        Ok(())
    }

    /// Takes all connections that wait.
    fn accept(&mut self, poll: &Poll) -> io::Result<()> {
        loop {
            let socket = match socket::accept(self.listener.as_raw_fd()) {
                Ok((socket, _)) => socket,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                // Who connected has left again.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
                Err(error) => return Err(error),
            };
            socket::set_nodelay(socket.as_raw_fd())?;
            let slot = self.free.pop().unwrap_or_else(|| {
                self.served.push(Served::default());
                self.served.len() - 1
            });
            poll.add(socket.as_raw_fd(), KEYS + 1 + slot as u64)?;
            self.served[slot].socket = Some(socket);
        }
    }

    /// Reads what is there and answers what is whole.
    fn serve(&mut self, slot: usize, is_hung_up: bool, room: &mut [u8]) -> Result<(), Gone> {
        let Self { head, template, served, .. } = self;
        let served = &mut served[slot];
        // An edge of a connection that has been closed meanwhile.
        let Some(socket) = &served.socket else { return Ok(()) };
        let socket = socket.as_raw_fd();
        loop {
            let got = match socket::recv(socket, room) {
                Ok(0) => return Err(Gone),
                Ok(got) => got,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => return Err(Gone),
            };
            let mut answer = |stream| {
                let seal = Seal { stream, number: 0, nanos: clock::now().as_nanos() };
                served.unsent.extend_from_slice(head);
                template.write(seal, &mut served.unsent);
            };
            if served.held.is_empty() {
                let taken = each_request(&room[..got], &mut answer)?;
                served.held.extend_from_slice(&room[taken..got]);
            } else {
                served.held.extend_from_slice(&room[..got]);
                let taken = each_request(&served.held, &mut answer)?;
                served.held.drain(..taken);
            }
            if served.held.len() > HELD_BYTES_MAX {
                return Err(Gone);
            }
            if got < room.len() && !is_hung_up {
                break;
            }
        }
        served.send(socket)
    }
}

impl Served {
    /// Sends what the kernel takes.
    fn send(&mut self, socket: i32) -> Result<(), Gone> {
        if !self.unsent.is_empty() {
            match socket::send(socket, &self.unsent) {
                Ok(sent) if sent == self.unsent.len() => self.unsent.clear(),
                Ok(sent) => drop(self.unsent.drain(..sent)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return Err(Gone),
            }
        }
        if self.held.is_empty() && self.held.capacity() > HELD_KEPT_BYTES {
            self.held = Vec::new();
        }
        Ok(())
    }
}

/// Hands out the stream number of each whole request at the front of `bytes`; returns how many bytes they were.
fn each_request(bytes: &[u8], mut each: impl FnMut(u64)) -> Result<usize, Gone> {
    let mut at = 0;
    while at < bytes.len() {
        let mut slots = Slots::new();
        let Some(head) = parse::request(&bytes[at..], &mut slots).map_err(|_| Gone)? else { break };
        let number = head.fields.get("x-mock-stream").and_then(content::read_hex);
        let mut body = Body::new(head.body);
        let mut end = at + head.bytes;
        while !body.is_end() && end < bytes.len() {
            end += body.next(&bytes[end..]).map_err(|_| Gone)?.consumed;
        }
        if !body.is_end() {
            break;
        }
        each(number.unwrap_or_default());
        at = end;
    }
    Ok(at)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::time::Duration;

    use super::*;
    use crate::client;
    use crate::client::Job;
    use crate::client::destination::Destination;
    use crate::plan::Plan;
    use crate::schedule::Times;

    /// One thread that asks itself, as if the gateway were a wire. Bodies that do not fit into a socket at once, too.
    #[test]
    fn a_tester_that_asks_itself_gets_whole_right_answers() {
        for bytes in [1024, 600_000] {
            let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
            let text = format!("name = 'x'\nconnections = 4\nramp_s = 0\nanswer.bytes = {bytes}");
            let job = Job {
                plan: Plan::parse(&text).unwrap(),
                destination: Destination { addresses: vec![free], prefix: String::new() },
                times: Times::new(clock::now(), Duration::ZERO, Duration::from_millis(300)),
                share: 0,
                shares: 1,
                cpu: None,
                serve: Some(Place { address: free, bytes }),
                has_log: false,
            };
            let tally = client::run(job).unwrap();
            assert!(
                tally.is_clean() && tally.counts.requests_all > 0,
                "{:?} {:?}",
                tally.counts,
                tally.errors
            );
            assert_eq!(tally.counts.connections, 4);
        }
    }

    const REQUESTS: &[u8] = b"POST /a HTTP/1.1\r\nhost: h\r\nX-Mock-Stream: 00ff\r\ncontent-length: 3\r\n\r\nabc\
        POST /a HTTP/1.1\r\nhost: h\r\nx-mock-stream: 7\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n";

    #[test]
    fn requests_are_answered_when_they_are_whole() {
        let second = REQUESTS.windows(3).position(|bytes| bytes == b"abc").unwrap() + 3;
        for end in 0..=REQUESTS.len() {
            let mut numbers = Vec::new();
            let taken = each_request(&REQUESTS[..end], |number| numbers.push(number)).unwrap();
            let (bytes, expected): (usize, &[u64]) = match end {
                _ if end == REQUESTS.len() => (end, &[255, 7]),
                _ if end >= second => (second, &[255]),
                _ => (0, &[]),
            };
            assert_eq!((taken, numbers.as_slice()), (bytes, expected), "{end}");
        }
        assert_eq!(each_request(b"nonsense\r\n\r\n", |_| ()), Err(Gone));
    }
}
