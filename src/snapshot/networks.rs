//! A few networks, and whether an address is in one of them.

use crate::config::Cidr;
use std::fmt;
use std::net::IpAddr;

/// Networks, sorted, none within another: a look-up is a binary search.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks(Vec<(IpAddr, u8)>);

impl Networks {
    /// These networks; one within another is left out.
    #[must_use]
    pub fn new(networks: &[Cidr]) -> Self {
        let mut sorted = networks.to_vec();
        sorted.sort();
        let mut kept: Vec<Cidr> = Vec::with_capacity(sorted.len());
        for network in sorted {
            // Of two networks one lies within the other or they share nothing; the wider one is sorted first.
            if !kept.last().is_some_and(|wider| wider.contains(network.address)) {
                kept.push(network);
            }
        }
        Self(kept.into_iter().map(|network| (network.address, network.prefix)).collect())
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an address is in one of them. An IPv6 address that stands for an IPv4 one is taken for that.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let before = self.0.partition_point(|(first, _)| *first <= address);
        let nearest = before.checked_sub(1).and_then(|index| self.0.get(index));
        nearest.is_some_and(|&(address_of, prefix)| {
            Cidr { address: address_of, prefix }.contains(address)
        })
    }
}

impl fmt::Display for Networks {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return out.write_str("none");
        }
        for (index, &(address, prefix)) in self.0.iter().enumerate() {
            let comma = if index > 0 { ", " } else { "" };
            write!(out, "{comma}{}", Cidr { address, prefix })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Networks;
    use crate::config::Cidr;
    use std::net::IpAddr;

    fn networks(texts: &[&str]) -> Vec<Cidr> {
        texts.iter().map(|text| Cidr::parse(text).unwrap()).collect()
    }

    #[test]
    fn an_address_is_in_one_or_in_none() {
        let listed = networks(&[
            "192.0.2.7",
            "10.0.0.0/8",
            "10.1.0.0/16",
            "10.0.0.0/9",
            "2001:db8::/32",
            "::1",
            "10.0.0.0/8",
        ]);
        let found = Networks::new(&listed);
        assert_eq!(found.to_string(), "10.0.0.0/8, 192.0.2.7, ::1, 2001:db8::/32");
        let asked = [
            "0.0.0.0",
            "9.255.255.255",
            "10.0.0.0",
            "10.1.2.3",
            "10.255.255.255",
            "11.0.0.0",
            "192.0.2.6",
            "192.0.2.7",
            "192.0.2.8",
            "255.255.255.255",
            "::",
            "::1",
            "::2",
            "::ffff:10.0.0.1",
            "2001:db7:ffff::",
            "2001:db8::",
            "2001:db8:ffff::1",
            "2001:db9::",
        ];
        for text in asked {
            let address: IpAddr = text.parse().unwrap();
            let plainly = listed.iter().any(|network| network.contains(address));
            assert_eq!(found.contains(address), plainly, "{text}");
        }
        assert!(!Networks::default().contains("127.0.0.1".parse().unwrap()));
    }
}
