//! What is tried again: a set of causes and statuses.

use crate::balance::retry::Cause;

/// The causes that are words in the config.
const WORDS: [(&str, Cause); 4] = [
    ("connect", Cause::Connect),
    ("reset", Cause::Reset),
    ("timeout", Cause::Timeout),
    ("malformed", Cause::Malformed),
];

/// All statuses of the server's own errors.
const SERVER_ERRORS: &str = "5xx";

/// What is tried again: causes, and statuses from 400 to 599.
///
/// A refused credential and a prompt that is too long are never in it: they have a way of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct On {
    /// A bit for each of [`WORDS`].
    causes: u8,
    /// A bit for each status from 400.
    statuses: [u64; 4],
}

impl On {
    /// Nothing.
    pub const NONE: Self = Self { causes: 0, statuses: [0; 4] };

    /// What is tried again unless the config says otherwise: what cannot have had an effect, and statuses that say "not
    /// now". A malformed answer and other errors are more often a bug, which a repetition does not mend.
    pub const USUAL: Self = Self::NONE
        .with(Cause::Connect)
        .with(Cause::Reset)
        .with(Cause::Timeout)
        .with(Cause::Status(429))
        .with(Cause::Status(500))
        .with(Cause::Status(502))
        .with(Cause::Status(503))
        .with(Cause::Status(504))
        .with(Cause::Status(529));

    /// One item of a list in the config: `connect`, `reset`, `timeout`, `malformed`, a status from 400 to 599, or `5xx`.
    #[must_use]
    pub fn parse(item: &str) -> Option<Self> {
        if let Some((_, cause)) = WORDS.iter().find(|(word, _)| *word == item) {
            return Some(Self::NONE.with(*cause));
        }
        if item == SERVER_ERRORS {
            return Some((500..600).fold(Self::NONE, |on, status| on.with(Cause::Status(status))));
        }
        let is_number = item.len() == 3 && item.bytes().all(|byte| byte.is_ascii_digit());
        let status = item.parse().ok().filter(|_| is_number)?;
        Some(Self::NONE.with(Cause::Status(status))).filter(|on| *on != Self::NONE)
    }

    /// Whether `cause` is in it.
    #[must_use]
    pub const fn has(&self, cause: Cause) -> bool {
        match place(cause) {
            Place::Word(bit) => self.causes & bit != 0,
            Place::Status { word, bit } => self.statuses[word] & bit != 0,
            Place::Nowhere => false,
        }
    }

    /// This and `cause`, if that can be in it.
    #[must_use]
    pub const fn with(mut self, cause: Cause) -> Self {
        match place(cause) {
            Place::Word(bit) => self.causes |= bit,
            Place::Status { word, bit } => self.statuses[word] |= bit,
            Place::Nowhere => {}
        }
        self
    }

    /// What is in either.
    #[must_use]
    pub const fn or(mut self, other: Self) -> Self {
        self.causes |= other.causes;
        let mut word = 0;
        while word < self.statuses.len() {
            self.statuses[word] |= other.statuses[word];
            word += 1;
        }
        self
    }

    /// Its items as a config has them, words first, in the order of their numbers.
    #[must_use]
    pub fn labels(&self) -> Vec<String> {
        let words = WORDS.iter().filter(|(_, cause)| self.has(*cause));
        let mut labels: Vec<String> = words.map(|(word, _)| (*word).to_owned()).collect();
        let has = |status: &u16| self.has(Cause::Status(*status));
        let is_all = (500..600).all(|status| has(&status));
        let end = if is_all { 500 } else { 600 };
        labels.extend((400..end).filter(has).map(|status| status.to_string()));
        labels.extend(is_all.then(|| SERVER_ERRORS.to_owned()));
        labels
    }
}

/// Where the bit of a cause is.
enum Place {
    Word(u8),
    Status { word: usize, bit: u64 },
    Nowhere,
}

const fn place(cause: Cause) -> Place {
    match cause {
        Cause::Connect => Place::Word(1),
        Cause::Reset => Place::Word(1 << 1),
        Cause::Timeout => Place::Word(1 << 2),
        Cause::Malformed => Place::Word(1 << 3),
        Cause::Status(status @ 400..=599) => {
            let index = status as usize - 400;
            Place::Status { word: index / 64, bit: 1 << (index % 64) }
        }
        Cause::Status(_) | Cause::Credential | Cause::ContextLength => Place::Nowhere,
    }
}

#[cfg(test)]
mod tests {
    use super::Cause;
    use super::On;

    fn list(items: &[&str]) -> On {
        items.iter().fold(On::NONE, |on, item| on.or(On::parse(item).expect(item)))
    }

    #[test]
    fn the_usual_is_what_the_reference_says() {
        let usual = ["connect", "reset", "timeout", "429", "500", "502", "503", "504", "529"];
        assert_eq!(list(&usual), On::USUAL);
        assert_eq!(On::USUAL.labels(), usual);
    }

    #[test]
    fn every_status_has_a_bit_of_its_own() {
        for status in 0..=u16::MAX {
            let on = On::parse(&status.to_string());
            assert_eq!(on.is_some(), (400..600).contains(&status), "{status}");
            let Some(on) = on else { continue };
            assert_eq!(on.labels(), [status.to_string()]);
            for other in 390..610 {
                assert_eq!(on.has(Cause::Status(other)), other == status, "{status} {other}");
            }
        }
    }

    #[test]
    fn items_are_read_and_written() {
        for items in [&["connect"][..], &["malformed", "404", "5xx"], &["reset", "408", "599"], &[]]
        {
            assert_eq!(list(items).labels(), items);
        }
        assert_eq!(list(&["500", "5xx", "503"]), list(&["5xx"]));
        assert!(list(&["5xx"]).has(Cause::Status(501)) && !list(&["5xx"]).has(Cause::Reset));
        for item in ["", "Connect", "4xx", "5XX", "399", "600", "0500", "+429", "50", " 500"] {
            assert_eq!(On::parse(item), None, "{item}");
        }
    }

    #[test]
    fn some_causes_are_never_in_it() {
        let all = list(&["connect", "reset", "timeout", "malformed", "5xx"]);
        let all = (400..500).fold(all, |on, status| on.with(Cause::Status(status)));
        for cause in [Cause::Credential, Cause::ContextLength, Cause::Status(200)] {
            assert!(!all.has(cause) && all.with(cause) == all, "{cause:?}");
        }
    }
}
