//! Text to checked values: the file of `ringway serve --config`, read whole, all its errors at once.
//!
//! Every error says where (file, line, path), what is wrong, and what to write instead. Nothing here opens a
//! file, reads a variable or looks up a name: the control thread does, and asks [`crate::snapshot`] to build.

mod check;
mod error;
mod file;
mod nearest;
mod read;
mod section;
mod url;

pub use check::warnings;
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

/// Reads a file's text. `name` is how the file is called in errors; paths inside the file are taken
/// relative to the folder that `name` is in.
///
/// # Errors
/// All that is wrong with the text, in the order of its lines: either every place where it is not TOML, or
/// (when it is) every key and value that cannot be used.
pub fn parse(text: &str, name: &str) -> Result<File, Vec<Error>> {
    let (file, mut errors) = read::file(text, name);
    if errors.is_empty() {
        return Ok(file);
    }
    errors.sort_by(|a, b| a.place.cmp(&b.place).then_with(|| a.text.cmp(&b.text)));
    errors.dedup();
    Err(errors)
}
