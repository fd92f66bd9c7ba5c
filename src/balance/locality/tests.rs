//! Where endpoints are, which tier a request goes to, and what a whole zone does under load.

use super::*;
use crate::balance::dice::Dice;

fn site<'s>(region: &'s str, zone: &'s str) -> Site<'s> {
    let known = |name: &'s str| (!name.is_empty()).then_some(name);
    Site { region: known(region), zone: known(zone), ..Site::default() }
}

fn holding(capacity: u32, site: Site<'_>) -> Site<'_> {
    Site { capacity: Some(capacity), ..site }
}

fn helping(headroom: u32, site: Site<'_>) -> Site<'_> {
    Site { headroom: Some(headroom), ..site }
}

/// Around a gateway in zone a of eu.
fn smart(sites: &[Site<'_>]) -> Tiers {
    Tiers::new((Some("eu"), Some("a")), Others::Smart, 80, sites)
}

fn view(load: u32) -> View {
    View { weight: 100, load, latency_us: 0, standing: Standing::Usable }
}

fn views<const N: usize>(loads: [u32; N]) -> [View; N] {
    loads.map(view)
}

/// The endpoints that are left, from views as they are.
fn left(tiers: &Tiers, views: &mut [View]) -> Vec<usize> {
    narrow(tiers, &Order::default(), views, 1);
    let usable = views
        .iter()
        .enumerate()
        .filter(|(_, view)| view.standing == Standing::Usable && view.weight > 0);
    usable.map(|(index, _)| index).collect()
}

fn shown(tiers: &Tiers) -> Vec<(Near, Option<&str>)> {
    tiers.all().iter().map(|tier| (tier.near, tier.region.as_deref())).collect()
}

fn placed(tiers: &Tiers, count: usize) -> Vec<usize> {
    (0..count).map(|endpoint| tiers.of(endpoint)).collect()
}

#[test]
fn zones_come_before_regions_and_regions_before_others() {
    let sites = [
        site("us", "a"),
        site("eu", "b"),
        site("eu", "a"),
        site("ap", ""),
        site("eu", ""),
        site("", "a"),
    ];
    let tiers = smart(&sites);
    let expected = [
        (Near::Zone, Some("eu")),
        (Near::Region, Some("eu")),
        (Near::Other, Some("ap")),
        (Near::Other, Some("us")),
        (Near::Other, None),
    ];
    assert_eq!(shown(&tiers), expected);
    assert_eq!(placed(&tiers, 6), [3, 1, 0, 2, 1, 4]);
}

#[test]
fn a_fixed_order_names_some_and_all_others_are_alike() {
    let order = ["us".to_owned(), "ap".to_owned()];
    let node = (Some("eu"), Some("a"));
    let sites = [site("sa", ""), site("ap", ""), site("", ""), site("us", ""), site("eu", "a")];
    let tiers = Tiers::new(node, Others::Fixed(&order), 80, &sites);
    let expected = [
        (Near::Zone, Some("eu")),
        (Near::Other, Some("us")),
        (Near::Other, Some("ap")),
        (Near::Other, None),
    ];
    assert_eq!(shown(&tiers), expected);
    assert_eq!(placed(&tiers, 5), [3, 2, 3, 1, 0]);
    assert!(!tiers.is_measured());
}

#[test]
fn where_nobody_says_where_anything_is_all_are_alike() {
    let sites = [site("", ""), site("", "b")];
    let tiers = Tiers::new((None, None), Others::Smart, 80, &sites);
    assert_eq!(shown(&tiers), [(Near::Region, None)]);
    assert_eq!(left(&tiers, &mut views([9, 9])), [0, 1]);
    assert_eq!(Tiers::new((None, None), Others::Smart, 80, &[]).all(), []);
    assert_eq!(left(&Tiers::new((None, None), Others::Smart, 80, &[]), &mut []), [] as [usize; 0]);
}

#[test]
fn regions_beyond_the_bound_are_the_last_tier_together() {
    let names: Vec<String> = (0..40).map(|number| format!("region-{number:02}")).collect();
    let sites: Vec<_> = names.iter().map(|name| site(name, "")).collect();
    let tiers = smart(&sites);
    assert_eq!(tiers.all().len(), TIERS_MAX);
    assert_eq!((tiers.of(30), tiers.of(31), tiers.of(39)), (30, 31, 31));
    assert_eq!(tiers.all()[30].region.as_deref(), Some("region-30"));
    assert_eq!(tiers.all()[31].region, None);
    let mut all: Vec<View> = (0..40).map(|_| view(0)).collect();
    all[..31].iter_mut().for_each(|view| view.standing = Standing::Open);
    assert_eq!(left(&tiers, &mut all), (31..40).collect::<Vec<_>>());
}

#[test]
fn a_zone_is_helped_from_its_share_on_and_not_before() {
    let sites = [
        holding(10, site("eu", "a")),
        holding(10, site("eu", "a")),
        holding(5, site("eu", "b")),
        site("us", ""),
    ];
    let tiers = smart(&sites);
    assert_eq!(left(&tiers, &mut views([0, 0, 0, 0])), [0, 1]);
    assert_eq!(left(&tiers, &mut views([12, 3, 0, 0])), [0, 1], "15 of 20");
    assert_eq!(left(&tiers, &mut views([10, 6, 0, 0])), [2], "16 of 20");
    assert_eq!(left(&tiers, &mut views([8, 8, 4, 0])), [3], "4 of 5 there");
    assert_eq!(left(&tiers, &mut views([8, 8, 4, 1000])), [3], "who states none has no end");
}

#[test]
fn where_all_want_help_the_nearest_one_goes_on_alone() {
    let sites =
        [holding(10, site("eu", "a")), holding(10, site("eu", "b")), holding(10, site("us", ""))];
    let tiers = smart(&sites);
    assert_eq!(left(&tiers, &mut views([9, 9, 9])), [0]);
    let mut full = views([10, 9, 9]);
    full[0].standing = Standing::Full;
    assert_eq!(left(&tiers, &mut full), [1]);
}

#[test]
fn without_capacity_help_comes_only_where_none_is_usable() {
    let tiers = smart(&[site("eu", "a"), site("eu", "b"), site("us", "")]);
    assert!(!tiers.has_capacity());
    let mut all = views([100_000, 0, 0]);
    assert_eq!(left(&tiers, &mut all), [0]);
    for ill in
        [Standing::Open, Standing::Unhealthy, Standing::Paused, Standing::Tried, Standing::Full]
    {
        let mut all = views([0, 0, 0]);
        all[0].standing = ill;
        assert_eq!(left(&tiers, &mut all), [1], "{ill:?}");
        all[1].standing = ill;
        assert_eq!(left(&tiers, &mut all), [2], "{ill:?}, again on the same views");
        all[2].standing = ill;
        assert_eq!(left(&tiers, &mut all), [] as [usize; 0]);
        assert!(all.iter().all(|view| view.standing == ill), "nothing is hidden");
    }
}

#[test]
fn what_is_ill_neither_counts_nor_carries() {
    let sites = [holding(10, site("eu", "a")), holding(90, site("eu", "a")), site("us", "")];
    let tiers = smart(&sites);
    let mut all = views([8, 0, 0]);
    all[1].standing = Standing::Open;
    assert_eq!(left(&tiers, &mut all), [2]);
    // One that is full, or that has failed this request, is busy and there.
    all[1] = View { standing: Standing::Tried, ..view(0) };
    assert_eq!(left(&tiers, &mut all), [0]);
}

#[test]
fn headroom_is_for_those_of_other_zones() {
    let sites = [
        helping(1, site("eu", "a")),
        helping(2, site("eu", "b")),
        helping(3, site("eu", "")),
        helping(4, site("us", "a")),
    ];
    let headrooms = |tiers: &Tiers| (0..4).map(|at| tiers.headroom(at)).collect::<Vec<_>>();
    assert_eq!(headrooms(&smart(&sites)), [None, Some(2), None, Some(4)]);
    let nowhere = Tiers::new((Some("eu"), None), Others::Smart, 80, &sites);
    assert_eq!(headrooms(&nowhere), [None, None, None, Some(4)]);
}

#[test]
fn who_takes_nothing_of_other_zones_gets_nothing_whatever_happens() {
    let tiers = smart(&[site("eu", "a"), helping(0, site("eu", "b")), helping(1, site("us", ""))]);
    for standing in [Standing::Usable, Standing::Due, Standing::Open, Standing::Full] {
        let mut all = views([0, 0, 0]);
        all[0].standing = Standing::Open;
        all[1].standing = standing;
        assert_eq!(left(&tiers, &mut all), [2]);
        assert_eq!(all[1].standing, Standing::Far, "{standing:?}");
    }
    let mut weightless = views([0, 0, 0]);
    weightless[1].standing = Standing::Weightless;
    left(&tiers, &mut weightless);
    assert_eq!(weightless[1].standing, Standing::Weightless);
}

#[test]
fn a_reach_is_what_stands_before_in_the_order() {
    let sites = [site("eu", "a"), site("eu", "b"), site("us", "")];
    let tiers = smart(&sites);
    let has = |reach: Reach| [0, 1, 2].map(|endpoint| reach.has(&tiers, endpoint));
    let mut all = views([0, 0, 0]);
    assert_eq!(has(narrow(&tiers, &Order::default(), &mut all, 1)), [true, false, false]);
    all[0].standing = Standing::Due;
    assert_eq!(has(narrow(&tiers, &Order::default(), &mut all, 1)), [true, true, false]);
    all.iter_mut().for_each(|view| view.standing = Standing::Due);
    assert_eq!(has(narrow(&tiers, &Order::default(), &mut all, 1)), [true, true, true]);
}

/// Tiers of four other regions, and none of ours.
fn regions() -> Tiers {
    smart(&[site("a", ""), site("b", ""), site("c", ""), site("d", "")])
}

fn medians(of: &[u32]) -> [u32; TIERS_MAX] {
    let mut medians = [0; TIERS_MAX];
    medians[..of.len()].copy_from_slice(of);
    medians
}

fn order(tiers: &Tiers, order: &Order) -> Vec<u8> {
    order.tiers(tiers).collect()
}

#[test]
fn other_regions_are_in_the_order_of_their_latencies() {
    let tiers = regions();
    let mut found = Order::default();
    assert_eq!(order(&tiers, &found), [0, 1, 2, 3]);
    found.sort(&tiers, &medians(&[400, 300, 100, 200]));
    assert_eq!(order(&tiers, &found), [2, 3, 1, 0]);
    assert!(!found.has_unmeasured());
    // What is nearly alike stays as it is, and what is not measured is behind.
    found.sort(&tiers, &medians(&[100, 300, 110, 0]));
    assert_eq!(order(&tiers, &found), [2, 0, 1, 3]);
    assert!(found.has_unmeasured());
    found.sort(&tiers, &medians(&[90, 300, 110, 0]));
    assert_eq!(order(&tiers, &found), [0, 2, 1, 3]);
}

#[test]
fn our_own_region_is_never_passed() {
    let tiers = smart(&[site("eu", "a"), site("eu", "b"), site("x", ""), site("y", "")]);
    let mut found = Order::default();
    found.sort(&tiers, &medians(&[900, 800, 500, 1]));
    assert_eq!(order(&tiers, &found), [0, 1, 3, 2]);
    let fixed = Tiers::new(
        (None, None),
        Others::Fixed(&["x".to_owned(), "y".to_owned()]),
        80,
        &[site("x", ""), site("y", "")],
    );
    let mut found = Order::default();
    found.sort(&fixed, &medians(&[900, 1]));
    assert_eq!((order(&fixed, &found), found.has_unmeasured()), (vec![0, 1], false));
}

#[test]
fn medians_are_of_those_that_were_measured() {
    let sites = [site("x", ""), site("y", ""), site("x", ""), site("x", ""), site("y", "")];
    let tiers = smart(&sites);
    let mut room = Vec::new();
    let of = [30, 0, 10, 20, 0];
    assert_eq!(tiers.medians(&mut room, |at| of[at]), medians(&[20, 0]));
    assert_eq!(tiers.medians(&mut room, |_| 0), medians(&[]));
    assert_eq!(tiers.medians(&mut room, |at| [0, 5, 0, 0, 7][at]), medians(&[0, 5]));
}

#[test]
fn a_little_of_what_leaves_the_region_finds_out_about_others() {
    let tiers = regions();
    let mut found = Order::default();
    found.sort(&tiers, &medians(&[100, 200, 0, 0]));
    let mut dice = Dice(5);
    let mut counts = [0_u32; 4];
    for _ in 0..64_000 {
        let mut all = views([0; 4]);
        narrow(&tiers, &found, &mut all, dice.roll());
        let chosen: Vec<_> =
            (0..4).filter(|at: &usize| all[*at].standing == Standing::Usable).collect();
        assert_eq!(chosen.len(), 1);
        counts[chosen[0]] += 1;
    }
    assert_eq!(counts[1], 0, "it was measured, and is slower");
    assert!(counts[2] + counts[3] > 800 && counts[2] + counts[3] < 1200, "{counts:?}");
    assert!(counts[2].abs_diff(counts[3]) < 200, "{counts:?}");
    // Not for those that stay, and not where nobody could tell.
    let near = smart(&[site("eu", "a"), site("x", ""), site("y", "")]);
    found.sort(&near, &medians(&[]));
    assert_eq!(left(&near, &mut views([0; 3])), [0]);
    let mut all = views([0; 3]);
    narrow(&near, &found, &mut all, 0);
    assert_eq!(all.map(|view| view.standing), [Standing::Usable, Standing::Far, Standing::Far]);
}

/// What it says, said once more without haste: for each tier in order, is one usable, and is there room?
fn expected(tiers: &Tiers, sites: &[Site<'_>], views: &[View]) -> Option<usize> {
    let is_there = |at: &usize| tiers.headroom(*at) != Some(0);
    let endpoints =
        |tier: usize| (0..sites.len()).filter(is_there).filter(move |at| tiers.of(*at) == tier);
    let may = |at: &usize| views[*at].standing == Standing::Usable && views[*at].weight > 0;
    let is_usable = |tier: &usize| endpoints(*tier).any(|at| may(&at));
    let is_roomy = |tier: &usize| {
        let there = endpoints(*tier).filter(|at| {
            may(at) || matches!(views[*at].standing, Standing::Full | Standing::Tried)
        });
        let there: Vec<usize> = there.collect();
        if there.iter().any(|at| sites[*at].capacity.is_none()) {
            return true;
        }
        let load: f64 = there.iter().map(|at| f64::from(views[*at].load)).sum();
        let capacity: f64 = there.iter().map(|at| f64::from(sites[*at].capacity.unwrap())).sum();
        load < capacity * 0.8
    };
    let all = 0..tiers.all().len();
    all.clone()
        .find(|tier| is_usable(tier) && is_roomy(tier))
        .or_else(|| all.clone().find(is_usable))
}

#[test]
fn whatever_the_views_one_tier_is_left_if_any_is_usable() {
    let mut dice = Dice(11);
    for _ in 0..20_000 {
        let count = dice.below(8);
        let draw = |dice: &mut Dice, of: [u32; 4]| of[dice.below(4)];
        let sites: Vec<Site<'_>> = (0..count)
            .map(|_| Site {
                region: [None, Some("eu"), Some("us"), Some("ap")][dice.below(4)],
                zone: [None, Some("a"), Some("b")][dice.below(3)],
                capacity: (dice.below(5) > 0).then(|| draw(&mut dice, [0, 1, 10, 20])),
                headroom: (dice.below(2) > 0).then(|| draw(&mut dice, [0, 1, 2, 3])),
            })
            .collect();
        let tiers = smart(&sites);
        let before: Vec<View> = (0..count)
            .map(|_| View {
                weight: draw(&mut dice, [0, 1, 100, 200]),
                load: draw(&mut dice, [0, 5, 9, 20]),
                latency_us: 0,
                standing: match dice.below(2) {
                    0 => Standing::Usable,
                    _ => Standing::ALL[dice.below(Standing::ALL.len() - 1)],
                },
            })
            .collect();
        let mut after = before.clone();
        let chosen = expected(&tiers, &sites, &before);
        let found = left(&tiers, &mut after);
        assert!(found.iter().all(|at| Some(tiers.of(*at)) == chosen), "{sites:?} {before:?}");
        let usable = after.iter().any(|v| v.standing == Standing::Usable && v.weight > 0);
        assert_eq!(usable, chosen.is_some(), "{sites:?} {before:?}");
        // Looking once more changes nothing.
        let mut again = after.clone();
        left(&tiers, &mut again);
        assert_eq!(again, after);
    }
}

#[test]
fn a_zone_under_more_than_it_holds_keeps_its_share_and_sends_on_the_rest() {
    let sites = [
        holding(50, site("eu", "a")),
        helping(10, holding(50, site("eu", "b"))),
        helping(20, holding(50, site("us", ""))),
    ];
    let tiers = smart(&sites);
    let mut loads = [0; 3];
    let mut unserved = 0;
    for _ in 0..75 {
        let mut all = views(loads);
        for (at, view) in all.iter_mut().enumerate() {
            if tiers.headroom(at).is_some_and(|headroom| view.load >= headroom) {
                view.standing = Standing::Full;
            }
        }
        match left(&tiers, &mut all).first() {
            Some(at) => loads[*at] += 1,
            None => unserved += 1,
        }
    }
    assert_eq!((loads, unserved), ([45, 10, 20], 0), "40 near, 30 far, and then near again");
}
