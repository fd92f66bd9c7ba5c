//! The same request on two connections: which has something to say first?

use std::future::poll_fn;
use std::task::Context;
use std::task::Poll;

use super::Exchange;
use super::Interest;
use super::Observer;
use super::Wake;
use crate::accept::incoming::Incoming;
use crate::llm::edit::Edit;
use crate::record::Fault;
use crate::relay::upload::Upload;
use crate::upstream::Link;
use crate::upstream::Word;

/// Which of two connections is to be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ahead {
    /// That of the exchange, which has something to say.
    Link,
    /// The other one, which has something to say.
    Rival,
    /// That of the exchange: the other one has ended without a word, or with the head of an error of this status.
    LinkAlone(Option<u16>),
    /// The other one: that of the exchange has ended so.
    RivalAlone(Option<u16>),
}

impl<O: Observer> Exchange<'_, O> {
    /// After [`super::Ended::HedgeDue`]: the request goes up this connection too, which `upload` has begun, and the first
    /// of both that has something to say is to be run, or the one that is left. Reads nothing from either.
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
                let interest = Interest { link_readable: false, ..self.prepare(upload, &pace) };
                match poll_fn(|cx| self.poll_race(rival, interest, cx)).await {
                    Met::Ahead(ahead) => return Ok(ahead),
                    Met::Wake(wake) => self.step(wake, upload, request, edits, &mut pace)?,
                };
            }
        }
    }

    fn poll_race(
        &mut self,
        rival: &mut Link,
        interest: Interest,
        cx: &mut Context<'_>,
    ) -> Poll<Met> {
        match self.poll_words(rival, cx) {
            Poll::Ready(ahead) => Poll::Ready(Met::Ahead(ahead)),
            Poll::Pending => self.poll(cx, interest).map(Met::Wake),
        }
    }

    fn poll_words(&mut self, rival: &mut Link, cx: &mut Context<'_>) -> Poll<Ahead> {
        let words = (rival.poll_word(cx), self.link.poll_word(cx));
        if let (Poll::Pending, Poll::Pending) = words {
            return Poll::Pending;
        }
        Poll::Ready(match words {
            (Poll::Ready(Word::Bytes), _) => Ahead::Rival,
            (_, Poll::Ready(Word::Bytes)) => Ahead::Link,
            // An error is not what was waited for as long as the other one may do better; of two, one is as good as the other.
            (Poll::Ready(Word::Trouble(status)), Poll::Pending | Poll::Ready(Word::Trouble(_))) => {
                Ahead::LinkAlone(Some(status))
            }
            (Poll::Ready(Word::End), Poll::Pending | Poll::Ready(Word::Trouble(_))) => {
                Ahead::LinkAlone(None)
            }
            (_, Poll::Ready(Word::Trouble(status))) => Ahead::RivalAlone(Some(status)),
            (_, Poll::Ready(Word::End) | Poll::Pending) => Ahead::RivalAlone(None),
        })
    }
}

/// What a wait ended with.
enum Met {
    Ahead(Ahead),
    Wake(Wake),
}

#[cfg(test)]
mod tests;
