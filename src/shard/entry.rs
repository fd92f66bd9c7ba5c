//! One request's entry: filled on the way, written exactly once, whatever happens.

use std::net::IpAddr;
use std::time::Duration;

use crate::admission::Caller;
use crate::record::Fault;
use crate::record::Record;
use crate::record::RequestId;
use crate::record::Tokens;
use crate::record::counters::ShardCounter;
use crate::relay::exchange::Progress;
use crate::relay::response::Response;
use crate::ring::clock;
use crate::shard::Shard;
use crate::shard::plan::Plan;
use crate::shard::refusal::Refusal;
use crate::shard::request::Fate;
use crate::shard::version;
use crate::snapshot::Snapshot;
use crate::units::LaneId;
use crate::units::Moment;
use crate::units::SlotId;

/// The entry of a request that is under way. Dropping it writes its record: also if the request was given up,
/// and if a bug ended it.
pub(super) struct Entry<'s> {
    shard: &'s Shard,
    record: Record,
    began: Moment,
    arrived: Moment,
    /// What it has waited for its turn, and from the start of its first attempt to that of the one that answers, or failed last,
    /// in microseconds: in an hour it is full. An open stream pays for every byte here.
    lost_us: u32,
    is_stream_counted: bool,
    is_closed: bool,
    /// Of a copy of a request: it is written down, and counts for no model.
    is_copy: bool,
}

impl<'s> Entry<'s> {
    /// Begins the entry of a request whose head has just arrived.
    pub(super) fn begin(shard: &'s Shard, trusted: Option<RequestId>, client: IpAddr) -> Self {
        let now = clock::now();
        let (id, started_unix_ms) = shard.state.with(|own| {
            let id = trusted.unwrap_or_else(|| own.ids.next());
            (id, own.unix_ms(now))
        });
        shard.page.add(ShardCounter::RequestsOpen, 1);
        let client = Some(client);
        let record = Record { id, started_unix_ms, client, shard: shard.id, ..Record::default() };
        Self::new(shard, record, now)
    }

    /// Begins the entry of a copy of a request that was let in.
    pub(super) fn copy(
        shard: &'s Shard,
        (id, client): (RequestId, IpAddr),
        snapshot: &Snapshot,
        caller: &Caller,
        plan: &Plan<'_>,
    ) -> Self {
        let now = clock::now();
        let record = Record {
            id,
            started_unix_ms: shard.state.with(|own| own.unix_ms(now)),
            client: Some(client),
            shard: shard.id,
            lane: Some(snapshot.model(plan.model).lane),
            operation: "shadow",
            ..Record::default()
        };
        let mut entry = Self::new(shard, record, now);
        entry.is_copy = true;
        entry.entered(snapshot, caller);
        entry
    }

    fn new(shard: &'s Shard, record: Record, now: Moment) -> Self {
        Self {
            shard,
            record,
            began: now,
            arrived: now,
            lost_us: 0,
            is_stream_counted: false,
            is_closed: false,
            is_copy: false,
        }
    }

