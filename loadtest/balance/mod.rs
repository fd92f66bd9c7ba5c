//! A balance plan, run: long streams that end at random, and how many each endpoint has open over time.

use std::io;
use std::io::Write;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use ringway::ring::clock;
use ringway::sys::affinity;
use ringway::units::Moment;
use serde::Serialize;

use crate::ask::MockCounts;
use crate::balance::measure::Count;
use crate::balance::measure::Row;
use crate::balance::plan::BalancePlan;
use crate::client;
use crate::client::Job;
use crate::report::Machine;
use crate::schedule::Times;
use crate::server;
use crate::server::Endpoint;
use crate::server::Folder;
use crate::server::GatewayPlan;
use crate::server::MockPlace;
use crate::server::Server;

mod measure;
pub mod plan;

/// Everything about a run.
#[derive(Debug, Serialize)]
pub struct BalanceReport {
    /// Where it ran.
    pub machine: Machine,
    /// What was run.
    pub plan: BalancePlan,
    /// Each count.
    pub counts: Vec<Count>,
    /// Each endpoint.
    pub endpoints: Vec<Row>,
    /// What was not as it had to be.
    pub broken: Vec<String>,
    /// Whether all was.
    pub is_kept: bool,
}

/// Time for the threads to be there before the first start.
const PREPARE: Duration = Duration::from_millis(100);
/// Who does not tell its counts within this is broken.
const PATIENCE: Duration = Duration::from_secs(1);
/// Lines of the table, about; all counts are in the JSON.
const LINES: usize = 15;

/// Runs it and writes a table, if there is somebody to read it.
///
/// # Errors
/// The system's; servers that do not come up.
pub fn run(plan: BalancePlan, mut out: Option<&mut dyn Write>) -> io::Result<BalanceReport> {
    let (counts, mut faults) = run_load(&plan, &mut out)?;
    let endpoints = measure::rows(&plan.weights, &counts);
    let limit = plan.off_percent_max;
    let mut broken = measure::broken(&endpoints, &counts, plan.load.connections, limit);
    broken.append(&mut faults);
    if let Some(out) = &mut out {
        write_end(&endpoints, &broken, limit, out)?;
    }
    let is_kept = broken.is_empty();
    Ok(BalanceReport { machine: Machine::here(), plan, counts, endpoints, broken, is_kept })
}

/// What was counted, and what clients saw go wrong.
fn run_load(
    plan: &BalancePlan,
    out: &mut Option<&mut dyn Write>,
) -> io::Result<(Vec<Count>, Vec<String>)> {
    let folder = Folder::make()?;
    let start_mock = |_: &u32| server::start_mock(&MockPlace::default());
    let mocks: Vec<Server> = plan.weights.iter().map(start_mock).collect::<io::Result<_>>()?;
    let places: Vec<SocketAddr> =
        mocks.iter().flat_map(|mock| mock.destination.addresses.clone()).collect();
    let endpoint =
        |(address, weight): (&SocketAddr, &u32)| Endpoint { address: *address, weight: *weight };
    let endpoints: Vec<Endpoint> = places.iter().zip(&plan.weights).map(endpoint).collect();
    let (gateway, _) = server::start_gateway(&GatewayPlan {
        model: &plan.load.request.model,
        endpoints: &endpoints,
        keys: &plan.gateway,
        shards: plan.shards,
        cpus: &affinity::allowed_cpus(),
        streams_max: plan.load.connections + 1000,
        replay_mib: None,
        directory: folder.path(),
    })?;
    let span = Duration::from_secs_f64;
    let start = clock::now().after(PREPARE);
    let times = Times::new(start, span(plan.settle_s), span(plan.watch_s));
    let job = Job {
        plan: plan.load.clone(),
        destination: gateway.destination.clone(),
        times,
        share: 0,
        shares: 1,
        cpu: None,
        serve: None,
        has_log: false,
    };
    let client =
        thread::Builder::new().name("client".to_owned()).spawn(move || client::run(job))?;
    let counts = watch(plan, &places, times, out)?;
    let tally = client.join().map_err(|_| io::Error::other("the client thread panicked"))??;
    let mut faults: Vec<String> =
        tally.errors.iter().map(|(kind, count)| format!("{count} x {kind}")).collect();
    if !tally.is_clean() && faults.is_empty() {
        faults.push(format!("streams were not as they were sent: {:?}", tally.counts));
    }
    Ok((counts, faults))
}

/// Counts until the end of the measured time.
fn watch(
    plan: &BalancePlan,
    places: &[SocketAddr],
    times: Times,
    out: &mut Option<&mut dyn Write>,
) -> io::Result<Vec<Count>> {
    if let Some(out) = out {
        write_head(plan, *out)?;
    }
    let look = Duration::from_millis(plan.look_ms);
    let looks = plan.watch_s / look.as_secs_f64();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the plan's spans are positive and short"
    )]
    let each = (looks as usize / LINES).max(1);
    let mut counts: Vec<Count> = Vec::new();
    let mut next = times.from;
    while next < times.to {
        sleep_until(next);
        next = next.after(look);
        let open = places
            .iter()
            .map(|place| MockCounts::at(*place, PATIENCE).map(|counts| counts.streams_open))
            .collect::<io::Result<Vec<u64>>>()?;
        let at_s = clock::now().since(times.start).as_secs_f64();
        let count = Count { at_s, open };
        if let Some(out) = out.as_mut().filter(|_| counts.len().is_multiple_of(each)) {
            write_count(plan, &count, *out)?;
        }
        counts.push(count);
    }
    Ok(counts)
}

fn sleep_until(moment: Moment) {
    thread::sleep(moment.since(clock::now()));
}

fn write_head(plan: &BalancePlan, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}: {}", plan.name, plan.what)?;
    writeln!(
        out,
        "{} shards, {} streams, endpoints of weight {:?}; open streams of each, and how far from its part",
        plan.shards, plan.load.connections, plan.weights
    )?;
    write!(out, "{:>8} {:>8}", "second", "open")?;
    for weight in &plan.weights {
        write!(out, "   {:>18}", format!("weight {weight}"))?;
    }
    writeln!(out)?;
    out.flush()
}

fn write_count(plan: &BalancePlan, count: &Count, out: &mut dyn Write) -> io::Result<()> {
    write!(out, "{:>8.1} {:>8}", count.at_s, count.open.iter().sum::<u64>())?;
    for (open, off) in count.open.iter().zip(measure::off_percent(&plan.weights, &count.open)) {
        write!(out, "   {open:>8} {off:>+7.1} %")?;
    }
    writeln!(out)?;
    out.flush()
}

fn write_end(rows: &[Row], broken: &[String], limit: f64, out: &mut dyn Write) -> io::Result<()> {
    type Figure = fn(&Row) -> f64;
    let figures: [(&str, Figure); 2] =
        [("in the mean", |row| row.off_percent_mean), ("at worst", |row| row.off_percent_worst)];
    for (name, figure) in figures {
        write!(out, "{name:>17}")?;
        for row in rows {
            write!(out, "   {:>8} {:>+7.1} %", "", figure(row))?;
        }
        writeln!(out)?;
    }
    if broken.is_empty() {
        writeln!(out, "kept: never more than {limit} % off")?;
    }
    for broken in broken {
        writeln!(out, "BROKEN  {broken}")?;
    }
    out.flush()
}
