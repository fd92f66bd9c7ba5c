//! What the command line says.

use std::net::SocketAddr;

use ringway::sys::affinity;

use crate::cli::Failure;
use crate::measure::process;

/// What it takes, for the help text.
pub const HELP: &str = "\
ringway-loadtest: what would a user see?

  ringway-loadtest                                                   `compare canonical`
  ringway-loadtest run SCENARIO [--through URL] [--pid PID] ...      one plan; without --through, against a gateway
                                                                     (and mocks) that the tester starts itself
  ringway-loadtest compare SCENARIO --setting NAME=URL[,PID...] ...  the same plan through several, interleaved;
                                                                     without --setting: mocks directly, then a gateway
  ringway-loadtest faults [--phase WORD] ...                         one of three endpoints fails in many ways: what do
                                                                     clients see? (scenarios/faults.toml)
  ringway-loadtest balance                                           do long streams lie as the weights say?
                                                                     (scenarios/balance.toml)
  ringway-loadtest resume [--phase WORD] ...                         streams cut at any byte and resumed: is all there?
                                                                     (scenarios/resume.toml)
  ringway-loadtest scale [--minutes N] ...                           40,000 streams that come, go and come back, for long
                                                                     (scenarios/scale.toml)
  ringway-loadtest mock [OPTIONS]                                    the model server that is not one

SCENARIO is a file of loadtest/scenarios, with or without directory and .toml; the answers are verified byte for byte,
and a run with any failure ends with exit code 1. Faults, balance, resume and scale take a scenario of their kind, start all
servers themselves, and end with exit code 1 if a promise of it was broken.

  --through URL        where to, for instance http://127.0.0.1:8080
  --pid PID            process whose CPU and memory are measured; may be given more than once
  --setting N=URL,PID  (compare) a name, where to, and what to measure; the first one is what the others are compared with
  --mock URL           a mock behind what is measured: must have no stream left open after the run; more than once
  --serve ADDRESS      the tester answers there itself as the model server behind what is measured, in the threads of its
                       clients, which costs less than a mock; for whole answers of a size (saturation, new_connections)
  --rounds N           (compare) rounds (default 3)
  --cpus LIST          CPUs of the tester's threads, for instance 0 or 0,2-3
  --connections N --rate N --duration SECONDS --warmup SECONDS --threads N --sources N --model NAME
                       in place of what the scenario says
  --phase WORD         (faults, resume) only phases with this word in their names; may be given more than once
  --resumes N          (resume) clients come back at least so often in each phase
  --minutes N          (scale) how long is measured
  --seed N             (resume, scale) of all dice
  --json               print everything as JSON instead of tables
  --output FILE        write the JSON there too
  --html FILE          write a page with plots there
";

/// What the command line says.
#[derive(Debug, Default)]
pub struct Args {
    pub scenarios: Vec<String>,
    pub through: Option<String>,
    pub pids: Vec<u32>,
    pub settings: Vec<String>,
    pub rounds: Option<usize>,
    pub cpus: Vec<usize>,
    pub connections: Option<usize>,
    pub rate: Option<f64>,
    pub duration: Option<f64>,
    pub warmup: Option<f64>,
    pub threads: Option<usize>,
    pub sources: Option<usize>,
    pub model: Option<String>,
    pub is_json: bool,
    pub output: Option<String>,
    pub html: Option<String>,
    pub mocks: Vec<String>,
    pub serve: Option<SocketAddr>,
    pub phases: Vec<String>,
    pub resumes: Option<u64>,
    pub seed: Option<u64>,
    pub minutes: Option<f64>,
}

/// Reads it.
///
/// # Errors
/// What is wrong with it.
pub fn read(args: Vec<String>) -> Result<Args, Failure> {
    use lexopt::prelude::Long;
    use lexopt::prelude::Value;
    use lexopt::prelude::ValueExt as _;
    let mut read = Args::default();
    let mut parser = lexopt::Parser::from_args(args);
    while let Some(arg) = parser.next()? {
        match arg {
            Long("through") => read.through = Some(parser.value()?.string()?),
            Long("pid") => {
                for pid in parser.value()?.string()?.split(',') {
                    read.pids.push(parse_pid(pid)?);
                }
            }
            Long("setting") => read.settings.push(parser.value()?.string()?),
            Long("rounds") => read.rounds = Some(parser.value()?.parse()?),
            Long("cpus") => {
                let list = parser.value()?.string()?;
                read.cpus = affinity::parse_cpu_list(&list)
                    .map_err(|part| Failure::Usage(format!("--cpus: {part:?} is no CPU")))?;
            }
            Long("connections") => read.connections = Some(parser.value()?.parse()?),
            Long("rate") => read.rate = Some(parser.value()?.parse()?),
            Long("duration") => read.duration = Some(parser.value()?.parse()?),
            Long("warmup") => read.warmup = Some(parser.value()?.parse()?),
            Long("threads") => read.threads = Some(parser.value()?.parse()?),
            Long("sources") => read.sources = Some(parser.value()?.parse()?),
            Long("model") => read.model = Some(parser.value()?.string()?),
            Long("json") => read.is_json = true,
            Long("serve") => {
                let address = parser.value()?.string()?;
                let wrong =
                    |_| Failure::Usage(format!("--serve: {address:?} is not like 127.0.0.1:9001"));
                read.serve = Some(address.parse().map_err(wrong)?);
            }
            Long("mock") => read.mocks.push(parser.value()?.string()?),
            Long("resumes") => read.resumes = Some(parser.value()?.parse()?),
            Long("seed") => read.seed = Some(parser.value()?.parse()?),
            Long("minutes") => read.minutes = Some(parser.value()?.parse()?),
            Long("phase") => read.phases.push(parser.value()?.string()?),
            Long("html") => read.html = Some(parser.value()?.string()?),
            Long("output") => read.output = Some(parser.value()?.string()?),
            Value(scenario) => read.scenarios.push(scenario.string()?),
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(read)
}

/// A process that exists.
///
/// # Errors
/// There is none of this number.
pub fn parse_pid(text: &str) -> Result<u32, Failure> {
    let pid = text.trim().parse().map_err(|_| Failure::Usage(format!("{text:?} is no process")))?;
    if process::exists(pid) { Ok(pid) } else { Err(Failure::Usage(format!("no process {pid}"))) }
}
