//! Budgets of memory: allocations of a request and of a relayed event, heap of a stream that is open and says nothing.
//!
//! `ALLOCATIONS_TRACE=1 cargo test --test allocations -- --nocapture` shows where the shard allocates.

#[path = "../bench/counting.rs"]
mod counting;
#[path = "../bench/inprocess.rs"]
mod inprocess;

use std::path::Path;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::OnceLock;
use std::sync::PoisonError;

use counting::Counts;
use inprocess::Client;
use inprocess::Gateway;

/// One test at a time: they all watch the same shard.
fn gateway() -> (Gateway, MutexGuard<'static, ()>) {
    static GATEWAY: OnceLock<Gateway> = OnceLock::new();
    static TURN: Mutex<()> = Mutex::new(());
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    (*GATEWAY.get_or_init(|| inprocess::start(directory, None)), turn)
}

/// What the shard's thread allocates while `work` is done; with the places, if they are asked for.
fn measured(gateway: Gateway, work: impl FnOnce()) -> (Counts, String) {
    let is_traced = std::env::var_os("ALLOCATIONS_TRACE").is_some();
    if is_traced {
        gateway.shard.trace();
    }
    let before = gateway.shard.counts();
    work();
    let counts = gateway.shard.counts().since(before);
    let mut places = String::new();
    if is_traced {
        for (count, bytes, place) in gateway.shard.traced() {
            places.push_str(&format!("\n  {count} x, {bytes} bytes:\n      {place}"));
        }
    }
    (counts, places)
}

#[test]
fn a_keep_alive_request_allocates_at_most_twice() {
    allocates_at_most(200, "demo", "");
}

/// That a version is chosen takes no memory: by dice, by a key, by a field or a label. Only a range that a client writes does, once.
#[test]
fn to_choose_a_version_allocates_nothing() {
    allocates_at_most(10, "routed", "");
    allocates_at_most(10, "routed", "x-session: seven\r\n");
    allocates_at_most(10, "routed", "x-canary: yes\r\n");
    allocates_at_most(10, "routed@stable", "");
    allocates_at_most(110, "routed@^1.2", "");
}

/// So many hundredths for each request: what happens once a second beside requests is in the figure.
#[track_caller]
#[expect(clippy::print_stderr, reason = "--nocapture shows the figures")]
fn allocates_at_most(most: u64, model: &str, fields: &str) {
    const REQUESTS: u64 = 1_000;
    const ROUNDS: usize = 3;
    let (gateway, _turn) = gateway();
    let mut client = Client::connect(gateway.address);
    let fields = format!("x-mock-bytes: 1024\r\n{fields}");
    let request = inprocess::chat_with(model, false, &fields);
    let mut ask = || {
        client.send(&request);
        client.response();
    };
    (0..200).for_each(|_| ask());
    // The test before may have left streams that end meanwhile: what each request takes is in every round.
    let mut rounds = (0..ROUNDS).map(|_| {
        let (counts, places) = measured(gateway, || (0..REQUESTS).for_each(|_| ask()));
        let report = format!(
            "{REQUESTS} keep-alive requests for {model}: {} allocations, {} bytes on the shard's thread{places}",
            counts.allocations, counts.bytes
        );
        eprintln!("{report}");
        (counts.allocations * 100 / REQUESTS <= most, report)
    });
    let mut reports = String::new();
    let is_met = rounds.any(|(is_met, report)| {
        reports.push_str(&report);
        is_met
    });
    assert!(is_met, "{reports}");
}

#[test]
fn a_relayed_event_allocates_nothing() {
    const EVENTS: usize = 1_000;
    let (gateway, _turn) = gateway();
    let mut client = Client::connect(gateway.address);
    let fields = "x-mock-events: 2000\r\nx-mock-gap-ms: 1\r\nx-mock-bytes: 240\r\n";
    client.send(&inprocess::chat(true, fields));
    client.events(200);
    let mut seen = 0;
    let (counts, places) = measured(gateway, || seen = client.events(EVENTS));
    let report = format!(
        "{seen} relayed events: {} allocations, {} bytes on the shard's thread{places}",
        counts.allocations, counts.bytes
    );
    eprintln!("{report}");
    // Once a second the shard looks after its pool: a few allocations there are no event's.
    assert!(counts.allocations < seen as u64 / 100, "{report}");
}

#[test]
fn an_idle_stream_holds_little() {
    const STREAMS: usize = 500;
    const BYTES_MAX: u64 = 3 << 10;
    let (gateway, _turn) = gateway();
    let fields = "x-mock-events: 3\r\nx-mock-gap-ms: 3600000\r\nx-mock-bytes: 240\r\n";
    let request = inprocess::chat(true, fields);
    let open = || {
        let mut client = Client::connect(gateway.address);
        client.send(&request);
        client.events(1);
        client
    };
    // Tables that grow by doubling have room for a few, as they have in a gateway that runs.
    let _warm: Vec<Client> = (0..20).map(|_| open()).collect();
    let mut streams = Vec::with_capacity(STREAMS);
    let (counts, places) = measured(gateway, || streams.extend((0..STREAMS).map(|_| open())));
    let each = counts.kept() / STREAMS as u64;
    let report = format!(
        "{STREAMS} open streams that say nothing: {each} bytes of heap each on the shard's thread{places}"
    );
    eprintln!("{report}");
    assert!(each <= BYTES_MAX, "{report}");
}
