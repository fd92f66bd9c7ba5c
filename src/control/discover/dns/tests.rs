//! Names against a name server that answers from a list of records.

use super::*;
use crate::config;
use crate::control::fetch::tests::on_runtime;
use hickory_resolver::proto::op::Message;
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::Name;
use hickory_resolver::proto::rr::Record;
use tokio::net::UdpSocket;

/// Answers from these records for ever; what no record names does not exist.
async fn name_server(records: Vec<Record>) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let at = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut question = [0; 512];
        loop {
            let (length, asker) = socket.recv_from(&mut question).await.unwrap();
            let question = Message::from_vec(&question[..length]).unwrap();
            let asked = question.queries[0].clone();
            let mut answer = Message::response(question.metadata.id, question.metadata.op_code);
            let of_name = || records.iter().filter(|record| record.name == *asked.name());
            if of_name().next().is_none() {
                answer.metadata.response_code = ResponseCode::NXDomain;
            }
            let fits = |record: &&Record| record.data.record_type() == asked.query_type();
            answer.add_answers(of_name().filter(fits).cloned());
            answer.add_query(asked);
            socket.send_to(&answer.to_vec().unwrap(), asker).await.unwrap();
        }
    });
    at
}

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

fn address(host: &str, ttl: u32, ip: &str) -> Record {
    let data = match ip.parse().unwrap() {
        IpAddr::V4(ip) => RData::A(ip.into()),
        IpAddr::V6(ip) => RData::AAAA(ip.into()),
    };
    Record::from_rdata(name(host), ttl, data)
}

fn service(priority: u16, weight: u16, port: u16, target: &str) -> Record {
    let record = SRV::new(priority, weight, port, name(target));
    Record::from_rdata(name("_llm._tcp.x."), 300, RData::SRV(record))
}

/// What a source finds: urls and weights, and how many seconds it holds.
fn found(source: &str, records: Vec<Record>) -> Result<(Vec<(String, u32)>, u64), String> {
    on_runtime(async {
        let at = name_server(records).await;
        let text = format!(
            "[[upstream]]\nname = \"u\"\ndiscover = {{ {source}, server = \"{at}\" }}\n[[model]]\nname = \"m\"\nupstream = \"u\"\n"
        );
        let (file, errors) = config::read(&text, "ringway.toml");
        assert_eq!(errors, []);
        let (endpoints, over) = ask(&file.upstreams[0].discover[0]).await?;
        let shown = endpoints.iter().map(|endpoint| (endpoint.url.text.clone(), endpoint.weight));
        let named = |endpoint: &Endpoint| endpoint.name.is_some();
        assert!(endpoints.iter().all(named), "{endpoints:?}");
        // An answer comes a little later than it began to hold.
        Ok((shown.collect(), (over - Instant::now()).as_secs() + 1))
    })
}

#[test]
fn every_address_of_a_name_is_an_endpoint() {
    let records = vec![
        address("llm.x.", 60, "10.0.0.2"),
        address("llm.x.", 60, "10.0.0.1"),
        address("llm.x.", 30, "fd00::1"),
    ];
    let (endpoints, holds) =
        found("dns = \"llm.x\", port = 8000, path_prefix = \"/v\", weight = 3", records).unwrap();
    let urls = ["http://10.0.0.1:8000/v", "http://10.0.0.2:8000/v", "http://[fd00::1]:8000/v"];
    assert_eq!(endpoints, urls.map(|url| (url.to_owned(), 3)));
    assert_eq!(holds, 30);
}

#[test]
fn no_name_is_a_failure_and_no_record_is_an_answer() {
    let records = || vec![address("llm.x.", 60, "10.0.0.1")];
    let why = found("dns = \"lmm.x\", port = 1", records()).unwrap_err();
    assert_eq!(why, "there is no such name");
    let (endpoints, holds) = found("srv = \"llm.x\"", records()).unwrap();
    assert_eq!((endpoints, holds), (Vec::new(), 5));
}

#[test]
fn records_of_the_lowest_priority_with_an_address_count() {
    let records = vec![
        service(0, 0, 9, "."),
        service(1, 5, 9, "gone.x."),
        service(2, 60_000, 8001, "a.x."),
        service(2, 30_000, 8002, "a.x."),
        service(2, 0, 8003, "b.x."),
        service(3, 1, 8004, "a.x."),
        address("a.x.", 100, "10.0.0.1"),
        address("b.x.", 20, "10.0.0.2"),
    ];
    let (endpoints, holds) = found("srv = \"_llm._tcp.x\"", records).unwrap();
    let expected = [
        ("http://10.0.0.1:8001", 1000),
        ("http://10.0.0.1:8002", 500),
        ("http://10.0.0.2:8003", 1),
    ];
    assert_eq!(endpoints, expected.map(|(url, weight)| (url.to_owned(), weight)));
    assert_eq!(holds, 20);
}

#[test]
fn targets_that_nobody_knows_are_a_failure() {
    let why = found("srv = \"_llm._tcp.x\"", vec![service(1, 5, 9, "gone.x.")]).unwrap_err();
    assert_eq!(why, "gone.x.: there is no such name");
}

#[test]
fn weights_are_scaled_down_and_zero_is_little_or_nothing_said() {
    assert_eq!([weight(0, 0, 7), weight(0, 9, 7), weight(9, 9, 7)], [7, 1, 9]);
    assert_eq!([weight(65_535, 65_535, 1), weight(1, 65_535, 1)], [1000, 1]);
}
