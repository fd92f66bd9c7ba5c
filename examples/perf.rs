#![allow(warnings, clippy::all)]
//! Starts the process; nothing that needs a test.
fn main() {
    use ringway::*;
    let path = std::env::args().nth(1).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    let file = config::parse(&text, &path).unwrap_or_else(|e| panic!("{e:?}"));
    let mut ledger = snapshot::Ledger::default();
    let world = control_free_world(&file);
    let snap = snapshot::build(&file, &world, &mut ledger, 1).unwrap_or_else(|e| panic!("{e:?}"));
    let machine = knobs::Machine {
        cpus: sys::affinity::allowed_cpus(),
        open_files: sys::limits::raise_open_files().unwrap(),
    };
    let knobs = knobs::Knobs::read(|n| std::env::var(n).ok(), &machine).unwrap();
    let n = knobs.shards.len();
    let (publisher, inlets) = crossing::publish::channel(n).unwrap();
    let pages: Vec<_> = (0..n).map(|_| crossing::gauges::Page::new()).collect();
    let built: &'static _ = Box::leak(Box::new(std::sync::Barrier::new(n)));
    let (tx, rx) = std::sync::mpsc::channel();
    let chans: Vec<_> = (0..n).map(|_| sys::socket::descriptor_channel().unwrap()).collect();
    use std::os::fd::{AsRawFd, IntoRawFd};
    let mut outs = vec![];
    let mut ins = vec![];
    for (a, b) in chans {
        outs.push(a.into_raw_fd());
        ins.push(b);
    }
    let _ = ins.iter().map(|i| i.as_raw_fd()).count();
    for ((i, inlet), inbox) in inlets.into_iter().enumerate().zip(ins) {
        let (s, r) = crossing::records::queue(1024);
        std::mem::forget(r);
        let setup = shard::Setup {
            id: units::ShardId(i as u16),
            cpu: knobs.shards[i],
            ring: knobs.ring(),
            inlet,
            pages: pages.clone(),
            records: s,
            inbox,
            outboxes: outs.clone(),
            connections_max: knobs.connections_max(),
            own_file_table: None,
            built,
        };
        let tx = tx.clone();
        std::thread::spawn(move || shard::run(setup, tx));
    }
    publisher.publish(&crossing::publish::Publication {
        snapshot: std::sync::Arc::new(snap),
        phase: crossing::publish::Phase::Serving,
    });
    for _ in 0..n {
        eprintln!("{:?}", rx.recv().unwrap());
    }
    loop {
        std::thread::park();
    }
}
fn control_free_world(_f: &ringway::config::File) -> ringway::snapshot::World {
    ringway::snapshot::World {
        addresses: Default::default(),
        secrets: Default::default(),
        system_roots: None,
        ca_roots: Default::default(),
        now_unix_s: 0,
    }
}
