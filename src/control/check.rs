//! `ringway check` and `ringway explain`: what a config would do, without doing it.

use crate::cli::Exit;
use crate::cli::Explain;
use crate::config;
use crate::config::Error;
use crate::config::File;
use crate::control::discover::desk::Discovery;
use crate::control::file::Source;
use crate::control::metrics::SourceNumbers;
use crate::control::resolve::Resolver;
use crate::control::state::unix_ms;
use crate::snapshot::AdminToken;
use crate::snapshot::Asked;
use crate::snapshot::Ledger;
use crate::snapshot::Look;
use crate::snapshot::Outline;
use crate::snapshot::Snapshot;
use crate::snapshot::World;
use crate::snapshot::build;
use crate::snapshot::diff_outlines;
use crate::snapshot::endpoints;
use crate::snapshot::explain as explain_request;
use crate::snapshot::outline;
use crate::snapshot::warnings;
use std::io;
use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

/// How long the running gateway may take to answer.
const ADMIN_TIMEOUT: Duration = Duration::from_secs(2);
/// The longest answer of a running gateway that is read, in bytes.
const ADMIN_BYTES_MAX: u64 = 64 << 20;

/// `ringway check`: says whether the file is good (`out`), or all that is wrong with it (`complaints`), and what it
/// would change in the gateway that answers at the file's admin address.
///
/// # Errors
/// Those of writing.
pub fn check(config: PathBuf, out: &mut dyn Write, complaints: &mut dyn Write) -> io::Result<Exit> {
    let source = Source::File(config);
    let Loaded { file, mut world, mut snapshot, troubles } = match load(&source, false) {
        Ok(loaded) => loaded,
        Err(errors) => return complain(&errors, complaints),
    };
    for warning in warnings(&file, &world) {
        writeln!(out, "warning: {warning}")?;
    }
    for Trouble { text, .. } in &troubles {
        writeln!(out, "warning: {text}")?;
    }
    let running = running(file.admin.address, snapshot.admin_token.as_ref());
    if let Ok(running) = &running
        && take_over(running, &troubles, &mut world)
        && let Ok(whole) = build(&file, &world, &mut Ledger::default(), 0)
    {
        snapshot = whole;
    }
    let (models, upstreams) = (snapshot.models.len(), snapshot.upstreams.len());
    let endpoints = snapshot.endpoints.len();
    writeln!(
        out,
        "OK: {} ({models} model(s), {upstreams} upstream(s), {endpoints} endpoint(s))",
        source.name()
    )?;
    match running {
        Err(why) => writeln!(
            out,
            "nothing to compare with: no gateway answers at {} ({why})",
            file.admin.address
        )?,
        Ok(running) => {
            let changes = diff_outlines(&running, &outline(&snapshot));
            let number = running.number;
            if changes.is_empty() {
                writeln!(out, "nothing would change in the running gateway (snapshot {number})")?;
            } else {
                writeln!(out, "would change in the running gateway (snapshot {number}):")?;
            }
            for change in changes {
                writeln!(out, "  {change}")?;
            }
        }
    }
    Ok(Exit::Ok)
}

/// `ringway explain`: says what would happen to a request. `demo` is the config for when no file is given.
///
/// # Errors
/// Those of writing.
pub fn explain(
    asked: &Explain,
    demo: Source,
    out: &mut dyn Write,
    complaints: &mut dyn Write,
) -> io::Result<Exit> {
    let source = asked.config.clone().map_or(demo, Source::File);
    let Loaded { snapshot, troubles, .. } = match load(&source, true) {
        Ok(loaded) => loaded,
        Err(errors) => return complain(&errors, complaints),
    };
    for Trouble { text, .. } in troubles {
        writeln!(complaints, "warning: {text}")?;
    }
    let request = Asked {
        method: &asked.method,
        path: &asked.path,
        model: asked.model.as_deref(),
        fields: &asked.headers,
        address: asked.address,
        tenant: asked.tenant.as_deref(),
        now_unix_ms: unix_ms(),
        look: Look::default(),
    };
    let explanation = explain_request(&snapshot, request);
    if asked.is_json {
        serde_json::to_writer_pretty(&mut *out, &explanation)?;
        writeln!(out)?;
    } else {
        write!(out, "{explanation}")?;
    }
    Ok(Exit::Ok)
}

/// Writes one error a line.
///
/// # Errors
/// Those of writing.
pub fn complain(errors: &[Error], complaints: &mut dyn Write) -> io::Result<Exit> {
    for line in config::error_lines(errors) {
        writeln!(complaints, "{line}")?;
    }
    Ok(Exit::Config)
}

