//! rustls over a stream of the ring, driven from memory on the stack: an idle session keeps no read buffer of ours.

use std::io;
use std::io::Read;
use std::io::Write;
use std::sync::Arc;

use rustls::ClientConnection;

use super::Word;
use super::connect::Failure;
use super::connect::Tls;
use super::said;
use crate::ring::stream::Stream;
use crate::units::Moment;

/// Plain bytes a session takes before its records were sent, in bytes.
const UNSENT_BYTES_MAX: usize = 64 << 10;
/// One read from the socket, in bytes: a full record and its head.
const READ_BYTES: usize = 16 << 10;
/// rustls takes no more records in while it holds more plain bytes than these.
const PLAIN_BYTES_MAX: usize = 16 << 10;
/// Reads from the socket in a row, so that records without content cannot keep the shard busy.
const READS_MAX: usize = 8;

/// A TLS session over a connection.
pub struct Session {
    tls: ClientConnection,
    /// Records that came in one read with more content than rustls takes in at once. Rarely there.
    unread: Vec<u8>,
    /// There may be something to read without the socket: plain bytes, an end or an error.
    is_ready: bool,
    /// The endpoint has sent what is no good record, after the plain bytes that are still here.
    has_failed: bool,
}

/// Shakes hands over a fresh connection.
///
/// # Errors
/// The deadline passed, the endpoint went away, or its certificate or protocol is not acceptable.
pub(super) async fn handshake(
    stream: &mut Stream,
    tls: &Tls<'_>,
    deadline: Moment,
) -> Result<Session, Failure> {
    let mut session = ClientConnection::new(Arc::clone(&tls.config), tls.server_name.clone())
        .map_err(Failure::Tls)?;
    session.set_buffer_limit(Some(UNSENT_BYTES_MAX));
    let mut session =
        Session { tls: session, unread: Vec::new(), is_ready: false, has_failed: false };
    loop {
        session.flush(stream).map_err(Failure::Refused)?;
        if session.tls.wants_write() {
            stream.writable(deadline).await.map_err(failure)?;
            continue;
        }
        if !session.tls.is_handshaking() {
            return Ok(session);
        }
        stream.readable(deadline).await.map_err(failure)?;
        match session.take_records(stream) {
            Ok(0) => return Err(Failure::Refused(io::ErrorKind::UnexpectedEof.into())),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => {
                // The alert says why; it is sent if it can be.
                let _best_effort = session.flush(stream);
                return Err(match error.downcast::<rustls::Error>() {
                    Ok(tls) => Failure::Tls(tls),
                    Err(error) => Failure::Refused(error),
                });
            }
        }
    }
}

fn failure(error: io::Error) -> Failure {
    if error.kind() == io::ErrorKind::TimedOut {
        Failure::TimedOut
    } else {
        Failure::Refused(error)
    }
}

impl Session {
    /// Whether there may be something to read although the socket has nothing.
    pub(super) const fn is_ready(&self) -> bool {
        self.is_ready
    }

    pub(super) fn wants_write(&self) -> bool {
        self.tls.wants_write()
    }

    pub(super) fn try_recv(&mut self, stream: &Stream, room: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        let mut reads = 0;
        while filled < room.len() {
            match self.read(room.get_mut(filled..).unwrap_or_default()) {
                // An end that was announced; one that was not comes as UnexpectedEof.
                Ok(0) if filled == 0 => return Ok(0),
                Ok(count) if count > 0 => filled += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.is_ready = !self.unread.is_empty();
                    if reads == READS_MAX {
                        break;
                    }
                    reads += 1;
                    match self.take_records(stream) {
                        Ok(_) => {}
                        Err(error) if error.kind() == io::ErrorKind::InvalidData => {}
                        Err(_) if filled > 0 => return Ok(filled),
                        Err(error) => return Err(error),
                    }
                }
                Err(error) if filled == 0 => return Err(error),
                // The end or the error is found again by the next read.
                _ => break,
            }
        }
        if filled == 0 { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(filled) }
    }

    /// What there is to read, which stays here; records without content are taken in.
    pub(super) fn word(&mut self, stream: &Stream) -> Option<Word> {
        for _ in 0..READS_MAX {
            match self.tls.reader().into_first_chunk() {
                Ok([]) => return Some(Word::End),
                Ok(bytes) => return Some(said(bytes)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && !self.has_failed => {}
                Err(_) => return Some(Word::End),
            }
            self.is_ready = !self.unread.is_empty();
            if let Err(error) = self.take_records(stream)
                && let io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted = error.kind()
            {
                return None;
            }
        }
        None
    }

    /// Reads plain bytes that are here. What came before something that is no good record comes before the error.
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        match self.tls.reader().read(room) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && self.has_failed => {
                // It says the same each time.
                self.tls.process_new_packets().map_err(invalid)?;
                Err(error)
            }
            read => read,
        }
    }

    pub(super) fn try_send(&mut self, stream: &Stream, bytes: &[u8]) -> io::Result<usize> {
        let taken = self.tls.writer().write(bytes)?;
        self.flush(stream)?;
        if taken == 0 && !bytes.is_empty() && !self.tls.wants_write() {
            return self.tls.writer().write(bytes);
        }
        Ok(taken)
    }

    pub(super) fn flush(&mut self, stream: &Stream) -> io::Result<()> {
        while self.tls.wants_write() {
            match self.tls.write_tls(&mut Sending(stream)) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Moves records from the socket into the session. `Ok(0)` is the end of the connection.
    fn take_records(&mut self, stream: &Stream) -> io::Result<usize> {
        if !self.unread.is_empty() {
            let records = std::mem::take(&mut self.unread);
            return self.feed(stream, &records).map(|()| records.len());
        }
        let mut room = [0; READ_BYTES];
        let count = stream.try_recv(&mut room)?;
        if count == 0 {
            self.is_ready = true;
            self.tls.read_tls(&mut io::empty())?;
        }
        self.feed(stream, room.get(..count).unwrap_or_default())?;
        Ok(count)
    }

    fn feed(&mut self, stream: &Stream, mut records: &[u8]) -> io::Result<()> {
        while !records.is_empty() {
            if self.tls.read_tls(&mut records)? == 0 {
                // The endpoint has announced its end: nothing that follows is of this session.
                break;
            }
            let state = self.tls.process_new_packets().map_err(|error| {
                (self.has_failed, self.is_ready) = (true, true);
                invalid(error)
            })?;
            self.is_ready |= state.plaintext_bytes_to_read() > 0 || state.peer_has_closed();
            if state.plaintext_bytes_to_read() > PLAIN_BYTES_MAX {
                self.unread = records.to_vec();
                break;
            }
        }
        // That it cannot be sent is for those to find who send; what has come can be read.
        let _best_effort = self.flush(stream);
        Ok(())
    }
}

fn invalid(error: rustls::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// The socket as rustls writes to it.
struct Sending<'s>(&'s Stream);

impl Write for Sending<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_send(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
