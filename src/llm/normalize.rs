//! Parameters of a request as its model wants them: defaults put in, numbers held within bounds, unknown ones taken out.

mod known;
mod parameters;
mod why;

use std::borrow::Cow;
use std::cmp::Ordering;
use std::ops::Range;

use crate::llm::dialect::Operation;
use crate::llm::edit::Edit;
use crate::llm::request::Likeness;
use crate::llm::request::likeness;
use crate::llm::scan::Flaw;
use crate::llm::scan::Scan;
use crate::llm::scan::Text;
use crate::llm::scan::Value;

pub use crate::llm::normalize::known::known;
pub use crate::llm::normalize::parameters::Parameters;
pub use crate::llm::normalize::parameters::Rule;
pub use crate::llm::normalize::parameters::Unfit;
pub use crate::llm::normalize::parameters::Unknown;
pub use crate::llm::normalize::why::Why;

/// Places of one body at which unknown parameters may be taken out.
pub const REMOVALS_MAX: usize = 128;

/// Appends to `edits` what must change of `body` so that its parameters are as `parameters` want them. The edits are in
/// no order: [`sort`](crate::llm::edit::sort) them, together with others of the same body.
///
/// `operation` is that of the path; `None` where the body may be any JSON (`invoke`): then nothing is taken out.
/// Only members of the outermost object are looked at.
///
/// - A parameter that is absent, or `null`, gets its default, if the operation has such a parameter: one that OpenAI
///   documents for other operations and not for this one gets none.
/// - A number beyond a bound becomes the bound, as it is written in the config.
/// - `max_tokens`, `max_completion_tokens` and `max_output_tokens` are one parameter: each of them is bounded, and the
///   default goes in (under the name that the operation has for it) only if none is there. A negative one, which some
///   servers take for "no bound", becomes the greatest allowed.
/// - With [`Unknown::Drop`], a parameter is taken out that is neither documented ([`known`]) nor named in
///   `parameters`.
///
/// # Errors
///
/// The first thing that is wrong with the body. `edits` may have got some of its edits by then.
pub fn normalize<'p>(
    parameters: &'p Parameters,
    operation: Option<Operation>,
    body: &[u8],
    edits: &mut Vec<Edit<'p>>,
) -> Result<(), Why<'p>> {
    let mut scan = Scan::new(body)?;
    if !scan.is_at_object() {
        scan.skip()?;
        return Ok(scan.finish()?);
    }
    let inside = scan.offset() + 1;
    let is_dropping = parameters.unknown == Unknown::Drop;
    let known = operation.filter(|_| is_dropping).map(known);
    let mut normalizer = Normalizer {
        parameters,
        seen: 0,
        given: 0,
        null_bound: None,
        removal: Removal::default(),
        edits,
    };
    let mut has_member = scan.enter_object()?;
    while has_member {
        let key = scan.key()?;
        let start = key.span.start;
        let is_kept = match normalizer.named(&key)? {
            Some(index) => {
                normalizer.hold(index, &mut scan)?;
                true
            }
            None => {
                scan.skip()?;
                known.is_none_or(|known| is_listed(known, &key))
            }
        };
        normalizer.member(is_kept, start..scan.offset())?;
        has_member = scan.has_more_members()?;
    }
    scan.finish()?;
    let has_rest = normalizer.finish_removals();
    normalizer.put_defaults(operation, inside, has_rest);
    Ok(())
}

fn is_listed(known: &[&str], key: &Text<'_>) -> bool {
    known.binary_search(&&*key.decode()).is_ok()
}

/// What of a body has been seen so far.
struct Normalizer<'p, 'e> {
    parameters: &'p Parameters,
    /// One bit for each name that was there.
    seen: u64,
    /// One bit for each rule whose parameter has a value, or has got its default.
    given: u64,
    /// The first `null` of a bound on tokens.
    null_bound: Option<Range<usize>>,
    removal: Removal,
    edits: &'e mut Vec<Edit<'p>>,
}

/// What is to be taken out, with one comma for each.
#[derive(Default)]
struct Removal {
    /// Where the members begin that have none before them that stays.
    leading: Option<usize>,
    /// Where the last member ends.
    last_end: usize,
    /// Whether a member stays.
    has_kept: bool,
    /// Whether the last member is taken out, by an edit that can grow.
    is_growing: bool,
    count: usize,
}

