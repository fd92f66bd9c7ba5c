//! The config file and what it refers to, read from disk and environment: text, secrets, certificates.

mod policy_files;

use crate::config;
use crate::config::Error;
use crate::config::File;
use crate::config::JwtKeys;
use crate::config::Place;
use crate::config::SecretPlace;
use crate::control::discover::overlay;
use crate::control::discover::overlay::Composed;
use crate::control::discover::overlay::Good;
use crate::control::discover::overlay::Held;
use crate::snapshot::Secret;
use crate::snapshot::World;
use crate::snapshot::clashes;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

/// The longest config file or bundle of certificates, in bytes.
const FILE_BYTES_MAX: u64 = 16 << 20;
/// The longest file that holds a key, in bytes.
const SECRET_BYTES_MAX: u64 = 64 << 10;

/// Where the config comes from.
#[derive(Clone, Debug)]
pub enum Source {
    /// A file, read again when it changes.
    File(PathBuf),
    /// A text of our own, for when no file is given.
    BuiltIn(String),
}

impl Source {
    /// The config for when no file is given: one model, served by `mock`.
    #[must_use]
    pub fn demo(mock: std::net::SocketAddr) -> Self {
        Self::BuiltIn(format!(
            "[[upstream]]\nname = \"mock\"\nendpoints = [{{ url = \"http://{mock}\" }}]\n\n\
             [[model]]\nname = \"demo\"\naliases = [\"gpt-4o-mini\", \"gpt-4o\"]\nupstream = \"mock\"\n"
        ))
    }

    /// How the source is called in errors and logs.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::BuiltIn(_) => "(built in)".to_owned(),
        }
    }

    /// The config's text.
    ///
    /// # Errors
    /// That it cannot be read.
    pub(crate) fn text(&self) -> Result<String, Vec<Error>> {
        match self {
            Self::BuiltIn(text) => Ok(text.clone()),
            Self::File(path) => read_bounded(path, FILE_BYTES_MAX)
                .and_then(|bytes| String::from_utf8(bytes).map_err(|_| "is not UTF-8".to_owned()))
                .map_err(|text| vec![Error { file: self.name(), place: Place::default(), text }]),
        }
    }

    /// Reads and checks the config, and reads the keys and certificates that it refers to (no addresses).
    ///
    /// # Errors
    /// That it cannot be read, or all that is wrong with it and with what it refers to.
    pub fn load(&self) -> Result<(File, World), Vec<Error>> {
        let name = self.name();
        let (file, mut errors) = config::read(&self.text()?, &name);
        errors.extend(clashes(&file));
        with_world(file, errors)
    }

    /// The same of a text that was read from it, with what registries hold of the config behind it.
    ///
    /// # Errors
    /// As before; what is wrong with a registry's entries is none, they are left out or as they were.
    pub(super) fn load_with(
        &self,
        text: &str,
        held: &[Held],
        good: &mut Good,
    ) -> Result<Loaded, Vec<Error>> {
        let Composed { file, errors, refused } = overlay::compose(text, &self.name(), held, good);
        let (file, world) = with_world(file, errors)?;
        Ok(Loaded { file, world, refused })
    }
}

/// A config that was read with what registries hold of it.
pub(super) struct Loaded {
    pub(super) file: File,
    pub(super) world: World,
    /// What is wrong with entries of registries.
    pub(super) refused: Vec<Error>,
}

/// What a part of a config refers to, as far as it is there: of use while the rest is missing.
pub(super) fn world_of(file: &File) -> World {
    world(file, &mut Vec::new())
}

fn with_world(file: File, mut errors: Vec<Error>) -> Result<(File, World), Vec<Error>> {
    let world = world(&file, &mut errors);
    if errors.is_empty() {
        return Ok((file, world));
    }
    errors.sort();
    Err(errors)
}

/// Reads the keys and certificates that `file` refers to.
fn world(file: &File, errors: &mut Vec<Error>) -> World {
    let mut world = World { now_unix_s: unix_time().as_secs(), ..World::default() };
    for source in file.secrets() {
        if world.secrets.contains_key(&source.from) {
            continue;
        }
        match secret(&source.from) {
            Ok(secret) => {
                Arc::make_mut(&mut world.secrets).insert(source.from.clone(), secret);
            }
            Err(text) => errors.push(file.error(&source.place, text)),
        }
    }
    policy_files::read(file, &mut world, errors);
    for jwt in &file.jwt {
        match &jwt.keys {
            Some(JwtKeys::Url { ca: Some(ca), .. }) => match ca_roots(&ca.path) {
                Ok(roots) => {
                    world.ca_roots.insert(ca.path.clone(), roots);
                }
                Err(text) => errors.push(file.error(&ca.place, text)),
            },
            Some(JwtKeys::Url { url, .. }) if !url.starts_with("http://") => {
                world.system_roots.get_or_insert_with(system_roots);
            }
            _ => {}
        }
    }
    for upstream in &file.upstreams {
        if let Some(ca) = &upstream.ca {
            match ca_roots(&ca.path) {
                Ok(roots) => {
                    world.ca_roots.insert(ca.path.clone(), roots);
                }
                Err(text) => errors.push(file.error(&ca.place, text)),
            }
        } else if upstream.endpoints.iter().any(|endpoint| endpoint.url.is_https)
            || !upstream.discover.is_empty()
        {
            // What will be found may be https.
            world.system_roots.get_or_insert_with(system_roots);
        }
    }
    for registry in &file.registries {
        if let Some(ca) = &registry.ca {
            match ca_roots(&ca.path) {
                Ok(roots) => {
                    world.ca_roots.insert(ca.path.clone(), roots);
                }
                Err(text) => errors.push(file.error(&ca.place, text)),
            }
        } else if registry.kind.urls().iter().any(|url| url.is_https) {
            world.system_roots.get_or_insert_with(system_roots);
        }
    }
    world
}

