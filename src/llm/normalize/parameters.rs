//! What a model wants of its parameters: as the config says it, checked, and ready to be put into bodies.

use std::cmp::Ordering;

use crate::llm::dialect::Operation;
use crate::llm::normalize::compare;
use crate::llm::normalize::known::known;
use crate::llm::rewrite::quote;
use crate::llm::scan::Scan;
use crate::llm::scan::Value;

/// The names of the one bound on tokens that an answer may have.
pub(super) const TOKEN_BOUNDS: [&str; 3] =
    ["max_tokens", "max_completion_tokens", "max_output_tokens"];
/// What the gateway itself reads and changes.
const RESERVED: [&str; 3] = ["model", "stream", "stream_options"];
/// Names in one table: each has a bit.
const NAMES_MAX: usize = 64;

/// What is to become of parameters that nobody documents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unknown {
    /// They go up as they came.
    #[default]
    Keep,
    /// They are taken out.
    Drop,
}

/// What the config says about one parameter. With none of the three, it is only known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rule<'c> {
    /// Its key.
    pub name: &'c str,
    /// Its value where a request has none, as JSON.
    pub default: Option<&'c str>,
    /// The least value, as a JSON number.
    pub min: Option<&'c str>,
    /// The greatest value, as a JSON number.
    pub max: Option<&'c str>,
}

/// Why a table of parameters cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// The gateway reads this one itself: `model`, `stream` or `stream_options`.
    Reserved,
    /// It is there twice; the three bounds on tokens are one.
    Twice,
    /// The default is not JSON.
    DefaultNotJson,
    /// A bound is not a JSON number.
    BoundNotNumber,
    /// The least value is greater than the greatest.
    BoundsCrossed,
    /// The default is not within the bounds.
    DefaultOutOfBounds,
    /// More than 64 names.
    TooMany,
}

impl Unfit {
    /// What is wrong, as a sentence.
    #[must_use]
    pub const fn explain(self) -> &'static str {
        match self {
            Self::Reserved => "the gateway reads this parameter itself; it can have no rule",
            Self::Twice => {
                "this parameter has a rule already (max_tokens, max_completion_tokens and max_output_tokens are one)"
            }
            Self::DefaultNotJson => "the default is not valid JSON",
            Self::BoundNotNumber => "a bound must be a number",
            Self::BoundsCrossed => "the minimum is greater than the maximum",
            Self::DefaultOutOfBounds => "the default is not between the bounds",
            Self::TooMany => "too many parameters have rules; at most 64 names may",
        }
    }
}

/// What a model wants of its parameters.
#[derive(Clone, Debug, Default)]
pub struct Parameters {
    pub(super) rules: Vec<Held>,
    pub(super) names: Vec<Name>,
    pub(super) unknown: Unknown,
}

/// A key that has a rule.
#[derive(Clone, Debug)]
pub(super) struct Name {
    pub(super) text: Box<str>,
    /// Place of its rule.
    pub(super) rule: usize,
    /// `"key":default,`, if there is a default.
    member: Box<[u8]>,
}

/// A rule, checked.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) default: Option<Box<[u8]>>,
    min: Option<Box<str>>,
    max: Option<Box<str>>,
    pub(super) is_token_bound: bool,
    /// Place of the name that the config has for it.
    name: usize,
}

impl Parameters {
    /// Checks what the config says and makes it ready.
    ///
    /// # Errors
    ///
    /// The place of the first rule that cannot be, and why.
    pub fn new(rules: &[Rule<'_>], unknown: Unknown) -> Result<Self, (usize, Unfit)> {
        let mut parameters = Self { unknown, ..Self::default() };
        for (place, rule) in rules.iter().enumerate() {
            parameters.add(rule).map_err(|unfit| (place, unfit))?;
        }
        Ok(parameters)
    }

    /// Whether nothing is wanted: then a body need not be read for it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty() && self.unknown == Unknown::Keep
    }

