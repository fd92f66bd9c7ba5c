//! The bytes of the requests of clients that leave and come back: for a stream, and for its rest.

use std::fmt::Write as _;

use crate::client::request;
use crate::streams::course::Course;
use crate::streams::story::Story;

/// How a client comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// By the same request, with `Last-Event-ID`.
    Post,
    /// By the stream's name, as a browser's `EventSource` does.
    Get,
    /// Likewise, without `Last-Event-ID`: from the first event on.
    GetAll,
}

impl Way {
    /// Its name in the report.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Post => "back by POST",
            Self::Get => "back by GET",
            Self::GetAll => "back by GET, from the start",
        }
    }
}

/// What is the same in all requests of a run.
#[derive(Clone, Debug)]
pub struct Requests {
    host: String,
    prefix: String,
    path: String,
    fields: String,
    body: String,
}

impl Requests {
    /// The requests of a run, to a host, below a path.
    #[must_use]
    pub fn new(course: &Course, host: &str, prefix: &str) -> Self {
        let mut fields = String::new();
        let own = course.request.fields.iter();
        for (name, value) in own.map(|(name, value)| (name.clone(), value)) {
            let _infallible = write!(fields, "{name}: {value}\r\n");
        }
        for (name, value) in &course.mock {
            let _infallible = write!(fields, "x-mock-{name}: {value}\r\n");
        }
        let _infallible = write!(
            fields,
            "x-mock-events: {}\r\nx-mock-bytes: {}\r\n",
            course.events, course.event_bytes
        );
        Self {
            host: host.to_owned(),
            prefix: prefix.to_owned(),
            path: course.request.path.clone(),
            fields,
            body: request::body(&course.request, true),
        }
    }

    /// The request for a stream, which may be come back to if `is_resumable`, written by the mock in pieces of `split` bytes.
    #[must_use]
    pub fn first(&self, story: &Story, is_resumable: bool, split: u32) -> Vec<u8> {
        self.post(story, is_resumable, split, "")
    }

    /// The request for the rest of a stream; that for the stream if it has no name.
    #[must_use]
    pub fn back(&self, story: &Story, way: Way, split: u32) -> Vec<u8> {
        let Some(name) = story.name else { return self.first(story, true, split) };
        let name = String::from_utf8_lossy(&name);
        let after = format!("last-event-id: {name}.{}\r\n", story.seq);
        if way == Way::Post {
            return self.post(story, true, split, &after);
        }
        let after = if way == Way::Get { &after } else { "" };
        let (prefix, host) = (&self.prefix, &self.host);
        format!(
            "GET {prefix}/v1/streams/{name} HTTP/1.1\r\nhost: {host}\r\naccept: text/event-stream\r\n{after}\r\n"
        )
        .into_bytes()
    }

    fn post(&self, story: &Story, is_resumable: bool, split: u32, after: &str) -> Vec<u8> {
        let asks = if is_resumable { "x-ringway-resume: true\r\n" } else { "" };
        let split = if split > 0 { format!("x-mock-split: {split}\r\n") } else { String::new() };
        format!(
            "POST {}{} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\nuser-agent: ringway-loadtest\r\n\
             {}{split}{asks}{after}x-mock-stream: {:016x}\r\ncontent-length: {}\r\n\r\n{}",
            self.prefix,
            self.path,
            self.host,
            self.fields,
            story.number,
            self.body.len(),
            self.body
        )
        .into_bytes()
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::plan::Request;
    use crate::streams::course::Leave;
    use ringway::units::Moment;
    use std::time::Duration;

    /// Ten clients that leave twice at most, and want four events each.
    pub fn course() -> Course {
        Course {
            request: Request::default(),
            mock: vec![("gap-ms".to_owned(), "0".to_owned())],
            events: 4,
            event_bytes: 200,
            endings: Vec::new(),
            splits: Vec::new(),
            connections: 10,
            sources: 1,
            ramp: Duration::ZERO,
            resumable: 1.0,
            leave: Leave::AtByte { again: 0.5, cuts_max: 2, stays: 0.3 },
            resets: 0.3,
            away: (Duration::ZERO, Duration::from_millis(5)),
            closes_within: Duration::from_millis(100),
            may_be_gone: false,
            heartbeat: None,
            resumes_max: 100,
            until: Moment::NEVER,
            patience: Duration::from_secs(5),
            seed: 1,
        }
    }

    #[test]
    fn requests_say_what_is_missed() {
        let requests = Requests::new(&course(), "h:1", "/p");
        let mut story = Story::new(0xab, 4);
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let first = text(requests.first(&story, true, 7));
        assert!(first.starts_with("POST /p/v1/chat/completions HTTP/1.1\r\nhost: h:1\r\n"));
        for line in [
            "x-mock-gap-ms: 0",
            "x-mock-split: 7",
            "x-mock-stream: 00000000000000ab",
            "x-ringway-resume: true",
        ] {
            assert!(first.contains(&format!("\r\n{line}\r\n")), "{line}");
        }
        assert!(!first.contains("last-event-id") && first.contains("\"stream\":true"));
        assert!(!text(requests.first(&story, false, 0)).contains("ringway-resume"));
        assert_eq!(text(requests.back(&story, Way::Get, 7)), first);

        story.name = Some([b'a'; 36]);
        story.seq = 3;
        let after = format!("\r\nlast-event-id: {}.3\r\n", "a".repeat(36));
        let post = text(requests.back(&story, Way::Post, 0));
        assert!(post.contains(&after) && post.starts_with("POST"));
        let get = text(requests.back(&story, Way::Get, 0));
        assert!(
            get.starts_with(&format!("GET /p/v1/streams/{} ", "a".repeat(36)))
                && get.contains(&after)
        );
        assert!(!text(requests.back(&story, Way::GetAll, 0)).contains("last-event-id"));
    }
}