impl<'p> Normalizer<'p, '_> {
    /// Which of the names this key is.
    fn named(&mut self, key: &Text<'_>) -> Result<Option<usize>, Why<'p>> {
        let offset = key.span.start;
        for (index, ours) in self.parameters.names.iter().enumerate() {
            let name = &*ours.text;
            match likeness(key, name) {
                Likeness::None => {}
                Likeness::Miscased => return Err(Why::MiscasedKey { name, offset }),
                Likeness::Same if self.seen & (1 << index) != 0 => {
                    return Err(Why::DuplicateKey { name, offset });
                }
                Likeness::Same => {
                    self.seen |= 1 << index;
                    return Ok(Some(index));
                }
            }
        }
        Ok(None)
    }

    /// Reads the value of a named parameter and holds it within its bounds.
    fn hold(&mut self, index: usize, scan: &mut Scan<'_>) -> Result<(), Why<'p>> {
        let start = scan.offset();
        let value = scan.value()?;
        let span = start..scan.offset();
        let Some((name, rule)) = self.parameters.rule_of(index) else { return Ok(()) };
        let bit = 1 << name.rule;
        match value {
            Value::Null if rule.is_token_bound => {
                self.null_bound.get_or_insert(span);
                return Ok(());
            }
            Value::Null => {
                if let Some(default) = &rule.default {
                    self.edits.push(Edit::new(span, default));
                }
            }
            Value::Number(number) => {
                if let Some(bound) = rule.bound(number) {
                    self.edits.push(Edit::new(span, bound));
                }
            }
            _ if rule.is_bounded() => {
                return Err(Why::NotNumber { name: &name.text, offset: start });
            }
            _ => {}
        }
        self.given |= bit;
        Ok(())
    }

    /// A member at `span`, from its key to the end of its value, stays or goes.
    fn member(&mut self, is_kept: bool, span: Range<usize>) -> Result<(), Why<'p>> {
        let removal = &mut self.removal;
        if is_kept {
            if let Some(start) = removal.leading.take() {
                self.edits.push(Edit::new(start..span.start, b""));
            }
            removal.has_kept = true;
            removal.is_growing = false;
        } else if !removal.has_kept {
            removal.leading.get_or_insert(span.start);
        } else if removal.is_growing
            && let Some(last) = self.edits.last_mut()
        {
            last.span.end = span.end;
        } else {
            removal.count += 1;
            if removal.count > REMOVALS_MAX {
                return Err(Why::TooManyUnknown { offset: span.start });
            }
            // The comma before it goes with it.
            self.edits.push(Edit::new(removal.last_end..span.end, b""));
            removal.is_growing = true;
        }
        removal.last_end = span.end;
        Ok(())
    }

    /// Whether a member stays.
    fn finish_removals(&mut self) -> bool {
        if let Some(start) = self.removal.leading.take() {
            self.edits.push(Edit::new(start..self.removal.last_end, b""));
        }
        self.removal.has_kept
    }

    /// Puts in what is missing, before the first member.
    fn put_defaults(&mut self, operation: Option<Operation>, inside: usize, has_rest: bool) {
        let first = self.edits.len();
        for (index, rule) in self.parameters.rules.iter().enumerate() {
            if self.given & (1 << index) != 0 {
                continue;
            }
            let Some(default) = &rule.default else { continue };
            if rule.is_token_bound
                && let Some(span) = self.null_bound.take()
            {
                self.edits.push(Edit::new(span, default));
                continue;
            }
            if let Some(member) = self.parameters.member(rule, operation) {
                self.edits.push(Edit::new(inside..inside, member));
            }
        }
        // Each brings a comma; the last one has nothing to divide if no member follows.
        if !has_rest
            && let Some(last) = self.edits.get_mut(first..).and_then(<[_]>::last_mut)
            && let Cow::Borrowed(member) = last.with
        {
            last.with = Cow::Borrowed(member.strip_suffix(b",").unwrap_or(member));
        }
    }
}

impl From<Flaw> for Why<'_> {
    fn from(flaw: Flaw) -> Self {
        Self::Unreadable(flaw.into())
    }
}

/// Compares two numbers as JSON writes them: exactly where both are whole and fit, else as floats do.
fn compare(one: &str, other: &str) -> Option<Ordering> {
    if let (Ok(one), Ok(other)) = (one.parse::<i128>(), other.parse::<i128>()) {
        return Some(one.cmp(&other));
    }
    one.parse::<f64>().ok()?.partial_cmp(&other.parse::<f64>().ok()?)
}

#[cfg(test)]
use crate::llm;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod oracle;