/// A config with all that can be found of it now.
struct Loaded {
    file: File,
    world: World,
    snapshot: Snapshot,
    troubles: Vec<Trouble>,
}

/// What could not be asked, or makes no sense.
struct Trouble {
    /// For people.
    text: String,
    /// The source of endpoints that it is about: its upstream's name, and what is asked.
    source: Option<(String, String)>,
}

/// Registries and other sources are asked once: who does not answer is a trouble, not an error.
fn load(source: &Source, has_names: bool) -> Result<Loaded, Vec<Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let Ok(runtime) = runtime else {
        let (file, world) = source.load()?;
        let snapshot = build(&file, &world, &mut Ledger::default(), 0)?;
        return Ok(Loaded { file, world, snapshot, troubles: Vec::new() });
    };
    runtime.block_on(async {
        let mut discovery = Discovery::new();
        let (file, mut world, _) = discovery.load(source).await?;
        if has_names {
            let mut resolver = Resolver::new();
            resolver.want(endpoints(&file, &world.found), Instant::now());
            resolver.refresh(Instant::now()).await;
            world.addresses = resolver.addresses();
        }
        let snapshot = build(&file, &world, &mut Ledger::default(), 0)?;
        Ok(Loaded { file, world, snapshot, troubles: troubles(&discovery) })
    })
}

fn troubles(discovery: &Discovery) -> Vec<Trouble> {
    let of_registries = discovery.troubles().into_iter();
    let of_registries = of_registries.map(|text| Trouble { text, source: None });
    let of_source = |numbers: SourceNumbers| {
        let why = numbers.trouble.unwrap_or_else(|| "no answer in time".to_owned());
        let (upstream, source) = (numbers.upstream, numbers.source);
        let text = format!("upstream \"{upstream}\": {source} cannot be asked: {why}");
        Trouble { text, source: Some((upstream, source)) }
    };
    let down = discovery.numbers().into_iter().filter(|numbers| !numbers.is_up);
    of_registries.chain(down.map(of_source)).collect()
}

/// Believes the running gateway what it knows of sources that could not be asked. Whether that is anything.
fn take_over(running: &Outline, troubles: &[Trouble], world: &mut World) -> bool {
    let mut is_any = false;
    for (upstream, source) in troubles.iter().filter_map(|trouble| trouble.source.as_ref()) {
        let known = running.upstreams.iter().filter(|known| known.name == *upstream);
        let known = known.flat_map(|known| &known.endpoints);
        for endpoint in known.filter(|endpoint| endpoint.source.as_ref() == Some(source)) {
            let found = world.found.entry(upstream.clone()).or_default();
            found.extend(endpoint.found().map(Arc::new));
            is_any = true;
        }
    }
    is_any
}

/// The outline of the gateway that answers at `admin`; why there is none, in words.
fn running(admin: SocketAddr, token: Option<&AdminToken>) -> Result<Outline, String> {
    let mut address = admin;
    if admin.ip().is_unspecified() {
        let ip: std::net::IpAddr = if admin.is_ipv4() {
            std::net::Ipv4Addr::LOCALHOST.into()
        } else {
            std::net::Ipv6Addr::LOCALHOST.into()
        };
        address.set_ip(ip);
    }
    let explain = |why: io::Error| why.to_string();
    let mut stream = TcpStream::connect_timeout(&address, ADMIN_TIMEOUT).map_err(explain)?;
    stream.set_read_timeout(Some(ADMIN_TIMEOUT)).map_err(explain)?;
    stream.set_write_timeout(Some(ADMIN_TIMEOUT)).map_err(explain)?;
    // HTTP/1.0: the answer has no chunks and ends with the connection.
    let mut request = format!("GET /admin/snapshot HTTP/1.0\r\nhost: {address}\r\n").into_bytes();
    if let Some(token) = token {
        request.extend([b"authorization: Bearer ", token.secret.expose(), b"\r\n"].concat());
    }
    request.extend(b"\r\n");
    stream.write_all(&request).map_err(explain)?;
    let mut answer = Vec::new();
    stream.take(ADMIN_BYTES_MAX).read_to_end(&mut answer).map_err(explain)?;
    let end = memchr::memmem::find(&answer, b"\r\n\r\n").ok_or("its answer is not HTTP")?;
    let (head, body) = answer.split_at(end + 4);
    let is_ok = head.split(|byte| *byte == b' ').nth(1) == Some(b"200");
    if !is_ok {
        return Err("its answer is not a snapshot".to_owned());
    }
    serde_json::from_slice(body).map_err(|why| format!("its snapshot cannot be read: {why}"))
}
