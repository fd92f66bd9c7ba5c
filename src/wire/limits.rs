//! How large anything that arrives may be; every bound of the wire in one place.

/// Bytes of a head, its first line and the blank line at its end included.
pub const HEAD_BYTES_MAX: usize = 32 * 1024;

/// Field lines of a head.
pub const FIELDS_MAX: usize = 100;

/// Bytes of one field's name.
pub const FIELD_NAME_BYTES_MAX: usize = 256;

/// Bytes of one field's value, the white space around it not counted.
pub const FIELD_VALUE_BYTES_MAX: usize = 16 * 1024;

/// Bytes of a request's target (path and query, or the whole of an absolute target).
pub const TARGET_BYTES_MAX: usize = 8 * 1024;

/// Bytes of a method's name: those we know have at most 7.
pub const METHOD_BYTES_MAX: usize = 32;

/// Bytes of a head's first line, the line's end included: the longest method, the longest target, a
/// version and what stands between them.
pub const FIRST_LINE_BYTES_MAX: usize =
    TARGET_BYTES_MAX + METHOD_BYTES_MAX + " HTTP/1.1 \r\n".len();

/// Empty lines before a request, which RFC 9112, section 2.2 asks servers to overlook.
pub const EMPTY_LINES_MAX: u8 = 4;

/// Bytes of chunk extensions of one message, all its chunks together.
pub const CHUNK_EXTENSION_BYTES_MAX: u16 = 4 * 1024;

/// Hexadecimal digits of one chunk's size: as many as fit 64 bits, so that no size can overflow.
pub const CHUNK_SIZE_DIGITS_MAX: u8 = 16;

/// Bytes of the trailer fields of one message, without the blank line at their end.
pub const TRAILER_BYTES_MAX: u16 = 8 * 1024;

/// Interim responses (1xx) an upstream may send before the final one.
pub const INTERIM_HEADS_MAX: usize = 8;

/// Decimal digits of a Content-Length: every number of so many digits fits 64 bits.
pub const LENGTH_DIGITS_MAX: usize = 19;
