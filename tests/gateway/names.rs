//! Endpoints that names lead to: a name server says where they are, and later elsewhere.

use std::net::SocketAddr;
use std::net::UdpSocket;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::Mutex;
use std::thread;

use hickory_resolver::proto::op::Message;
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::Name;
use hickory_resolver::proto::rr::RData;
use hickory_resolver::proto::rr::Record;
use hickory_resolver::proto::rr::rdata::SRV;

use crate::support::*;

/// A name server that answers from a list of records, until the test is over.
struct NameServer {
    at: SocketAddr,
    records: Arc<Mutex<Vec<Record>>>,
}

impl NameServer {
    fn start(records: Vec<Record>) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        let at = socket.local_addr().expect("it has one");
        let records = Arc::new(Mutex::new(records));
        let known = Arc::clone(&records);
        thread::spawn(move || {
            let mut question = [0; 512];
            while let Ok((length, asker)) = socket.recv_from(&mut question) {
                let question = Message::from_vec(&question[..length]).expect("a question");
                let answer = answer(&question, &known.lock().expect("no panic"));
                socket.send_to(&answer, asker).expect("the asker is there");
            }
        });
        Self { at, records }
    }

    fn say(&self, records: Vec<Record>) {
        *self.records.lock().expect("no panic") = records;
    }
}

fn answer(question: &Message, known: &[Record]) -> Vec<u8> {
    let asked = question.queries.first().expect("one question").clone();
    let mut answer = Message::response(question.metadata.id, question.metadata.op_code);
    let of_name = || known.iter().filter(|record| record.name == *asked.name());
    if of_name().next().is_none() {
        answer.metadata.response_code = ResponseCode::NXDomain;
    }
    let of_kind = |record: &&Record| record.data.record_type() == asked.query_type();
    answer.add_answers(of_name().filter(of_kind).cloned());
    answer.add_query(asked);
    answer.to_vec().expect("it can be said")
}

fn name(text: &str) -> Name {
    Name::from_str(text).expect("a name")
}

fn address(host: &str, ip: &str) -> Record {
    Record::from_rdata(name(host), 0, RData::A(ip.parse().expect("an address")))
}

fn service(target: &str, port: u16) -> Record {
    Record::from_rdata(name("_llm._tcp.x."), 0, RData::SRV(SRV::new(1, 1, port, name(target))))
}

fn config(discover: &str, server: &NameServer) -> String {
    format!(
        "[[upstream]]\nname = \"u\"\ndiscover = {{ {discover}, server = \"{}\" }}\n\
         [[model]]\nname = \"m\"\nupstream = \"u\"\n",
        server.at
    )
}

fn port(upstream: &Answering) -> u16 {
    upstream.url().rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port")
}

#[test]
fn services_of_a_name_are_followed_by_their_time_to_live() {
    let (one, two) = (Answering::saying("1"), Answering::saying("2"));
    let host = address("host.x.", "127.0.0.1");
    let server = NameServer::start(vec![service("host.x.", port(&one)), host.clone()]);
    let gateway = Setup::new(config("srv = \"_llm._tcp.x\"", &server)).start();
    assert_eq!(gateway.ask(chat("m", "")).text(), "1");
    server.say(vec![service("host.x.", port(&two)), host]);
    gateway.await_metric("ringway_snapshot_adopted", &[], 2);
    assert_eq!(gateway.ask(chat("m", "")).text(), "2");
    // A zone that is gone takes nothing with it.
    server.say(Vec::new());
    gateway.await_metric("ringway_source_up", &[("source", "srv:_llm._tcp.x")], 0);
    gateway.await_metric("ringway_source_stale_endpoints", &[], 1);
    assert_eq!(gateway.ask(chat("m", "")).text(), "2");
    gateway.await_log("there is no such name");
}

#[test]
fn every_address_of_a_name_is_asked_by_that_name() {
    let upstream = Upstream::start();
    let port = upstream.url().rsplit(':').next().expect("a port").to_owned();
    let server = NameServer::start(vec![address("llm.x.", "127.0.0.1")]);
    let discover = format!("dns = \"llm.x\", port = {port}");
    let gateway = Setup::new(config(&discover, &server)).start();
    let mut client = gateway.client();
    client.send(chat("m", ""));
    let (mut upstream, request) = upstream.request();
    assert_eq!(request.field("host"), Some(&*format!("llm.x:{port}")));
    upstream.send(ok("1"));
    assert_eq!(client.message().text(), "1");
}
