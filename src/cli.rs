//! `ringway serve | check | explain | key new | mock`: what was typed, and what the process says when it ends.

use lexopt::Arg;
use lexopt::Parser;
use lexopt::ValueExt;
use std::ffi::OsString;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::path::PathBuf;

/// How the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Ok = 0,
    /// What was typed is wrong (`EX_USAGE`).
    Usage = 64,
    /// The gateway is wrong (`EX_SOFTWARE`).
    Bug = 70,
    /// The system says no (`EX_OSERR`).
    System = 71,
    /// The config is wrong (`EX_CONFIG`).
    Config = 78,
}

impl Exit {
    /// The exit code.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Serve, with the config of this file or the one built in.
    Serve {
        /// `--config`.
        config: Option<PathBuf>,
    },
    /// Say whether a config is good and what it would change.
    Check {
        /// `--config`.
        config: PathBuf,
    },
    /// Say what would happen to a request.
    Explain(Explain),
    /// Make an API key.
    KeyNew(KeyNew),
    /// Serve the demo model alone.
    Mock {
        /// `--listen`.
        listen: SocketAddr,
    },
    /// Print [`HELP`].
    Help,
    /// Print [`VERSION`].
    Version,
}

/// `ringway explain`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explain {
    /// `--config`; none: the one built in.
    pub config: Option<PathBuf>,
    /// `--method`.
    pub method: String,
    /// `--path`.
    pub path: String,
    /// `--model`.
    pub model: Option<String>,
    /// Each `--header`: name and value.
    pub headers: Vec<(String, String)>,
    /// `--address`.
    pub address: Option<IpAddr>,
    /// `--tenant`.
    pub tenant: Option<String>,
    /// `--json`.
    pub is_json: bool,
}

/// `ringway key new`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyNew {
    /// `--tenant`.
    pub tenant: Option<String>,
    /// `--id`; none: one is made up.
    pub id: Option<String>,
    /// `--expires`, as it was typed; none: never.
    pub expires: Option<String>,
    /// `--format`.
    pub format: KeyFormat,
}

/// Where the line that lets a key in is to go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyFormat {
    /// Into a `[[tenant]]` of the config.
    #[default]
    Toml,
    /// Into a key file.
    Jsonl,
}

/// One screen.
pub const HELP: &str = "\
ringway - a thread-per-core gateway for AI model servers

usage: ringway [serve] [--config FILE]
       ringway check --config FILE
       ringway explain [--config FILE] [--model NAME] [--header \"NAME: VALUE\"].. [--json] ..
       ringway key new [--tenant NAME] [--id NAME] [--expires DATE] [--format toml|jsonl]
       ringway mock [--listen ADDRESS:PORT]

  serve     serve; without --config a demo: a model server of its own, the model \"demo\"
  check     say whether FILE is good, and what it would change in the running gateway
  explain   say what would happen to a request, and why
  key new   make an API key: print it, once, and the line of the config that lets it in
  mock      serve the demo model server alone; what x-mock-... fields do: src/GUIDE.md

  --config FILE            the config, TOML; read again on SIGHUP and when it changes
  --model, --path, --method, --header, --address IP, --tenant NAME
                           the request to explain (default: POST /v1/chat/completions from 127.0.0.1);
                           with --tenant as if its credential had shown that tenant
  --json                   explain as JSON
  --listen ADDRESS:PORT    where the mock listens (default 127.0.0.1:8081)
  --help, --version        this, and the version

SIGTERM drains and ends; a second one ends at once. RINGWAY_* variables say how big: see tuning/README.md.
exit codes: 0 done, 64 wrong usage, 70 a bug, 71 the system says no, 78 wrong config
";

/// Name and version, one line.
pub const VERSION: &str = concat!("ringway ", env!("CARGO_PKG_VERSION"), "\n");

const MOCK_DEFAULT: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8081);

/// Everything that was typed.
#[derive(Default)]
struct Typed {
    config: Option<PathBuf>,
    model: Option<String>,
    path: Option<String>,
    method: Option<String>,
    headers: Vec<(String, String)>,
    address: Option<IpAddr>,
    tenant: Option<String>,
    id: Option<String>,
    expires: Option<String>,
    format: KeyFormat,
    listen: Option<SocketAddr>,
    is_json: bool,
}

