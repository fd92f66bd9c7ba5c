//! Several cores, one port; how many, and what if the system gives less than was hoped for?

use std::fs;

use crate::support::gateway::sum;
use crate::support::*;

fn open_by_shard(gateway: &Gateway, shards: usize) -> Vec<u64> {
    let page = gateway.page("/metrics");
    let of = |shard: usize| {
        let labels = [("shard", shard.to_string())];
        let labels: Vec<(&str, &str)> = labels.iter().map(|(k, v)| (*k, v.as_str())).collect();
        sum(page.text(), "ringway_connections_open", &labels)
    };
    (0..shards).map(of).collect()
}

fn threads(gateway: &Gateway) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{}/task", gateway.id())).expect("a process");
    let name = |task: fs::DirEntry| fs::read_to_string(task.path().join("comm"));
    tasks.filter_map(|task| name(task.ok()?).ok()).map(|name| name.trim().to_owned()).collect()
}

#[test]
fn shards_share_a_port_and_the_load() {
    let upstream = Answering::saying("{}");
    for shards in [2, 3] {
        let gateway = Setup::one(&upstream.url(), "").shards(shards).start();
        let names = threads(&gateway);
        let count = names.iter().filter(|name| name.starts_with("shard-")).count();
        assert_eq!(count, shards, "{names:?}");
        let mut clients: Vec<_> = (0..120).map(|_| gateway.client()).collect();
        for client in &mut clients {
            client.send(chat("m", ""));
            assert_eq!(client.message().status(), 200);
        }
        let open = open_by_shard(&gateway, shards);
        assert_eq!(open.iter().sum::<u64>(), 120, "{open:?}");
        // The system hashes; a shard that falls behind for a moment is given some beside its own.
        let most = open.iter().max().copied().unwrap_or_default();
        assert!(most <= 90 && open.iter().all(|open| *open > 0), "{open:?}");
    }
}

/// A shard far above the average gives what comes to it to the one far below.
#[test]
fn uneven_load_is_handed_over() {
    let upstream = Answering::saying("{}");
    let gateway = Setup::one(&upstream.url(), "").shards(2).start();
    let mut clients = [Vec::new(), Vec::new()];
    let mut before = vec![0, 0];
    for number in 1..=120 {
        let client = gateway.client();
        gateway.await_metric("ringway_connections_open", &[], number);
        let now = open_by_shard(&gateway, 2);
        clients[usize::from(now[1] > before[1])].push(client);
        before = now;
    }
    let full = usize::from(before[1] > before[0]);
    clients[1 - full].clear();
    gateway.await_metric("ringway_connections_open", &[], before[full]);
    // The system spreads these over both shards; all of them must end at the empty one.
    let handed = gateway.metric("ringway_connections_handed_over_total", &[]);
    for number in 1..=16 {
        let mut client = gateway.client();
        gateway.await_metric("ringway_connections_open", &[], before[full] + number);
        client.send(chat("m", ""));
        assert_eq!(client.message().status(), 200);
        clients[1 - full].push(client);
    }
    let now = open_by_shard(&gateway, 2);
    assert_eq!((now[full], now[1 - full]), (before[full], 16));
    let labels = [("shard", if full == 0 { "0" } else { "1" })];
    assert!(gateway.metric("ringway_connections_handed_over_total", &[]) > handed);
    assert!(gateway.metric("ringway_connections_handed_over_total", &labels) > 0);
}

#[test]
fn the_number_of_shards_and_their_cpus_are_chosen() {
    let upstream = Answering::saying("{}");
    let gateway = Setup::one(&upstream.url(), "").shards(1).variable("RINGWAY_CPUS", "0").start();
    assert!(gateway.log().contains("shards=1"), "{}", gateway.log());
    let tasks = fs::read_dir(format!("/proc/{}/task", gateway.id())).expect("a process");
    for task in tasks.filter_map(Result::ok) {
        if fs::read_to_string(task.path().join("comm")).expect("a thread").trim() == "shard-0" {
            let status = fs::read_to_string(task.path().join("status")).expect("a thread");
            let line = status.lines().find(|line| line.starts_with("Cpus_allowed_list"));
            assert_eq!(line.and_then(|line| line.split_whitespace().nth(1)), Some("0"));
            return;
        }
    }
    panic!("no shard");
}

#[test]
fn a_variable_that_cannot_be_is_named() {
    let setup = Setup::new("").variable("RINGWAY_SHARDS", "many");
    let mut gateway = Gateway::begin(&setup);
    assert_eq!(gateway.await_end().code(), Some(78));
    gateway.await_log("RINGWAY_SHARDS=many: write a whole number");
}

