//! `[access_log]`.

use crate::config::file::AccessLog;
use crate::config::file::LogPath;
use crate::config::section::Errors;
use crate::config::section::Section;
use std::path::Path;

pub(super) fn access_log(
    section: Option<Section<'_>>,
    folder: &Path,
    errors: &mut Errors<'_>,
) -> Option<AccessLog> {
    let section = section?;
    section.refuse_unknown(&["path"], &[], errors);
    let path = section.required("path", errors)?;
    let path = match path.value.as_str() {
        "stdout" => LogPath::Stdout,
        text => LogPath::File(folder.join(text)),
    };
    Some(AccessLog { path })
}
