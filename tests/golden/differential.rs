//! The same bytes through hyper: what both accept must be the same messages, and where we alone refuse, that is
//! on purpose and listed here with its reason.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::rc::Rc;

use http_body_util::BodyExt as _;
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use ringway::wire::Malformed;
use ringway::wire::head::Method;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;

use crate::reader::Event;
use crate::reader::Side;
use crate::reader::read_whole;
use crate::wire::Dice;
use crate::wire::change;
use crate::wire::messages;

/// What we refuse and hyper takes, and why we do.
const STRICTER: [(Malformed, &str); 27] = [
    (Malformed::BareLineFeed, "a reader before or after us may not take it for a line end"),
    (
        Malformed::EmptyLines,
        "four are enough for any client; a response has no reason to begin with one",
    ),
    (
        Malformed::Method,
        "small letters are a mistake: methods are case-sensitive, and all that exist are capitals",
    ),
    (Malformed::Target, "forwarded as it came, so it must be what every reader takes for a target"),
    (
        Malformed::TargetForm,
        "a target that begins with anything but a slash has one meaning for each method, or none",
    ),
    (
        Malformed::TargetFragment,
        "it belongs to the client; readers differ in whether it is part of the path",
    ),
    (Malformed::TargetTooLong, "bounded: 8 KiB"),
    (Malformed::StatusLine, "600 and above have no meaning that could be passed on"),
    (Malformed::SwitchedProtocols, "nobody asked for it, so bytes behind it would be a tunnel"),
    (Malformed::HeadTooLong, "bounded: 32 KiB"),
    (Malformed::FieldNameTooLong, "bounded: 256 bytes"),
    (Malformed::FieldValueTooLong, "bounded: 16 KiB"),
    (Malformed::HostMissing, "RFC 9112, section 3.2 asks for a 400"),
    (Malformed::HostRepeated, "RFC 9112, section 3.2 asks for a 400"),
    (Malformed::HostInvalid, "RFC 9112, section 3.2 asks for a 400"),
    (Malformed::LengthInvalid, "equal lengths in a list need not be equal for everybody"),
    (Malformed::LengthRepeated, "the same in two fields"),
    (
        Malformed::LengthAndCoding,
        "the classic of smuggling: RFC 9112, section 6.1 allows to refuse it",
    ),
    (
        Malformed::CodingInvalid,
        "a coding that is not chunked at the end leaves the length to be guessed",
    ),
    (
        Malformed::CodingRepeated,
        "two fields are a list of two codings, and chunked twice is not allowed",
    ),
    (Malformed::CodingUnknown, "what is not decoded here must not be passed on as if it were"),
    (
        Malformed::Expectation,
        "RFC 9110, section 10.1.1 allows a 417; to overlook it would break a promise",
    ),
    (Malformed::ChunkSize, "white space around a size is read as part of it by some"),
    (Malformed::ChunkExtension, "control characters have no place in it"),
    (Malformed::ChunkExtensionTooLong, "bounded: 4 KiB a message"),
    (Malformed::Trailer, "a trailer is checked like any field although it is dropped"),
    (Malformed::TrailerTooLong, "bounded: 8 KiB a message"),
];

/// Room for all that is written in either direction: nobody ever has to wait.
const PIPE_BYTES: usize = 1 << 20;

/// Messages made from each golden one by changing some bytes.
const VARIANTS: usize = 40;

/// A message that was read to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Message {
    /// Method, path and query, or the status.
    start: String,
    body: Vec<u8>,
}

/// How the reading of one side ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Clean,
    Refused(Malformed),
    /// The sender closed in a head.
    Unfinished,
}

