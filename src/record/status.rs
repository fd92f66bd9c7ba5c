//! The closed list of statuses that are counted one by one; the rest are counted by class.

/// Statuses with a series of their own.
const LISTED: [u16; 37] = [
    200, 201, 202, 204, 206, 301, 302, 304, 307, 308, 400, 401, 402, 403, 404, 405, 408, 409, 410,
    411, 413, 415, 417, 422, 424, 425, 429, 431, 499, 500, 501, 502, 503, 504, 505, 520, 529,
];

/// Labels in the order of [`StatusLabel::index`]: the listed ones, then the classes.
const LABELS: [&str; LISTED.len() + 5] = [
    "200", "201", "202", "204", "206", "301", "302", "304", "307", "308", "400", "401", "402",
    "403", "404", "405", "408", "409", "410", "411", "413", "415", "417", "422", "424", "425",
    "429", "431", "499", "500", "501", "502", "503", "504", "505", "520", "529", "1xx", "2xx",
    "3xx", "4xx", "5xx",
];

/// A status as a label: a listed status, or the class of one that is not listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StatusLabel(u8);

impl StatusLabel {
    /// How many labels there are.
    pub const COUNT: usize = LABELS.len();

    /// The label of `status`. What is no status at all (below 100, above 599) counts as `5xx`: it came from an upstream
    /// that does not speak HTTP.
    #[must_use]
    pub fn of(status: u16) -> Self {
        Self(BY_STATUS.get(usize::from(status)).copied().unwrap_or(FIVE_XX))
    }

    /// Every label, in the order of `index()`.
    pub fn all() -> impl Iterator<Item = Self> {
        (0u8..).take(Self::COUNT).map(Self)
    }

    /// Place of this label.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// The text: `"404"`, `"4xx"`.
    #[must_use]
    pub fn label(self) -> &'static str {
        LABELS.get(self.index()).copied().unwrap_or("5xx")
    }
}

const FIVE_XX: u8 = {
    assert!(LABELS.len() < 256);
    #[expect(clippy::cast_possible_truncation, reason = "asserted above")]
    let last = (LABELS.len() - 1) as u8;
    last
};

/// Label by status, so that the hot path does one load.
static BY_STATUS: [u8; 600] = {
    let mut table = [FIVE_XX; 600];
    let mut status = 100;
    while status < 600 {
        #[expect(clippy::cast_possible_truncation, reason = "at most 4")]
        let class = (status / 100 - 1) as u8;
        table[status] = FIVE_XX - 4 + class;
        status += 1;
    }
    let mut place: u8 = 0;
    while (place as usize) < LISTED.len() {
        table[LISTED[place as usize] as usize] = place;
        place += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listed_statuses_have_their_own_label() {
        for status in LISTED {
            assert_eq!(StatusLabel::of(status).label(), status.to_string());
        }
    }

    #[test]
    fn others_are_counted_by_class() {
        for (status, label) in
            [(101, "1xx"), (226, "2xx"), (399, "3xx"), (418, "4xx"), (599, "5xx")]
        {
            assert_eq!(StatusLabel::of(status).label(), label);
        }
        for status in [0, 99, 600, 999, u16::MAX] {
            assert_eq!(StatusLabel::of(status).label(), "5xx");
        }
    }

    #[test]
    fn every_label_is_reached_once() {
        let mut labels: Vec<_> = StatusLabel::all().map(StatusLabel::label).collect();
        assert_eq!(labels.len(), StatusLabel::COUNT);
        labels.sort_unstable();
        labels.dedup();
        assert_eq!(labels.len(), StatusLabel::COUNT);
    }
}
