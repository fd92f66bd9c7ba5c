//! Where a message ends and what becomes of its connection: the rules against smuggling.
//!
//! A message whose length two readers could take differently is refused, never repaired
//! (RFC 9112, sections 6 and 11.2). That is stricter than the RFC asks in these: equal lengths given twice, a
//! tab around `chunked`, numbers of twenty digits.

use crate::wire::Malformed;
use crate::wire::head::BodyLength;
use crate::wire::head::Field;
use crate::wire::head::Version;
use crate::wire::http1::diagnose::is_token_byte;
use crate::wire::http1::target::is_authority;
use crate::wire::limits::LENGTH_DIGITS_MAX;

/// What the fields of one head say, gathered field by field.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Framing<'b> {
    length: Option<u64>,
    is_chunked: bool,
    /// The one Host.
    pub(super) host: Option<&'b str>,
    has_close: bool,
    has_keep_alive: bool,
    /// Whether there is `Expect: 100-continue`.
    pub(super) expects_continue: bool,
}

impl<'b> Framing<'b> {
    /// Takes in one field of a request. Names are told apart by their length first: most fields cost
    /// one comparison.
    #[inline]
    pub(super) fn request_field(
        &mut self,
        head: &'b [u8],
        field: &Field<'b>,
    ) -> Result<(), Malformed> {
        match field.name.len() {
            4 if field.name.eq_ignore_ascii_case("host") => self.take_host(field.value),
            6 if field.name.eq_ignore_ascii_case("expect") => self.take_expect(field.value),
            10 | 14 | 17 => self.message_field(head, field),
            _ => Ok(()),
        }
    }

    /// Takes in one field that requests and responses have in common.
    #[inline]
    pub(super) fn message_field(
        &mut self,
        head: &'b [u8],
        field: &Field<'b>,
    ) -> Result<(), Malformed> {
        match field.name.len() {
            10 => self.connection_field(field),
            14 if field.name.eq_ignore_ascii_case("content-length") => {
                self.take_length(field.value)
            }
            17 if field.name.eq_ignore_ascii_case("transfer-encoding") => {
                self.take_coding(head, field)
            }
            _ => Ok(()),
        }
    }

    /// Takes in one field of a response that cannot have a body: only Connection counts.
    #[inline]
    pub(super) fn connection_field(&mut self, field: &Field<'b>) -> Result<(), Malformed> {
        if field.name.len() == 10 && field.name.eq_ignore_ascii_case("connection") {
            match field.value {
                // As nearly everybody writes it.
                b"keep-alive" => self.has_keep_alive = true,
                b"close" => self.has_close = true,
                options => self.take_options(options),
            }
        }
        Ok(())
    }

    fn take_options(&mut self, options: &[u8]) {
        for option in list(options) {
            self.has_close |= option.eq_ignore_ascii_case(b"close");
            self.has_keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
        }
    }

    fn take_host(&mut self, value: &'b [u8]) -> Result<(), Malformed> {
        if self.host.is_some() {
            return Err(Malformed::HostRepeated);
        }
        if !is_authority(value) {
            return Err(Malformed::HostInvalid);
        }
        self.host = Some(str::from_utf8(value).map_err(|_| Malformed::HostInvalid)?);
        Ok(())
    }

    fn take_expect(&mut self, value: &[u8]) -> Result<(), Malformed> {
        if !value.eq_ignore_ascii_case(b"100-continue") {
            return Err(Malformed::Expectation);
        }
        self.expects_continue = true;
        Ok(())
    }

    fn take_length(&mut self, value: &[u8]) -> Result<(), Malformed> {
        if self.length.is_some() {
            return Err(Malformed::LengthRepeated);
        }
        self.length = Some(length(value)?);
        Ok(())
    }

    fn take_coding(&mut self, head: &[u8], field: &Field<'_>) -> Result<(), Malformed> {
        if self.is_chunked {
            return Err(Malformed::CodingRepeated);
        }
        check_coding(field.value)?;
        if has_tab_around(head, field) {
            return Err(Malformed::CodingInvalid);
        }
        self.is_chunked = true;
        Ok(())
    }

    /// How the end of the body is found, `None` if no field says so.
    pub(super) fn body(&self, version: Version) -> Result<Option<BodyLength>, Malformed> {
        if self.is_chunked {
            if version == Version::Http10 {
                return Err(Malformed::CodingInHttp10);
            }
            if self.length.is_some() {
                return Err(Malformed::LengthAndCoding);
            }
            return Ok(Some(BodyLength::Chunked));
        }
        Ok(self.length.map(|length| match length {
            0 => BodyLength::Empty,
            length => BodyLength::Exact(length),
        }))
    }

