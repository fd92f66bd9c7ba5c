//! That a snapshot that shares what it can is the one that shares nothing.

use super::*;
use crate::balance::dice::Dice;
use crate::snapshot::Snapshot;
use crate::snapshot::build;
use crate::snapshot::diff;
use crate::snapshot::diff_outlines;
use crate::snapshot::outline;
use crate::units::LaneId;
use crate::units::SlotId;
use rustls::RootCertStore;

const ENDPOINTS: &str = "http://a.example, https://b.example/llm, http://192.0.2.7:81";

fn file(endpoints: &str, more: &str) -> File {
    let urls: Vec<_> = endpoints.split(", ").map(|url| format!("{{ url = \"{url}\" }}")).collect();
    let text = format!(
        "{more}[[upstream]]\nname = \"u\"\nendpoints = [{}]\n[[model]]\nname = \"m\"\nupstream = \"u\"\n",
        urls.join(", ")
    );
    config::parse(&text, "a.toml").unwrap()
}

fn world() -> World {
    let roots = webpki_roots::TLS_SERVER_ROOTS.to_vec();
    let addresses =
        ["a.example", "b.example"].map(|host| (host.to_owned(), vec![[192, 0, 2, 1].into()]));
    World {
        addresses: addresses.into(),
        system_roots: Some(RootCertStore { roots }),
        ..World::default()
    }
}

/// Which of the endpoints of two snapshots are the same ones.
fn same(one: &Snapshot, other: &Snapshot) -> Vec<bool> {
    let pairs = one.endpoints.iter().zip(&other.endpoints);
    pairs.map(|(one, other)| Arc::ptr_eq(one, other)).collect()
}

#[test]
fn what_is_the_same_is_the_same_one() {
    let mut ledger = Ledger::default();
    let mut build = |file: &File, world: &World| build(file, world, &mut ledger, 1).unwrap();
    let first = build(&file(ENDPOINTS, ""), &world());
    // Read anew.
    let again = build(&file(ENDPOINTS, ""), &world());
    assert_eq!(same(&first, &again), [true; 3]);
    let mut moved = world();
    moved.addresses.insert("a.example".to_owned(), vec![[192, 0, 2, 2].into()]);
    let second = build(&file(ENDPOINTS, ""), &moved);
    assert_eq!(same(&again, &second), [false, true, true]);
    assert_eq!(second.endpoints[0].addresses, ["192.0.2.2:80".parse().unwrap()]);
    let mut moved = World { system_roots: world().system_roots, ..moved };
    moved.system_roots.as_mut().unwrap().roots.truncate(3);
    let third = build(&file(ENDPOINTS, ""), &moved);
    assert_eq!(same(&second, &third), [true, false, true]);
    assert_ne!(third.endpoints[1].slot, second.endpoints[1].slot);
    // All go one upstream on.
    let before = "[[upstream]]\nname = \"first\"\nendpoints = [{ url = \"http://192.0.2.9\" }]\n";
    let fourth = build(&file(ENDPOINTS, before), &moved);
    assert_eq!(fourth.endpoints[1].upstream, UpstreamId(1));
    assert_eq!(fourth.endpoints[1].slot, third.endpoints[0].slot);
}

#[test]
fn another_weight_is_told_of_the_same_endpoint() {
    let mut ledger = Ledger::default();
    let mut weighing = file(ENDPOINTS, "");
    let first = build(&weighing, &world(), &mut ledger, 1).unwrap();
    Arc::make_mut(&mut weighing.upstreams[0].endpoints[2]).weight = 5;
    let second = build(&weighing, &world(), &mut ledger, 2).unwrap();
    assert_eq!(same(&first, &second), [true; 3]);
    assert_eq!(second.upstreams[0].weights, [1, 1, 5]);
    let told = ["upstream \"u\": endpoint http://192.0.2.7:81: weight 1 -> 5"];
    assert_eq!(diff(&first, &second), told);
}

/// It was let go, and its slot is another's by now: what the shards know of the slot is not its.
#[test]
fn a_slot_that_went_to_another_is_not_believed() {
    let mut ledger = Ledger::with_room(1, 8);
    let only = |url: &str| file(url, "");
    let one = build(&only("http://192.0.2.1"), &world(), &mut ledger, 1).unwrap();
    ledger.note_held(|_: SlotId| false, |_: LaneId| true);
    let newest = std::mem::take(&mut ledger.newest);
    build(&only("http://192.0.2.2"), &world(), &mut ledger, 2).unwrap();
    ledger.note_held(|_| false, |_| true);
    // As if this one were the newest still.
    ledger.newest = newest;
    let again = build(&only("http://192.0.2.1"), &world(), &mut ledger, 3).unwrap();
    assert_eq!(same(&one, &again), [false]);
    assert_eq!((one.endpoints[0].generation, again.endpoints[0].generation), (0, 2));
}

