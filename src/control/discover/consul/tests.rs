//! Queries of an agent that answers what it is told to.

use std::io::Read;
use std::io::Write;
use std::net::TcpListener;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::Mutex;
use std::thread;

use tokio::sync::Notify;

use super::*;
use crate::config::Discover;
use crate::config::Url;
use crate::control::discover::Access;
use crate::control::discover::board::SourceId;
use crate::control::discover::tell::Mailbox;
use crate::control::fetch::tests::on_runtime;
use crate::snapshot::Secret;

/// An agent that gives these answers one after the other, and after the last one none any more.
pub(in crate::control) struct Script {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
    came: Arc<Notify>,
}

impl Script {
    pub(in crate::control) fn new(answers: Vec<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let came: Arc<Notify> = Arc::default();
        let answers = Arc::new(Mutex::new(answers.into_iter()));
        let (notes, bell) = (Arc::clone(&asked), Arc::clone(&came));
        thread::spawn(move || {
            while let Ok((mut stream, _)) = listener.accept() {
                let (notes, bell) = (Arc::clone(&notes), Arc::clone(&bell));
                let answers = Arc::clone(&answers);
                let next = move |request| {
                    notes.lock().unwrap().push(request);
                    bell.notify_one();
                    answers.lock().unwrap().next()
                };
                thread::spawn(move || converse(&mut stream, next));
            }
        });
        Self { url, asked, came }
    }

    pub(in crate::control) fn access(&self) -> Access {
        let token = Some(Secret::new(b"t0ken\n".to_vec()));
        Access { urls: vec![Url::parse(&self.url).unwrap()], token, ..Access::default() }
    }

    /// Waits until it was asked so often.
    pub(in crate::control) async fn until(&self, count: usize) {
        while self.asked().len() < count {
            self.came.notified().await;
        }
    }

    /// The requests so far: their first lines, the token's value and their bodies.
    pub(in crate::control) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

/// Answers requests until the connection has ended; an empty answer ends it.
fn converse(stream: &mut TcpStream, mut next: impl FnMut(String) -> Option<String>) {
    while let Some(request) = request(stream) {
        match next(request) {
            Some(answer) if answer.is_empty() => return,
            // Who has had enough of it may hang up.
            Some(answer) => drop(stream.write_all(answer.as_bytes())),
            None => {}
        }
    }
}

/// What is of interest in a request; none once the connection has ended.
fn request(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let field = |name: &str| {
        let mut lines = head.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    };
    let mut body = vec![0; field("content-length").map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body).ok()?;
    let line = head.lines().next()?.strip_suffix(" HTTP/1.1")?;
    let body = String::from_utf8(body).unwrap();
    Some(format!("{line} {} {body}", field("x-consul-token").unwrap_or("-")))
}

/// An answer with this status, this index and this body.
pub(in crate::control) fn answer(status: &str, index: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nx-consul-index: {index}\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

pub(super) fn discover(service: &str, tags: &[&str]) -> Discover {
    Discover {
        place: crate::config::Place::default(),
        source: DiscoverSource::Consul {
            registry: None,
            service: service.to_owned(),
            datacenters: Vec::new(),
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        },
        is_https: false,
        path_prefix: String::new(),
        traits: crate::config::Traits::default(),
        weight: 1,
        keep: std::time::Duration::from_secs(60),
    }
}

fn question(script: &Script) -> Question {
    Question {
        discover: discover("llm", &["gpu", "a b"]),
        datacenter: Some("dc2".to_owned()),
        region: None,
        access: Some(script.access()),
    }
}

fn instance(port: u16, meta: &str) -> String {
    format!(
        r#"{{"Node":{{"Node":"n","Address":"10.0.0.1","Datacenter":"dc2"}},
            "Service":{{"ID":"llm-{port}","Port":{port},"Meta":{{{meta}}},"Tags":null}},"Checks":[]}}"#
    )
}

/// What is told until there were so many answers: ports, or why there are none.
fn told(question: Question, count: usize) -> Vec<Result<Vec<u16>, String>> {
    let mailbox = Mailbox::default();
    let source = SourceId { upstream: "u".into(), entry: "e".into(), datacenter: None };
    let tell = mailbox.tell(source);
    let mut told = Vec::new();
    on_runtime(async {
        let listen = async {
            while told.len() < count {
                mailbox.came().await;
                let ports = |found: Vec<Endpoint>| found.iter().map(|it| it.url.port).collect();
                told.extend(mailbox.take().into_values().map(|(said, _)| said.map(ports)));
            }
        };
        tokio::select! {
            () = watch(question, tell) => panic!("it asks for ever"),
            () = listen => {}
        }
    });
    told
}

/// How a server answers that cannot be asked what a token may do.
pub(super) fn does_not_say_who_may() -> String {
    answer("404 Not Found", "0", "404 page not found")
}

/// The path and index of each question, without how long it may wait, which is by chance.
fn questions(script: &Script) -> Vec<String> {
    let cut = |asked: &String| asked.split("&wait=").next().unwrap().to_owned();
    script.asked().iter().filter(|asked| asked.starts_with("GET ")).map(cut).collect()
}