#[test]
fn without_io_uring_it_says_so_once_and_works() {
    let upstream = Upstream::start();
    let gateway = Setup::one(&upstream.url(), "").variable("RINGWAY_DRIVER", "epoll").start();
    let mut client = gateway.client();
    for _ in 0..3 {
        client.send(chat("m", ""));
    }
    let (mut server, _) = upstream.request();
    for number in 0..3 {
        if number > 0 {
            server.message();
        }
        server.send(ok(&number.to_string()));
        assert_eq!(client.message().text(), number.to_string());
    }
    client.send(chat("m", ",\"stream\":true"));
    server.message();
    server.send(EVENTS);
    client.head();
    for number in 0..5 {
        let event = format!("data: {number}\n\n");
        server.send(chunk(&event));
        client.await_content(&event);
    }
    client.reset();
    server.until_gone();
    gateway.await_metric("ringway_requests_cancelled_total", &[], 1);
    let log = gateway.log();
    let lines: Vec<_> = log.lines().filter(|line| line.contains("io_uring")).collect();
    assert_eq!(lines.len(), 1, "{log}");
    assert!(lines[0].contains("WARN") && lines[0].contains("epoll"), "{log}");
}

/// Each shard has a table of its own, and the limit anew: two of them hold more than one process may.
#[test]
fn own_file_tables_hold_more_than_the_limit() {
    let upstream = Upstream::start();
    let gateway = Setup::one(&upstream.url(), "")
        .shards(2)
        .listen("heartbeat_ms = 0")
        .shell("ulimit -n 400")
        .variable("RINGWAY_STREAMS_MAX", "300")
        .start();
    assert!(gateway.log().contains("needs_own_file_tables=true"), "{}", gateway.log());
    let mut pairs = Vec::new();
    for number in 0..300 {
        let mut client = gateway.client();
        client.send(chat("m", ",\"stream\":true"));
        let (mut server, _) = upstream.request();
        server.send(EVENTS);
        assert_eq!(client.head().status(), 200, "stream {number}");
        pairs.push((client, server));
    }
    // 600 descriptors for connections alone.
    gateway.await_metric("ringway_streams_open", &[], 300);
    for (number, (client, server)) in pairs.iter_mut().enumerate() {
        let event = format!("data: {number}\n\n");
        server.send(chunk(&event));
        client.await_content(&event);
    }
    assert_eq!(gateway.metric("ringway_faults_total", &[]), 0);
}

/// No descriptors left: those that stand are served on, and when some come back, so do new connections.
#[test]
fn running_out_of_files_passes() {
    let upstream = Answering::saying("{}");
    let gateway = Setup::one(&upstream.url(), "")
        .shell("ulimit -n 120")
        .variable("RINGWAY_STREAMS_MAX", "50")
        .start();
    let mut clients: Vec<_> = (0..120).map(|_| gateway.client()).collect();
    gateway.await_log("cannot take more connections");
    // The first ones are in, and need no descriptor but the one towards the model server.
    let freed = clients.split_off(40);
    drop(freed);
    await_true("new connections are taken", || {
        let mut client = gateway.client();
        client.send(get("/v1/models"));
        if client.message().status() == 200 { Ok(()) } else { Err(String::new()) }
    });
    for client in &mut clients {
        client.send(chat("m", ""));
        assert_eq!(client.message().status(), 200);
    }
}

#[test]
fn connections_above_the_bound_are_told_so() {
    let upstream = Answering::saying("{}");
    let gateway = Setup::one(&upstream.url(), "").variable("RINGWAY_STREAMS_MAX", "10").start();
    // 10 streams, half as many again, and 64.
    let mut clients: Vec<_> = (0..79).map(|_| gateway.client()).collect();
    gateway.await_metric("ringway_connections_open", &[], 79);
    let mut refused = gateway.client();
    let answer = refused.message();
    assert_eq!((answer.status(), answer.field("retry-after")), (503, Some("1")));
    assert_eq!(answer.json()["error"]["code"], "overloaded");
    refused.must_close();
    gateway.await_metric("ringway_connections_refused_total", &[], 1);
    clients[0].send(chat("m", ""));
    assert_eq!(clients[0].message().status(), 200);
    drop(clients);
    gateway.await_metric("ringway_connections_open", &[], 0);
    assert_eq!(gateway.ask(chat("m", "")).status(), 200);
}
