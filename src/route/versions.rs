//! Which of a model's versions a request gets: by its number, by a range, by a label, by what the operator has said.

use crate::balance::hash;
use crate::balance::hash::Ring;
use crate::units::ModelId;
use semver::VersionReq;

/// The longest range that is looked at, in bytes.
const RANGE_BYTES_MAX: usize = 128;
/// A share of all requests is counted in hundredths of a percent.
const SHARE_ALL: u32 = 10_000;

/// Why a request got the version that it got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It has named it.
    Exact,
    /// It is the highest in the range that the request has named.
    Range,
    /// The request has named a label of it.
    Label,
    /// It was drawn.
    Split,
    /// A field of the request leads to it, whatever the shares.
    Match,
    /// What the request has in common with others leads all of them to it.
    Sticky,
}

/// What text for a version means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spec<'s> {
    /// A version of this name, or a label.
    Named(&'s str),
    /// The highest of those that fit.
    Range(VersionReq),
    /// It begins as a range does, and is none.
    Broken,
}

impl<'s> Spec<'s> {
    /// Reads a version, a label or a range: as Cargo has them (<https://docs.rs/semver>), but that a range has a sign that says
    /// so. `1.2` alone is the name of a version: what else it might mean differs from place to place.
    #[must_use]
    pub fn read(text: &'s str) -> Self {
        let has_sign = text.starts_with(['^', '~', '=', '>', '<', '*'])
            || text.split('.').skip(1).any(|part| matches!(part, "*" | "x" | "X"));
        if !has_sign {
            return Self::Named(text);
        }
        if text.len() > RANGE_BYTES_MAX {
            return Self::Broken;
        }
        VersionReq::parse(text).map_or(Self::Broken, Self::Range)
    }
}

/// One version of a model.
#[derive(Clone, Debug)]
pub(super) struct Version {
    /// As it is written.
    pub(super) text: Box<str>,
    /// The model that it is.
    pub(super) model: ModelId,
    /// What ranges compare; none: no range has it.
    number: Option<semver::Version>,
    /// Whether it takes requests: of those that do not all endpoints are gone or on their way out.
    is_open: bool,
}

impl Version {
    pub(super) fn new(text: &str, model: ModelId) -> Self {
        Self { text: text.into(), model, number: number(text), is_open: true }
    }
}

/// A version's number: `1.2.0`, or shorter, `1.2`, or with a `v` before it.
fn number(text: &str) -> Option<semver::Version> {
    let text = text.strip_prefix('v').unwrap_or(text);
    if let Ok(number) = semver::Version::parse(text) {
        return Some(number);
    }
    let mut parts = text.split('.');
    let is_short = parts.clone().count() < 3;
    let mut next = || match parts.next() {
        // No sign and no zero before the number, as the standard has it.
        Some(part) if part != "0" && !part.starts_with(|c: char| ('1'..='9').contains(&c)) => None,
        Some(part) => part.parse().ok(),
        None => Some(0),
    };
    let number = semver::Version::new(next()?, next()?, next()?);
    is_short.then_some(number)
}

/// The versions of one model, in the order in which they were given.
#[derive(Clone, Debug, Default)]
pub(super) struct Versions(Vec<Version>);

impl Versions {
    pub(super) fn add(&mut self, version: Version) {
        self.0.push(version);
    }

    /// Which of them take requests.
    pub(super) fn open(&mut self, is_open: impl Fn(ModelId) -> bool) {
        for version in &mut self.0 {
            version.is_open = is_open(version.model);
        }
    }

    /// All of them, as they are written.
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|version| &*version.text)
    }

    /// The one of this name. Allocates nothing.
    pub(super) fn named(&self, text: &str) -> Option<ModelId> {
        self.0.iter().find(|version| *version.text == *text).map(|version| version.model)
    }

    /// The highest that fits; one that takes no requests only if no other fits. Of equals the first.
    pub(super) fn highest(&self, range: &VersionReq) -> Option<ModelId> {
        let fitting = self.0.iter().filter_map(|version| {
            let number = version.number.as_ref().filter(|number| range.matches(number))?;
            Some(((version.is_open, number), version.model))
        });
        let better = |best: Option<(_, _)>, next: (_, _)| match best {
            Some(best) if best.0 >= next.0 => Some(best),
            _ => Some(next),
        };
        fitting.fold(None, better).map(|(_, model)| model)
    }

    fn is_open(&self, model: ModelId) -> bool {
        self.0.iter().any(|version| version.model == model && version.is_open)
    }
}

