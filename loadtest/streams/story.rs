//! One stream as its client knows it, over all the connections on which it was read: what came, and what must come next.

use ringway::mock::content;
use ringway::mock::content::Broken;
use ringway::mock::content::Seal;
use ringway::units::Moment;

use crate::streams::tally::Counts;

/// Characters of a stream's name: shard and key.
pub const NAME_BYTES: usize = 36;

/// The name of a stream.
pub type Name = [u8; NAME_BYTES];

/// What a whole event was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// One of the mock's, in its turn; when it was written, if it says so.
    Event(Option<Moment>),
    /// A heartbeat.
    Beat,
    /// Anything else that is no event: `retry`, or that another connection reads on.
    Remark,
}

/// A stream, and how much of it came.
#[derive(Clone, Copy, Debug, Default)]
pub struct Story {
    /// Its number, which every event of the mock carries.
    pub number: u64,
    /// Sealed events it has.
    pub events: u32,
    /// Sealed events that came.
    pub next: u32,
    /// Events behind them that came.
    pub ending: u32,
    /// The name by which it can be come back to.
    pub name: Option<Name>,
    /// Number of the last whole event that came, as its id says; 0 before the first.
    pub seq: u64,
}

impl Story {
    /// A stream of this number with so many sealed events, of which nothing has come.
    #[must_use]
    pub fn new(number: u64, events: u32) -> Self {
        Self { number, events, ..Self::default() }
    }

    /// Whether anything came.
    #[must_use]
    pub const fn has_begun(&self) -> bool {
        self.next > 0 || self.ending > 0
    }

    /// Whether all came; `endings` is what the mock says behind the sealed events.
    #[must_use]
    pub const fn is_whole(&self, endings: &[Vec<u8>]) -> bool {
        self.next == self.events && self.ending as usize == endings.len()
    }

    /// Takes the head of a response to its request (`is_first`) or to a client that came back.
    ///
    /// # Errors
    /// It names another stream, or none where it must name one.
    pub fn take_head(
        &mut self,
        name: Option<&[u8]>,
        is_first: bool,
        is_resumable: bool,
    ) -> Result<(), String> {
        let name = match name.map(Name::try_from) {
            None => None,
            Some(Ok(name)) if name.iter().all(u8::is_ascii_hexdigit) => Some(name),
            Some(_) => return Err("a stream's name is malformed".to_owned()),
        };
        if is_first {
            if name.is_some() != is_resumable {
                return Err(format!("a stream has {} name", if is_resumable { "no" } else { "a" }));
            }
            self.name = name;
        } else if name != self.name {
            return Err("a resumed stream has another name".to_owned());
        }
        Ok(())
    }

    /// Takes a whole event with its blank line; `endings` is what the mock says behind the sealed events.
    ///
    /// # Errors
    /// What is wrong with it; it is counted too.
    pub fn take_event(
        &mut self,
        event: &[u8],
        endings: &[Vec<u8>],
        counts: &mut Counts,
    ) -> Result<Said, String> {
        if event.starts_with(b":") {
            let is_beat = event == b": ping\n";
            return Ok(if is_beat { Said::Beat } else { Said::Remark });
        }
        if event.starts_with(b"retry: ") {
            return Ok(Said::Remark);
        }
        let (event, id) = without_id(event);
        let written = match content::check(&event) {
            Ok(seal) => self.take_sealed(seal, counts)?,
            Err(Broken::Unsealed) => self.take_ending(&event, endings, counts)?,
            Err(Broken::Torn | Broken::Changed) => {
                counts.changed += 1;
                return Err("an event was changed".to_owned());
            }
        };
        self.take_id(id.as_deref()).inspect_err(|_| counts.misnumbered += 1)?;
        counts.events += 1;
        Ok(Said::Event(written))
    }

    fn take_sealed(&mut self, seal: Seal, counts: &mut Counts) -> Result<Option<Moment>, String> {
        if seal.stream != self.number {
            counts.foreign += 1;
            return Err("an event of another stream".to_owned());
        }
        if seal.number < self.next || self.ending > 0 {
            counts.repeated += 1;
            return Err("an event came again".to_owned());
        }
        if seal.number > self.next {
            counts.lost += u64::from(seal.number - self.next);
            return Err("events were lost".to_owned());
        }
        self.next += 1;
        Ok(Some(Moment::from_nanos(seal.nanos)))
    }

    fn take_ending(
        &mut self,
        event: &[u8],
        endings: &[Vec<u8>],
        counts: &mut Counts,
    ) -> Result<Option<Moment>, String> {
        if event.starts_with(b"data: {\"error\"") || event.starts_with(b"event: error") {
            return Err("an error event".to_owned());
        }
        let Some(at) = endings.iter().position(|ending| ending == event) else {
            counts.changed += 1;
            return Err("an event that nobody has sent".to_owned());
        };
        let missed = u64::from(self.events - self.next);
        let ahead = at as u64;
        let have = u64::from(self.ending);
        if ahead < have {
            counts.repeated += 1;
            return Err("an event came again".to_owned());
        }
        if missed > 0 || ahead > have {
            counts.lost += missed + (ahead - have);
            return Err("events were lost".to_owned());
        }
        self.ending += 1;
        Ok(None)
    }

    /// Ids are `<name>.<n>`, one for each event and one after the other; where the stream has no name, there are none.
    fn take_id(&mut self, id: Option<&[u8]>) -> Result<(), String> {
        let (name, id) = match (self.name, id) {
            (None, None) => return Ok(()),
            (None, Some(_)) => {
                return Err("an event of a stream without a name has an id".to_owned());
            }
            (Some(_), None) => return Err("an event has no id".to_owned()),
            (Some(name), Some(id)) => (name, id),
        };
        let wrong = || format!("an id is {}", String::from_utf8_lossy(id));
        let digits = id.strip_prefix(&name).and_then(|rest| rest.strip_prefix(b"."));
        let text = std::str::from_utf8(digits.ok_or_else(wrong)?).map_err(|_| wrong())?;
        let seq: u64 = text.parse().map_err(|_| wrong())?;
        if seq != self.seq + 1 || seq.to_string() != text {
            return Err(wrong());
        }
        self.seq = seq;
        Ok(())
    }
}