#[test]
fn what_both_accept_is_the_same_and_what_we_refuse_is_listed() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let mut refused: BTreeMap<&str, String> = BTreeMap::new();
    let mut wrong = Vec::new();
    let mut agreed = [0; 2];
    let mut dice = Dice::new(7);
    for (side, bytes) in messages() {
        for variant in 0..=VARIANTS {
            let bytes = if variant == 0 { bytes.clone() } else { change(&bytes, &mut dice) };
            let ours = read_ours(side, &bytes);
            let theirs = runtime.block_on(read_theirs(side, &bytes));
            match compare(&ours, &theirs) {
                Difference::None => agreed[usize::from(ours.1 == Verdict::Clean)] += 1,
                Difference::Stricter(why) => {
                    refused.entry(why.label()).or_insert_with(|| show(side, &bytes));
                }
                Difference::Wrong(what) => {
                    wrong.push(format!(
                        "{what}\n  {}\n  ours {ours:?}\n  theirs {theirs:?}",
                        show(side, &bytes)
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} differences\n{}", wrong.len(), wrong.join("\n"));
    assert!(agreed[0] > 1000 && agreed[1] > 1000, "refused and accepted by both: {agreed:?}");
    let listed: Vec<&str> = STRICTER.iter().map(|(why, _)| why.label()).collect();
    let unlisted: Vec<_> = refused.iter().filter(|(why, _)| !listed.contains(why)).collect();
    assert!(unlisted.is_empty(), "refused by us alone, without a reason: {unlisted:#?}");
    let stale: Vec<_> = listed.iter().filter(|why| !refused.contains_key(**why)).collect();
    assert!(stale.is_empty(), "listed, but hyper refuses these too: {stale:?}");
    assert!(STRICTER.iter().all(|(_, reason)| !reason.is_empty()));
}

enum Difference {
    None,
    Stricter(Malformed),
    Wrong(&'static str),
}

fn compare(ours: &(Vec<Message>, Verdict), theirs: &(Vec<Message>, bool)) -> Difference {
    let both = ours.0.len().min(theirs.0.len());
    if ours.0[..both] != theirs.0[..both] {
        return Difference::Wrong("read differently");
    }
    let is_fewer = ours.0.len() < theirs.0.len();
    match ours.1 {
        Verdict::Refused(why) if is_fewer || theirs.1 => Difference::Stricter(why),
        Verdict::Refused(_) | Verdict::Clean | Verdict::Unfinished if is_fewer => {
            Difference::Wrong("we found fewer messages without refusing anything")
        }
        _ if ours.0.len() > theirs.0.len() => Difference::Wrong("we found more messages"),
        Verdict::Clean if !theirs.1 => Difference::Wrong("only hyper refuses"),
        _ => Difference::None,
    }
}

fn show(side: Side, bytes: &[u8]) -> String {
    let start = bytes.get(..300).unwrap_or(bytes);
    format!("{side:?} of {}: {}", bytes.len(), start.escape_ascii())
}

fn read_ours(side: Side, bytes: &[u8]) -> (Vec<Message>, Verdict) {
    let mut messages = Vec::new();
    let mut verdict = Verdict::Clean;
    let mut message = None;
    for event in read_whole(side, bytes) {
        match event {
            Event::Head { start, .. } => message = Some(Message { start, body: Vec::new() }),
            Event::Content(body) => message.as_mut().expect("a head before").body = body,
            Event::End(_) => messages.extend(message.take()),
            Event::Refused(_, why) => verdict = Verdict::Refused(why),
            Event::ClosedInHead(0) if side == Side::Request => {}
            Event::ClosedInHead(_) => verdict = Verdict::Unfinished,
            Event::Left(_) => {}
        }
    }
    (messages, verdict)
}

/// The messages hyper finds, and whether it refused nothing.
async fn read_theirs(side: Side, bytes: &[u8]) -> (Vec<Message>, bool) {
    match side {
        Side::Request => read_their_requests(bytes).await,
        Side::Response(asked) => {
            let message = read_their_response(bytes, asked).await;
            let is_clean = message.is_some();
            (message.into_iter().collect(), is_clean)
        }
    }
}

async fn read_their_requests(bytes: &[u8]) -> (Vec<Message>, bool) {
    let (mut client, server) = tokio::io::duplex(PIPE_BYTES);
    client.write_all(bytes).await.expect("there is room");
    client.shutdown().await.expect("the pipe closes");
    let found = Rc::new(RefCell::new((Vec::new(), true)));
    let service = service_fn(|request: hyper::Request<Incoming>| {
        let found = Rc::clone(&found);
        async move {
            let status = if request.method() == "CONNECT" { 405 } else { 200 };
            let query = request.uri().query().map_or(String::new(), |query| format!("?{query}"));
            let start = format!("{} {}{query}", request.method(), request.uri().path());
            match request.into_body().collect().await {
                Ok(body) => {
                    let body = body.to_bytes().to_vec();
                    found.borrow_mut().0.push(Message { start, body });
                }
                Err(_) => found.borrow_mut().1 = false,
            }
            let response = hyper::Response::builder().status(status).body(Empty::<Bytes>::new());
            Ok::<_, Infallible>(response.expect("a right response"))
        }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .half_close(true)
        .serve_connection(TokioIo::new(server), service)
        .await;
    let (messages, is_clean) = found.borrow().clone();
    (messages, is_clean && served.is_ok())
}

async fn read_their_response(bytes: &[u8], asked: Method) -> Option<Message> {
    let (client, mut server) = tokio::io::duplex(PIPE_BYTES);
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(client)).await.expect("a handshake");
    let request = hyper::Request::builder()
        .method(asked.as_str().expect("a method we know"))
        .uri("/")
        .header("host", "a")
        .body(Empty::<Bytes>::new())
        .expect("a right request");
    let exchange = async {
        let response = sender.send_request(request).await.ok()?;
        let start = response.status().as_u16().to_string();
        let body = response.into_body().collect().await.ok()?.to_bytes().to_vec();
        Some(Message { start, body })
    };
    let answer = async {
        let mut question = [0; 4096];
        let _ = server.read(&mut question).await.expect("a request");
        server.write_all(bytes).await.expect("there is room");
        server.shutdown().await.expect("the pipe closes");
    };
    let (message, (), _) = tokio::join!(exchange, answer, connection);
    message
}