    fn add(&mut self, rule: &Rule<'_>) -> Result<(), Unfit> {
        if RESERVED.contains(&rule.name) {
            return Err(Unfit::Reserved);
        }
        check(rule)?;
        let is_token_bound = TOKEN_BOUNDS.contains(&rule.name);
        let own = [rule.name];
        let names: &[&str] = if is_token_bound { &TOKEN_BOUNDS } else { &own };
        let index = self.rules.len();
        let first = self.names.len();
        for &text in names {
            if self.names.iter().any(|name| *name.text == *text) {
                return Err(Unfit::Twice);
            }
            let mut member = Vec::new();
            if let Some(default) = rule.default {
                quote(text, &mut member);
                member.push(b':');
                member.extend_from_slice(default.as_bytes());
                member.push(b',');
            }
            self.names.push(Name { text: text.into(), rule: index, member: member.into() });
        }
        if self.names.len() > NAMES_MAX {
            return Err(Unfit::TooMany);
        }
        let name = names.iter().position(|name| *name == rule.name).unwrap_or(0);
        self.rules.push(Held {
            default: rule.default.map(|default| default.as_bytes().into()),
            min: rule.min.map(Into::into),
            max: rule.max.map(Into::into),
            is_token_bound,
            name: first + name,
        });
        Ok(())
    }

    pub(super) fn rule_of(&self, name: usize) -> Option<(&Name, &Held)> {
        let name = self.names.get(name)?;
        Some((name, self.rules.get(name.rule)?))
    }

    /// The member, with a comma behind it, that puts the default of `rule` into a body of `operation`.
    pub(super) fn member(&self, rule: &Held, operation: Option<Operation>) -> Option<&[u8]> {
        let configured = self.names.get(rule.name)?;
        let name = match operation {
            Some(operation) if rule.is_token_bound => {
                let wanted = token_bound(operation, &configured.text)?;
                let of_rule = |name: &&Name| *name.text == *wanted;
                self.names.iter().find(of_rule)?
            }
            Some(operation) if !may_have(operation, &configured.text) => return None,
            _ => configured,
        };
        (!name.member.is_empty()).then_some(&*name.member)
    }
}

/// How an operation calls the bound on tokens, if it has one.
fn token_bound(operation: Operation, configured: &str) -> Option<&str> {
    match operation {
        Operation::Chat if configured == "max_output_tokens" => Some("max_completion_tokens"),
        Operation::Chat => Some(configured),
        Operation::TextCompletion | Operation::Messages => Some("max_tokens"),
        Operation::Responses => Some("max_output_tokens"),
        Operation::Embeddings => None,
    }
}

/// Whether an operation may have a parameter: it is documented for it, or OpenAI documents it nowhere.
fn may_have(operation: Operation, name: &str) -> bool {
    let has = |operation: Operation| known(operation).binary_search(&name).is_ok();
    let others =
        [Operation::Chat, Operation::TextCompletion, Operation::Embeddings, Operation::Responses];
    has(operation) || !others.into_iter().any(has)
}

fn check(rule: &Rule<'_>) -> Result<(), Unfit> {
    let is_number = |text: &&str| matches!(whole(text), Some(Value::Number(_)));
    if ![rule.min, rule.max].iter().flatten().all(is_number) {
        return Err(Unfit::BoundNotNumber);
    }
    let is_greater = |one: &str, other: &str| compare(one, other) == Some(Ordering::Greater);
    if let (Some(min), Some(max)) = (rule.min, rule.max)
        && is_greater(min, max)
    {
        return Err(Unfit::BoundsCrossed);
    }
    let Some(default) = rule.default else { return Ok(()) };
    match whole(default) {
        None => Err(Unfit::DefaultNotJson),
        Some(Value::Number(_)) => {
            let is_under = rule.min.is_some_and(|min| is_greater(min, default));
            let is_over = rule.max.is_some_and(|max| is_greater(default, max));
            if is_under || is_over { Err(Unfit::DefaultOutOfBounds) } else { Ok(()) }
        }
        Some(_) if rule.min.or(rule.max).is_some() => Err(Unfit::DefaultOutOfBounds),
        Some(_) => Ok(()),
    }
}

/// The value that a text is, without white space around it.
fn whole(text: &str) -> Option<Value<'_>> {
    let mut scan = Scan::new(text.as_bytes()).ok()?;
    let begins_at = scan.offset();
    let value = scan.value().ok()?;
    let is_all = begins_at == 0 && scan.offset() == text.len();
    is_all.then_some(value)
}

impl Held {
    pub(super) fn is_bounded(&self) -> bool {
        self.min.is_some() || self.max.is_some()
    }

    /// The bound that a number is beyond.
    pub(super) fn bound(&self, number: &str) -> Option<&[u8]> {
        if let Some(max) = &self.max {
            let is_unbounded = self.is_token_bound && compare(number, "0") == Some(Ordering::Less);
            if is_unbounded || compare(number, max) == Some(Ordering::Greater) {
                return Some(max.as_bytes());
            }
        }
        let min = self.min.as_ref()?;
        (compare(number, min) == Some(Ordering::Less)).then_some(min.as_bytes())
    }
}
