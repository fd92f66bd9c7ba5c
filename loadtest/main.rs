//! What would a user see: the load tester of Ringway.
#![expect(unreachable_pub, reason = "a program: `pub` says what a module offers to the others")]

use std::io;
use std::process::ExitCode;

mod ask;
mod balance;
mod cli;
mod client;
mod compare;
mod faults;
mod html;
mod measure;
mod plan;
mod poll;
mod report;
mod resume;
mod runner;
mod scale;
mod schedule;
mod server;
mod stage;
mod streams;

fn main() -> ExitCode {
    let stdout = io::stdout();
    let args = std::env::args().skip(1).collect();
    match cli::main(args, &mut stdout.lock()) {
        Ok(code) => code,
        Err(cli::Failure::Usage(message)) => {
            report_failure(&format!("ringway-loadtest: {message} (--help says more)"));
            ExitCode::from(64)
        }
        Err(cli::Failure::System(error)) => {
            report_failure(&format!("ringway-loadtest: {error}"));
            ExitCode::from(71)
        }
    }
}

fn report_failure(message: &str) {
    use std::io::Write as _;
    // Nothing is left to be told where standard error is gone.
    let _gone = writeln!(io::stderr(), "{message}");
}
