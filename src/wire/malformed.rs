//! Everything that can be wrong with bytes that claim to be HTTP/1.1, and what to tell the sender.

/// Why bytes are not a message we accept. The connection they came on cannot go on: after any of these
/// nobody knows where the next message begins.
///
/// In a request it is answered with [`Malformed::status`]; in a response of an upstream it is a 502.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Malformed {
    /// The first bytes are a TLS handshake record.
    TlsHello,
    /// The first line is the preface of HTTP/2.
    Http2Preface,
    /// More than [`super::limits::EMPTY_LINES_MAX`] empty lines before a request, or any before a response.
    EmptyLines,
    /// The first line has not the parts that a request line has.
    RequestLine,
    /// The first line has not the parts that a status line has, or the status is not of 100 to 599.
    StatusLine,
    /// The method is not a token, not in capitals, or too long.
    Method,
    /// The target holds bytes that no target may hold, or a broken percent-escape.
    Target,
    /// The target has a form that its method does not allow (`*`, authority, absolute; RFC 9112, section 3.2).
    TargetForm,
    /// The target has a fragment (`#`), which belongs to the client alone.
    TargetFragment,
    /// The request line is longer than the target's bound allows.
    TargetTooLong,
    /// There is no version on the first line (HTTP/0.9).
    VersionMissing,
    /// The version is neither 1.0 nor 1.1.
    VersionUnknown,
    /// The head is longer than [`super::limits::HEAD_BYTES_MAX`].
    HeadTooLong,
    /// There are more than [`super::limits::FIELDS_MAX`] fields.
    TooManyFields,
    /// A field's name is longer than [`super::limits::FIELD_NAME_BYTES_MAX`].
    FieldNameTooLong,
    /// A field's value is longer than [`super::limits::FIELD_VALUE_BYTES_MAX`].
    FieldValueTooLong,
    /// A field's name is not a token, is empty, or has white space before its colon.
    FieldName,
    /// A field's value holds a control character.
    FieldValue,
    /// A field goes on in the next line (obs-fold; RFC 9112, section 5.2).
    FieldFolded,
    /// A line of the head ends without a carriage return.
    BareLineFeed,
    /// A carriage return stands alone.
    BareCarriageReturn,
    /// An HTTP/1.1 request has no Host.
    HostMissing,
    /// There is more than one Host.
    HostRepeated,
    /// Host, or the authority of the target, is not a name or address with an optional port.
    HostInvalid,
    /// Content-Length is not a plain decimal number of at most 19 digits.
    LengthInvalid,
    /// There is more than one Content-Length, be they equal or not.
    LengthRepeated,
    /// There is Content-Length beside Transfer-Encoding.
    LengthAndCoding,
    /// Transfer-Encoding is not written as we accept it.
    CodingInvalid,
    /// There is more than one Transfer-Encoding.
    CodingRepeated,
    /// Transfer-Encoding is right, but names codings other than chunked.
    CodingUnknown,
    /// Transfer-Encoding in an HTTP/1.0 message.
    CodingInHttp10,
    /// Expect asks for something else than 100-continue.
    Expectation,
    /// A response switches protocols (101), which nobody asked for.
    SwitchedProtocols,
    /// The size of a chunk is not one to sixteen hexadecimal digits.
    ChunkSize,
    /// A chunk extension holds a control character or a bare line end.
    ChunkExtension,
    /// The chunk extensions are longer than [`super::limits::CHUNK_EXTENSION_BYTES_MAX`] together.
    ChunkExtensionTooLong,
    /// The content of a chunk is not followed by a line end.
    ChunkEnd,
    /// A trailer field is not a field.
    Trailer,
    /// The trailer fields are longer than [`super::limits::TRAILER_BYTES_MAX`] together.
    TrailerTooLong,
    /// The body is longer than its receiver takes (a bound of the configuration; the caller counts).
    BodyTooLong,
    /// The sender closed before the end of the message.
    Truncated,
}

impl Malformed {
    /// All of them, in order: for tables of counters.
    pub const ALL: [Self; 41] = [
        Self::TlsHello,
        Self::Http2Preface,
        Self::EmptyLines,
        Self::RequestLine,
        Self::StatusLine,
        Self::Method,
        Self::Target,
        Self::TargetForm,
        Self::TargetFragment,
        Self::TargetTooLong,
        Self::VersionMissing,
        Self::VersionUnknown,
        Self::HeadTooLong,
        Self::TooManyFields,
        Self::FieldNameTooLong,
        Self::FieldValueTooLong,
        Self::FieldName,
        Self::FieldValue,
        Self::FieldFolded,
        Self::BareLineFeed,
        Self::BareCarriageReturn,
        Self::HostMissing,
        Self::HostRepeated,
        Self::HostInvalid,
        Self::LengthInvalid,
        Self::LengthRepeated,
        Self::LengthAndCoding,
        Self::CodingInvalid,
        Self::CodingRepeated,
        Self::CodingUnknown,
        Self::CodingInHttp10,
        Self::Expectation,
        Self::SwitchedProtocols,
        Self::ChunkSize,
        Self::ChunkExtension,
        Self::ChunkExtensionTooLong,
        Self::ChunkEnd,
        Self::Trailer,
        Self::TrailerTooLong,
        Self::BodyTooLong,
        Self::Truncated,
    ];

