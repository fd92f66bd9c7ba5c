//! Exchanges over real sockets: what is withheld can be sent elsewhere, and what is silent can be left in the middle.

use std::cell::Cell;
use std::cell::RefCell;
use std::net::IpAddr;
use std::net::Ipv4Addr;

use super::*;
use crate::accept::incoming;
use crate::accept::incoming::Limits;
use crate::relay::response::Asked;
use crate::relay::response::Held;
use crate::relay::response::tests::ASKED;
use crate::ring::Options;
use crate::ring::Ring;
use crate::ring::listen::Listener;
use crate::ring::stream::Dial;
use crate::ring::stream::Stream;
use crate::ring::task;
use crate::units::Millis;
use crate::upstream::connect;

const HOLDS: Asked = Asked { holds_errors: true, ..ASKED };
pub(super) const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nfine";
const BUSY: &[u8] = b"HTTP/1.1 503 X\r\nretry-after: 1\r\ncontent-length: 4\r\n\r\nbusy";

pub(super) fn on_both_drivers<F: Future<Output = ()> + 'static>(run: impl Fn() -> F) {
    for is_legacy_forced in [false, true] {
        Ring::build(&Options { is_legacy_forced, ..Options::default() }).unwrap().run(run());
    }
}

pub(super) fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

pub(super) fn soon() -> Moment {
    clock::now().after(ms(5_000))
}

fn listener() -> Listener {
    Listener::bind("127.0.0.1:0".parse().unwrap(), false, 8).unwrap()
}

async fn accepted(listener: &mut Listener) -> Stream {
    listener.readable().await.unwrap();
    Stream::from_fd(listener.try_accept().unwrap().0).unwrap()
}

/// A connection to an endpoint, and the endpoint's end of it.
pub(super) async fn link() -> (Link, Stream) {
    let mut listener = listener();
    let address = listener.address().unwrap();
    let Ok(link) = connect::open(&[address], None, Dial::default(), soon()).await else {
        panic!("nobody takes the connection")
    };
    (link, accepted(&mut listener).await)
}

/// Reads a request, whatever it is, and answers it in these parts; then waits until nobody listens any more.
pub(super) fn answer(mut far: Stream, parts: &'static [&'static [u8]]) {
    task::spawn(async move {
        far.readable(soon()).await.unwrap();
        let mut room = [0; 1 << 10];
        assert!(far.try_recv(&mut room).unwrap() > 0);
        for part in parts {
            far.send_all(part, soon()).await.unwrap();
            task::yield_now().await;
        }
        while far.readable(soon()).await.is_ok() && far.try_recv(&mut room).is_ok_and(|got| got > 0)
        {
        }
    });
}

/// Reads a request, answers it in part and leaves.
fn break_off(mut far: Stream, part: &'static [u8]) {
    task::spawn(async move {
        far.readable(soon()).await.unwrap();
        far.try_recv(&mut [0; 1 << 10]).unwrap();
        far.send_all(part, soon()).await.unwrap();
    });
}

pub(super) struct Judge {
    verdict: Judged,
    seen: RefCell<Vec<(u16, Vec<u8>)>>,
    told: Cell<u32>,
}

impl Judge {
    fn new(verdict: Judged) -> Self {
        Self { verdict, seen: RefCell::default(), told: Cell::new(0) }
    }
}

impl Observer for Judge {
    fn judge(&self, held: &Held<'_>) -> Judged {
        self.seen.borrow_mut().push((held.status, held.body.to_vec()));
        self.verdict
    }

    fn stalled(&self, pause: Duration) {
        assert!(pause >= ms(10));
        self.told.set(self.told.get() + 1);
    }
}

/// One request that has arrived.
pub(super) struct Asking {
    buffers: Buffers,
    client: Client,
    pub(super) near: Stream,
    request: Incoming,
    pub(super) deadlines: Deadlines,
    pub(super) manners: Manners,
    pub(super) progress: Progress,
    response: Response,
    judge: Judge,
}

