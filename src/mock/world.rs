//! What all connections of one mock share; they run on one thread.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use crate::units::Moment;

use super::Options;
use super::answer;
use super::answer::Usage;
use super::ask::Shape;
use super::content::Template;
use super::stats::Stats;
use super::switches::Switches;

pub(super) struct World {
    pub(super) options: Options,
    pub(super) stats: Stats,
    pub(super) switches: Switches,
    streams: Cell<u64>,
    buffer: Cell<Vec<u8>>,
    room: Cell<Vec<u8>>,
    templates: Cell<Vec<(Key, Rc<Template>)>>,
}

/// What a template is made for.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Key {
    shape: Shape,
    is_stream: bool,
    bytes: usize,
    model: String,
}

/// Bytes that one receive takes at most.
const ROOM_BYTES: usize = 64 * 1024;
/// Templates kept; a workload has a handful.
const TEMPLATES_MAX: usize = 32;
/// A buffer that grew beyond this is not kept.
const BUFFER_KEPT_BYTES: usize = 1024 * 1024;

impl World {
    pub(super) fn new(options: Options) -> Self {
        Self {
            options,
            stats: Stats::default(),
            switches: Switches::default(),
            streams: Cell::new(0),
            buffer: Cell::new(Vec::new()),
            room: Cell::new(vec![0; ROOM_BYTES]),
            templates: Cell::new(Vec::new()),
        }
    }

    /// The number of the next stream whose client gave it none.
    pub(super) fn next_stream(&self) -> u64 {
        let number = self.streams.get() + 1;
        self.streams.set(number);
        number
    }

    /// An empty buffer that all may use between two waits; give it back.
    pub(super) fn take_buffer(&self) -> Vec<u8> {
        let mut buffer = self.buffer.take();
        buffer.clear();
        buffer
    }

    pub(super) fn give_buffer(&self, buffer: Vec<u8>) {
        if buffer.capacity() <= BUFFER_KEPT_BYTES {
            self.buffer.set(buffer);
        }
    }

    /// Lends the room into which everything is received.
    pub(super) fn with_room<R>(&self, work: impl FnOnce(&mut [u8]) -> R) -> R {
        let mut room = self.room.take();
        let result = work(&mut room);
        self.room.set(room);
        result
    }

    /// The sealed piece of an answer: an event of a stream, or a whole body.
    pub(super) fn template(
        &self,
        shape: Shape,
        is_stream: bool,
        model: &str,
        bytes: usize,
    ) -> Rc<Template> {
        let mut templates = self.templates.take();
        let found = templates.iter().find(|(key, _)| {
            key.shape == shape
                && key.is_stream == is_stream
                && key.bytes == bytes
                && key.model == model
        });
        let template = match found {
            Some((_, template)) => Rc::clone(template),
            None => {
                if templates.len() >= TEMPLATES_MAX {
                    templates.clear();
                }
                let (before, after) = if is_stream {
                    answer::event(shape, model)
                } else {
                    answer::whole(shape, model, Usage { input: 1, output: bytes / 4 })
                };
                let template = Rc::new(Template::new(&before, &after, bytes));
                let key = Key { shape, is_stream, bytes, model: model.to_owned() };
                templates.push((key, Rc::clone(&template)));
                template
            }
        };
        self.templates.set(templates);
        template
    }

    /// When an event that is due at `moment` is written: at the next tick.
    pub(super) fn tick_after(&self, moment: Moment) -> Moment {
        let tick = self.options.tick;
        match moment.as_nanos().checked_div(nanos(tick)) {
            Some(whole) => Moment::from_nanos(whole.saturating_mul(nanos(tick))).after(tick),
            None => moment,
        }
    }
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}
