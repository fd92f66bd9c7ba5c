//! The same request on two connections: which has something to say first?

use std::future::poll_fn;
use std::task::Poll;

use super::Exchange;
use super::Observer;
use super::Wake;
use crate::accept::incoming::Incoming;
use crate::llm::edit::Edit;
use crate::record::Fault;
use crate::relay::upload::Upload;
use crate::upstream::Link;

/// Which of two connections has something to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ahead {
    /// That of the exchange.
    Link,
    /// The other one.
    Rival,
}

impl<O: Observer> Exchange<'_, O> {
    /// After [`super::Ended::HedgeDue`]: the request goes up this connection too, which `upload` has begun, and the first
    /// of both that has something to say is to be run. Reads nothing from either.
    ///
    /// # Errors
    /// Why neither is to be run any more.
    pub fn race<'a>(
        &'a mut self,
        upload: &'a mut Upload,
        request: &'a mut Incoming,
        edits: &'a [Edit<'a>],
        rival: &'a mut Link,
    ) -> impl Future<Output = Result<Ahead, Fault>> {
        let mut pace = self.begin(upload, false);
        async move {
            loop {
                let interest = self.prepare(upload, &pace);
                let wake = poll_fn(|cx| match rival.poll_readable(cx) {
                    Poll::Ready(()) => Poll::Ready(None),
                    Poll::Pending => self.poll(cx, interest).map(Some),
                });
                match wake.await {
                    None => return Ok(Ahead::Rival),
                    Some(Wake::LinkReadable) => return Ok(Ahead::Link),
                    Some(wake) => self.step(wake, upload, request, edits, &mut pace)?,
                };
            }
        }
    }
}

#[cfg(test)]
mod tests;
