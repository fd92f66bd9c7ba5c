//! A stream that may go down only so fast: what may not yet go down waits here, and its endpoint waits for it.

use super::Response;
use super::Unfit;
use crate::relay::throttle::Rate;
use crate::relay::throttle::Throttle;
use crate::units::Moment;
use crate::wire::buffer::Buffers;

/// What became of bytes that were fed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fed {
    /// All of them were taken.
    All,
    /// Some of them wait until more may go down.
    Part,
}

impl Response {
    /// Has the stream go down only so fast.
    pub fn throttle(&mut self, rate: Rate) {
        self.rare().throttle = Some(Throttle::new(rate));
    }

    fn pace(&self) -> Option<&Throttle> {
        self.rare.as_deref()?.throttle.as_ref()
    }

    /// How many bytes may be read at once.
    #[must_use]
    pub fn allowance(&self, now: Moment) -> usize {
        match self.pace() {
            Some(throttle) if !throttle.counts_events() => throttle.allowance(now).max(1),
            _ => usize::MAX,
        }
    }

    /// Whether something has come that did not go down yet.
    #[must_use]
    pub fn has_rest(&self) -> bool {
        self.pace().is_some_and(|throttle| !throttle.rest.is_empty())
    }

    /// From when on more may go down; none: it always may.
    #[must_use]
    pub fn throttled_until(&self) -> Option<Moment> {
        self.pace().map(Throttle::due)
    }

    /// As [`Self::feed`], but no more events than may go down now; the others wait.
    ///
    /// # Errors
    /// As there.
    pub fn feed_at_pace(
        &mut self,
        bytes: &[u8],
        now: Moment,
        buffers: &Buffers,
        out: &mut Vec<u8>,
    ) -> Result<Fed, Unfit> {
        let Some(throttle) = self.rare.as_deref_mut().and_then(|rare| rare.throttle.as_mut())
        else {
            return self.feed(bytes, buffers, out).map(|()| Fed::All);
        };
        if !throttle.counts_events() {
            throttle.spend(bytes.len(), now);
            return self.feed(bytes, buffers, out).map(|()| Fed::All);
        }
        let mut allowance = u64::try_from(throttle.allowance(now)).unwrap_or(u64::MAX);
        let mut rest = bytes;
        while !rest.is_empty() && allowance > 0 {
            let (piece, after) = rest.split_at_checked(piece(rest)).unwrap_or((rest, &[]));
            let before = self.events;
            self.feed(piece, buffers, out)?;
            let went = self.events - before;
            allowance = allowance.saturating_sub(went);
            self.spend(went, now);
            rest = after;
        }
        if rest.is_empty() {
            return Ok(Fed::All);
        }
        if let Some(throttle) = self.rare.as_deref_mut().and_then(|rare| rare.throttle.as_mut()) {
            buffers.append(&mut throttle.rest, rest);
        }
        Ok(Fed::Part)
    }

    /// Goes on with what waits.
    ///
    /// # Errors
    /// As [`Self::feed`].
    pub fn feed_rest(
        &mut self,
        now: Moment,
        buffers: &Buffers,
        out: &mut Vec<u8>,
    ) -> Result<Fed, Unfit> {
        let Some(throttle) = self.rare.as_deref_mut().and_then(|rare| rare.throttle.as_mut())
        else {
            return Ok(Fed::All);
        };
        let mut rest = std::mem::take(&mut throttle.rest);
        let fed = self.feed_at_pace(rest.filled(), now, buffers, out);
        buffers.release(&mut rest);
        fed
    }

    fn spend(&mut self, events: u64, now: Moment) {
        if let Some(throttle) = self.rare.as_deref_mut().and_then(|rare| rare.throttle.as_mut()) {
            throttle.spend(usize::try_from(events).unwrap_or(usize::MAX), now);
        }
    }
}

/// Length of the first piece of `bytes` in which at most one event can end: where it is cut makes no difference but for
/// how many events go down.
fn piece(bytes: &[u8]) -> usize {
    let mut ends = memchr::memchr2_iter(b'\n', b'\r', bytes);
    let Some(first) = ends.next() else { return bytes.len() };
    let mut last = first;
    for end in ends {
        // Two line ends in a row, or with the other half of one between them: a blank line may be over.
        if end == last + 1 && bytes.get(last) == bytes.get(end) {
            return end + 1;
        }
        if bytes.get(end) == Some(&b'\n') && end == last + 1 && end >= 3 && blank(bytes, end) {
            return end + 1;
        }
        last = end;
    }
    bytes.len()
}

/// Whether the line feed at `end` ends a blank line of two CRLF.
fn blank(bytes: &[u8], end: usize) -> bool {
    bytes.get(end.saturating_sub(3)..=end) == Some(b"\r\n\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_end_behind_blank_lines() {
        for (bytes, length) in [
            ("", 0),
            ("data: 1", 7),
            ("data: 1\n", 8),
            ("data: 1\n\ndata: 2\n\n", 9),
            ("data: 1\r\n\r\ndata: 2", 11),
            ("data: 1\r\rdata: 2", 9),
            ("a\nb\nc\n\nd", 7),
            ("\n\n", 2),
        ] {
            assert_eq!(piece(bytes.as_bytes()), length, "{bytes:?}");
        }
    }
}