/// Many changes of a file and of what is found: with everything made anew each time, snapshots and what is told of them are the same.
#[test]
fn sharing_shows_nowhere() {
    for seed in 0..100 {
        let mut dice = Dice(seed + 1);
        let (mut sharing, mut plain) = (Ledger::default(), Ledger::default());
        let mut before: Option<(Snapshot, Snapshot)> = None;
        let mut file = any_file(&mut dice);
        for number in 1..12 {
            // Often the file stays, as it does where only endpoints come and go.
            if dice.draw(3) == 0 {
                file = any_file(&mut dice);
            }
            let world = any_world(&mut dice);
            plain.newest.clear();
            (plain.rules, plain.keys) = (None, None);
            let shared = build(&file, &world, &mut sharing, number).unwrap();
            let anew = build(&file, &world, &mut plain, number).unwrap();
            assert_eq!(outline(&shared), outline(&anew), "seed {seed}");
            assert_eq!(shown(&shared), shown(&anew), "seed {seed}");
            if let Some((old, old_anew)) = &before {
                let told = diff(old, &shared);
                assert_eq!(told, diff(old_anew, &anew), "seed {seed}");
                // With all of both in words.
                let in_words = diff_outlines(&outline(old), &outline(&shared));
                assert_eq!(told[..in_words.len()], in_words, "seed {seed}");
            }
            before = Some((shared, anew));
        }
    }
}

/// What an outline has no room for.
fn shown(snapshot: &Snapshot) -> String {
    let endpoint = |endpoint: &Arc<Endpoint>| {
        let tls = endpoint.tls.as_ref().map(|tls| &tls.server_name);
        let (host, prefix) = (&endpoint.host, &endpoint.path_prefix);
        let (upstream, generation) = (endpoint.upstream, endpoint.generation);
        format!("{host} {prefix} {tls:?} {upstream:?} {generation}")
    };
    let endpoints: Vec<_> = snapshot.endpoints.iter().map(endpoint).collect();
    let table = &snapshot.admission;
    let mut names: Vec<_> = table.model_names.iter().collect();
    names.sort();
    format!(
        "{endpoints:?} {:?} {:?} {:?} {:?} {names:?} {}",
        snapshot.upstreams,
        table.listen,
        table.tenants,
        table.models,
        snapshot.keys.len()
    )
}

fn any_file(dice: &mut Dice) -> File {
    let mut text = String::new();
    // A number that stays may mean another model.
    let first = ["m", "other"][dice.below(2)];
    for name in ["u", "v", "w"] {
        if name == "v" && dice.draw(3) == 0 {
            continue;
        }
        let (limit, weight) = (1 + dice.draw(2), 1 + dice.draw(2));
        let url = format!("{{ url = \"https://own.example\", weight = {weight} }}");
        text += &format!(
            "[[upstream]]\nname = \"{name}\"\nmax_in_flight = {limit}\nendpoints = [{url}]\n\
             discover = {{ file = \"{name}.json\" }}\n[[model]]\nupstream = \"{name}\"\n"
        );
        text += &match name {
            "u" => format!("name = \"{first}\"\nversions = \"discovered\"\n"),
            _ => {
                format!("name = \"m-{name}\"\nfallback = [\"{first}\"]\ndegrade_to = \"{first}\"\n")
            }
        };
    }
    for name in ["acme", "umbrella"] {
        if dice.draw(4) == 0 {
            continue;
        }
        let (limit, digit) = (1 + dice.draw(2), dice.draw(2));
        text += &format!(
            "[[tenant]]\nname = \"{name}\"\nmodels = [\"{first}\"]\nlimits = {{ concurrent = {limit} }}\n\
             addresses = {{ allow_file = \"friends.txt\" }}\nkeys = [{{ id = \"k\", sha256 = \"{}{digit}\" }}]\n",
            if name == "acme" { "ab".repeat(31) + "0" } else { "cd".repeat(31) + "0" }
        );
    }
    config::parse(&text, "a.toml").unwrap()
}

fn any_world(dice: &mut Dice) -> World {
    let host = |name: &str, last: u64| {
        (name.to_owned(), vec![[192, 0, 2, u8::try_from(last).unwrap()].into()])
    };
    let mut world = world();
    world.addresses = [host("own.example", dice.draw(2)), host("a.example", dice.draw(2))].into();
    world.system_roots.as_mut().unwrap().roots.truncate(usize::try_from(3 + dice.draw(2)).unwrap());
    let friends =
        config::read_networks(["192.0.2.0/24", "198.51.100.0/24"][dice.below(2)], "friends.txt");
    world.address_files = Arc::new([("friends.txt".into(), friends.0)].into());
    for name in ["u", "v", "w"] {
        let hosts = [
            "http://192.0.2.3",
            "http://192.0.2.4:81",
            "http://a.example",
            "https://a.example/llm",
        ];
        let mut found = Vec::new();
        for url in hosts {
            if dice.draw(3) == 0 {
                continue;
            }
            let mut endpoint = config::Endpoint::clone(&file(url, "").upstreams[0].endpoints[0]);
            endpoint.is_stale = dice.draw(4) == 0;
            endpoint.weight = u32::try_from(dice.draw(3)).unwrap();
            endpoint.source = (dice.draw(2) == 0).then(|| "file".to_owned());
            endpoint.traits.version = (dice.draw(4) == 0).then(|| "1.0.0".to_owned());
            endpoint.name = (dice.draw(4) == 0).then(|| "named.example".to_owned());
            found.push(Arc::new(endpoint));
        }
        world.found.insert(name.to_owned(), found);
    }
    world
}