/// An event without the line of its id, which is the last before the blank line, and that id.
#[must_use]
pub fn without_id(event: &[u8]) -> (std::borrow::Cow<'_, [u8]>, Option<Vec<u8>>) {
    let Some(id) = crate::client::verify::id_line(event) else { return (event.into(), None) };
    let mut bare = event[..id.start].to_vec();
    bare.extend_from_slice(&event[id.end..]);
    let line = &event[id];
    let value = line.strip_prefix(b"id: ").unwrap_or(line).trim_ascii_end().to_vec();
    (bare.into(), Some(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringway::mock::content::Template;

    const NAME: &Name = b"0001aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

    fn endings() -> Vec<Vec<u8>> {
        vec![b"data: {\"finish_reason\":\"stop\"}\n\n".to_vec(), b"data: [DONE]\n\n".to_vec()]
    }

    fn sealed(number: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        Template::new("data: {\"content\":\"", "\"}\n\n", 150)
            .write(Seal { stream: 9, number, nanos: 5 }, &mut bytes);
        bytes
    }

    fn named(event: &[u8], seq: u64) -> Vec<u8> {
        let mut bytes = event[..event.len() - 1].to_vec();
        bytes.extend_from_slice(b"id: ");
        bytes.extend_from_slice(NAME);
        bytes.extend_from_slice(format!(".{seq}\n\n").as_bytes());
        bytes
    }

    fn told(is_resumable: bool, events: &[Vec<u8>]) -> (Story, Counts, Result<(), String>) {
        let (mut story, mut counts) = (Story::new(9, 2), Counts::default());
        story.take_head(is_resumable.then_some(NAME.as_slice()), true, is_resumable).unwrap();
        let told = events
            .iter()
            .try_for_each(|event| story.take_event(event, &endings(), &mut counts).map(|_| ()));
        (story, counts, told)
    }

    #[test]
    fn a_stream_is_whole_with_and_without_ids() {
        let mut events = vec![sealed(0), sealed(1)];
        events.extend(endings());
        let (story, counts, result) = told(false, &events);
        assert_eq!((result, counts.events, story.seq), (Ok(()), 4, 0));
        assert!(story.is_whole(&endings()));

        let named: Vec<Vec<u8>> =
            events.iter().zip(1..).map(|(event, n)| named(event, n)).collect();
        let (story, _, result) = told(true, &named);
        assert_eq!((result, story.seq), (Ok(()), 4));
        assert!(story.is_whole(&endings()));
        assert!(!told(true, &named[..3]).0.is_whole(&endings()));
    }

    #[test]
    fn what_is_lost_or_comes_again_is_found() {
        let done = endings();
        for (events, lost, repeated) in [
            (vec![sealed(1)], 1, 0),
            (vec![sealed(0), done[0].clone()], 1, 0),
            (vec![sealed(0), sealed(1), done[1].clone()], 1, 0),
            (vec![sealed(0), sealed(0)], 0, 1),
            (vec![sealed(0), sealed(1), done[0].clone(), done[0].clone()], 0, 1),
            (vec![sealed(0), sealed(1), done[0].clone(), sealed(1)], 0, 1),
        ] {
            let (_, counts, result) = told(false, &events);
            assert!(result.is_err());
            assert_eq!((counts.lost, counts.repeated), (lost, repeated), "{events:?}");
        }
    }

    #[test]
    fn wrong_bytes_ids_and_names_are_found() {
        let mut changed = named(&sealed(0), 1);
        changed[60] ^= 1;
        assert_eq!(told(true, &[changed]).1.changed, 1);
        assert_eq!(told(false, &[b"data: what\n\n".to_vec()]).1.changed, 1);
        let error = b"data: {\"error\":{}}\n\n".to_vec();
        assert_eq!(told(false, &[error]).2, Err("an error event".to_owned()));
        for (is_resumable, event) in [
            (true, sealed(0)),
            (false, named(&sealed(0), 1)),
            (true, named(&sealed(0), 2)),
            (true, String::from_utf8(named(&sealed(0), 1)).unwrap().replace("a.1", "b.1").into()),
            (true, String::from_utf8(named(&sealed(0), 1)).unwrap().replace("a.1", "a.01").into()),
        ] {
            let (_, counts, result) = told(is_resumable, &[event]);
            assert!(result.is_err());
            assert_eq!(counts.misnumbered, 1, "{result:?}");
        }
        let mut story = Story::new(1, 1);
        assert!(story.take_head(None, true, true).is_err());
        assert!(story.take_head(Some(NAME), true, false).is_err());
        assert!(story.take_head(Some(b"short"), true, true).is_err());
        story.take_head(Some(NAME), true, true).unwrap();
        assert!(story.take_head(None, false, true).is_err());
        story.take_head(Some(NAME), false, true).unwrap();
    }

    #[test]
    fn what_is_no_event_is_told_apart() {
        let mut counts = Counts::default();
        let mut story = Story::new(9, 1);
        for (text, said) in [
            (": ping\n", Said::Beat),
            (": this stream is read on another connection now\n", Said::Remark),
            ("retry: 1500\n", Said::Remark),
        ] {
            assert_eq!(story.take_event(text.as_bytes(), &[], &mut counts), Ok(said));
        }
        assert_eq!((counts.events, story.has_begun()), (0, false));
    }
}
