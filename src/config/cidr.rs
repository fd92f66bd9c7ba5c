//! A network as the file writes it: an address and how many of its first bits count.

use crate::config::section::Errors;
use crate::config::section::Section;
use std::fmt;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;

/// A network; one address is a network of its full length. All bits of `address` behind the prefix are zero, and an IPv6
/// address that stands for an IPv4 one (`::ffff:10.0.0.1`) is that IPv4 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cidr {
    /// Its first address.
    pub address: IpAddr,
    /// How many bits count: up to 32 for IPv4, up to 128 for IPv6.
    pub prefix: u8,
}

/// Bits before the IPv4 address in an IPv6 address that stands for one.
const MAPPED_BITS: u8 = 96;

impl Cidr {
    /// Reads `10.0.0.0/8`, `2001:db8::/32` or an address alone.
    ///
    /// # Errors
    /// What is wrong with the text and what to write instead. Bits behind the prefix are refused: whoever wrote
    /// `10.1.2.3/8` may have meant the one address or the whole network.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (written, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let Ok(address) = written.parse::<IpAddr>() else {
            return Err(not_an_address(text, written));
        };
        let bits = bits(address);
        let prefix = match prefix {
            None => bits,
            Some(digits) => parse_prefix(digits).filter(|prefix| *prefix <= bits).ok_or_else(|| {
                format!("\"/{digits}\" is not a prefix: write a number from 0 to {bits}, as in \"{address}/{bits}\"")
            })?,
        };
        let first = masked(address, prefix);
        if first != address {
            return Err(format!(
                "\"{text}\" has bits behind its prefix: write \"{first}/{prefix}\" for the network, or \"{address}\" for \
                 the one address"
            ));
        }
        Ok(Self { address, prefix }.unmapped())
    }

    /// Whether the address is in this network. An address that stands for an IPv4 one is taken for that.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.address.is_ipv4() && masked(address, self.prefix) == self.address
    }

    fn unmapped(self) -> Self {
        match self.address {
            IpAddr::V6(v6) if self.prefix >= MAPPED_BITS => match v6.to_ipv4_mapped() {
                Some(v4) => Self { address: v4.into(), prefix: self.prefix - MAPPED_BITS },
                None => self,
            },
            _ => self,
        }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.prefix == bits(self.address) {
            return self.address.fmt(out);
        }
        write!(out, "{}/{}", self.address, self.prefix)
    }
}

/// The networks of an array of strings; none where it is not there.
pub(crate) fn list(section: &Section<'_>, key: &str, errors: &mut Errors<'_>) -> Vec<Cidr> {
    if !section.has(key) {
        return Vec::new();
    }
    let mut networks = Vec::new();
    for found in section.strings(key, errors) {
        match Cidr::parse(&found.value) {
            Ok(network) => networks.push(network),
            Err(why) => errors.add(&found.place, why),
        }
    }
    networks
}

fn bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// The address with all bits behind the prefix cleared.
fn masked(address: IpAddr, prefix: u8) -> IpAddr {
    let behind = u32::from(bits(address).saturating_sub(prefix));
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(behind).unwrap_or(0);
            Ipv4Addr::from_bits(v4.to_bits() & mask).into()
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(behind).unwrap_or(0);
            Ipv6Addr::from_bits(v6.to_bits() & mask).into()
        }
    }
}

/// Digits alone: no sign, no zero before others.
fn parse_prefix(digits: &str) -> Option<u8> {
    let is_plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    let has_zero = digits.len() > 1 && digits.starts_with('0');
    if is_plain && !has_zero { digits.parse().ok() } else { None }
}

fn not_an_address(text: &str, written: &str) -> String {
    let octets = written.trim_end_matches('.').split('.').count();
    let is_short = octets < 4 && written.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let bare = written.strip_prefix('[').and_then(|rest| rest.split(']').next());
    let bare = bare.and_then(|inside| inside.parse::<Ipv6Addr>().ok());
    let instead = if text.trim() != text {
        "leave out the space".to_owned()
    } else if let Some(bare) = bare {
        format!("write it without brackets and port: \"{bare}\"")
    } else if let Ok(socket) = written.parse::<std::net::SocketAddr>() {
        format!("leave out the port: \"{}\"", socket.ip())
    } else if is_short && !written.is_empty() {
        "all four numbers of an IPv4 network are written, as in \"10.0.0.0/8\"".to_owned()
    } else {
        "write an address or a network, as in \"192.0.2.1\", \"10.0.0.0/8\" or \"2001:db8::/32\""
            .to_owned()
    };
    format!("\"{text}\" is not a network: {instead}")
}

#[cfg(test)]
mod tests {
    use super::Cidr;

    fn shown(text: &str) -> String {
        match Cidr::parse(text) {
            Ok(cidr) => cidr.to_string(),
            Err(why) => why,
        }
    }

    #[test]
    fn networks_and_addresses_are_read() {
        for (text, same) in [
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("192.0.2.1", "192.0.2.1"),
            ("192.0.2.1/32", "192.0.2.1"),
            ("::1", "::1"),
            ("::/0", "::/0"),
            ("2001:db8::/32", "2001:db8::/32"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("::ffff:0.0.0.0/96", "0.0.0.0/0"),
        ] {
            assert_eq!(shown(text), same);
        }
    }

    #[test]
    fn what_cannot_be_says_what_to_write() {
        for (text, part) in [
            ("10.1.2.3/8", "write \"10.0.0.0/8\" for the network, or \"10.1.2.3\" for"),
            ("2001:db8::1/32", "write \"2001:db8::/32\" for the network"),
            ("::ffff:10.0.0.0/95", "bits behind its prefix"),
            ("10.0.0.0/33", "\"/33\" is not a prefix: write a number from 0 to 32"),
            ("::/129", "from 0 to 128"),
            ("10.0.0.0/08", "is not a prefix"),
            ("10.0.0.0/+8", "is not a prefix"),
            ("10.0.0.0/", "is not a prefix"),
            ("10.0.0.0/8/8", "is not a prefix"),
            ("10.0.0/8", "all four numbers"),
            ("10/8", "all four numbers"),
            (" 10.0.0.0/8", "leave out the space"),
            ("10.0.0.1:80", "leave out the port: \"10.0.0.1\""),
            ("[::1]", "without brackets and port: \"::1\""),
            ("[::1]:80", "without brackets and port: \"::1\""),
            ("localhost", "write an address or a network"),
            ("010.0.0.1", "write an address or a network"),
            ("fe80::1%eth0", "write an address or a network"),
            ("", "write an address or a network"),
        ] {
            assert!(shown(text).contains(part), "{text}: {}", shown(text));
        }
    }

    #[test]
    fn a_network_contains_its_addresses_and_no_others() {
        for (network, address, is_in) in [
            ("10.0.0.0/8", "10.255.255.255", true),
            ("10.0.0.0/8", "11.0.0.0", false),
            ("10.0.0.0/8", "::ffff:10.1.2.3", true),
            ("0.0.0.0/0", "::1", false),
            ("::/0", "10.0.0.1", false),
            ("::/0", "2001:db8::1", true),
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.0", false),
            ("2001:db8::/33", "2001:db8:8000::", false),
        ] {
            let network = Cidr::parse(network).unwrap();
            assert_eq!(network.contains(address.parse().unwrap()), is_in, "{network} {address}");
        }
    }
}
