//! rustls over a stream of the ring, driven from memory on the stack: an idle session keeps no read buffer of ours.

use std::io;
use std::io::Read;
use std::io::Write;
use std::sync::Arc;

use rustls::ClientConnection;

use super::connect::Failure;
use super::connect::Tls;
use crate::ring::stream::Stream;
use crate::units::Moment;

/// Plain bytes a session takes before its records were sent, in bytes.
const UNSENT_BYTES_MAX: usize = 64 << 10;
/// One read from the socket, in bytes: a full record and its head.
const READ_BYTES: usize = 16 << 10;

/// A TLS session over a connection.
pub struct Session {
    tls: ClientConnection,
    /// The last read filled the caller's room: there may be more plain bytes here.
    has_plaintext: bool,
    has_ended: bool,
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
    let mut session = ClientConnection::new(Arc::clone(tls.config), tls.server_name.clone())
        .map_err(Failure::Tls)?;
    session.set_buffer_limit(Some(UNSENT_BYTES_MAX));
    let mut session = Session { tls: session, has_plaintext: false, has_ended: false };
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
    pub(super) const fn has_plaintext(&self) -> bool {
        self.has_plaintext
    }

    pub(super) fn wants_write(&self) -> bool {
        self.tls.wants_write()
    }

    pub(super) fn try_recv(&mut self, stream: &Stream, room: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        loop {
            match self.tls.reader().read(room.get_mut(filled..).unwrap_or_default()) {
                // An end that was announced; one that was not comes as UnexpectedEof.
                Ok(0) if filled == 0 => return Ok(0),
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if self.has_ended {
                        break;
                    }
                    match self.take_records(stream) {
                        Ok(0) => self.has_ended = true,
                        Ok(_) => {}
                        Err(_) if filled > 0 => break,
                        Err(error) => return Err(error),
                    }
                }
                Err(_) if filled > 0 => break,
                Err(error) => return Err(error),
            }
            if filled == room.len() {
                break;
            }
        }
        self.has_plaintext = filled == room.len() || (filled > 0 && self.has_ended);
        Ok(filled)
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
        let mut room = [0; READ_BYTES];
        let count = stream.try_recv(&mut room)?;
        let mut records = room.get(..count).unwrap_or_default();
        if records.is_empty() {
            self.tls.read_tls(&mut records)?;
        }
        while !records.is_empty() {
            self.tls.read_tls(&mut records)?;
            let state = self
                .tls
                .process_new_packets()
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            has_room(state.plaintext_bytes_to_read())?;
        }
        if self.tls.wants_write() {
            self.flush(stream)?;
        }
        Ok(count)
    }
}

/// One read of the socket cannot hold more plain bytes than that.
fn has_room(plaintext_bytes: usize) -> io::Result<()> {
    if plaintext_bytes > READ_BYTES * 4 { Err(io::ErrorKind::OutOfMemory.into()) } else { Ok(()) }
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