/// Reads what was typed after the program's name.
///
/// # Errors
/// A line that says what is wrong and what to type instead; exit with [`Exit::Usage`].
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, String> {
    let mut parser = Parser::from_args(arguments.into_iter().collect::<Vec<_>>());
    let mut verb: Option<String> = None;
    let mut typed = Typed::default();
    while let Some(argument) = parser.next().map_err(explain_error)? {
        match argument {
            Arg::Short('h') | Arg::Long("help") => return Ok(Command::Help),
            Arg::Short('V') | Arg::Long("version") => return Ok(Command::Version),
            Arg::Value(word) if verb.is_none() => {
                verb = Some(word.string().map_err(explain_error)?);
            }
            // The one verb of two words.
            Arg::Value(word) if verb.as_deref() == Some("key") && word == "new" => {
                verb = Some("key new".to_owned());
            }
            // It may be a credential, cut off from its --header for want of quotes.
            Arg::Value(_) if verb.as_deref() == Some("explain") => {
                return Err(
                    "one word too many: quote --header \"NAME: VALUE\", see ringway --help"
                        .to_owned(),
                );
            }
            Arg::Value(word) => {
                let word = word.to_string_lossy();
                return Err(format!("\"{word}\" is one word too many: see ringway --help"));
            }
            Arg::Short(letter) => {
                return Err(format!("there is no -{letter}: flags are long, see ringway --help"));
            }
            Arg::Long(name) => {
                let name = name.to_owned();
                typed.flag(verb.as_deref().unwrap_or("serve"), &name, &mut parser)?;
            }
        }
    }
    command(verb.as_deref().unwrap_or("serve"), typed)
}

fn command(verb: &str, typed: Typed) -> Result<Command, String> {
    match verb {
        "serve" => Ok(Command::Serve { config: typed.config }),
        "check" => match typed.config {
            Some(config) => Ok(Command::Check { config }),
            None => Err("check needs a file: ringway check --config FILE".to_owned()),
        },
        "explain" => Ok(Command::Explain(Explain {
            config: typed.config,
            method: typed.method.unwrap_or_else(|| "POST".to_owned()),
            path: typed.path.unwrap_or_else(|| "/v1/chat/completions".to_owned()),
            model: typed.model,
            headers: typed.headers,
            address: typed.address,
            tenant: typed.tenant,
            is_json: typed.is_json,
        })),
        "key new" => Ok(Command::KeyNew(KeyNew {
            tenant: typed.tenant,
            id: typed.id,
            expires: typed.expires,
            format: typed.format,
        })),
        "key" => Err("what of keys? There is: ringway key new".to_owned()),
        "mock" => Ok(Command::Mock { listen: typed.listen.unwrap_or(MOCK_DEFAULT) }),
        other => Err(format!(
            "there is no \"ringway {other}\": type serve, check, explain, key new or mock, see ringway --help"
        )),
    }
}

impl Typed {
    fn flag(&mut self, verb: &str, name: &str, parser: &mut Parser) -> Result<(), String> {
        let allowed: &[&str] = match verb {
            "serve" | "check" => &["config"],
            "explain" => {
                &["config", "model", "path", "method", "header", "address", "tenant", "json"]
            }
            "key new" => &["tenant", "id", "expires", "format"],
            "mock" => &["listen"],
            _ => return command(verb, Self::default()).map(|_| ()),
        };
        if !allowed.contains(&name) {
            return Err(format!(
                "ringway {verb} has no --{name} (it has --{}), see ringway --help",
                allowed.join(", --")
            ));
        }
        if name == "json" {
            self.is_json = true;
            return Ok(());
        }
        let value = parser.value().map_err(explain_error)?;
        if name == "config" {
            self.config = Some(value.into());
            return Ok(());
        }
        let value = match value.string() {
            // Not said what it was: it may be a credential.
            Err(_) if name == "header" => return Err("--header: type it in UTF-8".to_owned()),
            value => value.map_err(explain_error)?,
        };
        match name {
            "model" => self.model = Some(value),
            "path" => self.path = Some(value),
            "method" => self.method = Some(value),
            "tenant" => self.tenant = Some(value),
            "id" => self.id = Some(value),
            "expires" => self.expires = Some(value),
            "header" => self.headers.push(header(&value)?),
            "format" => self.format = format(&value)?,
            "address" => {
                let what = "type an IP address, for instance 192.0.2.1";
                let address =
                    value.parse().map_err(|_| format!("--address \"{value}\": {what}"))?;
                self.address = Some(address);
            }
            _ => {
                let address = value.parse().map_err(|_| {
                    format!("--listen \"{value}\": type ADDRESS:PORT, for instance 127.0.0.1:8081")
                })?;
                self.listen = Some(address);
            }
        }
        Ok(())
    }
}

/// Name and value of a field. It may be a credential, so it is not repeated.
///
/// # Errors
/// What to type.
pub fn header(text: &str) -> Result<(String, String), String> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let wrong = || "--header: type \"NAME: VALUE\", for instance \"x-api-key: KEY\"".to_owned();
    let (name, value) = text.split_once(':').ok_or_else(wrong)?;
    let value = value.trim_matches([' ', '\t']);
    if name.is_empty()
        || !name.bytes().all(is_token)
        || value.bytes().any(|byte| byte.is_ascii_control() && byte != b'\t')
    {
        return Err(wrong());
    }
    Ok((name.to_owned(), value.to_owned()))
}

