//! The scale test, run: mocks, a gateway of several shards, and clients on several threads, for as long as the plan says.

use std::collections::BTreeMap;
use std::io;
use std::io::Write;
use std::thread;
use std::thread::JoinHandle;
use std::time::Duration;

use ringway::ring::clock;
use ringway::sys::affinity;
use ringway::units::Moment;
use serde::Serialize;

use crate::ask::MockCounts;
use crate::client::destination::Destination;
use crate::measure::process::Reading;
use crate::measure::tally::Spread;
use crate::report::Machine;
use crate::scale::judge::Quarter;
use crate::scale::plan::ScalePlan;
use crate::scale::watch::Look;
use crate::scale::watch::Seen;
use crate::scale::watch::Watched;
use crate::server;
use crate::server::Endpoint;
use crate::server::Folder;
use crate::server::GatewayPlan;
use crate::server::MockPlace;
use crate::server::Server;
use crate::streams::client;
use crate::streams::client::Job;
use crate::streams::endings;
use crate::streams::reader::Place;
use crate::streams::tally::Counts;
use crate::streams::tally::Tally;

mod judge;
pub mod plan;
mod report;
mod watch;

/// Everything about a run.
#[derive(Debug, Serialize)]
pub struct ScaleReport {
    /// Where it ran.
    pub machine: Machine,
    /// What was run.
    pub plan: ScalePlan,
    /// What the clients counted, from the first stream on.
    pub counts: Counts,
    /// Where they left.
    pub places: BTreeMap<Place, u64>,
    /// How they left and came back.
    pub ways: BTreeMap<&'static str, u64>,
    /// What went wrong, by kind.
    pub errors: BTreeMap<String, u64>,
    /// From asking for a stream to its first event, microseconds.
    pub first_us: Spread,
    /// From coming back to the head, microseconds.
    pub back_us: Spread,
    /// From the mock's writing of an event to its arrival, microseconds.
    pub relay_us: Spread,
    /// How late heartbeats came, microseconds.
    pub late_us: Spread,
    /// Milliseconds from the signal until all shards served by the new config.
    pub reload_ms: f64,
    /// The quarters of the measured time.
    pub quarters: [Quarter; 4],
    /// How much more memory the last quarter has than the first, in percent.
    pub growth_percent: f64,
    /// Growth of the gateway's memory for each stream open, in KiB.
    pub rss_kib_per_stream: f64,
    /// Each look.
    pub looks: Vec<Look>,
    /// What was not as it had to be.
    pub broken: Vec<String>,
    /// Whether all was.
    pub is_kept: bool,
}

/// Time for the threads to be there before the first stream.
const PREPARE: Duration = Duration::from_millis(300);
/// How long streams may outlive their clients at the end, beside the window in which those may come back.
const QUIET_PATIENCE: Duration = Duration::from_secs(60);
const QUIET_PAUSE: Duration = Duration::from_millis(250);

/// The servers of a test.
struct Scene {
    // The gateway first: it shall not see the others end.
    gateway: Server,
    mocks: Vec<Server>,
    watched: Watched,
    folder: Folder,
}

/// Runs it and writes a table, if there is somebody to read it.
///
/// # Errors
/// The system's; servers that do not come up, or end.
pub fn run(plan: ScalePlan, mut out: Option<&mut dyn Write>) -> io::Result<ScaleReport> {
    let mut scene = Scene::start(&plan)?;
    if let Some(out) = &mut out {
        report::write_head(&plan, *out)?;
    }
    let before = Reading::of(&[scene.watched.pid]);
    let start = clock::now().after(PREPARE);
    let threads = scene.start_clients(&plan, start)?;
    let mut lines = report::Lines::new(&plan);
    let mut seen = scene.watched.run(plan.measured(start), |look| match &mut out {
        Some(out) => lines.write(look, *out),
        None => Ok(()),
    })?;
    let mut tally = Tally::default();
    for thread in threads {
        let one = thread.join().map_err(|_| io::Error::other("a thread of clients panicked"))??;
        tally.add(&one);
    }
    scene.wait_until_quiet(&mut tally)?;
    seen.silent.drain(..).for_each(|silent| tally.fail(silent));
    if seen.adopted.is_none() {
        tally.fail("the shards did not adopt the new config");
    }
    let told = tell(plan, before, seen, tally);
    if let Some(out) = &mut out {
        report::write_end(&told, *out)?;
        if !told.is_kept {
            writeln!(out, "the gateway's config and log are in {}", scene.folder.keep().display())?;
        }
    }
    Ok(told)
}

