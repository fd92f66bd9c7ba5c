//! Heads as spans of the bytes they came in: what every stage after the wire may know of a message.

/// The version of a message. Anything else is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    Http10,
    Http11,
}

/// A request's method; those without a meaning to us are [`Method::Other`], their text is in the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
    Options,
    Connect,
    Trace,
    Other,
}

impl Method {
    /// The method called `text`; methods are case-sensitive (RFC 9110, section 9.1).
    #[must_use]
    pub fn from_text(text: &str) -> Self {
        match text {
            "GET" => Self::Get,
            "POST" => Self::Post,
            "HEAD" => Self::Head,
            "PUT" => Self::Put,
            "PATCH" => Self::Patch,
            "DELETE" => Self::Delete,
            "OPTIONS" => Self::Options,
            "CONNECT" => Self::Connect,
            "TRACE" => Self::Trace,
            _ => Self::Other,
        }
    }

    /// The method as it is written; `None` for [`Method::Other`].
    #[must_use]
    pub const fn as_str(self) -> Option<&'static str> {
        Some(match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Options => "OPTIONS",
            Self::Connect => "CONNECT",
            Self::Trace => "TRACE",
            Self::Other => return None,
        })
    }
}

/// One field line: `name` as written, `value` without the white space around it.
pub type Field<'b> = httparse::Header<'b>;

/// The fields of a head in the order they came.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'b, 's>(pub &'s [Field<'b>]);

impl<'b, 's> Fields<'b, 's> {
    /// The value of the first field called `name` (in any case).
    #[must_use]
    pub fn get(self, name: &str) -> Option<&'b [u8]> {
        self.0.iter().find(|field| is_same_name(field.name, name)).map(|field| field.value)
    }

    /// The fields one by one.
    pub fn iter(self) -> std::slice::Iter<'s, Field<'b>> {
        self.0.iter()
    }
}

impl<'b, 's> IntoIterator for Fields<'b, 's> {
    type Item = &'s Field<'b>;
    type IntoIter = std::slice::Iter<'s, Field<'b>>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

/// Whether two field names are the same: they are in any case (RFC 9110, section 5.1).
#[must_use]
pub fn is_same_name(one: &str, other: &str) -> bool {
    one.len() == other.len() && one.eq_ignore_ascii_case(other)
}

/// How the end of a message's body is found (RFC 9112, section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyLength {
    /// There is none.
    Empty,
    /// So many bytes; never zero, that is [`BodyLength::Empty`].
    Exact(u64),
    /// As chunks, the last of them empty.
    Chunked,
    /// When the sender closes: responses only.
    UntilClose,
}

/// The head of a request.
#[derive(Clone, Copy, Debug)]
pub struct RequestHead<'b, 's> {
    /// Length of the head in bytes, with the blank line at its end (and empty lines before it, if any).
    pub bytes: usize,
    /// The method.
    pub method: Method,
    /// The method as written.
    pub method_text: &'b str,
    /// The path: begins with `/`, is `*` (OPTIONS only) or empty (CONNECT only). Percent-escapes are whole, not decoded.
    pub path: &'b str,
    /// What follows the first `?`.
    pub query: Option<&'b str>,
    /// Host and port asked for: of an absolute target, else of Host; empty if there is neither (HTTP/1.0).
    pub authority: &'b str,
    /// The version.
    pub version: Version,
    /// The fields.
    pub fields: Fields<'b, 's>,
    /// How to find the end of the body; never [`BodyLength::UntilClose`].
    pub body: BodyLength,
    /// Whether the client wants to use the connection again.
    pub is_keep_alive: bool,
    /// Whether the client waits for `100 Continue` before it sends the body.
    pub expects_continue: bool,
}

/// The head of a response.
#[derive(Clone, Copy, Debug)]
pub struct ResponseHead<'b, 's> {
    /// Length of the head in bytes, with the blank line at its end.
    pub bytes: usize,
    /// The status, 100 to 599 but not 101. Below 200 it is an interim head and another head follows.
    pub status: u16,
    /// The version.
    pub version: Version,
    /// The fields.
    pub fields: Fields<'b, 's>,
    /// How to find the end of the body; what the fields say of it counts for nothing where there cannot be one.
    pub body: BodyLength,
    /// Whether the connection may be used again once the body has ended.
    pub is_keep_alive: bool,
}

#[cfg(test)]
mod tests {
    use super::Field;
    use super::Fields;
    use super::Method;

    #[test]
    fn fields_are_found_in_any_case_and_the_first_counts() {
        let lines = [
            Field { name: "X-Ab", value: b"1" },
            Field { name: "x-ab", value: b"2" },
            Field { name: "x-abc", value: b"3" },
        ];
        let fields = Fields(&lines);
        assert_eq!(fields.get("x-aB"), Some(&b"1"[..]));
        assert_eq!(fields.get("x-a"), None);
        assert_eq!(fields.iter().count(), 3);
    }

    #[test]
    fn methods_have_one_spelling() {
        for text in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"]
        {
            assert_eq!(Method::from_text(text).as_str(), Some(text));
        }
        assert_eq!(Method::from_text("get"), Method::Other);
        assert_eq!(Method::Other.as_str(), None);
    }
}