    /// The status with which a request that is wrong in this way is answered.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::BodyTooLong => 413,
            Self::TargetTooLong => 414,
            Self::Expectation => 417,
            Self::HeadTooLong
            | Self::TooManyFields
            | Self::FieldNameTooLong
            | Self::FieldValueTooLong => 431,
            Self::CodingUnknown => 501,
            Self::VersionUnknown | Self::Http2Preface => 505,
            _ => 400,
        }
    }

    /// What is wrong, in a sentence for the sender.
    #[must_use]
    pub const fn explain(self) -> &'static str {
        match self {
            Self::TlsHello => "this port speaks plain HTTP, but the client began with TLS",
            Self::Http2Preface => "this port speaks HTTP/1.1, but the client began with HTTP/2",
            Self::EmptyLines => "there are too many empty lines before the message",
            Self::RequestLine => "the request line is not `METHOD target HTTP/1.1`",
            Self::StatusLine => "the status line is not `HTTP/1.1 status reason`",
            Self::Method => "the method is not a word of capital letters",
            Self::Target => "the request target holds bytes that are not allowed there",
            Self::TargetForm => "the request target has a form that its method does not allow",
            Self::TargetFragment => "the request target must not have a fragment (#)",
            Self::TargetTooLong => "the request line is too long",
            Self::VersionMissing => "the request line has no HTTP version",
            Self::VersionUnknown => "only HTTP/1.1 and HTTP/1.0 are spoken here",
            Self::HeadTooLong => "the head of the message is too long",
            Self::TooManyFields => "there are too many header fields",
            Self::FieldNameTooLong => "the name of a header field is too long",
            Self::FieldValueTooLong => "the value of a header field is too long",
            Self::FieldName => "the name of a header field is not a token followed by a colon",
            Self::FieldValue => "the value of a header field holds a control character",
            Self::FieldFolded => "a header field goes on in the next line",
            Self::BareLineFeed => "a line ends with a line feed alone",
            Self::BareCarriageReturn => "a carriage return stands alone",
            Self::HostMissing => "the Host field is missing",
            Self::HostRepeated => "there is more than one Host field",
            Self::HostInvalid => "the host is not a name or an address with an optional port",
            Self::LengthInvalid => "Content-Length is not a decimal number",
            Self::LengthRepeated => "there is more than one Content-Length",
            Self::LengthAndCoding => "there is Content-Length beside Transfer-Encoding",
            Self::CodingInvalid => "Transfer-Encoding is not exactly `chunked`",
            Self::CodingRepeated => "there is more than one Transfer-Encoding",
            Self::CodingUnknown => "of the transfer codings only chunked is spoken here",
            Self::CodingInHttp10 => "HTTP/1.0 has no Transfer-Encoding",
            Self::Expectation => "the only expectation known here is 100-continue",
            Self::SwitchedProtocols => "the protocol was switched without being asked for",
            Self::ChunkSize => "the size of a chunk is not a hexadecimal number",
            Self::ChunkExtension => "a chunk extension holds a control character",
            Self::ChunkExtensionTooLong => "the chunk extensions are too long",
            Self::ChunkEnd => "the content of a chunk is not followed by a line end",
            Self::Trailer => "a trailer field is not a field",
            Self::TrailerTooLong => "the trailer fields are too long",
            Self::BodyTooLong => "the body is too long",
            Self::Truncated => "the connection was closed before the end of the message",
        }
    }

    /// A word for it in metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::TlsHello => "tls_hello",
            Self::Http2Preface => "http2_preface",
            Self::EmptyLines => "empty_lines",
            Self::RequestLine => "request_line",
            Self::StatusLine => "status_line",
            Self::Method => "method",
            Self::Target => "target",
            Self::TargetForm => "target_form",
            Self::TargetFragment => "target_fragment",
            Self::TargetTooLong => "target_too_long",
            Self::VersionMissing => "version_missing",
            Self::VersionUnknown => "version_unknown",
            Self::HeadTooLong => "head_too_long",
            Self::TooManyFields => "too_many_fields",
            Self::FieldNameTooLong => "field_name_too_long",
            Self::FieldValueTooLong => "field_value_too_long",
            Self::FieldName => "field_name",
            Self::FieldValue => "field_value",
            Self::FieldFolded => "field_folded",
            Self::BareLineFeed => "bare_line_feed",
            Self::BareCarriageReturn => "bare_carriage_return",
            Self::HostMissing => "host_missing",
            Self::HostRepeated => "host_repeated",
            Self::HostInvalid => "host_invalid",
            Self::LengthInvalid => "length_invalid",
            Self::LengthRepeated => "length_repeated",
            Self::LengthAndCoding => "length_and_coding",
            Self::CodingInvalid => "coding_invalid",
            Self::CodingRepeated => "coding_repeated",
            Self::CodingUnknown => "coding_unknown",
            Self::CodingInHttp10 => "coding_in_http10",
            Self::Expectation => "expectation",
            Self::SwitchedProtocols => "switched_protocols",
            Self::ChunkSize => "chunk_size",
            Self::ChunkExtension => "chunk_extension",
            Self::ChunkExtensionTooLong => "chunk_extension_too_long",
            Self::ChunkEnd => "chunk_end",
            Self::Trailer => "trailer",
            Self::TrailerTooLong => "trailer_too_long",
            Self::BodyTooLong => "body_too_long",
            Self::Truncated => "truncated",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Malformed;

    #[test]
    fn each_is_listed_once_and_says_something_of_its_own() {
        for (position, one) in Malformed::ALL.iter().enumerate() {
            assert_eq!(*one as usize, position, "{one:?}");
            assert!((400..=505).contains(&one.status()), "{one:?}");
            for other in &Malformed::ALL[position + 1..] {
                assert_ne!(one.label(), other.label());
                assert_ne!(one.explain(), other.explain());
            }
        }
    }
}
