//! The resume test, run: a gateway for each phase, streams cut at any byte, and whether what was put together is what was sent.

use std::collections::BTreeMap;
use std::io;
use std::io::Write;
use std::thread;
use std::time::Duration;

use ringway::ring::clock;
use ringway::sys::affinity;
use serde::Serialize;

use crate::ask::MockCounts;
use crate::measure::tally::Spread;
use crate::report::Machine;
use crate::resume::plan::Phase;
use crate::resume::plan::ResumePlan;
use crate::server;
use crate::server::Endpoint;
use crate::server::Folder;
use crate::server::GatewayPlan;
use crate::server::Keys;
use crate::server::MockPlace;
use crate::server::Server;
use crate::streams::client;
use crate::streams::client::Job;
use crate::streams::endings;
use crate::streams::metrics::Metrics;
use crate::streams::reader::Place;
use crate::streams::tally::Counts;
use crate::streams::tally::Tally;

pub mod plan;
mod report;

/// Everything about a run.
#[derive(Debug, Serialize)]
pub struct ResumeReport {
    /// Where it ran.
    pub machine: Machine,
    /// What was run.
    pub plan: ResumePlan,
    /// What came of it.
    pub phases: Vec<Told>,
    /// Whether all promises were kept.
    pub is_kept: bool,
}

/// A phase.
#[derive(Clone, Debug, Serialize)]
pub struct Told {
    /// Its name.
    pub phase: String,
    /// What was counted.
    pub counts: Counts,
    /// Where connections were cut.
    pub places: BTreeMap<Place, u64>,
    /// How clients left, and how they came back.
    pub ways: BTreeMap<&'static str, u64>,
    /// What went wrong, by kind.
    pub errors: BTreeMap<String, u64>,
    /// Share of the clients that came back to another shard than their stream's.
    pub other_shard: f64,
    /// From coming back to the head of the response, microseconds.
    pub back_us: Spread,
    /// The gateway's own figures at the end.
    pub metrics: Metrics,
    /// The most memory for streams that was seen, in bytes.
    pub replay_bytes_max: f64,
    /// What was not as it had to be.
    pub broken: Vec<String>,
}

/// How long the mock's streams may go on when the clients have gone, beside the window.
const QUIET_PATIENCE: Duration = Duration::from_secs(40);
/// How often the gateway is asked.
const LOOK: Duration = Duration::from_millis(250);

/// Runs it and writes a table, if there is somebody to read it.
///
/// # Errors
/// The system's; servers that do not come up.
pub fn run(plan: ResumePlan, mut out: Option<&mut dyn Write>) -> io::Result<ResumeReport> {
    if let Some(out) = &mut out {
        report::write_head(&plan, *out)?;
    }
    let mut folder = Folder::make()?;
    let mock = server::start_mock(&MockPlace::default())?;
    let mut phases = Vec::new();
    for phase in &plan.phases {
        let told = run_phase(&plan, phase, &mock, &folder)?;
        if let Some(out) = &mut out {
            report::write_phase(&told, *out)?;
        }
        phases.push(told);
    }
    let is_kept = phases.iter().all(|told| told.broken.is_empty());
    if !is_kept {
        let place = folder.keep().display().to_string();
        if let Some(out) = &mut out {
            writeln!(out, "the gateway's config and log are in {place}")?;
        }
    }
    Ok(ResumeReport { machine: Machine::here(), plan, phases, is_kept })
}

