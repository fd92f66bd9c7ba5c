//! The laws themselves: each takes files and says what is wrong with them. That each can fail is shown in `broken.rs`.

use crate::source::File;
use std::collections::BTreeSet;
use std::path::Path;

/// A module of the library, and the modules it may import.
pub(crate) type MayImport = (&'static str, &'static str);

/// A word, the places where it may stand, and why nowhere else.
pub(crate) type Word = (&'static str, &'static str, &'static str);

/// Names that whoever opens the folder sees.
pub(crate) fn root(seen: &[String], promised: &[&str]) -> Vec<String> {
    let seen: BTreeSet<&str> =
        seen.iter().map(String::as_str).filter(|name| !name.starts_with('.')).collect();
    differ("the root", seen, promised.iter().copied().collect(), "the promise")
}

/// `use crate::x::..` one path a line, and only what the table allows.
pub(crate) fn imports(files: &[File], table: &[MayImport]) -> Vec<String> {
    let mut wrong = Vec::new();
    for file in files.iter().filter(|file| file.path.starts_with("src/") && file.is_rust()) {
        let module = file.module().unwrap_or_default();
        if ["lib", "main"].contains(&module) || file.path.ends_with("/tests.rs") {
            continue;
        }
        let Some((_, allowed)) = table.iter().find(|(name, _)| *name == module) else {
            wrong.push(format!("{}: the table of imports knows no module {module}", file.path));
            continue;
        };
        // From here `super::` is the root of the crate.
        let depth = file.path.trim_end_matches("/mod.rs").matches('/').count();
        let above = "super::".repeat(depth);
        for (number, line) in file.lines() {
            if line.contains("crate::{") || line.contains(&above) {
                wrong.push(format!("{}:{number}: write crate::MODULE::NAME", file.path));
            }
            for other in after(line, "crate::") {
                if other != module && !allowed.split(' ').any(|name| name == other) {
                    wrong.push(format!("{}:{number}: {module} may not know {other}", file.path));
                }
            }
        }
    }
    wrong
}

/// What the load tester takes from the library.
pub(crate) fn borrowed(files: &[File], allowed: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    for file in files.iter().filter(|file| file.is_rust() && file.path.starts_with("loadtest/")) {
        for (number, line) in file.lines() {
            for module in after(line, "ringway::") {
                if !allowed.split(' ').any(|name| name == module) {
                    wrong.push(format!("{}:{number}: borrows {module}", file.path));
                }
            }
        }
    }
    wrong
}

/// The words that follow `before` in a line of code.
fn after<'l>(line: &'l str, before: &'l str) -> impl Iterator<Item = &'l str> {
    let starts = line.match_indices(before).filter(|(at, _)| !line[..*at].ends_with(is_word));
    let words = starts.map(|(at, _)| {
        let rest = &line[at + before.len()..];
        &rest[..rest.find(|c| !is_word(c)).unwrap_or(rest.len())]
    });
    words.filter(|word| word.starts_with(|c: char| c.is_ascii_lowercase()))
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Words that have one home.
pub(crate) fn words(files: &[File], table: &[Word]) -> Vec<String> {
    let mut wrong = Vec::new();
    let is_ours = |file: &&File| file.is_rust() && file.is_in("src/ loadtest/");
    for file in files.iter().filter(is_ours).filter(|file| !file.path.ends_with("/tests.rs")) {
        for (word, _, why) in table.iter().filter(|(_, homes, _)| !file.is_in(homes)) {
            let found = file.lines().filter(|(_, line)| line.contains(word));
            wrong.extend(found.map(|(number, _)| format!("{}:{number}: {word}: {why}", file.path)));
        }
    }
    wrong
}

/// The first line says what lives in the file.
pub(crate) fn introduced(files: &[File]) -> Vec<String> {
    let silent = files.iter().filter(|file| file.is_rust() && !file.text.starts_with("//! "));
    silent
        .map(|file| format!("{}: the first line does not say what lives here", file.path))
        .collect()
}

/// Every file is a module of its folder, or named in a manifest, or by path.
pub(crate) fn adopted(files: &[File]) -> Vec<String> {
    let mut wrong = Vec::new();
    let names = files.iter().filter(|file| file.is_rust() || file.path.ends_with("Cargo.toml"));
    let named: BTreeSet<String> = names.flat_map(named_paths).collect();
    for file in files.iter().filter(|file| file.is_rust()) {
        let (folder, name) = file.path.rsplit_once('/').unwrap_or(("", &file.path));
        let is_named = named.contains(&file.path);
        let (folder, module) = match name {
            "mod.rs" => folder.rsplit_once('/').unwrap_or(("", folder)),
            _ => (folder, name.trim_end_matches(".rs")),
        };
        let parents = ["mod.rs", "lib.rs", "main.rs"].map(|parent| format!("{folder}/{parent}"));
        // A target of a manifest declares the files beside it.
        let is_beside =
            |path: &str| path.rsplit_once('/').is_some_and(|(place, _)| place == folder);
        let declared = files.iter().any(|other| {
            let is_target = named.contains(&other.path) && is_beside(&other.path);
            (is_target || parents.contains(&other.path) || other.path == format!("{folder}.rs"))
                && other.code.lines().any(|line| line.ends_with(&format!("mod {module};")))
        });
        let is_root = ["src/lib.rs", "src/main.rs"].contains(&file.path.as_str());
        if !declared && !is_named && !is_root {
            wrong.push(format!("{}: nobody declares it", file.path));
        }
    }
    wrong
}

/// What a file names with `path = ".."`, from the root.
fn named_paths(file: &File) -> impl Iterator<Item = String> {
    let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
    file.text.split("path = \"").skip(1).map(move |rest| {
        let mut steps: Vec<&str> = folder.split('/').filter(|step| !step.is_empty()).collect();
        for step in rest.split('"').next().unwrap_or_default().split('/') {
            match step {
                ".." => drop(steps.pop()),
                step => steps.push(step),
            }
        }
        steps.join("/")
    })
}

/// Files are short; those that are not have a reason, and those that have a reason are not short.
pub(crate) fn length(files: &[File], most: usize, reasons: &[(&str, &str)]) -> Vec<String> {
    let mut wrong = Vec::new();
    for file in files.iter().filter(|file| file.is_rust()) {
        let lines = file.lines().count();
        let has_reason = reasons.iter().any(|(path, _)| *path == file.path);
        if lines > most && !has_reason {
            wrong.push(format!("{}: {lines} lines without a reason, {most} are enough", file.path));
        }
    }
    let is_long = |path| files.iter().any(|file| file.path == path && file.lines().count() > most);
    let idle = reasons.iter().filter(|(path, _)| !is_long(*path));
    wrong.extend(idle.map(|(path, _)| format!("{path}: is short, and needs no reason any more")));
    wrong
}

/// The modules of lib.rs in their order are the headings of the map in their order.
pub(crate) fn map(lib: &str, map: &str) -> Vec<String> {
    let modules: Vec<&str> =
        lib.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    let headings: Vec<&str> = map.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    if modules == headings {
        return Vec::new();
    }
    vec![format!("lib.rs declares {modules:?}\nARCHITECTURE.md has {headings:?}")]
}

/// The `RINGWAY_*` variables that code and scripts read or set.
pub(crate) fn variables(files: &[File]) -> BTreeSet<&str> {
    let mut found = BTreeSet::new();
    for file in files.iter().filter(|file| file.is_in("src/ loadtest/ bench/ tests/ .ci/")) {
        if file.path.starts_with("tests/tidy") || file.path.ends_with(".md") {
            continue;
        }
        if file.is_rust() {
            found.extend(file.quotes.iter().map(String::as_str).filter(|text| is_variable(text)));
        } else if file.path.ends_with(".sh") || file.path.ends_with(".py") || file.is_in(".ci/") {
            found.extend(variables_in(&file.text));
        }
    }
    found
}

fn variables_in(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c| !is_word(c)).filter(|word| is_variable(word))
}

fn is_variable(text: &str) -> bool {
    let name = text.strip_prefix("RINGWAY_").unwrap_or_default();
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
}

/// Every variable is in the table, and the table has no other.
pub(crate) fn knobs(files: &[File], table: &str) -> Vec<String> {
    let rows: BTreeSet<&str> = rows(table).filter(|name| is_variable(name)).collect();
    differ("the code", variables(files), rows, "tuning/README.md")
}

/// Every metric of the reference in the code is in the table with its help, and the table has no other.
pub(crate) fn metrics(reference: &File, table: &str) -> Vec<String> {
    let quotes: Vec<&str> = reference.quotes.iter().map(String::as_str).collect();
    let found = quotes.iter().copied().filter(|text| is_metric(text)).collect();
    let rows = rows(table).filter(|name| is_metric(name)).collect();
    let mut wrong = differ("the code", found, rows, "the table of metrics");
    for pair in quotes.windows(2).filter(|pair| is_metric(pair[0])) {
        if !table.contains(pair[1]) {
            wrong.push(format!("{}: the table does not say: {}", pair[0], pair[1]));
        }
    }
    wrong
}

fn is_metric(text: &str) -> bool {
    let starts = ["ringway_", "gen_ai_", "process_"];
    starts.iter().any(|start| text.starts_with(start)) && text.chars().all(is_word)
}

/// Every fault is in the table, and the table has no other.
pub(crate) fn faults(code: &File, table: &str) -> Vec<String> {
    let inside = code.text.split_once("pub enum Fault {").map_or("", |(_, rest)| rest);
    let list = File::new("list.rs", inside.split_once("}\n").map_or("", |(list, _)| list));
    let found = list.quotes.iter().map(String::as_str).collect();
    let rows = rows(table).filter(|name| !is_metric(name)).collect();
    differ("the code", found, rows, "the table of faults")
}

/// Every key that the config reads is in the table, and the table has no other. `places` says under which names the
/// keys of a function stand: `file::function`, by the name of the file that it is in.
pub(crate) fn keys(read: &[File], table: &str, places: &[(&str, &str)]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut found = BTreeSet::new();
    for file in read {
        let home = file.path.rsplit('/').next().unwrap_or_default().trim_end_matches(".rs");
        for (function, known) in keys_read(file) {
            let name = format!("{home}::{function}");
            let places: Vec<&str> =
                places.iter().filter(|(at, _)| *at == name).map(|(_, place)| *place).collect();
            if places.is_empty() {
                wrong.push(format!("{}: {name} reads keys, and nobody knows where", file.path));
            }
            for key in known.split('"').skip(1).step_by(2) {
                found.extend(places.iter().map(|place| format!("{place}{key}")));
            }
        }
    }
    // A table is there through its keys.
    let leaves =
        found.iter().filter(|key| !found.iter().any(|other| other.starts_with(&format!("{key}."))));
    let rows = rows(table).filter(|row| row.contains('.')).collect();
    wrong.extend(differ("config", leaves.map(String::as_str).collect(), rows, "the table of keys"));
    wrong
}

/// The functions of a file that refuse unknown keys, or take them for names, each with the list of those it knows.
fn keys_read(file: &File) -> impl Iterator<Item = (&str, &str)> {
    file.text.split("fn ").skip(1).filter_map(|part| {
        if !part.contains("refuse_unknown(") && !part.contains("others(&[") {
            return None;
        }
        let known = ["let known =", "refuse_unknown(&", "others(&"].iter().find_map(|start| {
            let list = part.split_once(start)?.1.trim_start().strip_prefix('[')?;
            Some(list.split_once(']')?.0)
        });
        let name = part.split('(').next().unwrap_or_default();
        known.filter(|known| known.contains('"')).map(|known| (name, known))
    })
}

/// The first cells of a table's rows, as far as they are code.
fn rows(table: &str) -> impl Iterator<Item = &str> {
    table.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`').map(|(name, _)| name))
}

/// The first block of TOML of a page is this file.
pub(crate) fn quoted(page: &str, file: &str) -> Vec<String> {
    let block = page.split_once("```toml\n").and_then(|(_, rest)| rest.split_once("```"));
    match block {
        Some((block, _)) if block == file => Vec::new(),
        Some((block, _)) => vec![format!("the page says\n{block}\nthe file says\n{file}")],
        None => vec!["the page has no block of TOML".to_owned()],
    }
}

/// What is linked to is there: relative links of pages, from the page's own folder.
pub(crate) fn links(files: &[File], is_there: impl Fn(&Path) -> bool) -> Vec<String> {
    let mut wrong = Vec::new();
    for file in files.iter().filter(|file| file.path.ends_with(".md")) {
        let folder = Path::new(&file.path).parent().unwrap_or(Path::new(""));
        for link in file.text.split("](").skip(1) {
            let link = link.split([')', '#']).next().unwrap_or_default();
            let is_outside = link.contains("://") || link.is_empty();
            if !is_outside && !is_there(&folder.join(link)) {
                wrong.push(format!("{}: nothing is at {link}", file.path));
            }
        }
    }
    wrong
}

/// The names that are only in one of two sets.
fn differ(here: &str, these: BTreeSet<&str>, those: BTreeSet<&str>, there: &str) -> Vec<String> {
    let more = these.difference(&those).map(|name| format!("{name}: in {here}, not in {there}"));
    more.chain(those.difference(&these).map(|name| format!("{name}: in {there}, not in {here}")))
        .collect()
}
