//! One run of a plan: threads started and joined, processes read at the borders of the measured time.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use ringway::ring::clock;
use ringway::units::Moment;
use serde::Serialize;

use crate::ask::MockCounts;
use crate::client;
use crate::client::Job;
use crate::client::destination::Destination;
use crate::client::upstream::Place;
use crate::measure::process::Reading;
use crate::measure::tally::Counts;
use crate::measure::tally::Spread;
use crate::measure::tally::Tally;
use crate::measure::tally::curve;
use crate::plan::Plan;
use crate::schedule::Times;

/// Where and with what a plan is run.
#[derive(Clone, Debug)]
pub struct Setting {
    /// Name in the report: `direct`, `ringway`, `nginx`, ...
    pub name: String,
    /// Where requests go.
    pub destination: Destination,
    /// Processes whose cost is measured.
    pub pids: Vec<u32>,
    /// CPUs of the tester's threads, in turn.
    pub cpus: Vec<usize>,
    /// Where the tester's threads also answer as the model server behind it, if they do.
    pub serve: Option<SocketAddr>,
    /// Mocks behind it that are asked afterwards whether all was cancelled that was left.
    pub mocks: Vec<Destination>,
}

/// What came of one run.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// Name of the plan (with its step).
    pub plan: String,
    /// Name of the setting.
    pub through: String,
    /// Whether every answer was whole, right and in order.
    pub is_clean: bool,
    /// Seconds measured.
    pub seconds: f64,
    /// Requests a second.
    pub requests_per_second: f64,
    /// Events a second.
    pub events_per_second: f64,
    /// Counts.
    pub counts: Counts,
    /// What went wrong, by kind.
    pub errors: BTreeMap<String, u64>,
    /// Intended start to the end of the answer, microseconds.
    pub latency_us: Spread,
    /// Intended start to the first event or byte, microseconds.
    pub first_us: Spread,
    /// Between neighbouring events, microseconds.
    pub gap_us: Spread,
    /// From the mock's writing of an event to its arrival, microseconds.
    pub relay_us: Spread,
    /// What the processes cost; none if no process was given.
    pub cost: Option<Cost>,
    /// What the mocks saw; none if none was named.
    pub upstream: Option<Upstream>,
    /// CPU of the tester itself, in cores.
    pub own_cores: f64,
    /// Curves for the plots: share of values over microseconds.
    pub curves: BTreeMap<&'static str, Vec<(f64, f64)>>,
}

/// What the measured processes cost.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Cost {
    /// Cores kept busy.
    pub cores: f64,
    /// CPU microseconds a request; 0 if there was none.
    pub us_per_request: f64,
    /// CPU microseconds an event; 0 if there was none.
    pub us_per_event: f64,
    /// CPU microseconds an aborted stream; 0 if there was none.
    pub us_per_abort: f64,
    /// Times a second that a thread went to sleep.
    pub sleeps_per_second: f64,
    /// Resident memory before the run, KiB.
    pub rss_before_kib: u64,
    /// Resident memory at the end of the measured time, KiB.
    pub rss_kib: u64,
    /// Growth of it for each answer under way then, KiB; 0 if there was none.
    pub rss_kib_per_open: f64,
}

/// What the mocks saw of a run.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Upstream {
    /// Requests that reached them.
    pub requests: u64,
    /// Answers of which the reader left early.
    pub cancelled: u64,
    /// Connections made to them.
    pub connections: u64,
    /// Streams that they still had open when patience ended: a leak.
    pub left_open: u64,
    /// Milliseconds from the end of the run until they had none open.
    pub quiet_after_ms: u64,
}

/// How long upstream streams may outlive their clients.
const CANCEL_PATIENCE: Duration = Duration::from_secs(5);
const CANCEL_PATIENCE_MS: f64 = 5_000.0;
/// Time for the threads to be there before the first start.
const PREPARE: Duration = Duration::from_millis(100);

/// Runs a plan.
///
/// # Errors
/// The system's, where the tester itself cannot go on.
pub fn run(plan: &Plan, setting: &Setting) -> io::Result<Outcome> {
    let before = Reading::of(&setting.pids);
    let asked_before = MockCounts::of(&setting.mocks)?;
    let times = Times::new(clock::now().after(PREPARE), plan.lead(), plan.duration());
    let threads: Vec<_> = (0..plan.threads)
        .map(|share| {
            let job = Job {
                plan: plan.clone(),
                destination: setting.destination.clone(),
                times,
                share,
                shares: plan.threads,
                cpu: setting.cpus.get(share % setting.cpus.len().max(1)).copied(),
                serve: setting
                    .serve
                    .map(|address| Place { address, bytes: plan.answer.bytes.unwrap_or_default() }),
                has_log: false,
            };
            thread::Builder::new().name(format!("client-{share}")).spawn(move || client::run(job))
        })
        .collect::<io::Result<_>>()?;
    let own = [std::process::id()];
    sleep_until(times.from);
    let (from, own_from) = (Reading::of(&setting.pids), Reading::of(&own));
    sleep_until(times.to);
    let (to, own_to) = (Reading::of(&setting.pids), Reading::of(&own));
    let mut tally = Tally::default();
    for thread in threads {
        let share = thread.join().map_err(|_| io::Error::other("a client thread panicked"))??;
        tally.add(&share);
    }
    let upstream = upstream(setting, asked_before)?;
    let seconds = plan.duration_s;
    let cost = (!setting.pids.is_empty()).then(|| cost(before, from, to, &tally.counts, seconds));
    let own_cores = seconds_of(own_to.cpu_nanos.saturating_sub(own_from.cpu_nanos)) / seconds;
    Ok(outcome(plan, setting, &tally, (cost, upstream), own_cores))
}

