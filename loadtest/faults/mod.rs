//! A fault plan, run: one endpoint fails in one way after the other under load, and what clients see is held against what
//! was promised.

use std::io;
use std::io::Write;
use std::thread;
use std::thread::JoinHandle;
use std::time::Duration;

use ringway::ring::clock;
use ringway::units::Moment;

use crate::client;
use crate::client::Job;
use crate::faults::measure::Borders;
use crate::faults::measure::Figures;
use crate::faults::plan::FaultPlan;
use crate::faults::plan::Phase;
use crate::faults::report::FaultReport;
use crate::faults::report::Judged;
use crate::faults::scene::Scene;
use crate::measure::tally::Tally;
use crate::plan::Plan;
use crate::report::Machine;
use crate::schedule::Times;

mod measure;
mod namespace;
pub mod plan;
mod report;
mod scene;
mod verdict;
mod watch;

/// Time for the threads to be there before the first start.
const PREPARE: Duration = Duration::from_millis(100);
/// How long the servers are looked at after the end, so that what was asked last has been counted.
const LINGER: Duration = Duration::from_millis(500);

/// Runs all phases and writes a line of the table as each ends, if there is somebody to read it.
///
/// # Errors
/// The system's; servers that do not come up or go away.
pub fn run(plan: FaultPlan, mut out: Option<&mut dyn Write>) -> io::Result<FaultReport> {
    let mut scene = Scene::start(&plan)?;
    let black_hole = scene.black_hole();
    if let Some(out) = &mut out {
        report::write_head(&plan, &black_hole, out)?;
    }
    let mut phases = Vec::new();
    for phase in &plan.phases {
        scene.rest()?;
        let figures = run_phase(&mut scene, &plan, phase)
            .map_err(|error| io::Error::other(format!("phase {:?}: {error}", phase.name)))?;
        let broken = verdict::broken(&plan.promises, phase, &figures);
        let judged = Judged { phase: phase.name.clone(), figures, broken };
        if let Some(out) = &mut out {
            report::write_phase(&judged, out)?;
        }
        phases.push(judged);
    }
    let is_kept = phases.iter().all(|judged| judged.broken.is_empty());
    if !is_kept {
        let place = scene.keep().display();
        writeln!(io::stderr(), "config and log of the gateway: {place}")?;
    }
    Ok(FaultReport { machine: Machine::here(), plan, black_hole, phases, is_kept })
}

fn run_phase(scene: &mut Scene, plan: &FaultPlan, phase: &Phase) -> io::Result<Figures> {
    let span = Duration::from_secs_f64;
    let start = clock::now().after(PREPARE);
    let from = start.after(span(plan.warmup_s));
    let fault_from = from.after(span(plan.before_s));
    let fault_to = fault_from.after(span(plan.fault_s));
    let to = fault_to.after(span(plan.after_s));
    let clients = start_clients(scene, plan, Times { start, from, to })?;
    let watched = scene.watched();
    let watcher = thread::Builder::new()
        .name("watch".to_owned())
        .spawn(move || watched.until(to.after(LINGER)))?;
    sleep_until(fault_from);
    let fault_from = clock::now();
    scene.strike(&phase.fault)?;
    sleep_until(fault_to);
    scene.mend(&phase.fault)?;
    let fault_to = clock::now();
    let mut tally = Tally::default();
    for thread in clients {
        let share = thread.join().map_err(|_| io::Error::other("a client thread panicked"))??;
        tally.add(&share);
    }
    let looks = watcher.join().map_err(|_| io::Error::other("the watching thread panicked"))?;
    let borders = Borders { from, fault_from, fault_to, to };
    let samples = tally.log.unwrap_or_default();
    let figures = measure::measure(&plan.promises, &borders, &samples, &looks);
    Ok(Figures { errors: tally.errors, queued: tally.counts.queued, ..figures })
}

fn start_clients(
    scene: &Scene,
    plan: &FaultPlan,
    times: Times,
) -> io::Result<Vec<JoinHandle<io::Result<Tally>>>> {
    let start = |(number, load): (usize, &Plan)| {
        let job = Job {
            plan: load.clone(),
            destination: scene.destination(),
            times,
            // All of its own plan; but no two threads number their streams alike.
            share: number,
            shares: 1,
            cpu: None,
            serve: None,
            has_log: true,
        };
        thread::Builder::new().name("client".to_owned()).spawn(move || client::run(job))
    };
    plan.loads.iter().enumerate().map(start).collect()
}

fn sleep_until(moment: Moment) {
    thread::sleep(moment.since(clock::now()));
}
