//! Is the tree as promised? Reads the files; knows nothing of the library.
//!
//! The tables below are the laws' text: what they say is what src/ARCHITECTURE.md means by "may". A change of a law is in
//! the same commit as the code that needs it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so by ending")]
#![allow(clippy::string_slice, reason = "every offset was found in the text it cuts")]

#[path = "tidy/broken.rs"]
mod broken;
#[path = "tidy/laws.rs"]
mod laws;
#[path = "tidy/source.rs"]
mod source;

use source::File;
use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::process::Output;

/// What whoever opens the folder sees; the lock file, the licences and the build's own folder come with the trade.
const ROOT: &[&str] = &["Cargo.toml", "README.md", "bench", "loadtest", "src", "tests", "tuning"];
const ROOT_OF_THE_TRADE: &[&str] = &["Cargo.lock", "LICENSE-APACHE", "LICENSE-MIT", "target"];

const MAY_IMPORT: &[laws::MayImport] = &[
    ("cli", ""),
    ("knobs", "sys ring"),
    ("units", ""),
    ("sys", "units"),
    ("ring", "units sys"),
    ("accept", "units ring wire"),
    ("wire", "units"),
    ("llm", "units wire"),
    ("admission", "units wire llm"),
    // balance: a key leads to a version as it leads to an endpoint.
    ("route", "units wire llm balance"),
    ("balance", "units"),
    ("upstream", "units ring wire"),
    ("relay", "units ring accept wire llm admission upstream record"),
    // Only why something was refused: the one list of all reasons must not drift from where they arise.
    ("record", "units wire admission"),
    ("config", "units"),
    // wire: a question to explain has a method.
    ("snapshot", "units wire llm admission route balance config"),
    // sys: a publication rings a bell, which is a descriptor. balance: what an endpoint's breaker does is decided there.
    ("crossing", "units sys admission balance record snapshot"),
    // knobs: only the bound on shards.
    (
        "shard",
        "knobs units sys ring accept wire llm admission route balance upstream relay record snapshot crossing",
    ),
    // cli: check and explain end with an exit code, and explain is asked in the words that were typed. sys: what shards and
    // control tell each other in moments is of one clock. balance: outliers are found, and endpoints shown, in its words.
    ("control", "cli units sys wire admission balance record config snapshot crossing"),
    ("mock", "units ring wire"),
    // serve is where the two kinds of thread meet; nothing imports it.
    ("serve", "knobs units sys admission crossing shard control mock"),
];

const LOADTEST_MAY_BORROW: &str = "units sys ring wire llm mock";

const WORDS: &[laws::Word] = &[
    ("monoio", "src/ring/", "the runtime has one address"),
    ("tokio", "src/control/", "shards have no reactor but the ring"),
    // The load tester waits for 40,000 streams at once with one call.
    ("unsafe {", "src/sys/ src/ring/ src/crossing/ loadtest/poll.rs", "proofs live together"),
    ("unsafe fn", "src/sys/ src/ring/ src/crossing/", "proofs live together"),
    ("unsafe impl", "src/sys/ src/ring/ src/crossing/", "proofs live together"),
    // rustls wants its settings in an Arc: the snapshot holds them, upstream passes them on. Snapshots share endpoints, which come
    // from files and sources; shards see none of the counts change.
    (
        "Arc<",
        "src/crossing/ src/control/ src/config/ src/snapshot/ src/upstream/",
        "shards share nothing",
    ),
    ("Atomic", "src/crossing/", "shards share nothing"),
    ("Mutex", "src/control/", "shards never wait for each other"),
    ("RwLock", "src/control/", "shards never wait for each other"),
    ("RefCell", "src/shard/state.rs", "one door to a shard's state"),
    ("select!", "src/control/", "a dropped read loses bytes"),
    (
        "async ",
        "src/ring/ src/accept/ src/upstream/ src/relay/ src/shard/ src/control/ src/mock/",
        "to decide is not to wait",
    ),
    ("Instant::now", "src/ring/clock.rs src/control/", "time is an argument"),
    // A shard looks at the wall clock once a tick, for the times in records.
    ("SystemTime", "src/control/ src/shard/start.rs loadtest/report.rs", "time is an argument"),
    (
        "thread::sleep",
        "src/ring/turn.rs src/control/log/access.rs loadtest/",
        "a shard that sleeps serves nobody",
    ),
    ("env::var", "src/main.rs src/control/ loadtest/", "the environment is an argument"),
    ("to_socket_addrs", "", "names are resolved by control, and never by waiting"),
    ("lazy_static", "", "no global state"),
    ("static mut", "", "no global state"),
    ("todo!", "", "finish it, or open an issue"),
    ("unimplemented!", "", "finish it, or open an issue"),
];

/// Lines of a file, its unit tests not counted.
const LINES_MAX: usize = 400;
const LONG_FILES: &[(&str, &str)] = &[
    ("loadtest/client/mod.rs", "one state machine of a simulated user, from plan to verdict"),
    ("src/control/metrics/reference.rs", "one list, an entry for each metric"),
    ("src/relay/response.rs", "one state machine of a response, head to end"),
    ("src/sys/socket.rs", "one short function for each system call, and why it is sound"),
];

