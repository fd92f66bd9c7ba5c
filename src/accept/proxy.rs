//! Who asks, where a proxy stands between: the header of the PROXY protocol, and `x-forwarded-for`.
//!
//! The header (versions 1 and 2 as HAProxy's proxy-protocol.txt has them) comes before the first byte of HTTP. Nothing
//! here decides whom to believe: the caller asks only on behalf of proxies that are trusted.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddrV4;

/// The longest header of version 1 in bytes, its line end included (section 2.1).
pub const V1_BYTES_MAX: usize = 107;
/// The longest header of version 2 that is taken, in bytes. Senders are asked to stay within 536; some put certificates
/// behind the addresses and do not.
pub const V2_BYTES_MAX: usize = 4 << 10;

const V1_BEGIN: &[u8] = b"PROXY ";
const V2_BEGIN: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Bytes of version 2 before the addresses: the signature, version and command, family, length.
const V2_FIXED_BYTES: usize = 16;
const V2_UNIX_BYTES: usize = 216;

/// A whole header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Its length; what follows is HTTP.
    pub bytes: usize,
    /// Whose connection the proxy has passed on. None: its own (a health check), or one without an internet address.
    pub source: Option<IpAddr>,
}

/// Why bytes are no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// They begin like neither version.
    Begin,
    /// Version 1: not the words there must be, or not with single spaces between them.
    Line,
    /// An address or a port that is none, or not of the family that was said.
    Address,
    /// Longer than a header may be.
    TooLong,
    /// Version 2: another version or command than there is.
    Command,
    /// Version 2: a family or a transport that cannot carry HTTP/1.1.
    Family,
    /// Version 2: too short for its addresses.
    TooShort,
}

/// Reads a header from the first bytes of a connection; `None` while it is not whole. What is found does not depend on
/// how the bytes are cut. What is wrong is seen as soon as it is there: in version 1 with the end of the line at the latest.
///
/// # Errors
/// What is wrong: the connection must be closed, for nobody can say where HTTP begins.
pub fn header(input: &[u8]) -> Result<Option<Header>, Wrong> {
    if begins(input, V1_BEGIN) {
        return v1(input);
    }
    if begins(input, V2_BEGIN) {
        return v2(input);
    }
    Err(Wrong::Begin)
}

/// Whether the input begins like this as far as both go.
fn begins(input: &[u8], begin: &[u8]) -> bool {
    input.iter().zip(begin).all(|(one, other)| one == other)
}

fn v1(input: &[u8]) -> Result<Option<Header>, Wrong> {
    let seen = input.get(..V1_BYTES_MAX).unwrap_or(input);
    let Some(feed) = memchr::memchr(b'\n', seen) else {
        return if seen.len() == V1_BYTES_MAX { Err(Wrong::TooLong) } else { Ok(None) };
    };
    let line = seen.get(..feed).and_then(|line| line.strip_suffix(b"\r")).ok_or(Wrong::Line)?;
    let line = std::str::from_utf8(line).map_err(|_| Wrong::Line)?;
    let said = line.strip_prefix("PROXY ").ok_or(Wrong::Line)?;
    let source = match said.split_once(' ') {
        // Whatever follows is to be ignored.
        _ if said == "UNKNOWN" || said.starts_with("UNKNOWN ") => None,
        Some(("TCP4", rest)) => Some(IpAddr::V4(v1_addresses::<Ipv4Addr>(rest)?)),
        Some(("TCP6", rest)) => Some(IpAddr::V6(v1_addresses::<Ipv6Addr>(rest)?).to_canonical()),
        _ => return Err(Wrong::Line),
    };
    Ok(Some(Header { bytes: feed + 1, source }))
}

