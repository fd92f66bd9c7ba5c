//! Requests one after the other on several threads, and when each of them failed.

use std::io;
use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::thread;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;

use crate::gateway::until;

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) began: Instant,
    pub(crate) ended: Instant,
    /// The whole response, or why there is none.
    pub(crate) response: Result<String, io::ErrorKind>,
}

impl Sample {
    pub(crate) fn is_ok(&self) -> bool {
        let response = self.response.as_deref();
        response.is_ok_and(|text| text.starts_with("HTTP/1.1 200 ") && text.contains("Hello!"))
    }
}

/// Load on an address, until it is stopped.
pub(crate) struct Load {
    samples: Arc<Mutex<Vec<Sample>>>,
    is_over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

/// Threads that ask.
const THREADS: usize = 4;
/// Longest wait for one response.
const TIMEOUT: Duration = Duration::from_secs(10);

impl Load {
    pub(crate) fn start(address: SocketAddr) -> Self {
        let samples = Arc::new(Mutex::new(Vec::new()));
        let is_over = Arc::new(AtomicBool::new(false));
        let ask_on = |_| {
            let (samples, is_over) = (Arc::clone(&samples), Arc::clone(&is_over));
            thread::spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    let began = Instant::now();
                    let response = ask(address).map_err(|error| error.kind());
                    let sample = Sample { began, ended: Instant::now(), response };
                    samples.lock().unwrap().push(sample);
                }
            })
        };
        let threads = (0..THREADS).map(ask_on).collect();
        Self { samples, is_over, threads }
    }

    fn count(&self, is_counted: impl Fn(&Sample) -> bool) -> usize {
        self.samples.lock().unwrap().iter().filter(|sample| is_counted(sample)).count()
    }

    /// Waits until so many requests that began after `since` went well.
    pub(crate) fn until_ok(&self, count: usize, since: Instant) {
        until(&format!("{count} requests go well"), || {
            self.count(|sample| sample.began >= since && sample.is_ok()) >= count
        });
    }

    /// Waits until so many requests that began after `since` failed.
    pub(crate) fn until_failed(&self, count: usize, since: Instant) {
        until(&format!("{count} requests fail"), || {
            self.count(|sample| sample.began >= since && !sample.is_ok()) >= count
        });
    }

    /// Stops and says what happened.
    pub(crate) fn stop(mut self) -> Vec<Sample> {
        self.end();
        std::mem::take(&mut self.samples.lock().unwrap())
    }

    fn end(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().unwrap();
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        if !thread::panicking() {
            self.end();
        }
        self.is_over.store(true, Ordering::Relaxed);
    }
}

/// Asks once, on a connection of its own.
fn ask(address: SocketAddr) -> io::Result<String> {
    const BODY: &str = r#"{"model":"demo","messages":[]}"#;
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    let length = BODY.len();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    );
    stream.write_all((head + BODY).as_bytes())?;
    let mut response = String::new();
    stream.read_to_string(&mut response)?;
    Ok(response)
}