impl Asking {
    pub(super) async fn begin(verdict: Judged, body_bytes: usize) -> Self {
        let mut listener = listener();
        let near = Stream::connect(listener.address().unwrap(), Dial::default(), soon());
        let mut near = near.await.unwrap();
        let mut client =
            Client::new(accepted(&mut listener).await, IpAddr::V4(Ipv4Addr::LOCALHOST));
        let head = format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {body_bytes}\r\n\r\n");
        near.send_all(head.as_bytes(), soon()).await.unwrap();
        let buffers = Buffers::default();
        let limits = Limits {
            idle: ms(5_000),
            head: ms(5_000),
            body: ms(5_000),
            body_bytes_max: 64 << 20,
            held_bytes_max: 1 << 30,
        };
        let arrived = incoming::head(&mut client, &buffers, &limits, |_| ()).await;
        let (outline, ()) = arrived.expect("a head");
        // However large it is, it has come.
        buffers.append(&mut client.input, &vec![b'x'; body_bytes]);
        let body = incoming::body(&mut client, &buffers, &limits, &outline, None).await;
        let request = body.expect("a body");
        let deadlines = Deadlines {
            first_byte: soon(),
            attempt: Moment::NEVER,
            hedge_at: Moment::NEVER,
            whole: soon(),
            gap: Millis(5_000),
            commit_at: Moment::NEVER,
            write: Millis(5_000),
            leak: Millis::MAX,
        };
        Self {
            buffers,
            client,
            near,
            request,
            deadlines,
            manners: Manners::default(),
            progress: Progress::default(),
            response: Response::new(HOLDS),
            judge: Judge::new(verdict),
        }
    }

    pub(super) fn upload(&self, link: &mut Link) -> Upload {
        let body = Body { bytes: self.request.body(), edits: &[] };
        let write = |out: &mut Vec<u8>| out.extend_from_slice(b"POST / HTTP/1.1\r\n\r\n");
        Upload::begin(link, &self.buffers, body, write).unwrap()
    }

    pub(super) async fn run(
        &mut self,
        link: &mut Link,
        upload: &mut Upload,
    ) -> Result<Ended, Fault> {
        let (mut exchange, request) = self.exchange(link);
        exchange.run(upload, request, &[]).await
    }

    pub(super) fn exchange<'e>(
        &'e mut self,
        link: &'e mut Link,
    ) -> (Exchange<'e, &'e Judge>, &'e mut Incoming) {
        let exchange = Exchange {
            client: &mut self.client,
            link,
            buffers: &self.buffers,
            deadlines: &self.deadlines,
            manners: &self.manners,
            arrived: None,
            progress: &mut self.progress,
            response: &mut self.response,
            observer: &self.judge,
        };
        (exchange, &mut self.request)
    }

    /// All that has come down, once it ends with `end`.
    pub(super) async fn down(&mut self, end: &str) -> String {
        let (mut down, mut room) = (Vec::new(), vec![0; 1 << 16]);
        while !down.ends_with(end.as_bytes()) {
            self.near.readable(soon()).await.expect("more comes down");
            let count = self.near.try_recv(&mut room).unwrap();
            assert!(count > 0, "{}", String::from_utf8_lossy(&down));
            down.extend_from_slice(&room[..count]);
        }
        String::from_utf8(down).unwrap()
    }

    pub(super) fn is_intact(&self) -> bool {
        let progress = &self.progress;
        !progress.has_answered
            && progress.first_content.is_none()
            && !self.request.body().is_empty()
    }
}

#[test]
fn what_was_withheld_is_sent_elsewhere_and_only_the_second_answer_goes_down() {
    on_both_drivers(|| async {
        let mut asking = Asking::begin(Judged::Withhold, 3).await;
        let (mut first, far) = link().await;
        const PARTS: &[&[u8]] = &[BUSY.split_at(30).0, BUSY.split_at(30).1];
        answer(far, PARTS);
        let mut upload = asking.upload(&mut first);
        assert_eq!(asking.run(&mut first, &mut upload).await, Ok(Ended::Withheld));
        assert!(asking.is_intact() && asking.response.is_reusable());
        assert_eq!(asking.judge.seen.take(), [(503, b"busy".to_vec())]);
        let before = asking.progress;

        let (mut second, far) = link().await;
        answer(far, &[OK]);
        let mut upload = asking.upload(&mut second);
        asking.response = Response::new(HOLDS);
        assert_eq!(asking.run(&mut second, &mut upload).await, Ok(Ended::Done));
        assert!(asking.progress.has_answered && asking.progress.sent_up > before.sent_up);
        assert!(asking.progress.first_byte > before.first_byte);
        assert!(asking.request.body().is_empty(), "it cannot be sent again");
        assert!(asking.judge.seen.take().is_empty());
        let down = asking.down("fine").await;
        assert!(down.starts_with("HTTP/1.1 200 OK\r\n") && !down.contains("busy"), "{down}");
    });
}

#[test]
fn what_is_passed_on_goes_down_and_says_whether_asking_again_is_of_use() {
    for is_exhausted in [false, true] {
        on_both_drivers(move || async move {
            let mut asking = Asking::begin(Judged::PassOn { is_exhausted }, 3).await;
            let (mut link, far) = link().await;
            answer(far, &[BUSY]);
            let mut upload = asking.upload(&mut link);
            assert_eq!(asking.run(&mut link, &mut upload).await, Ok(Ended::Done));
            let down = asking.down("busy").await;
            assert!(down.starts_with("HTTP/1.1 503 ") && down.contains("retry-after: 1\r\n"));
            assert_eq!(down.contains("x-should-retry: false\r\n"), is_exhausted);
            assert!(asking.progress.first_content.is_some());
        });
    }
}