/// The state of all files that a config is made of: the same as long as none of them was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stamp(Vec<(PathBuf, Option<(SystemTime, u64)>)>);

impl Stamp {
    /// Looks at the source, the files that `file` names, and the system's names of hosts.
    #[must_use]
    pub fn take(source: &Source, file: Option<&File>) -> Self {
        let Source::File(path) = source else {
            return Self::default();
        };
        let mut paths = vec![path.clone()];
        for upstream in file.into_iter().flat_map(|file| &file.upstreams) {
            paths.extend(upstream.ca.as_ref().map(|ca| ca.path.clone()));
        }
        for registry in file.into_iter().flat_map(|file| &file.registries) {
            paths.extend(registry.ca.as_ref().map(|ca| ca.path.clone()));
        }
        for jwt in file.into_iter().flat_map(|file| &file.jwt) {
            if let Some(JwtKeys::Url { ca: Some(ca), .. }) = &jwt.keys {
                paths.push(ca.path.clone());
            }
        }
        if let Some(file) = file {
            paths.extend(file.secrets().filter_map(|source| match &source.from {
                SecretPlace::File(path) => Some(path.clone()),
                SecretPlace::Env(_) => None,
            }));
            paths.extend(policy_files::paths(file));
        }
        paths.extend(["/etc/hosts", "/etc/resolv.conf"].map(PathBuf::from));
        let look = |path: PathBuf| {
            let state =
                fs::metadata(&path).and_then(|meta| Ok((meta.modified()?, meta.len()))).ok();
            (path, state)
        };
        Self(paths.into_iter().map(look).collect())
    }

    /// The files that `later` looked at: as they were then, where this stamp did not look at them.
    #[must_use]
    pub fn with_paths_of(&self, later: Self) -> Self {
        let earlier = |path: &PathBuf| self.0.iter().find(|(known, _)| known == path);
        Self(later.0.into_iter().map(|seen| earlier(&seen.0).cloned().unwrap_or(seen)).collect())
    }
}

/// Time since 1970.
pub(crate) fn unix_time() -> std::time::Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn secret(from: &SecretPlace) -> Result<Secret, String> {
    let bytes = match from {
        SecretPlace::Env(name) => match std::env::var(name) {
            Ok(value) => value.into_bytes(),
            Err(std::env::VarError::NotPresent) => {
                return Err(format!(
                    "the variable {name} is not set: set it where ringway is started"
                ));
            }
            Err(std::env::VarError::NotUnicode(_)) => {
                return Err(format!("the variable {name} holds what is not text"));
            }
        },
        SecretPlace::File(path) => read_bounded(path, SECRET_BYTES_MAX)
            .map_err(|why| format!("{} {why}", path.display()))?,
    };
    Ok(Secret::new(bytes.trim_ascii().to_vec()))
}

fn ca_roots(path: &Path) -> Result<RootCertStore, String> {
    let name = path.display();
    let pem = read_bounded(path, FILE_BYTES_MAX).map_err(|why| format!("{name} {why}"))?;
    let mut roots = RootCertStore::empty();
    for (index, certificate) in CertificateDer::pem_slice_iter(&pem).enumerate() {
        let number = index + 1;
        let wrong = |why: String| format!("{name}: certificate {number} cannot be used: {why}");
        let certificate = certificate.map_err(|why| wrong(why.to_string()))?;
        roots.add(certificate).map_err(|why| wrong(why.to_string()))?;
    }
    if roots.is_empty() {
        return Err(format!(
            "{name} holds no certificate: it must have a -----BEGIN CERTIFICATE----- line"
        ));
    }
    Ok(roots)
}

/// The system's roots, or Mozilla's where it has none.
fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        tracing::warn!("the system has no root certificates; those compiled in are used");
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    roots
}

/// A file's bytes; why not, as the end of a sentence that begins with its name.
pub(super) fn read_bounded(path: &Path, bytes_max: u64) -> Result<Vec<u8>, String> {
    let explain = |why: std::io::Error| match why.kind() {
        std::io::ErrorKind::NotFound => "does not exist".to_owned(),
        std::io::ErrorKind::PermissionDenied => "may not be read by this user".to_owned(),
        std::io::ErrorKind::IsADirectory => "is a folder, not a file".to_owned(),
        _ => format!("cannot be read: {why}"),
    };
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(explain)?;
    file.take(bytes_max + 1).read_to_end(&mut bytes).map_err(explain)?;
    if u64::try_from(bytes.len()).is_ok_and(|len| len > bytes_max) {
        return Err(format!("is longer than {bytes_max} bytes"));
    }
    Ok(bytes)
}
