//! The files of the tree, and what of a Rust file is code, what is said in quotes, and what is only there for tests.

use std::fs;
use std::path::Path;

/// One file.
#[derive(Clone, Debug)]
pub struct File {
    /// From the root, with `/`.
    pub path: String,
    pub text: String,
    /// Of a Rust file: the text without comments and with empty quotes; the lines are the same.
    pub code: String,
    /// Of a Rust file: what stands in quotes, in order.
    pub quotes: Vec<String>,
}

impl File {
    pub fn new(path: &str, text: &str) -> Self {
        let (code, quotes) = if path.ends_with(".rs") { split(text) } else { Default::default() };
        Self { path: path.to_owned(), text: text.to_owned(), code, quotes }
    }

    pub fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    pub fn is_in(&self, places: &str) -> bool {
        places.split_whitespace().any(|place| self.path.starts_with(place))
    }

    /// The lines of code, numbered from 1, up to the unit tests at the end.
    pub fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let tests = self.code.find("#[cfg(test)]\nmod tests {").unwrap_or(self.code.len());
        (1..).zip(self.code[..tests].lines())
    }

    /// The module at the top of `src` that the file belongs to.
    pub fn module(&self) -> Option<&str> {
        let inside = self.path.strip_prefix("src/")?;
        let name = inside.split('/').next()?;
        Some(name.strip_suffix(".rs").unwrap_or(name))
    }
}

/// Reads every file under `root` that is ours: no tools' folders, no build products.
pub fn read(root: &Path) -> Vec<File> {
    let mut files = Vec::new();
    walk(root, root, &mut files);
    files.sort_by(|one, next| one.path.cmp(&next.path));
    files
}

fn walk(root: &Path, folder: &Path, files: &mut Vec<File>) {
    const NOT_OURS: &[&str] = &[".git", "target", "node_modules", ".venv", "corpus", "artifacts"];
    for entry in fs::read_dir(folder).expect("the tree can be read") {
        let path = entry.expect("the tree can be read").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if NOT_OURS.contains(&&*name) || path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            walk(root, &path, files);
        } else if let Ok(text) = fs::read_to_string(&path) {
            let path = path.strip_prefix(root).expect("it is under the root");
            files.push(File::new(&path.to_string_lossy().replace('\\', "/"), &text));
        }
    }
}

/// Takes comments and quotes out of Rust text: the code that is left, and what stood in the quotes.
fn split(text: &str) -> (String, Vec<String>) {
    let mut code = String::with_capacity(text.len());
    let mut quotes = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let follows_word = code.ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if first == '"' || (!follows_word && is_raw(rest)) {
            let (length, quote) = quoted(rest);
            quotes.push(quote.to_owned());
            code.push_str("\"\"");
            length
        } else if first == '\'' {
            let length = letter(rest);
            code.push_str(if length == 1 { "'" } else { "' '" });
            length
        } else {
            code.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        };
        let (gone, left) = rest.split_at(length);
        code.extend(gone.matches('\n'));
        rest = left;
    }
    (code, quotes)
}

fn is_raw(rest: &str) -> bool {
    let rest = rest.strip_prefix('b').unwrap_or(rest);
    rest.strip_prefix('r').is_some_and(|rest| rest.trim_start_matches('#').starts_with('"'))
}

/// The length of a literal with its quotes, and what is between them.
fn quoted(rest: &str) -> (usize, &str) {
    let open = rest.find('"').unwrap_or(0) + 1;
    let inside = &rest[open..];
    let end = if open > 1 {
        let close = format!("\"{}", "#".repeat(rest[..open].matches('#').count()));
        inside.find(&close).map_or(rest.len(), |end| open + end + close.len())
    } else {
        let mut is_escaped = false;
        let close = inside.find(|c| {
            let ends = c == '"' && !is_escaped;
            is_escaped = c == '\\' && !is_escaped;
            ends
        });
        close.map_or(rest.len(), |end| open + end + 1)
    };
    (end, rest[open..end].trim_end_matches('#').trim_end_matches('"'))
}

/// The length of a character in quotes; 1 if it is a lifetime.
fn letter(rest: &str) -> usize {
    let mut letters = rest.char_indices().skip(1);
    let (first, second) = (letters.next(), letters.next());
    match (first, second) {
        (Some((_, '\\')), Some((at, _))) => rest[at + 1..].find('\'').map_or(1, |end| at + end + 2),
        (Some(_), Some((at, '\''))) => at + 1,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::File;

    #[test]
    fn code_is_what_is_neither_comment_nor_quote() {
        let text =
            "let a = \"tokio // \\\" x\"; // monoio\nlet c = '\"'; /* a\nb */ fn f<'a>() {}\n";
        let file = File::new("a.rs", text);
        assert_eq!(file.code, "let a = \"\"; \nlet c = ' '; \n fn f<'a>() {}\n");
        assert_eq!(file.quotes, ["tokio // \\\" x"]);
        let file = File::new("a.rs", "f(r#\"a \"b\" \"#, b\"c\", br\"d\", '\\'', \"e\");");
        assert_eq!(file.quotes, ["a \"b\" ", "c", "d", "e"]);
    }

    #[test]
    fn tests_at_the_end_are_no_lines() {
        let file = File::new("a.rs", "one\ntwo\n#[cfg(test)]\nmod tests {\n}\n");
        assert_eq!(file.lines().count(), 2);
    }

    #[test]
    fn modules_are_files_or_folders() {
        assert_eq!(File::new("src/units.rs", "").module(), Some("units"));
        assert_eq!(File::new("src/ring/clock.rs", "").module(), Some("ring"));
        assert_eq!(File::new("bench/wire.rs", "").module(), None);
    }
}
