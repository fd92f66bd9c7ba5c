//! Where a head ends, found while it arrives: every byte is looked at once, however small the pieces.

use crate::wire::Malformed;
use crate::wire::http1::diagnose;
use crate::wire::limits::EMPTY_LINES_MAX;
use crate::wire::limits::FIRST_LINE_BYTES_MAX;
use crate::wire::limits::HEAD_BYTES_MAX;

/// First byte of a TLS record that holds a handshake (RFC 8446, section 5.1).
const TLS_HANDSHAKE: u8 = 0x16;

/// The search for the end of one head. A new head needs a new search.
#[derive(Clone, Copy, Debug, Default)]
pub struct HeadSearch {
    /// Bytes already searched for line feeds.
    searched: usize,
    /// Where the line begins that is being searched.
    line: usize,
    /// Whether the first line (of the request or the status) has ended.
    has_first_line: bool,
    /// Empty lines before it.
    empty_lines: u8,
    /// Whether it is the head of a response.
    is_response: bool,
}

impl HeadSearch {
    /// The search for the end of a response's head. (That of a request's head is the default.)
    #[must_use]
    pub const fn for_response() -> Self {
        Self { searched: 0, line: 0, has_first_line: false, empty_lines: 0, is_response: true }
    }

    /// Length of the head with which `bytes` begins (empty lines before it included), `None` while its
    /// end has not come. `bytes` must begin where it began at the last call and may only have grown.
    ///
    /// # Errors
    ///
    /// As soon as it is certain that no acceptable head can come of it: what is too long, lines without a
    /// carriage return, other protocols.
    pub fn end(&mut self, bytes: &[u8]) -> Result<Option<usize>, Malformed> {
        if self.searched == 0 && !self.is_response && bytes.first() == Some(&TLS_HANDSHAKE) {
            return Err(Malformed::TlsHello);
        }
        let known = self.searched;
        for found in memchr::memchr_iter(b'\n', bytes.get(known..).unwrap_or_default()) {
            let feed = known + found;
            self.check_length(feed + 1)?;
            let line = bytes.get(self.line..feed).unwrap_or_default();
            let Some((b'\r', line)) = line.split_last() else {
                return Err(Malformed::BareLineFeed);
            };
            self.line = feed + 1;
            self.searched = feed + 1;
            if !line.is_empty() {
                if !self.has_first_line {
                    diagnose::first_line_early(line, self.is_response)?;
                    self.has_first_line = true;
                }
                continue;
            }
            if self.has_first_line {
                return Ok(Some(feed + 1));
            }
            self.empty_lines += 1;
            if self.is_response || self.empty_lines > EMPTY_LINES_MAX {
                return Err(Malformed::EmptyLines);
            }
        }
        self.searched = bytes.len();
        // One more byte than is here must still fit, for the end has not come.
        self.check_length(bytes.len() + 1)?;
        Ok(None)
    }

    /// Refuses a head that is at least `bytes` long.
    fn check_length(&self, bytes: usize) -> Result<(), Malformed> {
        if !self.has_first_line && bytes - self.line > FIRST_LINE_BYTES_MAX {
            return Err(Malformed::TargetTooLong);
        }
        if bytes > HEAD_BYTES_MAX {
            return Err(Malformed::HeadTooLong);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::HeadSearch;
    use crate::wire::Malformed;
    use crate::wire::limits::FIRST_LINE_BYTES_MAX;
    use crate::wire::limits::HEAD_BYTES_MAX;

    type End = Result<Option<usize>, Malformed>;

    fn whole(bytes: &[u8]) -> End {
        HeadSearch::default().end(bytes)
    }

    fn dribbled(bytes: &[u8]) -> End {
        let mut search = HeadSearch::default();
        for length in 0..=bytes.len() {
            if let Some(end) = search.end(&bytes[..length])? {
                return Ok(Some(end));
            }
        }
        Ok(None)
    }

    #[test]
    fn the_end_is_the_same_however_the_bytes_come() {
        let mut long = b"GET / HTTP/1.1\r\n".to_vec();
        long.resize(HEAD_BYTES_MAX - 3, b'a');
        let mut fits = long.clone();
        fits[HEAD_BYTES_MAX - 4] = b'\r';
        fits.extend_from_slice(b"\n\r\n");
        assert_eq!(fits.len(), HEAD_BYTES_MAX);
        long.extend_from_slice(b"\r\n\r\n");
        let line = vec![b'a'; FIRST_LINE_BYTES_MAX];
        let cases: [(&[u8], End); 15] = [
            (b"", Ok(None)),
            (b"GET / HTTP/1.1\r\n\r\nrest", Ok(Some(18))),
            (b"\r\n\r\nGET / HTTP/1.1\r\n\r\n", Ok(Some(22))),
            (b"GET / HTTP/1.1\r\nA: b\r\n", Ok(None)),
            (b"GET / HTTP/1.1\nA: b\r\n\r\n", Err(Malformed::BareLineFeed)),
            (b"GET / HTTP/1.1\r\n\n", Err(Malformed::BareLineFeed)),
            (b"\n", Err(Malformed::BareLineFeed)),
            (b"\r\n\r\n\r\n\r\n\r\nGET", Err(Malformed::EmptyLines)),
            (b"GET /\r\n", Err(Malformed::VersionMissing)),
            (b"\x16\x03\x01", Err(Malformed::TlsHello)),
            (b"PRI * HTTP/2.0\r\n", Err(Malformed::Http2Preface)),
            (b"HTTP/1.1 200 OK\r\n\r\n", Err(Malformed::Method)),
            (&fits, Ok(Some(HEAD_BYTES_MAX))),
            (&long, Err(Malformed::HeadTooLong)),
            (&line, Err(Malformed::TargetTooLong)),
        ];
        for (bytes, expected) in cases {
            let start = String::from_utf8_lossy(&bytes[..bytes.len().min(40)]).into_owned();
            assert_eq!(whole(bytes), expected, "{start:?}");
            assert_eq!(dribbled(bytes), expected, "{start:?}");
        }
    }

    #[test]
    fn responses_begin_at_once() {
        let mut search = HeadSearch::for_response();
        assert_eq!(search.end(b"HTTP/1.1 200 OK\r\n\r\nx"), Ok(Some(19)));
        for (bytes, why) in [
            (&b"\r\nHTTP/1.1 200 OK\r\n\r\n"[..], Malformed::EmptyLines),
            (b"ICY 200 OK\r\n", Malformed::StatusLine),
        ] {
            assert_eq!(HeadSearch::for_response().end(bytes), Err(why));
        }
    }
}