/// What the operator says of one model's versions, each with the model that it is now.
#[derive(Debug, Default)]
pub struct Rules {
    /// Names for versions.
    pub labels: Vec<(String, Option<ModelId>)>,
    /// What fields lead to, in the order in which it counts.
    pub matches: Vec<Match>,
    /// The versions that requests for the bare name are split between, with what is written for them; none: they are not.
    pub shares: Vec<(String, Share)>,
    /// By what a request is led to the same share each time.
    pub sticky: Option<Sticky>,
    /// Who gets copies; none also while that version is not there.
    pub shadow: Option<Shadow>,
}

/// What the operator has said of one model's versions: ready to be followed without looking anything up.
#[derive(Clone, Debug)]
pub struct Route {
    /// Names for versions; none: there is no such version now.
    labels: Box<[(Box<str>, Option<ModelId>)]>,
    matches: Box<[Match]>,
    split: Option<Split>,
    shadow: Option<Shadow>,
}

/// What a field of a request leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match {
    /// The field's name.
    pub field: Box<str>,
    /// What it must say; none: it must be there.
    pub value: Option<Box<str>>,
    /// The version; none: it is not there now.
    pub model: Option<ModelId>,
}

impl Match {
    /// Whether a field fits. Names are the same in any case (RFC 9110, section 5.1), values only as they are.
    #[must_use]
    pub fn fits(&self, field: &str, value: &[u8]) -> bool {
        field.eq_ignore_ascii_case(&self.field)
            && self.value.as_ref().is_none_or(|wanted| wanted.as_bytes() == value)
    }
}

/// By what a request is led to the same version each time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sticky {
    /// Its tenant.
    Tenant,
    /// Its user: the one that its token names, else the one that its body names.
    User,
    /// A field of this name.
    Field(Box<str>),
}

/// How requests are shared between versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    shares: Box<[Share]>,
    /// The sum of the shares' weights; 0: no version is there now.
    sum: u64,
    sticky: Option<(Sticky, Ring)>,
}

/// One version's share of a split.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// The version; none: it is not there now.
    pub model: Option<ModelId>,
    /// As the operator has it.
    pub weight: u32,
    /// What counts of it now: nothing for a version that is not there, or takes no requests while another does.
    counts: u32,
}

impl Share {
    /// A share of this weight.
    #[must_use]
    pub const fn new(model: Option<ModelId>, weight: u32) -> Self {
        Self { model, weight, counts: 0 }
    }

    /// What counts of the weight now: nothing for a version that is not there, or takes no requests while another does.
    #[must_use]
    pub const fn counts(&self) -> u32 {
        self.counts
    }
}

impl Split {
    /// A split of the model called `name`. What keys belong to goes by what is written for a version, so that those of a label
    /// follow it to another version.
    fn new(
        name: &str,
        versions: &Versions,
        mut shares: Vec<(String, Share)>,
        sticky: Option<Sticky>,
    ) -> Self {
        let is_open = |share: &Share| {
            share.weight > 0 && share.model.is_some_and(|model| versions.is_open(model))
        };
        let is_any_open = shares.iter().any(|(_, share)| is_open(share));
        for (_, share) in &mut shares {
            let is_counted = share.model.is_some() && (!is_any_open || is_open(share));
            share.counts = if is_counted { share.weight } else { 0 };
        }
        let sticky = sticky.map(|sticky| {
            let called = |(text, share): &(String, Share)| (format!("{name}@{text}"), share.counts);
            let places: Vec<(String, u32)> = shares.iter().map(called).collect();
            let places = places.iter().map(|(text, weight)| (text.as_str(), *weight));
            (sticky, Ring::new(places, 100))
        });
        let shares: Box<[Share]> = shares.into_iter().map(|(_, share)| share).collect();
        let sum = shares.iter().map(|share| u64::from(share.counts)).sum();
        Self { shares, sum, sticky }
    }

