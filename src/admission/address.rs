//! Sets of addresses: which prefix is the longest that an address is in, and what was said of it.

use std::net::IpAddr;

/// What a set says of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Verdict {
    /// No entry has it, and nothing is allowed by name: it may pass.
    Open,
    /// The longest prefix it is in is allowed.
    Allowed,
    /// The longest prefix it is in is denied.
    Denied,
    /// No entry has it, and others are allowed by name: it may not pass.
    Unlisted,
}

impl Verdict {
    /// Whether the address may pass.
    #[must_use]
    pub const fn is_allowed(self) -> bool {
        matches!(self, Self::Open | Self::Allowed)
    }

    /// The reason in words.
    #[must_use]
    pub const fn explain(self) -> &'static str {
        match self {
            Self::Open => "no entry has this address, and only denials are listed",
            Self::Allowed => "the longest prefix that has this address is allowed",
            Self::Denied => "the longest prefix that has this address is denied",
            Self::Unlisted => "no entry has this address, and only what is allowed may pass",
        }
    }
}

/// Prefixes that are allowed and prefixes that are denied. The longest prefix that an address is in decides; where
/// the same prefix is on both lists it is denied. An address in none is denied if there is a list of allowed ones.
///
/// IPv4 addresses written as IPv6 (`::ffff:1.2.3.4`) are IPv4 addresses, in entries (from /96 on) and in questions; so
/// `::/0` has no IPv4 address in it.
///
/// The prefixes become sorted ranges that do not overlap, found by halving: 17 steps for 100,000 entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressSet {
    v4: Ranges<u32>,
    v6: Ranges<u128>,
}

impl AddressSet {
    /// A set of these prefixes: addresses and the number of their leading bits that count. Bits beyond the prefix are
    /// ignored, a length beyond the address is the whole address.
    #[must_use]
    pub fn new(allow: &[(IpAddr, u8)], deny: &[(IpAddr, u8)]) -> Self {
        let rest = if allow.is_empty() { Verdict::Open } else { Verdict::Unlisted };
        let mut v4 = Vec::new();
        let mut v6 = Vec::new();
        let both = [(allow, Verdict::Allowed), (deny, Verdict::Denied)];
        for (list, verdict) in both {
            for (address, bits) in list {
                match (*address, address.to_canonical()) {
                    (IpAddr::V6(_), IpAddr::V4(address)) if *bits >= 96 => {
                        v4.push(Prefix::v4(address.to_bits(), *bits - 96, verdict));
                    }
                    (IpAddr::V6(address), _) => {
                        v6.push(Prefix::v6(address.to_bits(), *bits, verdict));
                    }
                    (IpAddr::V4(address), _) => {
                        v4.push(Prefix::v4(address.to_bits(), *bits, verdict));
                    }
                }
            }
        }
        Self { v4: Ranges::new(v4, rest), v6: Ranges::new(v6, rest) }
    }

    /// What the set says of `address`.
    #[must_use]
    pub fn verdict(&self, address: IpAddr) -> Verdict {
        match address.to_canonical() {
            IpAddr::V4(address) => self.v4.find(address.to_bits()),
            IpAddr::V6(address) => self.v6.find(address.to_bits()),
        }
    }

    /// Memory of the set, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.v4.bytes() + self.v6.bytes()
    }
}

/// From the first address of a prefix to its last.
struct Prefix<T> {
    first: T,
    last: T,
    verdict: Verdict,
}

impl Prefix<u32> {
    fn v4(address: u32, bits: u8, verdict: Verdict) -> Self {
        let host = u32::MAX.checked_shr(u32::from(bits.min(32))).unwrap_or(0);
        Self { first: address & !host, last: address | host, verdict }
    }
}

impl Prefix<u128> {
    fn v6(address: u128, bits: u8, verdict: Verdict) -> Self {
        let host = u128::MAX.checked_shr(u32::from(bits.min(128))).unwrap_or(0);
        Self { first: address & !host, last: address | host, verdict }
    }
}

/// The number after, if there is one.
trait Next: Copy + Ord + Default {
    fn next(self) -> Option<Self>;
}

impl Next for u32 {
    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }
}

impl Next for u128 {
    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }
}

/// Where each range begins, and what is said of it; a range ends where the next one begins.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Ranges<T> {
    starts: Box<[T]>,
    verdicts: Box<[Verdict]>,
    /// Of all below the first start.
    rest: Verdict,
}

impl<T: Next> Ranges<T> {
    fn new(mut prefixes: Vec<Prefix<T>>, rest: Verdict) -> Self {
        // Outer prefixes before those inside them; of the same two the denied one last, so that it counts.
        prefixes.sort_by(|a, b| {
            let by_place = a.first.cmp(&b.first).then(b.last.cmp(&a.last));
            by_place.then((a.verdict as u8).cmp(&(b.verdict as u8)))
        });
        let mut marks: Vec<(T, Verdict)> = Vec::with_capacity(prefixes.len() * 2);
        let mut open: Vec<(T, Verdict)> = Vec::new();
        let mut mark = |at: T, verdict: Verdict| match marks.last_mut() {
            Some(last) if last.0 == at => last.1 = verdict,
            _ => marks.push((at, verdict)),
        };
        for prefix in prefixes {
            while let Some((last, _)) = open.pop_if(|(last, _)| *last < prefix.first) {
                let verdict = open.last().map_or(rest, |(_, verdict)| *verdict);
                if let Some(at) = last.next() {
                    mark(at, verdict);
                }
            }
            mark(prefix.first, prefix.verdict);
            open.push((prefix.last, prefix.verdict));
        }
        while let Some((last, _)) = open.pop() {
            let verdict = open.last().map_or(rest, |(_, verdict)| *verdict);
            if let Some(at) = last.next() {
                mark(at, verdict);
            }
        }
        marks.dedup_by_key(|(_, verdict)| *verdict);
        let (starts, verdicts): (Vec<T>, Vec<Verdict>) = marks.into_iter().unzip();
        Self { starts: starts.into(), verdicts: verdicts.into(), rest }
    }

    fn find(&self, address: T) -> Verdict {
        let after = self.starts.partition_point(|start| *start <= address);
        after.checked_sub(1).map_or(self.rest, |index| self.verdicts[index])
    }

    fn bytes(&self) -> usize {
        size_of_val(&*self.starts) + size_of_val(&*self.verdicts)
    }
}

#[cfg(test)]
mod tests;
