//! What an exchange tells while it is under way: to the endpoint's record, to the embedder's steps, to the log.

use std::cell::Cell;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use crate::admission::step;
use crate::balance::locality::Tiers;
use crate::balance::verdict::Verdict;
use crate::record::counters::ShardCounter;
use crate::relay::exchange::Judged;
use crate::relay::exchange::Observer;
use crate::relay::response::Held;
use crate::relay::response::Response;
use crate::relay::response::Seen;
use crate::ring::clock;
use crate::shard::World;
use crate::shard::attempt::next;
use crate::shard::attempt::next::Circumstances;
use crate::shard::attempt::next::Said;
use crate::shard::attempt::onward::Way;
use crate::shard::attempt::seat::Seat;
use crate::shard::entry::Entry;
use crate::shard::resume::Away;
use crate::shard::resume::Berth;
use crate::snapshot::Endpoint;
use crate::snapshot::Model;
use crate::units::Moment;

/// Who is told.
pub(super) struct Watch<'e, 's> {
    pub(super) world: &'e World,
    pub(super) way: &'e Way<'e>,
    pub(super) entry: &'e Entry<'e>,
    /// There is another model to ask.
    pub(super) has_fallback: bool,
    /// The request was sent before.
    pub(super) has_repeated: bool,
    /// What an error that was held back says.
    pub(super) said: &'e Cell<Option<Said>>,
    /// The steps know of the head.
    pub(super) has_told_head: Cell<bool>,
    pub(super) endpoint: &'e Endpoint,
    /// The seat that is told of the first content, and since when that is waited for.
    pub(super) first: Cell<Option<(&'e mut Seat<'s>, Moment)>>,
    /// Where other connections of the client's are expected.
    pub(super) berth: Option<&'e Berth>,
    pub(super) away: &'e Away<'e>,
}

impl Observer for Watch<'_, '_> {
    /// Something of the response was read and passed on.
    fn relayed(&self, response: &mut Response) {
        if let Some((seat, began)) = self.first.take() {
            if response.content_bytes > 0 {
                self.first_content(response, seat, began);
            } else {
                self.first.set(Some((seat, began)));
            }
        }
        if !self.way.caller.steps.is_empty() {
            self.tell_steps(response);
        }
    }

    /// An error response has come whole: does it go down, or is there another attempt?
    fn judge(&self, held: &Held<'_>) -> Judged {
        let now = clock::recent();
        let now_unix_s = self.entry.shard().state.with(|own| own.unix_ms(now)) / 1000;
        let model = self.model();
        let circumstances = Circumstances {
            is_credential_ours: self.way.is_credential_ours(self.world, model.upstream),
            has_fallback: self.has_fallback,
            has_repeated: self.has_repeated,
        };
        let (judged, said) = next::judge(model, circumstances, held, now_unix_s);
        self.said.set(said);
        judged
    }

    /// Nothing has moved for so long.
    fn stalled(&self, pause: Duration) {
        self.entry.shard().page.add(ShardCounter::PoolLeaks, 1);
        let id = self.entry.id();
        tracing::warn!(
            request = %String::from_utf8_lossy(&id),
            model = self.model().label(),
            endpoint = self.endpoint.url,
            seconds = pause.as_secs(),
            "a connection is held, and nothing moves on it"
        );
    }

    fn beaten(&self) {
        self.count(ShardCounter::Heartbeats);
    }

    fn left(&self) {
        self.away.set(true);
    }

    fn throttled(&self) {
        self.count(ShardCounter::Throttled);
    }

    fn is_ending(&self) -> bool {
        self.entry.shard().is_ending.get()
    }

    fn poll_joined(&self, cx: &Context<'_>) -> Poll<()> {
        self.berth.map_or(Poll::Pending, |berth| berth.poll_guest(cx))
    }
}

impl Watch<'_, '_> {
    fn count(&self, what: ShardCounter) {
        self.entry.shard().page.add(what, 1);
    }

    fn model(&self) -> &Model {
        self.world.snapshot.model(self.way.plan.model)
    }

    /// The first content has come: how long that took tells how the endpoint fares, and that it answers at all ends a probe.
    fn first_content(&self, response: &Response, seat: &mut Seat<'_>, began: Moment) {
        if response.status >= 400 {
            return;
        }
        let now = clock::recent();
        let waited = now.since(began);
        let (shard, slot) = (self.entry.shard(), seat.slot());
        shard.state.with(|own| own.latency(slot).observe(waited, now));
        if response.is_events() {
            shard.health.first_byte(shard.id, slot, waited);
        } else if self.is_pace_wanted() {
            shard.health.answered(shard.id, slot, waited, now);
        }
        if seat.is_probe() {
            let upstream = self.world.snapshot.upstream(self.model().upstream);
            seat.note(Verdict::Good, upstream.breaker.as_ref(), now);
        }
    }

    /// Whether regions are put in order by how quick they are.
    fn is_pace_wanted(&self) -> bool {
        let upstream = self.world.snapshot.upstream(self.model().upstream);
        upstream.tiers.as_ref().is_some_and(Tiers::is_measured)
    }

    /// Tells the embedder's steps of the head, once, and of each event.
    fn tell_steps(&self, response: &mut Response) {
        let caller = self.way.caller;
        self.entry.shard().state.with(|own| {
            let steps = &mut own.memory.steps;
            if response.has_head() && !self.has_told_head.replace(true) {
                let (status, is_stream) = (response.status, response.is_events());
                let head = step::Response { number: caller.number, status, is_stream };
                steps.response(caller.steps, &head);
            }
            for event in response.take_seen().iter().flat_map(Seen::events) {
                steps.event(caller.steps, caller.number, event);
            }
        });
    }
}
