//! Text that comes in runs, however they are cut.

use std::borrow::Cow;

/// Makes characters of bytes of UTF-8 that come in runs. What is no UTF-8 becomes U+FFFD, as `String::from_utf8_lossy` would
/// make of all of them together.
#[derive(Debug, Default)]
pub(super) struct Runs {
    /// The bytes of a character that was cut, and how many there are: 3 at most.
    begun: [u8; 3],
    length: u8,
}

impl Runs {
    /// The characters that end in these bytes.
    pub(super) fn feed<'b>(&mut self, bytes: &'b [u8]) -> Cow<'b, str> {
        let before = self.begun.get(..usize::from(self.length)).unwrap_or_default();
        if before.is_empty() {
            let (whole, begun) = split(bytes);
            self.keep(begun);
            return String::from_utf8_lossy(whole);
        }
        let joined = [before, bytes].concat();
        let (whole, begun) = split(&joined);
        self.keep(begun);
        Cow::Owned(String::from_utf8_lossy(whole).into_owned())
    }

    /// Nothing more will come: what is left of a character that was cut.
    pub(super) fn finish(&mut self) -> &'static str {
        if std::mem::take(&mut self.length) == 0 { "" } else { "\u{fffd}" }
    }

    fn keep(&mut self, begun: &[u8]) {
        self.length = 0;
        for (slot, byte) in self.begun.iter_mut().zip(begun) {
            *slot = *byte;
            self.length += 1;
        }
    }
}

/// The bytes up to a character that has begun at the end and is not whole, and those of it.
fn split(bytes: &[u8]) -> (&[u8], &[u8]) {
    for length in 1..=3 {
        let Some((whole, last)) =
            bytes.len().checked_sub(length).and_then(|at| bytes.split_at_checked(at))
        else {
            break;
        };
        if last.first().is_some_and(|byte| byte & 0xc0 != 0x80) {
            let is_begun = str::from_utf8(last).is_err_and(|error| error.error_len().is_none());
            return if is_begun { (whole, last) } else { (bytes, &[]) };
        }
    }
    (bytes, &[])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_makes_no_difference_how_text_is_cut() {
        let pieces: [&[u8]; 10] = [
            b"a",
            "\u{e9}".as_bytes(),
            "\u{20ac}".as_bytes(),
            "\u{1f600}".as_bytes(),
            b"\xff",
            b"\xe2\x82",
            b"\xf0\x9f\x98",
            b"\x80",
            b"\xed\xa0\x80",
            b"\xc0\xaf",
        ];
        let all = pieces.iter().flat_map(|one| pieces.iter().map(move |other| [*one, *other]));
        for bytes in all.flat_map(|two| pieces.map(|third| [&two[..], &[third]].concat().concat()))
        {
            cut_everywhere(&bytes);
        }
    }

    fn cut_everywhere(bytes: &[u8]) {
        let expected = String::from_utf8_lossy(bytes);
        for one in 0..=bytes.len() {
            for other in one..=bytes.len() {
                let mut runs = Runs::default();
                let mut text = runs.feed(&bytes[..one]).into_owned();
                text.push_str(&runs.feed(&bytes[one..other]));
                text.push_str(&runs.feed(&bytes[other..]));
                text.push_str(runs.finish());
                assert_eq!(text, expected, "{bytes:?} at {one} and {other}");
            }
        }
    }

    #[test]
    fn what_is_whole_is_not_copied() {
        let mut runs = Runs::default();
        assert!(matches!(runs.feed("caf\u{e9}".as_bytes()), Cow::Borrowed("caf\u{e9}")));
        assert!(matches!(runs.feed(b"a\xc3"), Cow::Borrowed("a")));
    }
}
