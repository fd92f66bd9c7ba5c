//! Address sets: by example, and against looking through the whole list.

#![allow(clippy::cast_possible_truncation, reason = "the numbers of these tests are small")]

use std::net::Ipv4Addr;
use std::net::Ipv6Addr;

use super::*;

type Entry = (IpAddr, u8);

fn entry(text: &str) -> Entry {
    let (address, bits) = text.split_once('/').unwrap_or((text, "128"));
    (ip(address), bits.parse().unwrap())
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn set(allow: &[&str], deny: &[&str]) -> AddressSet {
    let entries = |list: &[&str]| list.iter().map(|text| entry(text)).collect::<Vec<Entry>>();
    AddressSet::new(&entries(allow), &entries(deny))
}

#[track_caller]
fn expect(set: &AddressSet, address: &str, verdict: Verdict) {
    assert_eq!(set.verdict(ip(address)), verdict, "{address}");
}

#[test]
fn what_no_list_names_depends_on_whether_anything_is_allowed_by_name() {
    expect(&set(&[], &[]), "1.2.3.4", Verdict::Open);
    expect(&set(&[], &["10.0.0.0/8"]), "11.0.0.0", Verdict::Open);
    expect(&set(&[], &["10.0.0.0/8"]), "10.255.255.255", Verdict::Denied);
    expect(&set(&["10.0.0.0/8"], &[]), "10.0.0.0", Verdict::Allowed);
    expect(&set(&["10.0.0.0/8"], &[]), "9.255.255.255", Verdict::Unlisted);
    // Of the other family nothing is listed: it is not allowed either.
    expect(&set(&["10.0.0.0/8"], &[]), "::1", Verdict::Unlisted);
}

#[test]
fn the_longest_prefix_decides_and_of_equal_ones_the_denial() {
    let set = set(
        &["0.0.0.0/0", "10.1.0.0/16", "10.1.2.3", "192.0.2.0/24"],
        &["10.0.0.0/8", "10.1.2.0/24", "192.0.2.0/24"],
    );
    expect(&set, "8.8.8.8", Verdict::Allowed);
    expect(&set, "255.255.255.255", Verdict::Allowed);
    expect(&set, "10.2.0.1", Verdict::Denied);
    expect(&set, "10.1.255.255", Verdict::Allowed);
    expect(&set, "10.1.2.2", Verdict::Denied);
    expect(&set, "10.1.2.3", Verdict::Allowed);
    expect(&set, "10.1.2.4", Verdict::Denied);
    expect(&set, "10.1.3.0", Verdict::Allowed);
    expect(&set, "192.0.2.7", Verdict::Denied);
    expect(&set, "192.0.3.0", Verdict::Allowed);
}

#[test]
fn an_ipv4_address_is_one_however_it_is_written() {
    let plain = set(&["10.0.0.0/8"], &["10.9.0.0/16"]);
    let mapped = set(&["::ffff:10.0.0.0/104"], &["::ffff:10.9.0.0/112"]);
    assert_eq!(plain, mapped);
    for (address, verdict) in [("10.1.1.1", Verdict::Allowed), ("10.9.1.1", Verdict::Denied)] {
        expect(&plain, address, verdict);
        expect(&plain, &format!("::ffff:{address}"), verdict);
    }
    // Compatible addresses (without the ffff) are none, and the whole of IPv6 has no IPv4 in it.
    expect(&plain, "::10.1.1.1", Verdict::Unlisted);
    expect(&set(&[], &["::/0"]), "10.1.1.1", Verdict::Open);
    expect(&set(&[], &["::/0"]), "::ffff:10.1.1.1", Verdict::Open);
    expect(&set(&[], &["::ffff:0.0.0.0/96"]), "10.1.1.1", Verdict::Denied);
}

#[test]
fn bits_beyond_the_prefix_and_beyond_the_address_do_not_matter() {
    expect(&set(&[], &["10.1.2.3/8"]), "10.200.0.0", Verdict::Denied);
    expect(&set(&[], &["10.1.2.3/99"]), "10.1.2.3", Verdict::Denied);
    expect(&set(&[], &["10.1.2.3/99"]), "10.1.2.2", Verdict::Open);
    expect(&set(&[], &["2001:db8::1/32"]), "2001:db8:ffff::", Verdict::Denied);
    expect(&set(&[], &["2001:db8::1"]), "2001:db8::1", Verdict::Denied);
    expect(&set(&[], &["2001:db8::1"]), "2001:db8::2", Verdict::Open);
    expect(&set(&[], &["::/0"]), "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Verdict::Denied);
}

#[test]
fn neighbours_of_one_kind_become_one_range() {
    let halves = set(&["10.0.0.0/9", "10.128.0.0/9"], &[]);
    assert_eq!(halves.v4.starts.len(), 2);
    assert_eq!(halves, set(&["10.0.0.0/8"], &[]));
}

/// The same by looking at every entry.
fn naive(allow: &[Entry], deny: &[Entry], address: IpAddr) -> Verdict {
    let plain = |address: IpAddr, bits: u8| match (address, address.to_canonical()) {
        (IpAddr::V6(_), IpAddr::V4(v4)) if bits >= 96 => (IpAddr::V4(v4), bits - 96),
        _ => (address, bits),
    };
    let has = |entry: &Entry| {
        let (prefix, bits) = plain(entry.0, entry.1);
        let is_inside = match (prefix, address.to_canonical()) {
            (IpAddr::V4(a), IpAddr::V4(b)) => {
                let differ = u64::from(a.to_bits() ^ b.to_bits());
                differ >> (32 - u32::from(bits.min(32))) == 0
            }
            (IpAddr::V6(a), IpAddr::V6(b)) => {
                (a.to_bits() ^ b.to_bits()).leading_zeros() >= u32::from(bits.min(128))
            }
            _ => false,
        };
        is_inside.then_some(bits.min(if prefix.is_ipv4() { 32 } else { 128 }))
    };
    let allowed = allow.iter().filter_map(has).max();
    let denied = deny.iter().filter_map(has).max();
    match (allowed, denied) {
        (None, None) if allow.is_empty() => Verdict::Open,
        (None, None) => Verdict::Unlisted,
        (allowed, denied) if denied >= allowed => Verdict::Denied,
        _ => Verdict::Allowed,
    }
}

/// Numbers without end, the same each time (splitmix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.roll() % bound
    }

    /// Addresses close together, so that prefixes lie in each other, and some at the ends of the space.
    fn address(&mut self) -> IpAddr {
        let low = self.below(1 << 12);
        let ends = self.below(4) == 0;
        let v4 =
            Ipv4Addr::from_bits((low as u32) << 2 | if ends { 0xFFFF_C000 } else { 0x0A00_0000 });
        match self.below(3) {
            0 => v4.into(),
            1 => v4.to_ipv6_mapped().into(),
            _ => {
                let high =
                    if ends { 0xFFFF_u128 << 112 | u128::MAX >> 16 << 12 } else { 0x2001 << 112 };
                Ipv6Addr::from_bits(high | u128::from(low)).into()
            }
        }
    }

    fn entries(&mut self) -> Vec<Entry> {
        let count = [0, 1, 2, 5, 40][self.below(5) as usize];
        let mut entries = Vec::new();
        for _ in 0..count {
            let address = self.address();
            let bits = match address {
                IpAddr::V4(_) => 14 + self.below(22),
                IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some() => 90 + self.below(42),
                IpAddr::V6(_) => 110 + self.below(22),
            };
            entries.push((address, if self.below(20) == 0 { self.below(4) } else { bits } as u8));
        }
        entries
    }
}

#[test]
fn a_set_says_what_its_lists_say() {
    let mut dice = Dice(3);
    for round in 0..2_000 {
        let (allow, deny) = (dice.entries(), dice.entries());
        let set = AddressSet::new(&allow, &deny);
        let mut asked: Vec<IpAddr> = (0..20).map(|_| dice.address()).collect();
        asked.extend(allow.iter().chain(&deny).map(|entry| entry.0));
        for address in asked {
            let expected = naive(&allow, &deny, address);
            assert_eq!(set.verdict(address), expected, "{round}: {address} {allow:?} {deny:?}");
        }
    }
}