    /// Who serves it.
    pub(super) const fn shard(&self) -> &'s Shard {
        self.shard
    }

    /// Who asks.
    pub(super) fn client(&self) -> Option<IpAddr> {
        self.record.client
    }

    /// The request's name.
    pub(super) const fn request_id(&self) -> RequestId {
        self.record.id
    }

    /// The request's name in hexadecimal digits.
    pub(super) fn id(&self) -> [u8; 32] {
        self.record.id.hex()
    }

    /// When the request had arrived whole: deadlines count from here.
    pub(super) fn arrived(&self) -> Moment {
        self.arrived
    }

    /// The request has arrived whole.
    pub(super) fn received(&mut self, body_bytes: usize, has_waited: bool) {
        if has_waited {
            self.arrived = clock::now();
        }
        self.record.bytes_up = body_bytes as u64;
    }

    /// It is known who asks.
    pub(super) fn entered(&mut self, snapshot: &Snapshot, caller: &Caller) {
        self.record.snapshot = snapshot.number;
        self.record.tenant = caller.tenant;
        self.record.key = caller.key;
    }

    /// It was not HTTP as it must be.
    pub(super) fn note_malformed(&mut self) {
        self.shard.page.add(ShardCounter::MalformedRequests, 1);
    }

    /// It may not enter.
    pub(super) fn refused(&mut self, refusal: &Refusal) {
        self.record.status = refusal.dialect.status(refusal.status);
        self.record.refusal = Some(refusal.reason);
        self.record.operation = refusal.operation;
        if let Some(cap) = refusal.cap {
            self.shard.page.add(cap, 1);
        }
        self.is_closed = true;
    }

    /// What it has cost.
    pub(super) fn cost(&mut self, tokens: Tokens) {
        self.record.tokens = Some(tokens);
    }

    /// The gateway answered by itself.
    pub(super) fn said(&mut self, bytes: usize) {
        self.record.status = 200;
        self.record.operation = "list_models";
        self.record.bytes_down = bytes as u64;
        self.is_closed = true;
    }

    /// The client went away before its request had arrived.
    pub(super) fn abandon(&mut self, fault: Fault) -> Fate {
        self.close(Some(fault), 0);
        Fate::Cut
    }

    /// It has waited so long for its turn.
    pub(super) fn waited(&mut self, time: Duration) {
        let time = u32::try_from(time.as_micros()).unwrap_or(u32::MAX);
        self.record.queued_us = self.record.queued_us.saturating_add(time);
    }

    /// It may enter, and it is known where it goes.
    pub(super) fn admitted(&mut self, snapshot: &Snapshot, plan: &Plan<'_>) {
        self.record.lane = Some(snapshot.model(plan.model).lane);
        self.record.chosen = plan.why.map(version::chosen);
        self.record.operation = plan.operation();
        self.record.is_stream = plan.is_stream;
        if plan.is_stream {
            self.is_stream_counted = true;
            self.shard.page.add(ShardCounter::StreamsOpen, 1);
        }
    }

    /// It was sent, or tried to be sent, to an endpoint.
    pub(super) fn attempted(&mut self, slot: SlotId) {
        self.record.attempts = self.record.attempts.saturating_add(1);
        self.record.slot = Some(slot);
    }

    /// Whether it was sent, or tried to be sent, to any endpoint.
    pub(super) const fn has_attempted(&self) -> bool {
        self.record.attempts > 0
    }

    /// An attempt begins, alone.
    pub(super) fn begins(&mut self, slot: SlotId, now: Moment) {
        if self.record.attempts == 0 {
            let queued = Duration::from_micros(self.record.queued_us.into());
            self.record.overhead = now.since(self.arrived).saturating_sub(queued);
        }
        self.attempted(slot);
        self.goes_on(slot, now);
        // If one was opened for an attempt before, that was not for this one.
        self.record.upstream_connect = None;
    }

    /// Of two attempts beside each other this one, which began then, goes on.
    pub(super) fn goes_on(&mut self, slot: SlotId, began: Moment) {
        self.record.slot = Some(slot);
        let lost = began.since(self.arrived).saturating_sub(self.record.overhead);
        self.lost_us = u32::try_from(lost.as_micros()).unwrap_or(u32::MAX);
    }

    /// A second endpoint was asked beside the first.
    pub(super) fn hedged(&mut self) {
        self.record.hedged = true;
    }

    /// It goes to another model than the one of this lane, which was asked before.
    pub(super) fn turned(&mut self, from: LaneId, to: LaneId) {
        self.record.fell_back_from.get_or_insert(from);
        self.record.lane = Some(to);
    }

    /// Its client has come back on another connection.
    pub(super) fn came_back(&mut self) {
        self.record.resumed = self.record.resumed.saturating_add(1);
    }

    /// It went on after it had broken off.
    pub(super) fn went_on(&mut self) {
        self.record.continued = self.record.continued.saturating_add(1);
    }

    /// It was only about coming back to another request's stream.
    pub(super) fn returned(&mut self, status: u16) {
        self.record.operation = "resume";
        self.record.status = status;
        self.is_closed = true;
    }

    /// A connection was opened for it.
    pub(super) fn connected(&mut self, since: Moment) {
        self.record.upstream_connect = Some(clock::now().since(since));
    }

    /// It has ended, well or not.
    pub(super) fn answered(
        &mut self,
        response: &Response,
        progress: &Progress,
        outcome: &Result<(), Fault>,
    ) {
        self.record.is_stream = response.is_events();
        self.record.client_left = progress.has_left;
        self.record.events = response.events;
        self.record.bytes_down = response.content_bytes;
        self.record.ttft = progress.first_content.map(|moment| moment.since(self.arrived));
        self.record.overhead =
            progress.sent_up.map_or(Duration::ZERO, |sent| self.up(sent)) + progress.first_passing;
        // What nothing of went down is not what was answered.
        let status = if progress.has_answered { response.status } else { 0 };
        self.close(outcome.err(), status);
    }

    /// What the gateway has added until the request had gone up: waiting for a turn, attempts that failed, and the waits between them
    /// are not its.
    fn up(&self, sent: Moment) -> Duration {
        let connect = self.record.upstream_connect.unwrap_or_default();
        let lost = Duration::from_micros(self.lost_us.into());
        sent.since(self.arrived).saturating_sub(lost + connect)
    }

    fn write_down(&self) {
        if !self.shard.records.offer(self.record) {
            self.shard.page.add(ShardCounter::RecordsDropped, 1);
        }
    }

    fn close(&mut self, fault: Option<Fault>, status: u16) {
        self.record.fault = fault;
        self.record.is_cancelled = fault == Some(Fault::ClientGone);
        self.record.status = match fault {
            Some(Fault::ClientGone) => Fault::ClientGone.status(),
            Some(fault) if status == 0 => fault.status(),
            _ => status,
        };
        self.is_closed = true;
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        if !self.is_closed {
            // Only a panic or the end of the shard comes here, and copies that a drain ends.
            self.close(Some(if self.is_copy { Fault::Draining } else { Fault::Bug }), 0);
        }
        self.record.duration = clock::now().since(self.began);
        let page = &self.shard.page;
        if self.is_copy {
            return self.write_down();
        }
        page.sub(ShardCounter::RequestsOpen, 1);
        if self.is_stream_counted {
            page.sub(ShardCounter::StreamsOpen, 1);
        }
        page.apply(&self.record);
        self.write_down();
    }
}
