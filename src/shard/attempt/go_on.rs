//! A stream that goes on: for another connection of its client's, and from another endpoint where one broke off.

use std::time::Duration;

use crate::accept::client::Client;
use crate::accept::incoming::Incoming;
use crate::llm::continuation::Transcript;
use crate::llm::dialect::Operation;
use crate::llm::edit;
use crate::llm::request::peek;
use crate::llm::stream;
use crate::llm::stream::translate;
use crate::llm::stream::translate::Asked;
use crate::llm::stream::translate::Translator;
use crate::llm::stream::translate::Untranslatable;
use crate::record::Fault;
use crate::record::Whose;
use crate::record::counters::Continued;
use crate::record::counters::Resumed;
use crate::relay::response::Response;
use crate::relay::throttle::Rate;
use crate::ring::clock;
use crate::shard::World;
use crate::shard::attempt::Attempts;
use crate::shard::attempt::Step;
use crate::shard::attempt::Way;
use crate::shard::attempt::manners;
use crate::shard::entry::Entry;
use crate::shard::request::Fate;
use crate::snapshot::Format;
use crate::snapshot::Upstream;
use crate::units::Millis;
use crate::units::Moment;

/// Bytes of an answer that are remembered so that another endpoint can go on from them, at most.
const TRANSCRIPT_BYTES_MAX: usize = 256 << 10;
/// The longest wait before a stream is asked for again at its upstream, whatever that says.
const RECONNECT_MAX: Duration = Duration::from_secs(5);
/// How often a stream goes on after it has broken off.
const CONTINUED_MAX: u8 = 4;

/// What goes up in place of what the client has sent.
#[derive(Default)]
pub(super) struct Instead {
    /// Its head with another body.
    pub(super) request: Option<Incoming>,
    /// The body as it went up first, where another endpoint may go on from what that has said.
    original: Vec<u8>,
    /// The last event that has come, where the upstream goes on behind that.
    pub(super) last_event_id: Vec<u8>,
    /// How often the stream went on.
    continued: u8,
}

