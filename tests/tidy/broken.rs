//! Every law fails when it is broken: a law that cannot fail is none.

use crate::laws;
use crate::source::File;

fn files(all: &[(&str, &str)]) -> Vec<File> {
    all.iter().map(|(path, text)| File::new(path, text)).collect()
}

#[track_caller]
fn holds(wrong: Vec<String>) {
    assert_eq!(wrong, Vec::<String>::new());
}

#[track_caller]
fn breaks(wrong: Vec<String>, says: &str) {
    assert!(wrong.iter().any(|line| line.contains(says)), "{says:?} is not in {wrong:?}");
}

#[test]
fn a_folder_more_or_less_in_the_root() {
    let seen = ["src".to_owned(), ".git".to_owned()];
    holds(laws::root(&seen, &["src"]));
    breaks(laws::root(&seen, &[]), "src: in the root");
    breaks(laws::root(&seen, &["src", "tests"]), "tests: in the promise");
}

#[test]
fn an_import_that_is_not_in_the_table() {
    let table = &[("wire", "units"), ("relay", "wire")];
    let tree = |line: &str| files(&[("src/wire/head.rs", line)]);
    holds(laws::imports(&tree("use crate::units::Moment;\nuse crate::wire::limits;"), table));
    holds(laws::imports(&tree("// use crate::relay::reply;"), table));
    holds(laws::imports(&tree("use super::limits;"), table));
    holds(laws::imports(&tree("#[cfg(test)]\nmod tests {\nuse crate::relay;\n}"), table));
    breaks(laws::imports(&tree("use crate::relay::reply;"), table), "wire may not know relay");
    breaks(laws::imports(&tree("fn f(a: crate::relay::A) {}"), table), "wire may not know relay");
    breaks(laws::imports(&tree("use crate::{relay, units};"), table), "write crate::MODULE");
    breaks(laws::imports(&tree("use super::super::relay;"), table), "write crate::MODULE");
    breaks(laws::imports(&files(&[("src/new.rs", "")]), table), "knows no module new");
}

#[test]
fn a_load_tester_that_borrows_the_gateway() {
    let tree = |line: &str| files(&[("loadtest/plan.rs", line)]);
    holds(laws::borrowed(&tree("use ringway::wire::sse;"), "wire"));
    breaks(laws::borrowed(&tree("use ringway::relay::reply;"), "wire"), "borrows relay");
}

#[test]
fn a_word_away_from_home() {
    let table = &[("monoio", "src/ring/", "the runtime has one address")];
    holds(laws::words(&files(&[("src/ring/mod.rs", "monoio::start()")]), table));
    holds(laws::words(
        &files(&[("src/relay/mod.rs", "// not monoio\nlet a = \"monoio\";")]),
        table,
    ));
    breaks(laws::words(&files(&[("src/relay/mod.rs", "monoio::start()")]), table), "one address");
}

#[test]
fn a_file_that_says_nothing_of_itself() {
    holds(laws::introduced(&files(&[("src/a.rs", "//! What lives here.\n")])));
    breaks(laws::introduced(&files(&[("src/a.rs", "use std::io;\n")])), "src/a.rs");
}

#[test]
fn a_file_that_nobody_declares() {
    let lib = ("src/lib.rs", "pub mod a;\n");
    let manifest = ("Cargo.toml", "path = \"tests/x.rs\"");
    let module = ("src/a/mod.rs", "mod b;");
    holds(laws::adopted(&files(&[lib, manifest, module, ("src/a/b.rs", ""), ("tests/x.rs", "")])));
    let target = ("tests/fuzz/t/x.rs", "#[path = \"../checks.rs\"]\nmod checks;");
    breaks(laws::adopted(&files(&[target, ("tests/fuzz/checks.rs", "")])), "tests/fuzz/t/x.rs");
    assert_eq!(laws::adopted(&files(&[target, ("tests/fuzz/checks.rs", "")])).len(), 1);
    let bench = ("bench/wire.rs", "mod harness;");
    let manifest_of_bench = ("Cargo.toml", "path = \"bench/wire.rs\"");
    holds(laws::adopted(&files(&[manifest_of_bench, bench, ("bench/harness.rs", "")])));
    breaks(laws::adopted(&files(&[bench, ("bench/harness.rs", "")])), "bench/harness.rs");
    breaks(laws::adopted(&files(&[lib, ("src/b.rs", "")])), "src/b.rs");
    breaks(laws::adopted(&files(&[lib, ("src/c/mod.rs", "")])), "src/c/mod.rs");
    breaks(laws::adopted(&files(&[manifest, ("tests/y.rs", "")])), "tests/y.rs");
    breaks(laws::adopted(&files(&[("src/lib.rs", "// mod a;"), ("src/a.rs", "")])), "src/a.rs");
}