    /// The versions and their shares.
    #[must_use]
    pub fn shares(&self) -> &[Share] {
        &self.shares
    }

    /// The sum of what counts; 0: no version is there now.
    #[must_use]
    pub const fn sum(&self) -> u64 {
        self.sum
    }

    /// By what a request is led to the same version each time.
    #[must_use]
    pub fn sticky(&self) -> Option<&Sticky> {
        self.sticky.as_ref().map(|(sticky, _)| sticky)
    }

    /// The version of a request with this key or, where it has none, these dice: any number. None: no version is there now.
    ///
    /// A key moves only to a version whose share has grown, or away from one whose share has shrunk. Gateways agree on it without
    /// talking.
    #[must_use]
    pub fn choose(&self, key: Option<u64>, dice: u64) -> Option<(ModelId, Why)> {
        if let (Some(key), Some((_, ring))) = (key, &self.sticky) {
            let share = self.shares.get(ring.home(key)?)?;
            return Some((share.model?, Why::Sticky));
        }
        let mut at = part_of(dice, self.sum);
        for share in &self.shares {
            match at.checked_sub(share.counts.into()) {
                Some(rest) => at = rest,
                None => return Some((share.model?, Why::Split)),
            }
        }
        None
    }
}

/// Which of `whole` parts dice of any number fall into.
fn part_of(dice: u64, whole: u64) -> u64 {
    let part = (u128::from(dice) * u128::from(whole)) >> 64;
    u64::try_from(part).unwrap_or(u64::MAX)
}

/// Who gets copies of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shadow {
    /// The version.
    pub model: ModelId,
    /// Of how many requests, in hundredths of a percent.
    pub share: u32,
}

impl Shadow {
    /// Whether a request with these dice, any number, is copied.
    #[must_use]
    pub fn is_drawn(&self, dice: u64) -> bool {
        part_of(dice, SHARE_ALL.into()) < self.share.into()
    }
}

impl Route {
    /// What follows from the rules for the model called `name`.
    pub(super) fn new(name: &str, versions: &Versions, rules: Rules) -> Self {
        let Rules { labels, matches, shares, sticky, shadow } = rules;
        let is_split = !shares.is_empty();
        Self {
            labels: labels.into_iter().map(|(label, model)| (label.into(), model)).collect(),
            matches: matches.into(),
            split: is_split.then(|| Split::new(name, versions, shares, sticky)),
            shadow,
        }
    }

    /// What fields lead to, in the order in which it counts.
    #[must_use]
    pub fn matches(&self) -> &[Match] {
        &self.matches
    }

    /// The first that one of these fields fits.
    #[must_use]
    pub fn matching<'f>(
        &self,
        fields: impl Iterator<Item = (&'f str, &'f [u8])> + Clone,
    ) -> Option<&Match> {
        let fits = |it: &&Match| fields.clone().any(|(field, value)| it.fits(field, value));
        self.matches.iter().find(fits)
    }

    /// How requests for the bare name are shared; none: they get what it means by itself.
    #[must_use]
    pub const fn split(&self) -> Option<&Split> {
        self.split.as_ref()
    }

    /// Who gets copies.
    #[must_use]
    pub const fn shadow(&self) -> Option<Shadow> {
        self.shadow
    }

    /// Labels, and the versions that they stand for now.
    #[must_use]
    pub fn labels(&self) -> &[(Box<str>, Option<ModelId>)] {
        &self.labels
    }

    /// Whether who asks for the bare name decides which version it is.
    pub(super) fn decides(&self) -> bool {
        self.split.is_some() || !self.matches.is_empty()
    }

    /// What a label stands for; the inner none: a version that is not there now.
    pub(super) fn label(&self, text: &str) -> Option<Option<ModelId>> {
        self.labels.iter().find(|(label, _)| **label == *text).map(|(_, model)| *model)
    }
}

/// A key made of any bytes, for [`Split::choose`].
#[must_use]
pub fn key(bytes: &[u8]) -> u64 {
    hash::key(bytes)
}

#[cfg(test)]
mod tests;
