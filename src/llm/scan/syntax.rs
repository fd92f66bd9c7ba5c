//! What can be wrong with a document.

/// What is wrong with a document at some byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syntax {
    /// Nothing but white space.
    Empty,
    /// Bytes that are not UTF-8.
    NotUtf8,
    /// A byte order mark, which is not part of JSON.
    ByteOrderMark,
    /// The document ends before its value does.
    EndsEarly,
    /// Something that cannot begin a value.
    NoValue,
    /// A member of an object that does not begin with a string.
    NoKey,
    /// A key without its colon.
    NoColon,
    /// A member of an object that is followed by neither a comma nor a brace.
    NoCommaOrBrace,
    /// An element of an array that is followed by neither a comma nor a bracket.
    NoCommaOrBracket,
    /// A control character as itself inside a string.
    ControlCharacter,
    /// A backslash that begins no escape.
    BadEscape,
    /// Half of a surrogate pair.
    LoneSurrogate,
    /// A number that is not written as JSON wants it.
    BadNumber,
    /// A number greater than an `f64` can hold.
    NumberTooLarge,
    /// Something after the end of the value.
    TrailingText,
    /// More than 127 arrays and objects inside each other.
    TooDeep,
}

impl Syntax {
    /// What is wrong, as the end of a sentence, with what to write instead.
    #[must_use]
    pub const fn explain(self) -> &'static str {
        match self {
            Self::Empty => "the body is empty; send a JSON object",
            Self::NotUtf8 => "these bytes are not UTF-8; encode the body as UTF-8",
            Self::ByteOrderMark => {
                "the body begins with a byte order mark; send it without (in Python, encode as \"utf-8\", not \"utf-8-sig\")"
            }
            Self::EndsEarly => {
                "the body ends in the middle of a value; check that it was sent whole and that every string, array and object is closed"
            }
            Self::NoValue => {
                "a value was expected here: a string in double quotes, a number, true, false, null, an array or an object (NaN, Infinity and None are not JSON)"
            }
            Self::NoKey => {
                "a key in double quotes was expected here (the last member takes no comma after it)"
            }
            Self::NoColon => "a colon was expected here, between key and value",
            Self::NoCommaOrBrace => "a comma or \"}\" was expected here",
            Self::NoCommaOrBracket => "a comma or \"]\" was expected here",
            Self::ControlCharacter => {
                "control characters must be escaped inside strings; write a line end as \\n and a tab as \\t"
            }
            Self::BadEscape => {
                "this is no escape; write a backslash as \\\\ and other characters as they are or as \\u and four hexadecimal digits"
            }
            Self::LoneSurrogate => {
                "this is half of a surrogate pair; write both halves, or the character itself"
            }
            Self::BadNumber => {
                "this is no JSON number; write digits without leading zeros or a plus sign, and digits on both sides of a decimal point"
            }
            Self::NumberTooLarge => {
                "this number is out of range; write one between -1.7e308 and 1.7e308"
            }
            Self::TrailingText => "the JSON value has ended before this; send exactly one value",
            Self::TooDeep => {
                "arrays and objects are nested too deeply; at most 127 levels are allowed"
            }
        }
    }
}

/// Where a document stopped being JSON, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flaw {
    /// Bytes from the start of the document.
    pub(crate) offset: usize,
    /// What is wrong there.
    pub(crate) what: Syntax,
}