#[test]
fn each_answer_is_told_and_the_next_asked_for_by_its_index() {
    let both = format!("[{},{}]", instance(8001, ""), instance(8000, ""));
    let script = Script::new(vec![
        answer("200 OK", "7", &both),
        answer("200 OK", "9", "[]"),
        does_not_say_who_may(),
        answer("200 OK", "3", &format!("[{}]", instance(8000, ""))),
        answer("200 OK", "0", "[]"),
        does_not_say_who_may(),
        answer("200 OK", "4", "[]"),
        does_not_say_who_may(),
    ]);
    let told = told(question(&script), 5);
    let expected = [vec![8000, 8001], vec![], vec![8000], vec![], vec![]];
    assert_eq!(told, expected.map(Ok));
    let path = "GET /v1/health/service/llm?passing=1&dc=dc2&tag=gpu&tag=a%20b&index=";
    let asked = questions(&script);
    let indexes: Vec<&str> = asked.iter().map(|asked| asked.strip_prefix(path).unwrap()).collect();
    assert_eq!(indexes[..5], ["0", "7", "9", "0", "1"]);
    assert!(script.asked()[0].ends_with("ms t0ken "), "{:?}", script.asked());
}

#[test]
fn what_is_no_answer_is_told_with_consuls_words_and_all_is_asked_for_again() {
    let script = Script::new(vec![
        answer("200 OK", "7", &format!("[{}]", instance(8000, ""))),
        answer("500 Internal Server Error", "7", "No path to datacenter"),
        answer("403 Forbidden", "8", "Permission denied"),
        answer("200 OK", "8", "{}"),
        String::new(),
    ]);
    let told = told(question(&script), 4);
    let explained = |at: usize| told[at].as_ref().unwrap_err();
    assert_eq!(told[0], Ok(vec![8000]));
    assert_eq!(explained(1), "answered with 500: No path to datacenter");
    assert_eq!(explained(2), "answered with 403: Permission denied");
    assert!(explained(3).starts_with("the answer cannot be read"), "{told:?}");
    let asked = questions(&script);
    let asked: Vec<&str> =
        asked.iter().map(|asked| asked.rsplit_once('=').unwrap().1).take(4).collect();
    assert_eq!(asked, ["0", "7", "0", "0"]);
}

#[test]
fn wrong_instances_are_left_out_and_where_all_are_wrong_that_is_a_failure() {
    let wrong = instance(8001, r#""ringway-weight":"much""#);
    let script = Script::new(vec![
        answer("200 OK", "7", &format!("[{wrong},{}]", instance(8000, ""))),
        answer("200 OK", "8", &format!("[{wrong},{wrong}]")),
    ]);
    let told = told(question(&script), 2);
    assert_eq!(told[0], Ok(vec![8000]));
    let why = "no instance can be used: \"llm-8001\" of the node \"n\": weight is \"much\": \
               write a whole number from 0 to 1000 (and 0 others)";
    assert_eq!(told[1], Err(why.to_owned()));
}

#[test]
fn a_token_that_may_read_nothing_has_no_say() {
    let filtered = "HTTP/1.1 200 OK\r\nX-Consul-Index: 7\r\n\
                    X-Consul-Results-Filtered-By-ACLs: true\r\ncontent-length: 2\r\n\r\n[]";
    let script = Script::new(vec![filtered.to_owned()]);
    let told = told(question(&script), 1);
    assert_eq!(told, [Err("the token may read no instance of the service".to_owned())]);
}

#[test]
fn where_there_is_nothing_it_is_asked_whether_the_token_may_see_it() {
    let may = |may: bool| answer("200 OK", "0", &format!(r#"[{{"Allow":{may}}}]"#));
    let script = Script::new(vec![
        answer("200 OK", "7", "[]"),
        may(false),
        answer("200 OK", "7", "[]"),
        answer("403 Forbidden", "0", "ACL not found"),
        answer("200 OK", "7", "[]"),
        may(true),
    ]);
    let told = told(question(&script), 3);
    let denied = "the token may not read the service \"llm\"".to_owned();
    let unknown = "answered with 403: ACL not found".to_owned();
    assert_eq!(told, [Err(denied), Err(unknown), Ok(Vec::new())]);
    let asks = "POST /v1/internal/acl/authorize?dc=dc2 t0ken \
                [{\"Access\":\"read\",\"Resource\":\"service\",\"Segment\":\"llm\"}]";
    assert_eq!(script.asked()[1], asks);
}

#[test]
fn more_instances_than_are_taken_are_cut_off() {
    let many: Vec<String> = (1..=4100).map(|port| instance(port, "")).collect();
    let reply = Reply {
        status: 200,
        fields: hyper::HeaderMap::new(),
        body: format!("[{}]", many.join(",")).into(),
    };
    let nobody = Script {
        url: "http://127.0.0.1:1".to_owned(),
        asked: Arc::default(),
        came: Arc::default(),
    };
    let (endpoints, wrong) = read(&reply, &question(&nobody)).unwrap();
    assert_eq!((endpoints.len(), wrong.len()), (INSTANCES_MAX, 1));
}