/// Under which names the keys of a function of config/read stand.
const KEYS: &[(&str, &str)] = &[
    ("mod::file", ""),
    ("listen::listen", "listen."),
    ("listen::limits", "listen.limits."),
    ("listen::admin", "admin."),
    ("log::access_log", "access_log."),
    ("upstream::upstream", "upstream."),
    ("secret::source", "admin.token."),
    ("secret::source", "upstream.api_key."),
    ("secret::source", "jwt.secret."),
    ("secret::source", "tenant.signatures.secret."),
    ("secret::source", "tenant.upstream_keys.*."),
    ("upstream::endpoints", "upstream.endpoints."),
    ("upstream::deadlines", "upstream.deadlines."),
    ("upstream::deadlines", "model.deadlines."),
    ("upstream::adaptive", "upstream.deadlines.adaptive."),
    ("upstream::adaptive", "model.deadlines.adaptive."),
    ("upstream::pool", "upstream.pool."),
    ("balance::hash", "upstream.hash."),
    ("balance::queue", "upstream.queue."),
    ("health::health", "upstream.health."),
    ("health::breaker", "upstream.breaker."),
    ("health::outlier", "upstream.outlier."),
    ("registry::node", "node."),
    ("registry::register", "node.register."),
    ("registry::registry", "registry."),
    ("registry::config", "registry.config."),
    ("registry::consul", "registry.consul."),
    ("registry::etcd", "registry.etcd."),
    ("registry::urls", "registry.consul."),
    ("registry::urls", "registry.etcd."),
    ("secret::source", "registry.consul.token."),
    ("secret::source", "registry.etcd.password."),
    ("discover::entry", "upstream.discover."),
    ("discover::locality", "upstream.locality."),
    ("discover::damping", "upstream.damping."),
    ("route::route", "route."),
    ("route::share", "route.split."),
    ("route::sticky", "route.sticky."),
    ("route::matching", "route.match."),
    ("route::shadow", "route.shadow."),
    ("model::model", "model."),
    ("retry::retry", "model.retry."),
    ("retry::backoff", "model.retry.backoff."),
    ("retry::hedge", "model.hedge."),
    ("streams::resume", "model.resume."),
    ("streams::slow_reader", "model.slow_reader."),
    ("streams::throttle", "tenant.throttle."),
    ("listen::identity", "listen.identity."),
    ("tenant::keys_path", "keys."),
    ("tenant::tenant", "tenant."),
    ("tenant::key", "tenant.keys."),
    ("tenant::signature", "tenant.signatures."),
    ("jwt::window", "signature."),
    ("jwt::jwt", "jwt."),
    ("jwt::jwks", "jwt.jwks."),
    ("jwt::claims", "jwt.claims."),
    ("limits::parameters", "model.parameters."),
    ("limits::parameter", "model.parameters.*."),
    // What several tables have alike stands once, under its own name.
    ("level::combination", "middleware."),
    ("level::addresses", "addresses."),
    ("limits::counts", "limits."),
    ("limits::burst", "limits.burst."),
    ("limits::when_full", "when_full."),
    ("limits::queue", "when_full.queue."),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn tree() -> Vec<File> {
    source::read(root())
}

fn page(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn file(path: &str) -> File {
    File::new(path, &page(path))
}

#[track_caller]
fn expect_none(wrong: Vec<String>) {
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn the_root_shows_seven_things() {
    let names = fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().file_name());
    let names = names.map(|name| name.to_string_lossy().into_owned());
    let seen: Vec<String> =
        names.filter(|name| !ROOT_OF_THE_TRADE.contains(&name.as_str())).collect();
    expect_none(laws::root(&seen, ROOT));
}

#[test]
fn modules_know_only_whom_they_may() {
    expect_none(laws::imports(&tree(), MAY_IMPORT));
}

#[test]
fn the_load_tester_borrows_only_the_codec() {
    expect_none(laws::borrowed(&tree(), LOADTEST_MAY_BORROW));
}

#[test]
fn words_stay_at_home() {
    expect_none(laws::words(&tree(), WORDS));
}

#[test]
fn every_file_is_introduced() {
    expect_none(laws::introduced(&tree()));
}

#[test]
fn every_file_belongs_to_somebody() {
    expect_none(laws::adopted(&tree()));
}

#[test]
fn files_are_short_or_have_a_reason() {
    expect_none(laws::length(&tree(), LINES_MAX, LONG_FILES));
}

#[test]
fn the_map_is_the_tree() {
    expect_none(laws::map(&page("src/lib.rs"), &page("src/ARCHITECTURE.md")));
}

#[test]
fn every_knob_is_documented() {
    expect_none(laws::knobs(&tree(), &page("tuning/README.md")));
}

#[test]
fn every_metric_and_every_fault_is_documented() {
    let table = page("src/control/METRICS.md");
    expect_none(laws::metrics(&file("src/control/metrics/reference.rs"), &table));
    expect_none(laws::faults(&file("src/record/fault.rs"), &table));
}

#[test]
fn every_config_key_is_documented() {
    let read: Vec<File> =
        tree().into_iter().filter(|file| file.is_in("src/config/read/")).collect();
    expect_none(laws::keys(&read, &page("src/config/REFERENCE.md"), KEYS));
}

#[test]
fn the_readme_quotes_a_config_that_is_tested() {
    let config = page("tests/golden/files/config/readme.toml");
    expect_none(laws::quoted(&page("README.md"), &config));
}

#[test]
fn links_lead_somewhere() {
    expect_none(laws::links(&tree(), |path| root().join(path).exists()));
}

#[test]
fn the_readme_and_the_build_run_the_same_tests() {
    for page in [page("README.md"), page(".ci/run")] {
        assert!(page.lines().any(|line| line.trim() == "cargo test --workspace"), "{page}");
    }
}

#[test]
fn the_code_is_formatted() {
    let mut format = Command::new(env::var_os("CARGO").unwrap_or("cargo".into()));
    let done = run(format.args(["fmt", "--all", "--check"]));
    let said = String::from_utf8_lossy(&done.stderr);
    if said.contains("is not installed") && env::var_os("CI").is_none() {
        return; // A machine without rustfmt may still run the tests.
    }
    assert!(done.status.success(), "cargo fmt\n{}{said}", String::from_utf8_lossy(&done.stdout));
}

#[test]
fn shell_scripts_are_shell() {
    let scripts = tree().into_iter().filter(|file| {
        let first = file.text.lines().next().unwrap_or_default();
        first.starts_with("#!") && first.ends_with("sh")
    });
    let scripts: Vec<String> = scripts.map(|file| file.path).collect();
    for needed in [".ci/run", "tuning/host.sh"] {
        assert!(scripts.iter().any(|path| path == needed), "{needed} is not there");
    }
    for script in scripts {
        let done = run(Command::new("bash").args(["-n", &script]));
        assert!(done.status.success(), "{script}: {}", String::from_utf8_lossy(&done.stderr));
    }
}

#[test]
fn what_is_optimized_is_built_by_the_profile() {
    let asked = |level: &str, profile: &str| {
        let mut wrapped = Command::new(".cargo/rustc");
        run(wrapped.args(["echo", "-C", level]).env("RINGWAY_PROFILE", profile))
    };
    let args = |level: &str, profile: &str| {
        let done = asked(level, profile);
        assert!(done.status.success(), "{profile}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap()
    };
    assert!(args("opt-level=3", "").contains(".cargo/ringway.profdata"));
    assert!(args("opt-level=3", "use").contains("-Cprofile-use="));
    assert!(args("opt-level=3", "generate:/tmp/raw").contains("-Cprofile-generate=/tmp/raw"));
    assert_eq!(args("opt-level=3", "off"), "-C opt-level=3\n");
    assert_eq!(args("opt-level=0", "use"), "-C opt-level=0\n");
    for unknown in ["of", "generate:"] {
        let refused = asked("opt-level=3", unknown);
        assert_eq!(refused.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&refused.stderr).contains("write use, off or generate:"));
    }
}

/// A profile that the compiler cannot read would fail every release build.
#[test]
fn the_profile_can_be_read() {
    let made = env::temp_dir().join(format!("ringway-profile-{}", std::process::id()));
    fs::create_dir_all(&made).unwrap();
    let source = made.join("nothing.rs");
    fs::write(&source, "pub fn nothing() {}\n").unwrap();
    let mut compile = Command::new(".cargo/rustc");
    compile.arg(env::var_os("RUSTC").unwrap_or("rustc".into()));
    compile.args(["--crate-type=lib", "--emit=obj", "-C", "opt-level=3", "--out-dir"]);
    let done = run(compile.arg(&made).arg(&source).env("RINGWAY_PROFILE", "use"));
    fs::remove_dir_all(&made).unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success() && said.is_empty(), "{said}");
}

/// It looks and changes nothing. What it finds is the machine's matter; that it finds its way is ours.
#[test]
fn the_host_can_be_checked() {
    let done = run(Command::new("bash").args(["tuning/host.sh", "check"]));
    let said = String::from_utf8_lossy(&done.stdout);
    let complained = String::from_utf8_lossy(&done.stderr);
    assert!(matches!(done.status.code(), Some(0 | 1)), "{said}{complained}");
    assert!(complained.is_empty(), "{complained}");
    for setting in fs::read_to_string(root().join("tuning/sysctl.conf")).unwrap().lines() {
        let name = setting.split('=').next().unwrap_or_default().trim();
        let is_setting = !name.is_empty() && !name.starts_with('#');
        assert!(!is_setting || said.contains(name), "{name} is not in\n{said}");
    }
}

fn run(command: &mut Command) -> Output {
    let done = command.current_dir(root()).stdin(std::process::Stdio::null()).output();
    done.unwrap_or_else(|error| panic!("{command:?}: {error}"))
}
