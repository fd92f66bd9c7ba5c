//! Text to checked values: the file of `ringway serve --config`, read whole, all its errors at once.
//!
//! Every error says where (file, line, path), what is wrong, and what to write instead. Nothing here opens a
//! file, reads a variable or looks up a name: the control thread does, and asks [`crate::snapshot`] to build.

mod check;
mod cidr;
mod error;
mod file;
mod listener;
mod nearest;
mod read;
mod section;
mod url;

pub use check::warnings;
pub use cidr::Cidr;
pub use error::Error;
pub use error::Place;
pub use file::AccessLog;
pub use file::Admin;
pub use file::Balance;
pub use file::Ca;
pub use file::DeadlineOverrides;
pub use file::Deadlines;
pub use file::Dialect;
pub use file::Endpoint;
pub use file::File;
pub use file::KeySource;
pub use file::Limits;
pub use file::Listen;
pub use file::LogPath;
pub use file::Model;
pub use file::Pool;
pub use file::SecretPlace;
pub use file::Upstream;
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
