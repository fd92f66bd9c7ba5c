//! What serde_json makes of an answer, to hold the meter against; shared by the tests and the fuzz target.

use serde::de::Deserialize;
use serde::de::Deserializer;
use serde::de::Error;
use serde::de::MapAccess;
use serde::de::SeqAccess;
use serde::de::Visitor;

use super::Meter;
use super::Usage;

/// A document with its members in their order, those that are there twice too.
enum Tree {
    Object(Vec<(String, Self)>),
    Array(usize),
    Whole(u64),
    Fraction(f64),
    Other,
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Grow;
        impl<'de> Visitor<'de> for Grow {
            type Value = Tree;

            fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.write_str("anything")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Tree::Object(members))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Tree, A::Error> {
                let mut length = 0;
                while list.next_element::<Tree>()?.is_some() {
                    length += 1;
                }
                Ok(Tree::Array(length))
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Tree, E> {
                Ok(Tree::Whole(number))
            }

            fn visit_f64<E: Error>(self, number: f64) -> Result<Tree, E> {
                Ok(Tree::Fraction(number))
            }

            fn visit_i64<E: Error>(self, _: i64) -> Result<Tree, E> {
                Ok(Tree::Other)
            }

            fn visit_bool<E: Error>(self, _: bool) -> Result<Tree, E> {
                Ok(Tree::Other)
            }

            fn visit_str<E: Error>(self, _: &str) -> Result<Tree, E> {
                Ok(Tree::Other)
            }

            fn visit_unit<E: Error>(self) -> Result<Tree, E> {
                Ok(Tree::Other)
            }
        }
        deserializer.deserialize_any(Grow)
    }
}

impl Tree {
    fn members(&self) -> &[(String, Self)] {
        match self {
            Self::Object(members) => members,
            _ => &[],
        }
    }
}

/// The counts so far: prompt, input, cache written, cache read, output, total.
#[derive(Default)]
struct Counts {
    values: [Option<u64>; 6],
    /// A number beyond 64 bits was among them: whether it is whole cannot be told any more.
    is_unclear: bool,
}

impl Counts {
    fn read(&mut self, document: &Tree) {
        for (key, value) in document.members() {
            match key.as_str() {
                "usage" => self.read_usage(value),
                "message" | "response" => {
                    for (_, inner) in value.members().iter().filter(|(key, _)| key == "usage") {
                        self.read_usage(inner);
                    }
                }
                _ => {}
            }
        }
    }

    fn read_usage(&mut self, usage: &Tree) {
        for (key, value) in usage.members() {
            let place = match key.as_str() {
                "prompt_tokens" => 0,
                "input_tokens" => 1,
                "cache_creation_input_tokens" => 2,
                "cache_read_input_tokens" => 3,
                "completion_tokens" | "output_tokens" => 4,
                "total_tokens" => 5,
                _ => continue,
            };
            match value {
                Tree::Whole(number) => {
                    self.values[place] = Some((*number).min(u32::MAX.into()));
                }
                Tree::Fraction(number) if *number >= 1e19 => self.is_unclear = true,
                _ => {}
            }
        }
    }

    fn usage(&self) -> Option<Usage> {
        let [prompt, input, written, read, output, total] = self.values;
        self.values.iter().flatten().next()?;
        let parts: Vec<u64> = [input, written, read].into_iter().flatten().collect();
        let parts = (!parts.is_empty()).then(|| parts.iter().sum());
        let rest = total.map(|total| total.saturating_sub(output.unwrap_or(0)));
        let input = prompt.or(parts).or(rest).unwrap_or(0);
        Some(Usage { input, output: output.unwrap_or(0) })
    }
}

/// The usage of a document; `None` if it is not JSON, or if a tree cannot tell.
pub(crate) fn of_json(bytes: &[u8]) -> Option<Option<Usage>> {
    let tree: Tree = serde_json::from_slice(bytes).ok()?;
    let mut counts = Counts::default();
    counts.read(&tree);
    (!counts.is_unclear).then(|| counts.usage())
}

/// The usage of a stream of events, and whether the last of its events says that alone. `None` if one of them is
/// neither JSON nor `[DONE]`, or if a tree cannot tell.
fn of_events(bytes: &[u8]) -> Option<(Option<Usage>, bool)> {
    let text = std::str::from_utf8(bytes).ok()?;
    let text =
        text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n").replace('\r', "\n");
    let (mut counts, mut data, mut is_alone) = (Counts::default(), String::new(), false);
    let (ended, begun) = text.rsplit_once('\n').unwrap_or(("", &text));
    let lines = text.contains('\n').then(|| ended.split('\n'));
    for line in lines.into_iter().flatten() {
        if let Some(value) = line.strip_prefix("data:") {
            data.push_str(value);
            data.push('\n');
        } else if line.is_empty() {
            is_alone = false;
            if !data.trim().is_empty() && data.trim() != "[DONE]" {
                let tree: Tree = serde_json::from_str(&data).ok()?;
                counts.read(&tree);
                is_alone = is_usage_alone(&tree);
            }
            data.clear();
        }
    }
    // What has not ended may count already, or not.
    (data.trim().is_empty() && !begun.starts_with("data:") && !counts.is_unclear)
        .then(|| (counts.usage(), is_alone))
}

fn is_usage_alone(tree: &Tree) -> bool {
    let of = |name: &'static str| tree.members().iter().filter(move |(key, _)| key == name);
    let has_usage = of("usage").any(|(_, value)| matches!(value, Tree::Object(_)));
    let is_filled = |value: &Tree| match value {
        Tree::Array(length) => *length > 0,
        Tree::Object(_) => true,
        _ => false,
    };
    let has_empty = of("choices").any(|(_, value)| matches!(value, Tree::Array(0)));
    has_usage && has_empty && !of("choices").any(|(_, value)| is_filled(value))
}

/// Panics if the meter makes of `bytes` anything else than serde_json does, as a document or as a stream of events,
/// or if it matters how they are cut.
pub(crate) fn check(bytes: &[u8]) {
    let json = read(Meter::feed_json, bytes, bytes.len());
    let events = read(Meter::feed_events, bytes, bytes.len());
    for step in [1, 2, 7] {
        assert_eq!(read(Meter::feed_json, bytes, step), json, "in steps of {step}");
        assert_eq!(read(Meter::feed_events, bytes, step), events, "in steps of {step}");
    }
    if let Some(usage) = of_json(bytes) {
        assert_eq!(json.0, usage);
    }
    if let Some(expected) = of_events(bytes) {
        assert_eq!(events, expected);
    }
}

fn read(feed: fn(&mut Meter, &[u8]), bytes: &[u8], step: usize) -> (Option<Usage>, bool) {
    let mut meter = Meter::default();
    bytes.chunks(step.max(1)).for_each(|part| feed(&mut meter, part));
    (meter.usage(), meter.is_usage_event())
}