impl Scene {
    fn start(plan: &ScalePlan) -> io::Result<Self> {
        let folder = Folder::make()?;
        let start_mock = |_| server::start_mock(&MockPlace::default());
        let mocks: Vec<Server> = (0..plan.mocks).map(start_mock).collect::<io::Result<_>>()?;
        let destinations: Vec<Destination> =
            mocks.iter().map(|mock| mock.destination.clone()).collect();
        let addresses = destinations.iter().flat_map(|mock| &mock.addresses);
        let endpoints: Vec<Endpoint> =
            addresses.map(|address| Endpoint { address: *address, weight: 1 }).collect();
        let (gateway, admin) = server::start_gateway(&GatewayPlan {
            model: &plan.request.model,
            endpoints: &endpoints,
            keys: &plan.keys(),
            shards: plan.shards,
            cpus: &affinity::allowed_cpus(),
            // Those that go on without clients hold descriptors too.
            streams_max: plan.connections * 5 / 4,
            replay_mib: plan.replay_mib,
            directory: folder.path(),
        })?;
        let config = folder.path().join("ringway.toml");
        let watched = Watched { pid: gateway.child.id(), admin, config, mocks: destinations };
        Ok(Self { gateway, mocks, watched, folder })
    }

    fn start_clients(
        &self,
        plan: &ScalePlan,
        start: Moment,
    ) -> io::Result<Vec<JoinHandle<io::Result<Tally>>>> {
        let mut course = plan.course(start);
        let mock = self.mocks.first().and_then(|mock| mock.destination.addresses.first());
        if let Some(mock) = mock {
            course.endings = endings::ask(&course, *mock)?;
        }
        let thread = |share: usize| {
            let (course, destination) = (course.clone(), self.gateway.destination.clone());
            let job = Job { course, destination, start, share, shares: plan.threads };
            thread::Builder::new().name(format!("clients {share}")).spawn(move || client::run(job))
        };
        (0..plan.threads).map(thread).collect()
    }

    /// Waits until the mocks have no stream open: all clients have left.
    fn wait_until_quiet(&mut self, tally: &mut Tally) -> io::Result<()> {
        let patience = clock::now().after(QUIET_PATIENCE);
        let mut open = MockCounts::of(&self.watched.mocks)?.streams_open;
        while open > 0 && clock::now() < patience {
            thread::sleep(QUIET_PAUSE);
            open = MockCounts::of(&self.watched.mocks)?.streams_open;
        }
        if open > 0 {
            tally.fail("streams of the mocks were left open");
        }
        match self.gateway.child.try_wait()? {
            None => Ok(()),
            Some(status) => Err(io::Error::other(format!("the gateway ended: {status}"))),
        }
    }
}

/// Puts together what came of it.
fn tell(
    plan: ScalePlan,
    before: Reading,
    Seen { looks, adopted, .. }: Seen,
    tally: Tally,
) -> ScaleReport {
    let quarters = judge::quarters(&looks, plan.minutes * 60.0);
    let broken = judge::broken(&plan, &looks, &tally);
    let grown = looks.last().map_or(0, |look| look.rss_kib.saturating_sub(before.rss_kib));
    let open = looks.last().map_or(1, |look| look.open.max(1));
    #[expect(clippy::cast_precision_loss, reason = "KiB and streams fit into 53 bits")]
    let rss_kib_per_stream = grown as f64 / open as f64;
    ScaleReport {
        machine: Machine::here(),
        plan,
        first_us: Spread::of(&tally.first),
        back_us: Spread::of(&tally.back),
        relay_us: Spread::of(&tally.relay),
        late_us: Spread::of(&tally.late),
        reload_ms: adopted.unwrap_or_default().as_secs_f64() * 1000.0,
        growth_percent: judge::growth_percent(&quarters),
        quarters,
        rss_kib_per_stream,
        looks,
        is_kept: broken.is_empty(),
        broken,
        counts: tally.counts,
        places: tally.places,
        ways: tally.ways,
        errors: tally.errors,
    }
}