#[test]
fn an_error_that_breaks_off_leaves_the_request_as_it_was() {
    for is_reused in [false, true] {
        on_both_drivers(move || async move {
            let mut asking = Asking::begin(Judged::Withhold, 3).await;
            let (mut link, far) = link().await;
            link.is_reused = is_reused;
            break_off(far, BUSY.split_at(BUSY.len() - 1).0);
            let mut upload = asking.upload(&mut link);
            let ended = asking.run(&mut link, &mut upload).await;
            assert_eq!(ended, Err(Fault::UpstreamTruncated));
            assert!(asking.is_intact() && asking.judge.seen.take().is_empty());
        });
    }
}

#[test]
fn an_attempt_has_a_deadline_of_its_own() {
    const PART: &[&[u8]] = &[b"HTTP/1.1 500 X\r\ncontent-length: 9\r\n\r\nhalf"];
    // What is held has not answered: its first byte does not count. But it may not pause longer than others may.
    for (parts, gap, fault) in [
        (&[][..], 5_000, Fault::AttemptTimedOut),
        (PART, 5_000, Fault::AttemptTimedOut),
        (PART, 20, Fault::GapTimedOut),
    ] {
        on_both_drivers(move || async move {
            let mut asking = Asking::begin(Judged::Withhold, 3).await;
            asking.deadlines.attempt = clock::now().after(ms(100));
            asking.deadlines.gap = Millis(gap);
            let (mut link, far) = link().await;
            answer(far, parts);
            let mut upload = asking.upload(&mut link);
            assert_eq!(asking.run(&mut link, &mut upload).await, Err(fault));
            assert!(asking.is_intact());
            assert_eq!(asking.progress.first_byte.is_some(), !parts.is_empty());
        });
    }
}

#[test]
fn the_deadline_of_the_request_comes_before_that_of_the_attempt() {
    on_both_drivers(|| async {
        let mut asking = Asking::begin(Judged::Withhold, 3).await;
        asking.deadlines.first_byte = clock::now().after(ms(20));
        asking.deadlines.attempt = asking.deadlines.first_byte;
        let (mut link, far) = link().await;
        answer(far, &[]);
        let mut upload = asking.upload(&mut link);
        let ended = asking.run(&mut link, &mut upload).await;
        assert_eq!(ended, Err(Fault::FirstByteTimedOut));
    });
}

#[test]
fn a_silent_exchange_is_left_and_gone_on_with() {
    on_both_drivers(|| async {
        let mut asking = Asking::begin(Judged::Withhold, 3).await;
        asking.deadlines.hedge_at = clock::now().after(ms(20));
        let (mut link, mut far) = link().await;
        let mut upload = asking.upload(&mut link);
        assert_eq!(asking.run(&mut link, &mut upload).await, Ok(Ended::HedgeDue));
        assert!(clock::now() >= asking.deadlines.hedge_at);
        assert!(asking.is_intact() && asking.response.is_untouched());
        let sent_up = asking.progress.sent_up;
        assert!(sent_up.is_some());
        asking.deadlines.hedge_at = Moment::NEVER;
        far.send_all(OK, soon()).await.unwrap();
        assert_eq!(asking.run(&mut link, &mut upload).await, Ok(Ended::Done));
        assert_eq!(asking.progress.sent_up, sent_up);
        asking.down("fine").await;
    });
}

#[test]
fn what_has_not_gone_up_is_not_hedged() {
    on_both_drivers(|| async {
        let mut asking = Asking::begin(Judged::Withhold, 16 << 20).await;
        asking.deadlines.hedge_at = clock::now();
        asking.deadlines.attempt = clock::now().after(ms(50));
        let (mut link, far) = link().await;
        let mut upload = asking.upload(&mut link);
        let ended = asking.run(&mut link, &mut upload).await;
        assert_eq!(ended, Err(Fault::AttemptTimedOut));
        assert!(asking.progress.has_sent && asking.progress.sent_up.is_none());
        drop(far);
    });
}

#[test]
fn that_nothing_moves_is_told_once() {
    on_both_drivers(|| async {
        let mut asking = Asking::begin(Judged::Withhold, 3).await;
        asking.deadlines.leak = Millis(10);
        asking.deadlines.first_byte = clock::now().after(ms(100));
        let (mut link, far) = link().await;
        answer(far, &[]);
        let mut upload = asking.upload(&mut link);
        let ended = asking.run(&mut link, &mut upload).await;
        assert_eq!(ended, Err(Fault::FirstByteTimedOut));
        assert_eq!(asking.judge.told.get(), 1);
    });
}