fn format(text: &str) -> Result<KeyFormat, String> {
    match text {
        "toml" => Ok(KeyFormat::Toml),
        "jsonl" => Ok(KeyFormat::Jsonl),
        other => Err(format!("--format \"{other}\": type toml or jsonl")),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is given to map_err by name")]
fn explain_error(error: lexopt::Error) -> String {
    format!("{error}: see ringway --help")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(line: &str) -> Result<Command, String> {
        parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn serves_by_default() {
        assert_eq!(typed(""), Ok(Command::Serve { config: None }));
        let config = Some(PathBuf::from("a.toml"));
        assert_eq!(typed("--config a.toml"), Ok(Command::Serve { config: config.clone() }));
        assert_eq!(typed("serve --config=a.toml"), Ok(Command::Serve { config }));
    }

    #[test]
    fn reads_every_verb() {
        assert_eq!(typed("check --config a"), Ok(Command::Check { config: "a".into() }));
        let explain = Explain {
            config: None,
            method: "GET".to_owned(),
            path: "/v1/models".to_owned(),
            model: Some("m".to_owned()),
            headers: vec![("A".to_owned(), "1".to_owned()), ("b".to_owned(), String::new())],
            address: Some([192, 0, 2, 1].into()),
            tenant: Some("acme".to_owned()),
            is_json: true,
        };
        let line = "explain --json --model m --path /v1/models --method GET --header A:1 --header=b: \
                    --address 192.0.2.1 --tenant acme";
        assert_eq!(typed(line), Ok(Command::Explain(explain)));
        assert_eq!(typed("key new"), Ok(Command::KeyNew(KeyNew::default())));
        let key = KeyNew {
            tenant: Some("acme".to_owned()),
            id: Some("laptop".to_owned()),
            expires: Some("2027-01-01".to_owned()),
            format: KeyFormat::Jsonl,
        };
        let line = "key new --tenant acme --id laptop --expires 2027-01-01 --format jsonl";
        assert_eq!(typed(line), Ok(Command::KeyNew(key)));
        let listen = "[::1]:1".parse().unwrap();
        assert_eq!(typed("mock --listen [::1]:1"), Ok(Command::Mock { listen }));
        assert_eq!(typed("mock"), Ok(Command::Mock { listen: MOCK_DEFAULT }));
        assert_eq!(typed("check --help"), Ok(Command::Help));
        assert_eq!(typed("--version"), Ok(Command::Version));
    }

    #[test]
    fn says_what_to_type() {
        for (line, says) in [
            ("srve", "there is no \"ringway srve\""),
            ("srve --config x", "there is no \"ringway srve\""),
            ("check", "ringway check --config FILE"),
            ("serve --listen x", "ringway serve has no --listen (it has --config)"),
            ("serve now", "\"now\" is one word too many"),
            ("-c x", "there is no -c"),
            ("--config", "see ringway --help"),
            ("explain --json=yes", "see ringway --help"),
            ("mock --listen 8081", "type ADDRESS:PORT"),
            ("key", "ringway key new"),
            ("key old", "\"old\" is one word too many"),
            ("key new new", "\"new\" is one word too many"),
            ("key --id a new", "ringway key new"),
            ("key new --config a", "ringway key new has no --config"),
            ("key new --format xml", "type toml or jsonl"),
            ("explain --address here", "type an IP address"),
            ("explain --header rw_secret", "type \"NAME: VALUE\""),
            ("explain --header a{b:1", "type \"NAME: VALUE\""),
        ] {
            let error = typed(line).unwrap_err();
            assert!(error.contains(says), "{line}: {error}");
            assert!(!error.contains("rw_secret"), "{line}: {error}");
        }
    }

    /// They are typed by people: with quotes forgotten, in the wrong place, in another encoding.
    #[test]
    fn credentials_are_not_repeated() {
        use std::os::unix::ffi::OsStringExt;

        let header = |value: &[u8]| {
            let words = [b"explain".as_slice(), b"--header", value].map(<[u8]>::to_vec);
            parse(words.map(OsString::from_vec)).unwrap_err()
        };
        for error in [
            typed("explain --header x-api-key: rw_x").unwrap_err(),
            typed("explain rw_x").unwrap_err(),
            header(b"rw_x"),
            header(b"x-api-key: rw_x\xff"),
            header(b"x-api-key: rw_x\r\na: b"),
            header(b"x-api-key: rw_x\x1b"),
            header(b"x-api key: rw_x"),
        ] {
            assert!(error.contains("--header") && !error.contains("rw_x"), "{error}");
        }
    }

    #[test]
    fn help_fits_on_one_screen() {
        assert!(HELP.lines().count() <= 25, "{}", HELP.lines().count());
        assert!(HELP.lines().all(|line| line.len() <= 110));
    }
}
