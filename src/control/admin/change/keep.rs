//! Writing the config file: whole or not at all, with its mode and its owner, where a symbolic link leads.

use std::fs;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::fs::fchown;
use std::path::Path;
use std::path::PathBuf;

/// Why the file is as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unkept {
    /// Somebody else has written it since it was read.
    Other,
    /// It cannot be written: why.
    Failed(String),
}

/// Writes `after` to the file at `path`, unless it is no longer what it was `before`. It has the one text or the other at
/// any time, also after a loss of power. Blocks.
///
/// # Errors
/// Why nothing is written.
pub(super) fn write(path: &Path, before: &str, after: &str) -> Result<(), Unkept> {
    let failed = |what: &str, at: &Path, why: &io::Error| {
        let hint = match why.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                ": let ringway's user write there, or change the file where it comes from"
            }
            io::ErrorKind::ResourceBusy => {
                ": a file that is mounted by itself cannot be replaced: mount its folder"
            }
            _ => "",
        };
        Unkept::Failed(format!("{} cannot be {what}: {why}{hint}", at.display()))
    };
    // The file is replaced, not the link that leads to it.
    let path = fs::canonicalize(path).map_err(|why| failed("found", path, &why))?;
    if fs::read(&path).map_err(|why| failed("read", &path, &why))? != before.as_bytes() {
        return Err(Unkept::Other);
    }
    let next = beside(&path);
    let done = fill(&path, &next, after).map_err(|why| failed("written", &next, &why));
    let done =
        done.and_then(|()| fs::rename(&next, &path).map_err(|why| failed("replaced", &path, &why)));
    if done.is_err() {
        // It may never have been there.
        fs::remove_file(&next).ok();
        return done;
    }
    // What is renamed is durable once its folder is; where that cannot be, the change is still made.
    let folder = path.parent().map(File::open);
    folder.and_then(Result::ok).and_then(|folder| folder.sync_all().ok());
    Ok(())
}

/// Where the next text is made. One name for all: what a crash has left is taken away by the next change.
fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.ringway-next"))
}

fn fill(path: &Path, next: &Path, text: &str) -> io::Result<()> {
    let like = fs::metadata(path)?;
    match fs::remove_file(next) {
        Err(why) if why.kind() != io::ErrorKind::NotFound => return Err(why),
        _ => {}
    }
    // Nobody else may read it before it has the mode that it is to have.
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(next)?;
    let own = file.metadata()?;
    if (own.uid(), own.gid()) != (like.uid(), like.gid()) {
        fchown(&file, Some(like.uid()), Some(like.gid()))?;
    }
    file.set_permissions(like.permissions())?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::fs::symlink;

    fn folder(name: &str) -> PathBuf {
        let folder =
            std::env::temp_dir().join(format!("ringway-keep-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn mode_and_link_stay() {
        let folder = folder("mode");
        let (file, link) = (folder.join("a.toml"), folder.join("link.toml"));
        fs::write(&file, "1").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        symlink("a.toml", &link).unwrap();
        // Left by somebody who was cut off.
        fs::write(folder.join(".a.toml.ringway-next"), "half").unwrap();
        assert_eq!(write(&link, "1", "2"), Ok(()));
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&file).unwrap(), "2");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o640);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 2);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn what_somebody_else_wrote_is_not_lost() {
        let folder = folder("other");
        let file = folder.join("a.toml");
        fs::write(&file, "theirs").unwrap();
        assert_eq!(write(&file, "1", "2"), Err(Unkept::Other));
        assert_eq!(fs::read_to_string(&file).unwrap(), "theirs");
        fs::remove_dir_all(&folder).unwrap();
        assert!(matches!(write(&file, "1", "2"), Err(Unkept::Failed(_))));
    }
}
