//! Endpoints that come and go: who does so too often stays away for a while.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::VecDeque;
use std::time::Instant;

use crate::config::Damping;

/// What is remembered of an upstream's endpoints.
#[derive(Debug, Default)]
pub(super) struct Flaps {
    rule: Option<Damping>,
    known: BTreeMap<String, Known>,
}

#[derive(Debug)]
struct Known {
    is_there: bool,
    /// When it came back, as far as that is within the window.
    came_back: VecDeque<Instant>,
    /// When it was last seen to come or to go.
    moved: Instant,
}

impl Flaps {
    /// The same under this rule.
    pub(super) fn under(self, rule: Option<Damping>) -> Self {
        Self { rule, ..self }
    }

    /// These are there now, and no others.
    pub(super) fn note<'u>(&mut self, urls: impl Iterator<Item = &'u str>, now: Instant) {
        let Some(rule) = self.rule else {
            self.known.clear();
            return;
        };
        let there: BTreeSet<&str> = urls.collect();
        for (url, known) in &mut self.known {
            let is_there = there.contains(url.as_str());
            if is_there == known.is_there {
                continue;
            }
            (known.is_there, known.moved) = (is_there, now);
            if is_there {
                known.came_back.push_back(now);
                // Older ones count no more than that there were enough.
                if known.came_back.len() > rule.flaps as usize {
                    known.came_back.pop_front();
                }
            }
        }
        for url in there {
            if !self.known.contains_key(url) {
                let came_back = VecDeque::new();
                self.known.insert(url.to_owned(), Known { is_there: true, came_back, moved: now });
            }
        }
        let longest = rule.window.max(rule.hold);
        self.known.retain(|_, known| known.is_there || now < known.moved + longest);
    }

    /// Those that are there and stay away all the same, at most so many: those that came last first.
    pub(super) fn held(&self, now: Instant, room: usize) -> BTreeSet<String> {
        let Some(rule) = self.rule else { return BTreeSet::new() };
        let held = self.known.iter().filter(|(_, known)| known.is_held(rule, now));
        let mut held: Vec<(&String, &Known)> = held.collect();
        held.sort_by_key(|(url, known)| (std::cmp::Reverse(known.moved), *url));
        held.into_iter().take(room).map(|(url, _)| url.clone()).collect()
    }

    /// When those that are held may come.
    pub(super) fn ends(&self) -> impl Iterator<Item = Instant> {
        let rule = self.rule;
        self.known.values().filter_map(move |known| {
            let rule = rule?;
            known.is_held(rule, known.moved).then(|| known.moved + rule.hold)
        })
    }
}

impl Known {
    fn is_held(&self, rule: Damping, now: Instant) -> bool {
        let is_often = self.came_back.len() >= rule.flaps as usize;
        let first = self.came_back.front().copied();
        let is_quick = first.is_some_and(|first| self.moved <= first + rule.window);
        self.is_there && is_often && is_quick && now < self.moved + rule.hold
    }
}