#[test]
fn a_long_file_without_a_reason_and_a_reason_without_a_long_file() {
    let tree = files(&[("src/a.rs", "1\n2\n3\n")]);
    holds(laws::length(&tree, 3, &[]));
    holds(laws::length(&tree, 2, &[("src/a.rs", "a table")]));
    breaks(laws::length(&tree, 2, &[]), "3 lines without a reason");
    breaks(laws::length(&tree, 3, &[("src/a.rs", "a table")]), "needs no reason any more");
}

#[test]
fn a_map_in_another_order() {
    let lib = "pub mod a;\npub mod b;\n";
    holds(laws::map(lib, "# Map\n### a\n### b\n"));
    breaks(laws::map(lib, "### b\n### a\n"), "ARCHITECTURE.md has");
    breaks(laws::map(lib, "### a\n"), "ARCHITECTURE.md has");
}

#[test]
fn a_knob_that_is_not_in_the_table() {
    let tree =
        files(&[("src/knobs.rs", "get(\"RINGWAY_A\")"), (".ci/run", "export RINGWAY_B=1\n")]);
    holds(laws::knobs(&tree, "| `RINGWAY_A` | 1 |\n| `RINGWAY_B` | 1 |\n"));
    breaks(laws::knobs(&tree, "| `RINGWAY_A` |"), "RINGWAY_B: in the code");
    breaks(laws::knobs(&[], "| `RINGWAY_A` |"), "RINGWAY_A: in tuning/README.md");
}

#[test]
fn a_metric_that_is_not_in_the_table() {
    let reference = File::new("a.rs", "counter(\"ringway_a_total\", \"Of a.\")");
    holds(laws::metrics(&reference, "| `ringway_a_total` | Of a. |"));
    breaks(
        laws::metrics(&reference, "| `ringway_b_total` | Of a. |"),
        "ringway_a_total: in the code",
    );
    breaks(
        laws::metrics(&reference, "| `ringway_b_total` | Of a. |"),
        "ringway_b_total: in the table",
    );
    breaks(laws::metrics(&reference, "| `ringway_a_total` | Of b. |"), "does not say: Of a.");
}

#[test]
fn a_fault_that_is_not_in_the_table() {
    let code = File::new("a.rs", "pub enum Fault {\n Gone => \"gone\",\n}\nf(\"other\")");
    holds(laws::faults(&code, "| `gone` | client |\n| `ringway_a_total` | Of a. |"));
    breaks(laws::faults(&code, "| `lost` | client |"), "gone: in the code");
    breaks(laws::faults(&code, "| `lost` | client |"), "lost: in the table");
}

#[test]
fn a_key_that_is_not_in_the_table() {
    let read = [File::new(
        "src/read.rs",
        "\nfn a() {\nlet known = [\"b\", \"c\"];\nrefuse_unknown(&known)\n}\nfn c() {\nrefuse_unknown(&[\"d\"], x)\n}",
    )];
    let places = &[("read::a", "a."), ("read::c", "a.c.")];
    holds(laws::keys(&read, "| `a.b` |\n| `a.c.d` |\n", places));
    breaks(laws::keys(&read, "| `a.b` |\n", places), "a.c.d: in config");
    breaks(laws::keys(&read, "| `a.b` |\n| `a.c.d` |\n| `a.e` |\n", places), "a.e: in the table");
    breaks(laws::keys(&read, "", &places[..1]), "read::c reads keys");
}

#[test]
fn a_page_that_quotes_another_config() {
    holds(laws::quoted("# A\n```toml\na = 1\n```\n", "a = 1\n"));
    breaks(laws::quoted("```toml\na = 2\n```\n", "a = 1\n"), "the file says");
    breaks(laws::quoted("", "a = 1\n"), "no block");
}

#[test]
fn a_link_that_leads_nowhere() {
    let page = files(&[("src/A.md", "[a](b.md#c) [d](https://e) [f](#g)")]);
    holds(laws::links(&page, |path| path.ends_with("src/b.md")));
    breaks(laws::links(&page, |_| false), "nothing is at b.md");
}
