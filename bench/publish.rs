//! What a change of the world costs control: 1,000 endpoints of 50 upstreams that a source has found, one of them another each time.

mod harness;

use std::collections::HashMap;
use std::fmt::Write;
use std::hint::black_box;
use std::sync::Arc;

use harness::Harness;
use ringway::config;
use ringway::config::Endpoint;
use ringway::config::File;
use ringway::snapshot::Ledger;
use ringway::snapshot::Snapshot;
use ringway::snapshot::World;
use ringway::snapshot::build;
use ringway::snapshot::diff;
use ringway::snapshot::merged;
use ringway::snapshot::outline;

const UPSTREAMS: usize = 50;
const EACH: usize = 20;

fn main() {
    let mut harness = Harness::from_args();
    let file = file(0);
    let worlds = [0, 1].map(world);
    let mut ledger = Ledger::default();
    let mut made = |world: &World| build(&file, world, &mut ledger, 1).expect("the file is right");
    let [before, after] = [made(&worlds[0]), made(&worlds[1])];
    harness.run("the file with what was found", || {
        black_box(merged(&file, &worlds[1].found));
    });
    harness.run("a snapshot, built and freed", || {
        black_box(made(&worlds[1]));
    });
    harness.run("its outline", || {
        black_box(outline(&after));
    });
    harness.run("what it has differently", || {
        black_box(diff(&before, &after));
    });
    drop((before, after));
    change(&mut harness, "a change: built, told, the one before freed", &file, &worlds);
    let name = "the same with 10,000 tenants";
    if harness.wants(name) {
        change(&mut harness, name, &self::file(10_000), &worlds);
    }
    harness.finish();
}

/// One change after the other, each told and taking the place of the one before.
fn change(harness: &mut Harness, name: &str, file: &File, worlds: &[World; 2]) {
    let mut ledger = Ledger::default();
    let mut made = |world: &World| build(file, world, &mut ledger, 1).expect("the file is right");
    let mut turns = 0;
    let mut served: Snapshot = made(&worlds[0]);
    harness.run(name, || {
        turns += 1;
        let next = made(&worlds[turns % 2]);
        black_box(diff(&served, &next));
        served = next;
    });
}

fn file(tenants: usize) -> File {
    let mut text = String::new();
    for tenant in 0..tenants {
        writeln!(
            text,
            "[[tenant]]\nname = \"t{tenant}\"\nlimits = {{ requests_per_minute = 600, concurrent = 50 }}\n"
        )
        .expect("a string takes what is written");
    }
    for upstream in 0..UPSTREAMS {
        writeln!(
            text,
            "[[upstream]]\nname = \"u{upstream}\"\ndiscover = {{ file = \"u.json\" }}\n"
        )
        .and_then(|()| {
            writeln!(text, "[[model]]\nname = \"m{upstream}\"\nupstream = \"u{upstream}\"\n")
        })
        .expect("a string takes what is written");
    }
    config::parse(&text, "bench").expect("the file is right")
}

/// With the last endpoint of the first upstream at one of two ports.
fn world(turn: u16) -> World {
    let found = |upstream: usize| -> Vec<Arc<Endpoint>> {
        let port = |place| if (upstream, place) == (0, EACH) { 8000 + turn } else { 8000 };
        (1..=EACH)
            .map(|place| endpoint(&format!("http://10.1.{upstream}.{place}:{}", port(place))))
            .collect()
    };
    let found: HashMap<_, _> =
        (0..UPSTREAMS).map(|upstream| (format!("u{upstream}"), found(upstream))).collect();
    World { found, ..World::default() }
}

fn endpoint(url: &str) -> Arc<Endpoint> {
    let text = format!(
        "[[upstream]]\nname = \"u\"\nendpoints = [{{ url = \"{url}\" }}]\n[[model]]\nname = \"m\"\nupstream = \"u\"\n"
    );
    let file = config::parse(&text, "bench").expect("the url is right");
    let mut endpoint = Endpoint::clone(&file.upstreams[0].endpoints[0]);
    endpoint.source = Some("file endpoints.json".to_owned());
    Arc::new(endpoint)
}