/// Source, destination and their ports; the source is given back.
fn v1_addresses<A: std::str::FromStr>(text: &str) -> Result<A, Wrong> {
    let mut words = text.split(' ');
    let (source, destination) = (words.next(), words.next());
    let ports = [words.next(), words.next()];
    if words.next().is_some() || ports.contains(&None) {
        return Err(Wrong::Line);
    }
    let has_ports = ports.iter().flatten().all(|port| is_port(port) && !has_zeros(port));
    let address = |text: Option<&str>| text.and_then(|text| text.parse::<A>().ok());
    match (address(source), address(destination)) {
        (Some(source), Some(_)) if has_ports => Ok(source),
        _ => Err(Wrong::Address),
    }
}

fn v2(input: &[u8]) -> Result<Option<Header>, Wrong> {
    let Some(&command) = input.get(V2_BEGIN.len()) else { return Ok(None) };
    let is_local = match command {
        0x20 => true,
        0x21 => false,
        _ => return Err(Wrong::Command),
    };
    let Some(&family) = input.get(V2_BEGIN.len() + 1) else { return Ok(None) };
    // Of a connection of the proxy's own the family says nothing.
    let needed = match family {
        _ if is_local => 0,
        0x00 => 0,
        0x11 => 12,
        0x21 => 36,
        0x31 => V2_UNIX_BYTES,
        _ => return Err(Wrong::Family),
    };
    let Some(&[_, _, high, low]) = input.get(V2_BEGIN.len()..V2_FIXED_BYTES) else {
        return Ok(None);
    };
    let length = usize::from(u16::from_be_bytes([high, low]));
    let whole = V2_FIXED_BYTES + length;
    if whole > V2_BYTES_MAX {
        return Err(Wrong::TooLong);
    }
    if length < needed {
        return Err(Wrong::TooShort);
    }
    let Some(rest) = input.get(V2_FIXED_BYTES..whole) else { return Ok(None) };
    let source = match family {
        _ if is_local => None,
        0x11 => rest.first_chunk::<4>().map(|octets| IpAddr::from(*octets)),
        0x21 => rest.first_chunk::<16>().map(|octets| IpAddr::from(*octets).to_canonical()),
        _ => None,
    };
    Ok(Some(Header { bytes: whole, source }))
}

/// Whose request it is: the one whom the outermost trusted proxy has seen. `peer` is whom the connection is from,
/// `forwarded` the values of all `x-forwarded-for` fields in the order they came.
///
/// From the right, each proxy vouches for the address that it has added; the first that is not trusted is the client, and
/// whatever stands left of it is only what that client says. What is no address ends the search: the last proxy known is
/// then the client.
pub fn client_address<'f>(
    peer: IpAddr,
    forwarded: impl DoubleEndedIterator<Item = &'f [u8]>,
    is_trusted: impl Fn(IpAddr) -> bool,
) -> IpAddr {
    let mut client = peer.to_canonical();
    let listed = forwarded.rev().flat_map(|value| value.rsplit(|byte| *byte == b','));
    // Nothing between two commas is nothing (RFC 9110, section 5.6.1).
    let mut listed = listed.map(<[u8]>::trim_ascii).filter(|entry| !entry.is_empty());
    while is_trusted(client) {
        match listed.next().and_then(forwarded_address) {
            Some(address) => client = address,
            None => break,
        }
    }
    client
}

/// An address as proxies write it: alone, in brackets, with a port; never with a zone, which means nothing elsewhere.
fn forwarded_address(entry: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(entry).ok()?;
    let address = match text.strip_prefix('[') {
        Some(rest) => {
            let (inside, port) = rest.split_once(']')?;
            let is_port = |port: &str| port.strip_prefix(':').is_some_and(is_port);
            IpAddr::V6(inside.parse().ok().filter(|_| port.is_empty() || is_port(port))?)
        }
        None => match text.parse() {
            Ok(address) => address,
            Err(_) => text.parse::<SocketAddrV4>().ok()?.ip().to_owned().into(),
        },
    };
    Some(address.to_canonical())
}

/// Whether zeros stand before other digits.
fn has_zeros(text: &str) -> bool {
    text.len() > 1 && text.starts_with('0')
}

/// Digits alone: no sign.
fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

#[cfg(test)]
mod tests;
