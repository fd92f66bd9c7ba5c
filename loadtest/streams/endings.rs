//! What the mock says behind the sealed events of a stream: asked of it once, so that every byte of a stream is known.

use std::io;
use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::time::Duration;

use crate::streams::course::Course;
use crate::streams::reader::Met;
use crate::streams::reader::Reader;
use crate::streams::reader::Step;
use crate::streams::request::Requests;
use crate::streams::story::Story;
use ringway::mock::content;

/// How long the mock may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Asks a mock for a stream of one sealed event and returns what comes behind that.
///
/// # Errors
/// The connection's; a response that is no such stream.
pub fn ask(course: &Course, mock: SocketAddr) -> io::Result<Vec<Vec<u8>>> {
    let course = Course { events: 1, ..course.clone() };
    let requests = Requests::new(&course, &mock.to_string(), "");
    let mut socket = TcpStream::connect_timeout(&mock, PATIENCE)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.write_all(&requests.first(&Story::new(1, 1), false, 0))?;
    let (mut reader, mut endings, mut has_sealed) = (Reader::default(), Vec::new(), false);
    let mut room = [0; 4096];
    loop {
        let got = socket.read(&mut room)?;
        let step = reader.take(&room[..got], &mut |met| match met {
            Met::Head { status: 200, .. } => Ok(()),
            Met::Head { status, .. } => Err(format!("status {status}")),
            Met::Event(event) if content::check(event).is_ok() => {
                has_sealed = true;
                Ok(())
            }
            Met::Event(_) if !has_sealed => Err("events before the sealed ones".to_owned()),
            Met::Event(event) => {
                endings.push(event.to_vec());
                Ok(())
            }
        });
        let step = step.map_err(|wrong| io::Error::other(format!("the mock: {wrong}")))?;
        if step != Step::More {
            return Ok(endings);
        }
        if got == 0 {
            return Err(io::Error::other("the mock closed within a stream"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::streams::request::tests::course;
    use ringway::mock;

    #[test]
    fn the_mock_says_how_its_streams_end() {
        let mock = mock::spawn(mock::Options::new(SocketAddr::from(([127, 0, 0, 1], 0)))).unwrap();
        let endings = ask(&course(), mock.address).unwrap();
        assert_eq!(endings.last().unwrap(), b"data: [DONE]\n\n");
        assert!(endings.len() > 1);
        mock.stop().unwrap();
    }
}
