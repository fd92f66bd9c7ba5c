//! What is said of endpoints that are near and far.

use super::*;

#[test]
fn farther_ones_are_told_apart_and_why_they_wait_or_help() {
    use Standing::*;
    let of = |capacity: &str| {
        let sites = [
            "region = \"eu\", zone = \"a\"",
            "region = \"eu\", zone = \"b\", headroom = 2",
            "region = \"us\", headroom = 0",
        ];
        let endpoint =
            |(port, site)| format!("{{ url = \"http://127.0.0.1:{port}\", {capacity} {site} }}");
        let endpoints: Vec<String> = (1..).zip(sites).map(endpoint).collect();
        format!(
            "[node]\nregion = \"eu\"\nzone = \"a\"\n[listen]\nmiddleware = []\n[[upstream]]\n\
             name = \"u\"\nlocality = {{}}\nbalance = \"least_connections\"\n\
             endpoints = [{}]\n[[model]]\nname = \"m\"\nupstream = \"u\"\n",
            endpoints.join(", ")
        )
    };
    let shown = |capacity: &str, seen: [Seen; 3]| {
        let file = config::parse(&of(capacity), "a.toml").unwrap();
        let snapshot = build(&file, &World::default(), &mut Ledger::default(), 1).unwrap();
        let slots: Vec<_> = snapshot.endpoints.iter().map(|endpoint| endpoint.slot).collect();
        let look = |slot| seen[slots.iter().position(|other| *other == slot).unwrap()];
        explain(&snapshot, Asked { look: Look(Some(&look)), ..asked("m") }).to_string()
    };
    let is_told = |text: &str, line: &str| assert!(text.contains(line), "{line} is not in\n{text}");
    let idle = seen(Usable, 0);
    let text = shown("capacity = 10,", [seen(Usable, 3), idle, idle]);
    is_told(&text, "-> usable, tier 1, our zone, score 3.500, 3 in flight: It has the lowest");
    is_told(
        &text,
        "far, tier 2, our region, score 0.500, 0 in flight: Tier 1 has 3 of 10 in flight, and gets help from 80% on.",
    );
    is_told(&text, "far, tier 3, region us, score 0.500, 0 in flight: It takes no requests of");
    let text = shown("capacity = 10,", [seen(Usable, 8), idle, idle]);
    is_told(&text, "far, tier 1, our zone, score 8.500, 8 in flight: Tier 2 has 0 of 10");
    is_told(
        &text,
        "-> usable, tier 2, our region, score 0.500, 0 in flight: It has the lowest score; of several that have, each in turn. Nearer tiers have 8 of 10 in flight",
    );
    let text = shown("capacity = 10,", [seen(Usable, 8), seen(Usable, 2), idle]);
    is_told(
        &text,
        "full, tier 2, our region, score 2.500, 2 in flight: It has as many requests of other",
    );
    is_told(&text, "-> usable, tier 1, our zone");
    let text = shown("", [seen(Usable, 80), idle, idle]);
    is_told(&text, "Tier 1 states no capacity");
    let text = shown("", [seen(Due, 0), idle, idle]);
    is_told(&text, "-> due, tier 1, our zone");
    let text = shown("", [seen(Open, 0), idle, idle]);
    is_told(&text, "None of a nearer tier may be used.");
}
