//! `ringway check` and `ringway explain`: what a config would do, without doing it.

use crate::cli::Exit;
use crate::cli::Explain;
use crate::config::Error;
use crate::config::File;
use crate::control::file::Source;
use crate::control::resolve::Resolver;
use crate::control::state::unix_ms;
use crate::snapshot::Asked;
use crate::snapshot::Ledger;
use crate::snapshot::Look;
use crate::snapshot::Outline;
use crate::snapshot::Snapshot;
use crate::snapshot::World;
use crate::snapshot::build;
use crate::snapshot::diff_outlines;
use crate::snapshot::explain as explain_request;
use crate::snapshot::outline;
use crate::snapshot::warnings;
use std::io;
use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::path::PathBuf;
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
    let (file, world, snapshot) = match load(&source, false) {
        Ok(loaded) => loaded,
        Err(errors) => return complain(&errors, complaints),
    };
    for warning in warnings(&file, &world) {
        writeln!(out, "warning: {warning}")?;
    }
    let (models, upstreams) = (snapshot.models.len(), snapshot.upstreams.len());
    let endpoints = snapshot.endpoints.len();
    writeln!(
        out,
        "OK: {} ({models} model(s), {upstreams} upstream(s), {endpoints} endpoint(s))",
        source.name()
    )?;
    match running(file.admin.address) {
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
    let (_, _, snapshot) = match load(&source, true) {
        Ok(loaded) => loaded,
        Err(errors) => return complain(&errors, complaints),
    };
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
    for error in errors {
        writeln!(complaints, "{error}")?;
    }
    Ok(Exit::Config)
}

fn load(source: &Source, has_names: bool) -> Result<(File, World, Snapshot), Vec<Error>> {
    let (file, mut world) = source.load()?;
    if has_names {
        world.addresses = look_up(&file);
    }
    let snapshot = build(&file, &world, &mut Ledger::default(), 0)?;
    Ok((file, world, snapshot))
}

fn look_up(file: &File) -> std::collections::HashMap<String, Vec<std::net::IpAddr>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let Ok(runtime) = runtime else {
        return std::collections::HashMap::new();
    };
    let mut resolver = Resolver::new();
    resolver.want(file, Instant::now());
    runtime.block_on(resolver.refresh(Instant::now()));
    resolver.addresses()
}

/// The outline of the gateway that answers at `admin`; why there is none, in words.
fn running(admin: SocketAddr) -> Result<Outline, String> {
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
    let request = format!("GET /admin/snapshot HTTP/1.0\r\nhost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).map_err(explain)?;
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
