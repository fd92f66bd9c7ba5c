//! Text to checked values: the file of `ringway serve --config`, read whole, all its errors at once.
//!
//! Every error says where (file, line, path), what is wrong, and what to write instead. Nothing here opens a
//! file, reads a variable or looks up a name: the control thread does, and asks [`crate::snapshot`] to build.

mod access;
mod check;
mod cidr;
mod date;
mod deadlines;
mod discover;
mod error;
mod file;
pub mod keys;
mod limits;
mod nearest;
mod policy;
mod read;
mod resilience;
mod routes;
mod section;
mod streams;
mod url;

pub use access::warnings;
pub use check::fits_label;
pub use check::unknown;
pub use cidr::Cidr;
pub use cidr::read as read_networks;
pub use date::parse as parse_date;
pub use date::show as show_date;
pub use deadlines::DeadlineOverrides;
pub use deadlines::Deadlines;
pub use deadlines::Pool;
pub use discover::ConfigPrefix;
pub use discover::Damping;
pub use discover::Discover;
pub use discover::Locality;
pub use discover::Node;
pub use discover::Others;
pub use discover::Register;
pub use discover::Registry;
pub use discover::RegistryKind;
pub use discover::Source as DiscoverSource;
pub use discover::Traits;
pub use error::Error;
pub use error::Place;
pub use error::lines as error_lines;
pub use file::AccessLog;
pub use file::Admin;
pub use file::Ca;
pub use file::Dialect;
pub use file::Endpoint;
pub use file::File;
pub use file::KeySource;
pub use file::Limits;
pub use file::Listen;
pub use file::LogPath;
pub use file::Model;
pub use file::SecretPlace;
pub use file::Upstream;
pub use keys::Grant;
pub use keys::KeyFile;
pub use keys::KeyLine;
pub use nearest::nearest;
pub use nearest::suggest;
pub use policy::ALGORITHMS;
pub use policy::Addresses;
pub use policy::Algorithm;
pub use policy::Claims;
pub use policy::Count;
pub use policy::FileSource;
pub use policy::ISSUERS_MAX;
pub use policy::Identity;
pub use policy::Jwt;
pub use policy::JwtKeys;
pub use policy::KEYS_MAX;
pub use policy::LIMIT_MAX;
pub use policy::Level;
pub use policy::Measure;
pub use policy::Middleware;
pub use policy::ModelLimits;
pub use policy::NETWORKS_MAX;
pub use policy::Named;
pub use policy::Parameter;
pub use policy::Parameters;
pub use policy::Quotas;
pub use policy::SIGNATURE_WINDOW_S_MAX;
pub use policy::SignatureKey;
pub use policy::Step;
pub use policy::TENANTS_MAX;
pub use policy::Tenant;
pub use policy::TenantKey;
pub use policy::WhenFull;
pub use resilience::Adaptive;
pub use resilience::AllDown;
pub use resilience::AttemptDeadline;
pub use resilience::Backoff;
pub use resilience::Balance;
pub use resilience::Breaker;
pub use resilience::FALLBACKS_MAX;
pub use resilience::Hash;
pub use resilience::HashBy;
pub use resilience::Health;
pub use resilience::Hedge;
pub use resilience::HedgeAfter;
pub use resilience::Outlier;
pub use resilience::Priority;
pub use resilience::Queue;
pub use resilience::Retry;
pub use resilience::RetryOn;
pub use routes::Match;
pub use routes::Route;
pub use routes::Shadow;
pub use routes::Share;
pub use routes::Sticky;
pub use routes::VersionSpec;
pub use section::show_hundredths;
pub use streams::Format;
pub use streams::Heartbeat;
pub use streams::Resume;
pub use streams::ResumeMode;
pub use streams::SLOW_READER_BYTES_MAX;
pub use streams::SlowReader;
pub use streams::Streams;
pub use streams::Throttle;
pub use url::Url;

/// Reads a file's text: what could be read of it, and all that is wrong with it, in the order of its lines: either
/// every place where it is not TOML, or (when it is) every key and value that cannot be used. The file is whole only
/// where there are no errors.
///
/// `name` is how the file is called in errors; paths inside it are taken relative to the folder that `name` is in.
#[must_use]
pub fn read(text: &str, name: &str) -> (File, Vec<Error>) {
    let (file, mut errors) = read::file(text, name);
    errors.sort();
    errors.dedup();
    (file, errors)
}

/// Like [`read()`], for whoever has no use for half a file.
///
/// # Errors
/// All that is wrong with the text.
pub fn parse(text: &str, name: &str) -> Result<File, Vec<Error>> {
    let (file, errors) = read(text, name);
    if errors.is_empty() { Ok(file) } else { Err(errors) }
}
