//! Starts the process; nothing that needs a test.

use std::io;
use std::io::Write;
use std::process::ExitCode;

use ringway::cli;
use ringway::cli::Command;
use ringway::cli::Exit;
use ringway::control;
use ringway::control::ExitReason;
use ringway::mock;
use ringway::serve;
use ringway::serve::End;
use ringway::serve::Serving;

fn main() -> ExitCode {
    let command = match cli::parse(std::env::args_os().skip(1)) {
        Ok(command) => command,
        Err(line) => return say(Exit::Usage, &format!("ringway: {line}\n")),
    };
    let exit = match command {
        Command::Help => tell(cli::HELP),
        Command::Version => tell(cli::VERSION),
        Command::Check { config } => {
            finish(control::check::check(config, &mut io::stdout(), &mut io::stderr()))
        }
        Command::Explain(explain) => {
            let demo = control::file::Source::demo(([127, 0, 0, 1], 8081).into());
            finish(control::check::explain(&explain, demo, &mut io::stdout(), &mut io::stderr()))
        }
        Command::KeyNew(asked) => {
            finish(control::key::new(&asked, &mut io::stdout(), &mut io::stderr()))
        }
        Command::Mock { listen } => return run_mock(listen),
        Command::Serve { config } => return run(config),
    };
    ExitCode::from(exit.code())
}

fn run(config: Option<std::path::PathBuf>) -> ExitCode {
    if let Err(error) = control::log::start() {
        return say(Exit::Usage, &format!("ringway: {error}\n"));
    }
    match serve::serve(config, |name| std::env::var(name).ok(), greet) {
        End::Control(
            ExitReason::Drained | ExitReason::DrainTimedOut { .. } | ExitReason::Stopped,
        ) => ExitCode::SUCCESS,
        End::Control(ExitReason::Config(errors)) => {
            finish_code(control::check::complain(&errors, &mut io::stderr()))
        }
        End::Control(ExitReason::AdminAddress { address, error }) => say(
            Exit::System,
            &format!("ringway: cannot listen on the admin address {address}: {error}\n"),
        ),
        End::Control(ExitReason::System(error)) => {
            say(Exit::System, &format!("ringway: {error}\n"))
        }
        End::Knobs(lines) => {
            let text: String = lines.iter().map(|line| format!("ringway: {line}\n")).collect();
            say(Exit::Config, &text)
        }
        End::System(line) => say(Exit::System, &format!("ringway: {line}\n")),
    }
}

/// What a newcomer reads first: what to type next.
fn greet(serving: &Serving) {
    let Serving { listen, admin, is_demo } = serving;
    let mut text =
        format!("ringway serves on http://{listen}, operators look at http://{admin}/\n");
    if *is_demo {
        text.push_str(&format!(
            "no config was given: the model \"demo\" answers from this process. Try:\n\n\
             curl http://{listen}/v1/chat/completions -H 'content-type: application/json' \
             -d '{{\"model\":\"demo\",\"messages\":[{{\"role\":\"user\",\"content\":\"hello\"}}]}}'\n\n\
             curl -N http://{listen}/v1/chat/completions -H 'content-type: application/json' \
             -d '{{\"model\":\"demo\",\"stream\":true,\"messages\":[{{\"role\":\"user\",\"content\":\"hello\"}}]}}'\n\n"
        ));
    }
    tell(&text);
}

fn run_mock(listen: std::net::SocketAddr) -> ExitCode {
    let served = mock::serve(mock::Options::new(listen), |address| {
        tell(&format!("the demo model serves on http://{address}\n"));
    });
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => say(Exit::System, &format!("ringway: cannot serve on {listen}: {error}\n")),
    }
}

/// To standard output; a reader that went away is no failure.
fn tell(text: &str) -> Exit {
    let mut out = io::stdout();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Exit::Ok,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Ok,
        Err(_) => Exit::System,
    }
}

/// To standard error, with an exit code.
fn say(exit: Exit, text: &str) -> ExitCode {
    // There is nowhere left to complain to.
    io::stderr().write_all(text.as_bytes()).ok();
    ExitCode::from(exit.code())
}

fn finish(written: io::Result<Exit>) -> Exit {
    written.unwrap_or(Exit::System)
}

fn finish_code(written: io::Result<Exit>) -> ExitCode {
    ExitCode::from(finish(written).code())
}