fn sleep_until(moment: Moment) {
    thread::sleep(moment.since(clock::now()));
}

fn cost(before: Reading, from: Reading, to: Reading, counts: &Counts, seconds: f64) -> Cost {
    let nanos = to.cpu_nanos.saturating_sub(from.cpu_nanos);
    let each = |units: u64| if units == 0 { 0.0 } else { float(nanos) / 1000.0 / float(units) };
    let growth = float(to.rss_kib) - float(before.rss_kib);
    Cost {
        cores: seconds_of(nanos) / seconds,
        us_per_request: each(counts.requests),
        us_per_event: each(counts.events),
        us_per_abort: each(counts.aborted),
        sleeps_per_second: float(to.sleeps.saturating_sub(from.sleeps)) / seconds,
        rss_before_kib: before.rss_kib,
        rss_kib: to.rss_kib,
        rss_kib_per_open: if counts.open_to == 0 { 0.0 } else { growth / float(counts.open_to) },
    }
}

fn outcome(
    plan: &Plan,
    setting: &Setting,
    tally: &Tally,
    (cost, upstream): (Option<Cost>, Option<Upstream>),
    own_cores: f64,
) -> Outcome {
    let nothing_came = tally.counts.requests_all == 0 && tally.counts.events_verified == 0;
    let mut errors = tally.errors.clone();
    if nothing_came {
        errors.insert("nothing arrived".to_owned(), 1);
    }
    // A stream that says nothing for long may outlive a client that left without a word, until it speaks again.
    let is_talking = plan.answer.gap_ms.is_none_or(|gap| gap * 2.0 < CANCEL_PATIENCE_MS);
    let left_open = upstream.map_or(0, |upstream| if is_talking { upstream.left_open } else { 0 });
    if left_open > 0 {
        errors.insert("upstream stream not cancelled".to_owned(), left_open);
    }
    let histograms = [
        ("latency", &tally.latency),
        ("first", &tally.first),
        ("gap", &tally.gap),
        ("relay", &tally.relay),
    ];
    Outcome {
        plan: plan.name.clone(),
        through: setting.name.clone(),
        is_clean: tally.is_clean() && !nothing_came && left_open == 0,
        seconds: plan.duration_s,
        requests_per_second: float(tally.counts.requests) / plan.duration_s,
        events_per_second: float(tally.counts.events) / plan.duration_s,
        counts: tally.counts.clone(),
        errors,
        latency_us: Spread::of(&tally.latency),
        first_us: Spread::of(&tally.first),
        gap_us: Spread::of(&tally.gap),
        relay_us: Spread::of(&tally.relay),
        cost,
        upstream,
        own_cores,
        curves: histograms.into_iter().map(|(name, values)| (name, curve(values))).collect(),
    }
}

/// Asks the mocks until none of them has a stream open.
fn upstream(setting: &Setting, before: MockCounts) -> io::Result<Option<Upstream>> {
    if setting.mocks.is_empty() {
        return Ok(None);
    }
    let end = clock::now();
    let first = MockCounts::of(&setting.mocks)?;
    // Asking takes a connection to each, at this first time and at the time before the run.
    let asked = setting.mocks.iter().map(|mock| mock.addresses.len() as u64).sum::<u64>();
    let connections = first.connections_accepted.saturating_sub(before.connections_accepted);
    loop {
        let counts = MockCounts::of(&setting.mocks)?;
        let waited = clock::now().since(end);
        if counts.streams_open == 0 || waited > CANCEL_PATIENCE {
            return Ok(Some(Upstream {
                requests: counts.requests.saturating_sub(before.requests),
                cancelled: counts.cancelled.saturating_sub(before.cancelled),
                connections: connections.saturating_sub(asked),
                left_open: counts.streams_open,
                quiet_after_ms: u64::try_from(waited.as_millis()).unwrap_or(u64::MAX),
            }));
        }
        thread::sleep(Duration::from_millis(5));
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts and nanoseconds of a run fit into 53 bits")]
fn float(number: u64) -> f64 {
    number as f64
}

fn seconds_of(nanos: u64) -> f64 {
    float(nanos) / 1e9
}