fn run_phase(plan: &ResumePlan, phase: &Phase, mock: &Server, folder: &Folder) -> io::Result<Told> {
    let mocks = std::slice::from_ref(&mock.destination);
    let addresses = &mock.destination.addresses;
    let endpoints: Vec<Endpoint> =
        addresses.iter().map(|address| Endpoint { address: *address, weight: 1 }).collect();
    let keys = Keys { model: phase.model.clone(), ..Keys::default() };
    let (gateway, admin) = server::start_gateway(&GatewayPlan {
        model: &plan.request.model,
        endpoints: &endpoints,
        keys: &keys,
        shards: plan.shards,
        cpus: &affinity::allowed_cpus(),
        streams_max: plan.connections * 4 + 1000,
        replay_mib: phase.replay_mib,
        directory: folder.path(),
    })?;
    let start = clock::now();
    let mut course = plan.course(phase, start);
    if let Some(mock) = addresses.first() {
        course.endings = endings::ask(&course, *mock)?;
    }
    let destination = gateway.destination.clone();
    let job = Job { course, destination, start, share: 0, shares: 1 };
    let clients =
        thread::Builder::new().name("clients".to_owned()).spawn(move || client::run(job))?;
    let mut replay_bytes_max = 0.0f64;
    while !clients.is_finished() {
        thread::sleep(LOOK);
        replay_bytes_max = replay_bytes_max.max(Metrics::at(admin)?.replay_bytes);
    }
    let mut tally =
        clients.join().map_err(|_| io::Error::other("the clients' thread panicked"))??;
    let patience = clock::now().after(QUIET_PATIENCE);
    let mut open = MockCounts::of(mocks)?.streams_open;
    while open > 0 && clock::now() < patience {
        thread::sleep(LOOK);
        open = MockCounts::of(mocks)?.streams_open;
    }
    if open > 0 {
        tally.fail("a stream of the mock was left open");
    }
    let metrics = Metrics::at(admin)?;
    Ok(judge(plan, phase, tally, metrics, replay_bytes_max))
}

/// Puts a phase together and says what of it is not as it had to be.
fn judge(
    plan: &ResumePlan,
    phase: &Phase,
    tally: Tally,
    metrics: Metrics,
    replay_bytes_max: f64,
) -> Told {
    let counts = &tally.counts;
    let mut broken: Vec<String> =
        tally.errors.iter().map(|(kind, count)| format!("{count} x {kind}")).collect();
    if counts.wrong() > 0 {
        broken.push(format!("{} events were not what was sent", counts.wrong()));
    }
    if counts.unfinished > 0 {
        broken.push(format!("{} streams never ended", counts.unfinished));
    }
    if counts.resumed < plan.resumes {
        broken.push(format!("only {} of {} resumes in time", counts.resumed, plan.resumes));
    }
    if counts.whole + counts.unnamed + counts.gone + counts.failed != counts.streams {
        broken.push(format!("of {} streams some came to no end", counts.streams));
    }
    if phase.may_be_gone && counts.gone == 0 {
        broken.push("nothing was gone: that shows nothing".to_owned());
    }
    let all = metrics.resumes_live + metrics.resumes_finished + metrics.resumes_gone;
    let other_shard = if all > 0.0 { metrics.handed_over / all } else { 0.0 };
    if other_shard < plan.other_shard_min {
        broken.push(format!("only {other_shard:.2} of the clients came to another shard"));
    }
    if replay_bytes_max > metrics.replay_budget_bytes {
        let budget = metrics.replay_budget_bytes;
        broken.push(format!("{replay_bytes_max} bytes were kept, and {budget} may be"));
    }
    Told {
        phase: phase.name.clone(),
        other_shard,
        back_us: Spread::of(&tally.back),
        metrics,
        replay_bytes_max,
        broken,
        counts: tally.counts,
        places: tally.places,
        ways: tally.ways,
        errors: tally.errors,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phase_is_judged_by_its_promises() {
        let plan = ResumePlan::parse(include_str!("../scenarios/resume.toml")).unwrap();
        let (ample, small) = (&plan.phases[0], &plan.phases[1]);
        let counts = Counts {
            streams: 12_000,
            whole: 11_990,
            unnamed: 10,
            resumed: 10_000,
            ..Counts::default()
        };
        let metrics = Metrics {
            resumes_live: 10_000.0,
            handed_over: 5000.0,
            replay_budget_bytes: 100.0,
            ..Metrics::default()
        };
        let tally = |counts: &Counts| Tally { counts: counts.clone(), ..Tally::default() };
        let told = judge(&plan, ample, tally(&counts), metrics, 100.0);
        assert_eq!(told.broken, Vec::<String>::new());
        let told = judge(&plan, small, tally(&counts), metrics, 101.0);
        assert!(told.broken[0].contains("nothing was gone") && told.broken[1].contains("101"));
        let bad = Counts { lost: 1, unfinished: 2, resumed: 9999, whole: 0, ..counts };
        let mut tally = tally(&bad);
        tally.fail("x");
        let told = judge(&plan, ample, tally, Metrics::default(), 0.0);
        assert_eq!(told.broken.len(), 6, "{:?}", told.broken);
    }
}
