//! What is there to test with: found, installed, or missing.

use std::env;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Whether nothing may be skipped.
fn is_strict() -> bool {
    let is_set = |name| env::var(name).is_ok_and(|value| value == "1" || value == "true");
    is_set("CI") || is_set("RINGWAY_TEST_INSTALL")
}

/// Installs what is missing, once for all tests.
fn install() {
    static DONE: OnceLock<()> = OnceLock::new();
    DONE.get_or_init(|| {
        if is_strict() {
            let script = Path::new(ROOT).join("tests/clients/install.sh");
            let status = Command::new("timeout").arg("600").arg(script).status().unwrap();
            assert!(status.success(), "install.sh failed: {status}");
        }
    });
}

/// The path of a program, or of a file or folder that `install.sh` makes; `None`, having said so, if it is not there.
#[expect(clippy::print_stderr, reason = "a skipped test must not look like one that passed")]
pub(crate) fn find(what: &str) -> Option<PathBuf> {
    install();
    let found = if what.starts_with("target/") {
        Some(Path::new(ROOT).join(what)).filter(|path| path.exists())
    } else {
        let path = env::var_os("PATH").unwrap_or_default();
        let folders = env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
        folders.map(|folder| folder.join(what)).find(|path| path.is_file())
    };
    if found.is_none() {
        assert!(!is_strict(), "{what} is missing although install.sh has run");
        let test = std::thread::current().name().unwrap_or_default().to_owned();
        eprintln!("SKIPPED {test}: {what} is not there; run tests/clients/install.sh");
    }
    found
}

/// Finds something or skips the test, which CI does not allow.
macro_rules! need {
    ($what:expr) => {
        match $crate::needs::find($what) {
            Some(path) => path,
            None => return,
        }
    };
}
pub(crate) use need;