    /// Whether the sender lets the connection go on after this message (RFC 9112, section 9.3).
    pub(super) fn is_keep_alive(&self, version: Version) -> bool {
        !self.has_close && (version == Version::Http11 || self.has_keep_alive)
    }
}

/// The elements of a comma-separated list, without the white space around them; empty ones too.
pub(super) fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii)
}

/// The number a Content-Length stands for: one to nineteen decimal digits and nothing else.
fn length(value: &[u8]) -> Result<u64, Malformed> {
    if value.is_empty() || value.len() > LENGTH_DIGITS_MAX {
        return Err(Malformed::LengthInvalid);
    }
    let mut length = 0;
    for &byte in value {
        if !byte.is_ascii_digit() {
            return Err(Malformed::LengthInvalid);
        }
        length = length * 10 + u64::from(byte - b'0');
    }
    Ok(length)
}

/// Accepts `chunked`; tells what we do not speak from what is not written rightly.
fn check_coding(value: &[u8]) -> Result<(), Malformed> {
    if value.eq_ignore_ascii_case(b"chunked") {
        return Ok(());
    }
    let mut is_chunked_last = false;
    for coding in list(value) {
        if is_chunked_last || !coding.iter().all(|&byte| is_token_byte(byte)) {
            return Err(Malformed::CodingInvalid);
        }
        is_chunked_last = coding.eq_ignore_ascii_case(b"chunked");
        if !is_chunked_last && !is_registered(coding) {
            return Err(Malformed::CodingInvalid);
        }
    }
    Err(if is_chunked_last { Malformed::CodingUnknown } else { Malformed::CodingInvalid })
}

/// Transfer codings of the IANA registry that we do not speak.
fn is_registered(coding: &[u8]) -> bool {
    [&b"gzip"[..], b"x-gzip", b"deflate", b"compress", b"x-compress"]
        .iter()
        .any(|known| coding.eq_ignore_ascii_case(known))
}

/// Whether the white space around a field's value holds a tab: legal, but of no use except to be
/// overlooked by somebody.
fn has_tab_around(head: &[u8], field: &Field<'_>) -> bool {
    let name_end = offset(head, field.name.as_bytes()) + field.name.len();
    let value = offset(head, field.value);
    let before = head.get(name_end..value).unwrap_or_default();
    let after = head.get(value + field.value.len()..).unwrap_or_default();
    before.contains(&b'\t')
        || after.iter().take_while(|&&byte| byte != b'\r').any(|&byte| byte == b'\t')
}

/// Where in `whole` its part `part` lies.
#[inline]
pub(super) fn offset(whole: &[u8], part: &[u8]) -> usize {
    part.as_ptr().addr().wrapping_sub(whole.as_ptr().addr())
}

#[cfg(test)]
mod tests {
    use super::check_coding;
    use super::length;
    use crate::wire::Malformed;

    #[test]
    fn lengths() {
        assert_eq!(length(b"0"), Ok(0));
        assert_eq!(length(b"007"), Ok(7));
        assert_eq!(length(b"9999999999999999999"), Ok(9_999_999_999_999_999_999));
        for bad in [
            &b""[..],
            b"+5",
            b"-1",
            b"0x5",
            b"5 5",
            b"5,5",
            b"5, 5",
            b"5.0",
            b"18446744073709551616",
            b"00000000000000000005",
            b"\xb2",
        ] {
            assert_eq!(length(bad), Err(Malformed::LengthInvalid), "{bad:?}");
        }
    }

    #[test]
    fn codings() {
        assert_eq!(check_coding(b"Chunked"), Ok(()));
        for unknown in [&b"gzip, chunked"[..], b"deflate,chunked", b"gzip , gzip,CHUNKED"] {
            assert_eq!(check_coding(unknown), Err(Malformed::CodingUnknown), "{unknown:?}");
        }
        for bad in [
            &b""[..],
            b"xchunked",
            b"chunked;q=1",
            b"\"chunked\"",
            b"chunked, chunked",
            b"chunked, gzip",
            b"identity",
            b"identity, chunked",
            b"gzip",
            b"chunked,",
            b",chunked",
            b"chunked\x0b",
            b"chu nked",
        ] {
            assert_eq!(check_coding(bad), Err(Malformed::CodingInvalid), "{bad:?}");
        }
    }
}
