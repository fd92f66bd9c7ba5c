//! A connection that its client has left without a word: what still comes on it must be right, and it must be closed when
//! another one reads on.

use std::io;
use std::os::fd::AsRawFd;
use std::os::fd::OwnedFd;

use ringway::sys::socket;
use ringway::units::Moment;

use crate::streams::reader::Met;
use crate::streams::reader::Reader;
use crate::streams::reader::Step;
use crate::streams::story::Story;
use crate::streams::tally::Counts;

/// The connection, and how far it had been read.
#[derive(Debug)]
pub struct Former {
    pub socket: OwnedFd,
    pub reader: Reader,
    pub story: Story,
    /// When it is looked at.
    pub due: Moment,
}

impl Former {
    /// Reads it to its end.
    ///
    /// # Errors
    /// What came is wrong, or it has no end.
    pub fn end(mut self, endings: &[Vec<u8>], room: &mut [u8]) -> Result<(), String> {
        // What comes on it came elsewhere too and is counted there.
        let mut counts = Counts::default();
        let mut has_ended = false;
        loop {
            let got = match socket::recv(self.socket.as_raw_fd(), room) {
                Ok(0) => return Ok(()),
                Ok(got) => got,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => return Ok(()),
            };
            let (story, reader) = (&mut self.story, &mut self.reader);
            let step = reader.take(&room[..got], &mut |met| match met {
                Met::Head { status: 200, name } => {
                    story.take_head(name, story.name.is_none(), true)
                }
                Met::Head { status, .. } => Err(format!("status {status}")),
                Met::Event(event) => story.take_event(event, endings, &mut counts).map(|_| ()),
            });
            let step = step.map_err(|wrong| format!("on the connection before: {wrong}"))?;
            has_ended |= step != Step::More;
        }
        if has_ended { Ok(()) } else { Err("the connection before was not closed".to_owned()) }
    }
}
