//! Files of cases: bytes, and what is found in them.
//!
//! A case begins with `== kind: title`; then come the bytes as lines that begin with `|`, and what is found as lines that begin
//! with `=>`. In the bytes, `\r \n \t \0 \xHH \\` are escapes and `\{text*N}` is text N times.

/// One case of a file.
pub(crate) struct Case {
    /// The first line.
    pub(crate) title: String,
    /// The lines of bytes as written.
    pub(crate) lines: Vec<String>,
    /// What is to be found, a line each.
    pub(crate) expected: Vec<String>,
}

impl Case {
    /// What the lines stand for.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        unescape(&self.lines.concat())
    }
}

/// The comment at the top, and the cases.
pub(crate) fn parse(text: &str) -> (String, Vec<Case>) {
    let mut comment = String::new();
    let mut cases: Vec<Case> = Vec::new();
    for line in text.lines() {
        if line.starts_with("== ") {
            cases.push(Case { title: line.to_owned(), lines: Vec::new(), expected: Vec::new() });
        } else if let Some(bytes) = line.strip_prefix('|') {
            let case = cases.last_mut().expect("bytes belong to a case");
            case.lines.push(bytes.strip_prefix(' ').unwrap_or(bytes).to_owned());
        } else if let Some(found) = line.strip_prefix("=> ") {
            cases.last_mut().expect("a find belongs to a case").expected.push(found.to_owned());
        } else if cases.is_empty() {
            add_line(&mut comment, line);
        } else {
            assert!(line.is_empty(), "not understood: {line}");
        }
    }
    (comment, cases)
}

/// Appends a line.
pub(crate) fn add_line(out: &mut String, line: &str) {
    out.push_str(line);
    out.push('\n');
}

/// The bytes that escaped text stands for.
fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((plain, escape)) = rest.split_once('\\') {
        bytes.extend_from_slice(plain.as_bytes());
        let mut letters = escape.chars();
        let letter = letters.next().expect("an escape has a letter");
        rest = letters.as_str();
        match letter {
            'r' => bytes.push(b'\r'),
            'n' => bytes.push(b'\n'),
            't' => bytes.push(b'\t'),
            '0' => bytes.push(0),
            '\\' => bytes.push(b'\\'),
            'x' => {
                let (digits, after) = rest.split_at(2);
                bytes.push(u8::from_str_radix(digits, 16).expect("two hexadecimal digits"));
                rest = after;
            }
            '{' => {
                let (repeated, after) = rest.split_once('}').expect("a closing brace");
                let (part, times) = repeated.rsplit_once('*').expect("text and a number");
                let times = times.parse().expect("a number of times");
                bytes.extend_from_slice(&unescape(part).repeat(times));
                rest = after;
            }
            other => panic!("unknown escape {other}"),
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes
}