impl Attempts<'_> {
    /// Whether something else goes up than the client has sent.
    pub(super) fn is_rewritten(&self) -> bool {
        self.instead.as_ref().is_some_and(|instead| instead.request.is_some())
    }

    /// Whoever reads the stream now.
    pub(super) fn reader<'c>(&'c mut self, own: &'c mut Client) -> &'c mut Client {
        match self.guest.as_deref_mut() {
            Some(guest) => &mut guest.client,
            None => own,
        }
    }

    /// Another connection of the client's has come for the stream: it reads on, and the one that has read so far is sent
    /// away.
    pub(super) fn welcome(
        &mut self,
        own: &mut Client,
        response: &mut Response,
        entry: &mut Entry<'_>,
    ) {
        let Some(guest) = self.berthed.as_ref().and_then(|berthed| berthed.berth().take()) else {
            return;
        };
        let buffers = &self.shard.buffers;
        let reader = self.reader(own);
        if !reader.is_away() {
            buffers.with_scratch(|_, out| {
                response.dismiss(out);
                reader.post(out);
            });
            let mut dismissed = reader.take();
            buffers.release(&mut dismissed.input);
            if let Some(stream) = dismissed.stream() {
                stream.close_send();
            }
            self.shard.page.add(Resumed::Displaced, 1);
        }
        if let Some(earlier) = self.guest.take() {
            earlier.give_back(Fate::Cut);
        }
        buffers.with_scratch(|_, out| {
            response.join(guest.joining, out);
            guest.client.post(out);
        });
        self.progress.beat_at =
            clock::recent().after(manners(self.world, self.model).heartbeat.span());
        self.progress.return_by = Moment::NEVER;
        self.away.set(false);
        self.guest = Some(guest);
        entry.came_back();
    }

    /// The response to the next attempt goes on with what went down of the last one.
    ///
    /// # Errors
    /// The upstream that is asked now has no words for the request.
    pub(in crate::shard) fn renew(
        &mut self,
        response: &mut Response,
        mut fresh: Response,
        way: &Way<'_>,
        request: &Incoming,
    ) -> Result<(), Untranslatable> {
        self.equip(&mut fresh, way, request)?;
        *response = fresh.after(response);
        let goes_on = self.instead.as_ref().is_some_and(|it| !it.original.is_empty());
        if goes_on && response.content_bytes > 0 {
            response.sew();
        }
        Ok(())
    }

    /// What a response may do beside passing on what its endpoint says, and the request as the upstream wants it.
    ///
    /// # Errors
    /// The upstream has no words for it.
    pub(in crate::shard) fn equip(
        &mut self,
        response: &mut Response,
        way: &Way<'_>,
        request: &Incoming,
    ) -> Result<(), Untranslatable> {
        if self.upstream().format != Format::Events {
            self.translate(response, way, request)?;
        }
        if way.plan.is_stream {
            self.equip_stream(response, way, request.body());
        }
        Ok(())
    }

    fn equip_stream(&self, response: &mut Response, way: &Way<'_>, body: &[u8]) {
        let (world, upstream) = (self.world, self.upstream());
        if let Some(numbers) =
            self.berthed.as_ref().and_then(|berthed| berthed.numbers(world, way.plan, way.caller))
        {
            response.number(numbers);
        }
        if let Some(after) = self.model().streams.reconnect {
            response.say_reconnect(after);
        }
        if let Some(rate) = rate(world, way) {
            response.throttle(rate);
        }
        if may_continue(upstream, way) {
            response.transcribe(Transcript::new(body, TRANSCRIPT_BYTES_MAX));
        }
        if upstream.is_resumable {
            response.note_origin();
        }
    }

    /// Has the answer translated, and the request written as the upstream wants it.
    pub(super) fn translate(
        &mut self,
        response: &mut Response,
        way: &Way<'_>,
        request: &Incoming,
    ) -> Result<(), Untranslatable> {
        let Some(operation) = way.plan.kind() else { return Ok(()) };
        let is_ollama = self.upstream().format == Format::Ollama;
        let is_wanted = peek(request.body()).is_ok_and(|ask| ask.include_usage == Some(true));
        let includes_usage = is_wanted || way.plan.drops_usage_event;
        let asked = Asked { operation, is_stream: way.plan.is_stream, includes_usage };
        let from = if is_ollama { stream::Format::Ollama } else { stream::Format::Text };
        let created = self.shard.state.with(|own| own.unix_ms(clock::recent())) / 1000;
        let id = response.request_id().hex();
        let translator = Translator::new(from, asked, &self.model().label(), &id, created);
        response.translate(translator, way.plan.is_stream);
        if !is_ollama {
            return Ok(());
        }
        let mut body = Vec::new();
        translate::body_up(operation, &self.body_up(way, request), &mut body)?;
        let request = request.with_body(&self.shard.buffers, &body);
        self.instead.get_or_insert_default().request = Some(request);
        Ok(())
    }

    /// The body as it goes up.
    fn body_up(&self, way: &Way<'_>, request: &Incoming) -> Vec<u8> {
        let mut body = Vec::new();
        way.with_body(self, request, |edited| {
            edit::apply(edited.bytes, edited.edits, &mut body);
        });
        body
    }

    /// What goes on with a stream that has broken off behind the first of its content; none: nobody can.
    pub(super) fn go_on(
        &mut self,
        fault: Fault,
        way: &Way<'_>,
        request: &Incoming,
        response: &Response,
    ) -> Option<Step> {
        if fault.whose() != Whose::Upstream || fault == Fault::WholeTimedOut {
            return None;
        }
        let step = self.resumed(response).or_else(|| self.continued(way, request, response));
        let is_allowed = step.is_some() && self.may_go_on();
        if !is_allowed {
            self.shard.page.add(Continued::Refused, 1);
            return None;
        }
        // The time to the first byte of the answer is over since long: this is another answer.
        self.deadlines.first_byte = clock::now().after(self.model().deadlines.first_byte);
        step
    }

    /// The upstream itself goes on behind the last event that has come.
    fn resumed(&mut self, response: &Response) -> Option<Step> {
        let origin = response.origin()?;
        let id = origin.last_id()?.to_vec();
        let wait = origin.retry().map(Millis::span).unwrap_or_default().min(RECONNECT_MAX);
        self.instead.get_or_insert_default().last_event_id = id;
        Some(Step::GoOn { wait, is_elsewhere: false })
    }

    /// Another endpoint goes on from the text so far.
    fn continued(
        &mut self,
        way: &Way<'_>,
        request: &Incoming,
        response: &Response,
    ) -> Option<Step> {
        let transcript = response.transcript()?;
        transcript.may_continue().ok()?;
        if self.instead.as_ref().is_none_or(|instead| instead.original.is_empty()) {
            let original = self.body_up(way, request);
            self.instead.get_or_insert_default().original = original;
        }
        let instead = self.instead.as_mut()?;
        let mut body = Vec::new();
        if !transcript.body(&instead.original, &mut body) {
            return None;
        }
        instead.request = Some(request.with_body(&self.shard.buffers, &body));
        Some(Step::GoOn { wait: Duration::ZERO, is_elsewhere: true })
    }

    /// Whether there may be one more attempt at going on.
    fn may_go_on(&mut self) -> bool {
        let (lane, rule) = (self.model().lane, self.model().retry.budget);
        let Some(instead) = &mut self.instead else { return false };
        if instead.continued >= CONTINUED_MAX {
            return false;
        }
        instead.continued += 1;
        let now = clock::now();
        self.shard.state.with(|own| own.budget(lane).retries.take(rule, now))
    }

    /// The connection that has read the stream to its end goes back to whom it belongs. The one that asked for it has been
    /// closed before.
    pub(in crate::shard) fn part(&mut self, fate: Fate) -> Fate {
        match self.guest.take() {
            Some(guest) => {
                guest.give_back(fate);
                Fate::Cut
            }
            None => fate,
        }
    }
}

/// Whether a stream may go on elsewhere where it breaks off.
fn may_continue(upstream: &Upstream, way: &Way<'_>) -> bool {
    upstream.continues && way.plan.kind() == Some(Operation::Chat)
}

/// How fast the streams of this caller's tenant may go down.
fn rate(world: &World, way: &Way<'_>) -> Option<Rate> {
    use crate::admission::Throttle;
    let tenant = way.caller.tenant.and_then(|tenant| world.snapshot.admission.tenant(tenant))?;
    Some(match tenant.throttle? {
        Throttle::Events(rate) => Rate::Events(rate),
        Throttle::Bytes(rate) => Rate::Bytes(rate),
    })
}
