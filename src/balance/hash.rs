//! Which endpoint a key belongs to, so that it stays there when others come and go.

/// Says for every key which endpoint is nearest, which next, and so on.
///
/// There is no circle of points: each endpoint draws a number for the key, and the one with the lowest for its weight is
/// nearest (weighted rendezvous hashing). So each has exactly its share of the keys, an endpoint that comes takes only what
/// is its own from then on, and one that goes leaves its keys to all others by weight. The distances depend on nothing but
/// the URLs, weights and keys: all gateways agree on them, and so do restarts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ring {
    endpoints: Box<[Endpoint]>,
    load_factor_percent: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Endpoint {
    seed: u64,
    /// As given.
    weight: u32,
}

impl Ring {
    /// Endpoints as they stand in the views later: the URL, which stays the same, and the weight. An endpoint takes a key as
    /// long as it has at most `load_factor_percent` of its share of all that is in flight; below 100 counts as 100.
    pub fn new<'u>(
        endpoints: impl Iterator<Item = (&'u str, u32)>,
        load_factor_percent: u32,
    ) -> Self {
        let endpoint = |(url, weight): (&str, u32)| Endpoint { seed: key(url.as_bytes()), weight };
        Self {
            endpoints: endpoints.map(endpoint).collect(),
            load_factor_percent: load_factor_percent.max(100),
        }
    }

    /// The endpoint a key belongs to while all are usable and have room: its index. `None` if none has a weight.
    #[must_use]
    pub fn home(&self, key: u64) -> Option<usize> {
        let weighty = self.endpoints.iter().enumerate().filter(|(_, at)| at.weight > 0);
        weighty
            .map(|(index, at)| (index, self.distance(index, key, at.weight)))
            .min_by(|(_, one), (_, other)| one.total_cmp(other))
            .map(|(index, _)| index)
    }

    /// How far an endpoint is from a key, if it has this weight now: the lowest is nearest. Infinite without a
    /// weight, or if there is no such endpoint.
    ///
    /// A weight that grows brings keys to the endpoint and takes none away, so in slow start they come one by one.
    #[must_use]
    pub fn distance(&self, index: usize, key: u64, weight: u32) -> f64 {
        let Some(endpoint) = self.endpoints.get(index) else { return f64::INFINITY };
        // Between 0 and 1, and neither of them.
        let fraction = ((mix(endpoint.seed ^ key) >> 12) as f64 + 0.5) / (1_u64 << 52) as f64;
        // Who comes first of those that come at random, each as often as its weight.
        -fraction.ln() / f64::from(weight)
    }

    /// Whether an endpoint with this load and weight may take one more, of all with these sums of loads and weights:
    /// it then has at most the load factor times its share of the load, rounded up, and one more. One at least always may.
    #[must_use]
    pub(super) fn has_room(&self, (load, weight): (u32, u32), sums: (u64, u64)) -> bool {
        let (load_sum, weight_sum) = sums;
        let factor = u128::from(self.load_factor_percent);
        // load <= ceil(factor/100 x load_sum x weight / weight_sum), without dividing.
        let Some(before) = load.checked_sub(1) else { return true };
        100 * u128::from(before) * u128::from(weight_sum)
            < factor * u128::from(load_sum) * u128::from(weight)
    }
}

/// A key made of any bytes: the same in all processes and versions. Not meant to withstand who looks for collisions:
/// all that they get is to share an endpoint.
#[must_use]
pub fn key(bytes: &[u8]) -> u64 {
    // FNV-1a, and its weak high bits mixed.
    let fold = |sum: u64, &byte: &u8| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    mix(bytes.iter().fold(0xcbf2_9ce4_8422_2325, fold))
}

/// Every bit of the number goes into every bit of the result (the end of splitmix64).
const fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests;
