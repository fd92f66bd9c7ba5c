//! The mock's command line, the same for `ringway mock` and `ringway-loadtest mock`.

use std::net::SocketAddr;
use std::time::Duration;

use super::Options;

/// What the command line takes, for the help texts.
pub const HELP: &str = "\
  --listen ADDRESS     where to listen (default 127.0.0.1:9001; port 0 takes a free one)
  --model NAME         a model for GET /v1/models; may be given more than once (default demo)
  --tick-us N          write events at multiples of so many microseconds (default 1000; 0: each at its own time)
  --control ADDRESS    where stats and switches are to be had even while the other address is closed: POST
                       /mock/behaviour?x-mock-status=500 (for every answer from now on; without a query: as before) and
                       /mock/listener?closed (or silent, or open); they are at the first address as well
  --share              let others listen on the same address (SO_REUSEPORT)
  --X VALUE            the default of request field x-mock-X, for instance --gap-ms 20, --events 100, --bytes 1024,
                       --delay-ms 5, --status 500, --cut-after 3 (all of them: src/GUIDE.md)
";

/// What follows `x-mock-` in the names of the fields.
pub(super) const BEHAVIOURS: [&str; 18] = [
    "delay-ms",
    "gap-ms",
    "events",
    "bytes",
    "stall-after",
    "cut-after",
    "reset-after",
    "cut-inside",
    "hangup",
    "status",
    "retry-after",
    "dribble",
    "split",
    "batch",
    "framing",
    "stream",
    "close",
    "early-head",
];

impl Options {
    /// The options of a command line: `--name value` or `--name=value`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn from_args(args: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut options = Self::new(SocketAddr::from(([127, 0, 0, 1], 9001)));
        let mut models = Vec::new();
        let mut args = args.into_iter();
        while let Some(arg) = args.next() {
            let Some(name) = arg.strip_prefix("--") else {
                return Err(format!("{arg:?} is no option of the mock"));
            };
            if name == "share" {
                options.may_share = true;
                continue;
            }
            let (name, value) = match name.split_once('=') {
                Some((name, value)) => (name.to_owned(), value.to_owned()),
                None => {
                    let value = args.next().ok_or_else(|| format!("--{name} needs a value"))?;
                    (name.to_owned(), value)
                }
            };
            if name == "model" {
                models.push(value);
            } else {
                options.set(&name, &value)?;
            }
        }
        if !models.is_empty() {
            options.models = models;
        }
        Ok(options)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let wrong = || format!("--{name} cannot be {value:?}");
        match name {
            "listen" => self.address = value.parse().map_err(|_| wrong())?,
            "control" => self.control = Some(value.parse().map_err(|_| wrong())?),
            "tick-us" => {
                self.tick = Duration::from_micros(value.parse().map_err(|_| wrong())?);
            }
            _ if BEHAVIOURS.contains(&name) => {
                let before = self.behaviour;
                self.behaviour.apply(format!("x-mock-{name}").as_bytes(), value.as_bytes());
                if before == self.behaviour && value.parse::<f64>().is_err() {
                    return Err(wrong());
                }
            }
            _ => return Err(format!("--{name} is no option of the mock")),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(line: &str) -> Result<Options, String> {
        Options::from_args(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn a_command_line_sets_addresses_models_and_defaults() {
        let options =
            options("--listen 127.0.0.1:0 --model a --model=b --gap-ms 5 --tick-us 0 --share --control [::1]:7")
                .unwrap();
        assert_eq!(options.control, Some("[::1]:7".parse().unwrap()));
        assert_eq!(options.models, ["a", "b"]);
        assert_eq!(options.behaviour.gap, Duration::from_millis(5));
        assert!(options.tick.is_zero() && options.may_share);
    }

    #[test]
    fn every_field_is_in_the_guide() {
        let guide = include_str!("../GUIDE.md");
        for name in BEHAVIOURS {
            assert!(guide.contains(&format!("`x-mock-{name}`")), "{name}");
        }
    }

    #[test]
    fn what_is_no_option_is_named() {
        assert!(options("--lisen x").unwrap_err().contains("--lisen"));
        assert!(options("--gap-ms x").unwrap_err().contains("\"x\""));
        assert!(options("--gap-ms").unwrap_err().contains("needs a value"));
    }
}
