//! The commands: run, compare, faults, balance, resume, scale, mock.

use std::fs;
use std::io;
use std::io::Write;
use std::process::ExitCode;

use ringway::mock;
use ringway::sys::affinity;
use ringway::sys::limits;
use serde::Serialize;

use crate::balance;
use crate::balance::plan::BalancePlan;
use crate::cli::args::Args;
use crate::client::destination::Destination;
use crate::compare;
use crate::faults;
use crate::faults::plan::FaultPlan;
use crate::html;
use crate::plan::Plan;
use crate::report;
use crate::report::Machine;
use crate::report::Report;
use crate::resume;
use crate::resume::plan::ResumePlan;
use crate::runner::Outcome;
use crate::runner::Setting;
use crate::scale;
use crate::scale::plan::ScalePlan;
use crate::stage::Stage;

mod args;

/// Why the tester ends without a result.
#[derive(Debug)]
pub enum Failure {
    /// The command line or the scenario is wrong.
    Usage(String),
    /// The system said no.
    System(io::Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

impl From<lexopt::Error> for Failure {
    fn from(error: lexopt::Error) -> Self {
        Self::Usage(error.to_string())
    }
}

/// Does what the command line says.
///
/// # Errors
/// Wrong usage, or the system's.
pub fn main(mut args: Vec<String>, out: &mut dyn Write) -> Result<ExitCode, Failure> {
    if args.is_empty() {
        args = vec!["compare".to_owned(), "canonical".to_owned(), "--rounds=1".to_owned()];
    }
    let command = args.remove(0);
    limits::raise_open_files()?;
    match command.as_str() {
        "run" => run(&args::read(args)?, out),
        "compare" => run_compare(&args::read(args)?, out),
        "faults" => run_faults(&args::read(args)?, out),
        "resume" => run_resume(&args::read(args)?, out),
        "scale" => run_scale(&args::read(args)?, out),
        "balance" => run_balance(&args::read(args)?, out),
        "mock" => run_mock(args),
        "--help" | "-h" | "help" => {
            out.write_all(args::HELP.as_bytes())?;
            writeln!(out, "\nmock:\n{}", mock::options::HELP)?;
            Ok(ExitCode::SUCCESS)
        }
        other => Err(Failure::Usage(format!("there is no command {other:?}"))),
    }
}

/// Reads the scenarios and puts the command line's figures in place of theirs.
fn plans(args: &Args) -> Result<Vec<Plan>, Failure> {
    let mut plans = Vec::new();
    if args.scenarios.is_empty() {
        return Err(Failure::Usage("which scenario?".to_owned()));
    }
    for scenario in &args.scenarios {
        let mut plan = read_scenario(scenario, Plan::parse)?;
        plan.connections = args.connections.unwrap_or(plan.connections);
        plan.rate = args.rate.or(plan.rate);
        plan.duration_s = args.duration.unwrap_or(plan.duration_s);
        plan.warmup_s = args.warmup.unwrap_or(plan.warmup_s);
        plan.threads = args.threads.unwrap_or(plan.threads);
        plan.sources = args.sources.unwrap_or(plan.sources);
        plan.request.model = args.model.clone().unwrap_or(plan.request.model);
        plan.check().map_err(Failure::Usage)?;
        if args.serve.is_some() {
            let is_given = args.through.is_some() || !args.settings.is_empty();
            plan.check_serve(is_given).map_err(|why| Failure::Usage(format!("--serve: {why}")))?;
        }
        plans.extend(plan.steps());
    }
    Ok(plans)
}

/// Reads the one scenario of a command that has one of its own.
fn read_own<P>(
    args: &Args,
    usual: &str,
    parse: impl Fn(&str) -> Result<P, String>,
) -> Result<P, Failure> {
    match args.scenarios.as_slice() {
        [] => read_scenario(usual, parse),
        [one] => read_scenario(one, parse),
        _ => Err(Failure::Usage("one scenario at a time".to_owned())),
    }
}

fn read_scenario<P>(name: &str, parse: impl Fn(&str) -> Result<P, String>) -> Result<P, Failure> {
    let places = [
        name.to_owned(),
        format!("loadtest/scenarios/{name}.toml"),
        format!("scenarios/{name}.toml"),
        format!("{}/scenarios/{name}.toml", env!("CARGO_MANIFEST_DIR")),
    ];
    for place in places {
        match fs::read_to_string(&place) {
            Ok(text) => {
                return parse(&text).map_err(|error| Failure::Usage(format!("{place}: {error}")));
            }
            Err(_) => continue,
        }
    }
    Err(Failure::Usage(format!("there is no scenario {name:?}")))
}

fn run(args: &Args, out: &mut dyn Write) -> Result<ExitCode, Failure> {
    let plans = plans(args)?;
    let rounds = args.rounds.unwrap_or(1);
    let Some(url) = &args.through else {
        return go_staged(args, plans, |stage| vec![stage.through()], rounds, out);
    };
    let setting = Setting {
        name: url.clone(),
        destination: Destination::parse(url).map_err(Failure::Usage)?,
        pids: args.pids.clone(),
        cpus: args.cpus.clone(),
        serve: args.serve,
        mocks: mocks(args)?,
    };
    let outcomes = go(args, &plans, std::slice::from_ref(&setting), rounds, out)?;
    finish(args, plans, outcomes, out)
}

fn run_compare(args: &Args, out: &mut dyn Write) -> Result<ExitCode, Failure> {
    let plans = plans(args)?;
    let rounds = args.rounds.unwrap_or(3);
    if args.settings.is_empty() {
        let both = |stage: &Stage| vec![stage.direct(), stage.through()];
        return go_staged(args, plans, both, rounds, out);
    }
    let mut settings = Vec::new();
    for text in &args.settings {
        let wrong = || Failure::Usage(format!("--setting {text:?} is not like NAME=URL,PID"));
        let (name, rest) = text.split_once('=').ok_or_else(wrong)?;
        let mut parts = rest.split(',');
        let url = parts.next().ok_or_else(wrong)?;
        settings.push(Setting {
            name: name.to_owned(),
            destination: Destination::parse(url).map_err(Failure::Usage)?,
            pids: parts.map(args::parse_pid).collect::<Result<_, _>>()?,
            cpus: args.cpus.clone(),
            serve: args.serve,
            mocks: mocks(args)?,
        });
    }
    let outcomes = go(args, &plans, &settings, rounds, out)?;
    finish(args, plans, outcomes, out)
}

fn mocks(args: &Args) -> Result<Vec<Destination>, Failure> {
    args.mocks.iter().map(|url| Destination::parse(url).map_err(Failure::Usage)).collect()
}

/// Runs each plan on servers started for it.
fn go_staged(
    args: &Args,
    plans: Vec<Plan>,
    settings: impl Fn(&Stage) -> Vec<Setting>,
    rounds: usize,
    out: &mut dyn Write,
) -> Result<ExitCode, Failure> {
    let mut outcomes = Vec::new();
    for plan in &plans {
        let stage = Stage::start(plan)?;
        outcomes.extend(go(args, std::slice::from_ref(plan), &settings(&stage), rounds, out)?);
    }
    finish(args, plans, outcomes, out)
}

/// Runs the plans and tells of each run as it ends.
fn go(
    args: &Args,
    plans: &[Plan],
    settings: &[Setting],
    rounds: usize,
    out: &mut dyn Write,
) -> io::Result<Vec<Outcome>> {
    let mut outcomes = Vec::new();
    for plan in plans {
        outcomes.extend(compare::run(plan, settings, rounds, |outcome| {
            if args.is_json {
                return Ok(());
            }
            report::write_outcome(outcome, out)?;
            out.flush()
        })?);
    }
    Ok(outcomes)
}

/// Writes what came of all runs.
fn finish(
    args: &Args,
    plans: Vec<Plan>,
    outcomes: Vec<Outcome>,
    out: &mut dyn Write,
) -> Result<ExitCode, Failure> {
    let ratios = compare::ratios(&outcomes);
    let is_clean = outcomes.iter().all(|outcome| outcome.is_clean);
    if !args.is_json && outcomes.len() > plans.len() {
        report::write_ratios(&ratios, out)?;
    }
    let report = Report { machine: Machine::here(), plans, outcomes, ratios, is_clean };
    let json = serde_json::to_string_pretty(&report).map_err(io::Error::other)?;
    if args.is_json {
        writeln!(out, "{json}")?;
    }
    if let Some(path) = &args.output {
        fs::write(path, &json)?;
    }
    if let Some(path) = &args.html {
        fs::write(path, html::page(&report))?;
    }
    if !is_clean {
        writeln!(io::stderr(), "not every run was clean: its figures are void")?;
    }
    Ok(if is_clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn run_faults(args: &Args, out: &mut dyn Write) -> Result<ExitCode, Failure> {
    let mut plan = read_own(args, "faults", FaultPlan::parse)?;
    plan.keep(&args.phases).map_err(Failure::Usage)?;
    let report = faults::run(plan, (!args.is_json).then_some(&mut *out))?;
    finish_own(args, &report, report.is_kept, out)
}

fn run_balance(args: &Args, out: &mut dyn Write) -> Result<ExitCode, Failure> {
    let plan = read_own(args, "balance", BalancePlan::parse)?;
    let report = balance::run(plan, (!args.is_json).then_some(&mut *out))?;
    finish_own(args, &report, report.is_kept, out)
}

fn run_resume(args: &Args, out: &mut dyn Write) -> Result<ExitCode, Failure> {
    let mut plan = read_own(args, "resume", ResumePlan::parse)?;
    plan.keep(&args.phases).map_err(Failure::Usage)?;
    plan.connections = args.connections.unwrap_or(plan.connections);
    plan.resumes = args.resumes.unwrap_or(plan.resumes);
    plan.seed = args.seed.unwrap_or(plan.seed);
    plan.check().map_err(Failure::Usage)?;
    let report = resume::run(plan, (!args.is_json).then_some(&mut *out))?;
    finish_own(args, &report, report.is_kept, out)
}

fn run_scale(args: &Args, out: &mut dyn Write) -> Result<ExitCode, Failure> {
    let mut plan = read_own(args, "scale", ScalePlan::parse)?;
    plan.connections = args.connections.unwrap_or(plan.connections);
    plan.threads = args.threads.unwrap_or(plan.threads);
    plan.sources = args.sources.unwrap_or(plan.sources);
    plan.minutes = args.minutes.unwrap_or(plan.minutes);
    plan.seed = args.seed.unwrap_or(plan.seed);
    plan.check().map_err(Failure::Usage)?;
    let report = scale::run(plan, (!args.is_json).then_some(&mut *out))?;
    finish_own(args, &report, report.is_kept, out)
}

/// Writes the JSON where it is wanted, and says whether all promises were kept.
fn finish_own(
    args: &Args,
    report: &impl Serialize,
    is_kept: bool,
    out: &mut dyn Write,
) -> Result<ExitCode, Failure> {
    let json = serde_json::to_string_pretty(report).map_err(io::Error::other)?;
    if args.is_json {
        writeln!(out, "{json}")?;
    }
    if let Some(path) = &args.output {
        fs::write(path, &json)?;
    }
    Ok(if is_kept { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn run_mock(args: Vec<String>) -> Result<ExitCode, Failure> {
    let mut options = Vec::new();
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        if arg != "--cpu" {
            options.push(arg);
            continue;
        }
        let cpu = args.next().and_then(|cpu| cpu.parse().ok());
        if !cpu.is_some_and(affinity::pin_to) {
            return Err(Failure::Usage("--cpu needs a CPU of this machine".to_owned()));
        }
    }
    let options = mock::Options::from_args(options).map_err(Failure::Usage)?;
    limits::precise_sleep();
    mock::serve(options, |address| {
        let mut stdout = io::stdout();
        // Who does not listen does not need to know.
        let _gone = writeln!(stdout, "listening on {address}").and_then(|()| stdout.flush());
    })?;
    Ok(ExitCode::SUCCESS)
}
