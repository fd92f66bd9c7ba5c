//! A whole request through one real shard: real sockets over loopback, model server and client in this process.

mod harness;
mod inprocess;

use std::path::Path;
use std::time::Instant;

use harness::Calls;
use harness::Harness;
use harness::Row;
use harness::counting;
use harness::cpu_ns;
use harness::float;
use harness::nanos;
use harness::percentiles;
use inprocess::Client;
use inprocess::Gateway;
use ringway::sys::affinity;

fn main() {
    let mut harness = Harness::from_args();
    let cpus = affinity::allowed_cpus();
    // The shard alone on the last CPU; everything else of this process on the first.
    let shard_cpu = cpus.last().copied().filter(|_| cpus.len() > 1);
    if let (Some(_), Some(first)) = (shard_cpu, cpus.first()) {
        assert!(affinity::pin_to(*first), "a CPU that is allowed can be pinned to");
    }
    let gateway = inprocess::start(Path::new(env!("CARGO_TARGET_TMPDIR")), shard_cpu);
    let mut bench = Bench { calls: Calls::of(gateway.shard.id()), gateway, harness: &mut harness };
    bench.requests("keep-alive request, 1 connection", 1, 3_000);
    bench.requests("keep-alive request, 32 connections at once", 32, 600);
    bench.connections("request on a new connection", 1_000);
    bench.events("relayed event, 1 stream x 1,000/s", 1, 1.0, 2_000);
    bench.events("relayed event, 100 streams x 50/s", 100, 20.0, 80);
    harness.finish();
}

struct Bench<'h> {
    harness: &'h mut Harness,
    gateway: Gateway,
    calls: Option<Calls>,
}

impl Bench<'_> {
    /// `rounds` times a request on each of `connections`, all sent before the first answer is read.
    fn requests(&mut self, name: &str, connections: usize, rounds: usize) {
        if !self.harness.wants(name) {
            return;
        }
        let request = inprocess::chat(false, "x-mock-bytes: 1024\r\n");
        let mut clients: Vec<Client> =
            (0..connections).map(|_| Client::connect(self.gateway.address)).collect();
        let mut round = || {
            clients.iter_mut().for_each(|client| client.send(&request));
            clients.iter_mut().for_each(Client::response);
        };
        (0..100).for_each(|_| round());
        self.measure(name, connections, rounds, round);
    }

    fn connections(&mut self, name: &str, rounds: usize) {
        if !self.harness.wants(name) {
            return;
        }
        let request = inprocess::chat(false, "x-mock-bytes: 1024\r\nconnection: close\r\n");
        let address = self.gateway.address;
        let round = || {
            let mut client = Client::connect(address);
            client.send(&request);
            client.response();
        };
        (0..100).for_each(|_| round());
        self.measure(name, 1, rounds, round);
    }

    /// `rounds` events on each of `streams`, `gap_ms` apart. The time is that of waiting, hence not shown.
    fn events(&mut self, name: &str, streams: usize, gap_ms: f64, rounds: usize) {
        if !self.harness.wants(name) {
            return;
        }
        let fields =
            format!("x-mock-events: 100000\r\nx-mock-gap-ms: {gap_ms}\r\nx-mock-bytes: 240\r\n");
        let request = inprocess::chat(true, &fields);
        let mut clients: Vec<Client> = (0..streams)
            .map(|_| {
                let mut client = Client::connect(self.gateway.address);
                client.send(&request);
                client
            })
            .collect();
        let mut round = || {
            for client in &mut clients {
                // One that brings several at once is behind the others, and not asked more often.
                client.events(1);
            }
        };
        (0..rounds / 10).for_each(|_| round());
        self.measure(name, streams, rounds, round);
    }

    fn measure(&mut self, name: &str, each: usize, rounds: usize, mut round: impl FnMut()) {
        let rounds = if self.harness.is_brief() { 2 } else { rounds };
        let shard = self.gateway.shard;
        let mut samples = Vec::with_capacity(rounds);
        let before = shard.counts();
        let cpu_before = cpu_ns(shard.id());
        let calls_before = self.calls.as_mut().map(Calls::count);
        for _ in 0..rounds {
            let began = Instant::now();
            round();
            samples.push(nanos(began.elapsed()) / float(each as u64));
        }
        let counts = shard.counts().since(before);
        let operations = float((rounds * each) as u64);
        let cpu = float(cpu_ns(shard.id()) - cpu_before);
        let calls = self.calls.as_mut().map(Calls::count);
        let (p50_ns, p99_ns) = percentiles(&mut samples);
        self.harness.add(Row {
            name: name.to_owned(),
            p50_ns,
            p99_ns,
            allocations: float(counts.allocations) / operations,
            bytes: float(counts.bytes) / operations,
            cpu_ns: Some(cpu / operations),
            calls: calls
                .zip(calls_before)
                .map(|(after, before)| float(after.saturating_sub(before)) / operations),
        });
    }
}
