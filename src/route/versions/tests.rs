//! Which version it is: by names, ranges, shares and keys.

use super::*;

const NAME: &str = "llama";

fn versions(texts: &[&str]) -> Versions {
    let ids = (0..).map(ModelId);
    Versions(texts.iter().zip(ids).map(|(text, id)| Version::new(text, id)).collect())
}

fn highest(texts: &[&str], range: &str) -> Option<String> {
    let Spec::Range(range) = Spec::read(range) else { panic!("{range} is no range") };
    let id = versions(texts).highest(&range)?;
    Some(texts[id.index()].to_owned())
}

fn split(versions: &Versions, weights: &[(&str, u32)], sticky: bool) -> Split {
    let share =
        |&(text, weight): &(&str, u32)| (text.to_owned(), Share::new(versions.named(text), weight));
    let shares = weights.iter().map(share).collect();
    Split::new(NAME, versions, shares, sticky.then_some(Sticky::Tenant))
}

/// Dice that fall evenly, so that shares are exact.
fn even(count: u64) -> impl Iterator<Item = u64> {
    let step = u64::MAX / count;
    (0..count).map(move |index| step * index + step / 2)
}

#[test]
fn a_range_has_a_sign_that_says_so() {
    for text in ["1", "1.2", "1.2.0", "v1.2.0", "stable", "2024-11-20", "x", "next", "1.2.0-rc.1"] {
        assert_eq!(Spec::read(text), Spec::Named(text));
    }
    for text in ["^1", "~1.2", "=1.2.0", ">=1.2, <2", "*", "1.*", "1.2.x", "<2"] {
        assert!(matches!(Spec::read(text), Spec::Range(_)), "{text}");
    }
    let long = format!("^{}", "1".repeat(RANGE_BYTES_MAX));
    for text in ["^", "^one", ">=1 <2", "~1.2.3.4", "1.*.0.x", "^1,", &long] {
        assert_eq!(Spec::read(text), Spec::Broken, "{text}");
    }
}

#[test]
fn the_highest_that_fits() {
    let texts = ["1.2.0", "1.10.0", "2.0.0", "1.9.9", "2.1.0-rc.1", "nightly", "0.3"];
    for (range, expected) in [
        ("^1.2", Some("1.10.0")),
        ("~1.2", Some("1.2.0")),
        ("^1.10.1", None),
        ("*", Some("2.0.0")),
        ("1.*", Some("1.10.0")),
        (">=1.3, <1.10", Some("1.9.9")),
        ("^3", None),
        // What is not out yet is had only by who names it.
        (">=2.0.1", None),
        (">=2.1.0-rc.0", Some("2.1.0-rc.1")),
        ("^0.3.0", Some("0.3")),
    ] {
        assert_eq!(highest(&texts, range).as_deref(), expected, "{range}");
    }
    assert_eq!(highest(&["1.2", "v1.2.0", "1.2.0"], "^1").as_deref(), Some("1.2"));
}

#[test]
fn what_is_no_number_is_in_no_range() {
    for text in [
        "",
        "v",
        "one",
        "1.2.3.4",
        "1..2",
        "+1",
        "01",
        "1.02",
        "99999999999999999999",
        "2024-11-20",
    ] {
        assert_eq!(number(text), None, "{text}");
    }
    for (text, expected) in
        [("1", "1.0.0"), ("v2.1", "2.1.0"), ("0.0", "0.0.0"), ("1.2.3-a+b", "1.2.3-a+b")]
    {
        assert_eq!(number(text).unwrap().to_string(), expected);
    }
}

#[test]
fn a_version_that_takes_no_requests_comes_last() {
    let mut all = versions(&["1.0.0", "1.1.0", "2.0.0"]);
    all.open(|id| id.0 == 0);
    let range = |text| match Spec::read(text) {
        Spec::Range(range) => range,
        _ => unreachable!("it is a range"),
    };
    assert_eq!(all.highest(&range("^1")), Some(ModelId(0)));
    assert_eq!(all.highest(&range("^2")), Some(ModelId(2)));
    let split = split(&all, &[("1.0.0", 1), ("1.1.0", 99)], false);
    assert!(even(100).all(|dice| split.choose(None, dice) == Some((ModelId(0), Why::Split))));
}

#[test]
fn shares_are_as_they_are_written() {
    let all = versions(&["1", "2", "3"]);
    let split = split(&all, &[("1", 90), ("3", 0), ("2", 9), ("gone", 50), ("3", 1)], false);
    assert_eq!(split.sum(), 100);
    let mut counts = [0; 3];
    for dice in even(10_000) {
        let (model, why) = split.choose(None, dice).unwrap();
        assert_eq!(why, Why::Split);
        counts[model.index()] += 1;
    }
    assert_eq!(counts, [9_000, 900, 100]);
    // A request without what would lead it is drawn.
    assert_eq!(split.choose(Some(7), 0), Some((ModelId(0), Why::Split)));
    assert_eq!(split.choose(None, u64::MAX), Some((ModelId(2), Why::Split)));
}

#[test]
fn nothing_is_drawn_from_nothing() {
    let all = versions(&["1"]);
    for sticky in [false, true] {
        let split = split(&all, &[("2", 1), ("3", 4)], sticky);
        assert_eq!((split.sum(), split.choose(Some(3), 3), split.choose(None, 3)), (0, None, None));
    }
}

fn led(split: &Split, keys: u64) -> Vec<ModelId> {
    let lead = |at: u64| {
        let (model, why) = split.choose(Some(key(&at.to_le_bytes())), at).unwrap();
        assert_eq!(why, Why::Sticky);
        model
    };
    (0..keys).map(lead).collect()
}

#[test]
fn a_key_stays_unless_its_share_shrinks() {
    const KEYS: u64 = 20_000;
    let all = versions(&["1", "2", "3"]);
    let share = |led: &[ModelId], id| led.iter().filter(|model| model.0 == id).count() as u64 * 100;
    let before = led(&split(&all, &[("1", 95), ("2", 5)], true), KEYS);
    assert!((4 * KEYS..6 * KEYS).contains(&share(&before, 1)));
    assert_eq!(before, led(&split(&all, &[("1", 95), ("2", 5)], true), KEYS));
    let after = led(&split(&all, &[("1", 80), ("2", 20)], true), KEYS);
    assert!((19 * KEYS..21 * KEYS).contains(&share(&after, 1)));
    let moved_back = before.iter().zip(&after).filter(|(one, other)| one.0 == 1 && other.0 == 0);
    assert_eq!(moved_back.count(), 0);
    // Who comes takes from both, and moves nobody between them.
    let third = led(&split(&all, &[("1", 80), ("2", 20), ("3", 10)], true), KEYS);
    assert!(after.iter().zip(&third).all(|(one, other)| one == other || other.0 == 2));
}

#[test]
fn keys_follow_what_is_written() {
    let all = versions(&["1", "2", "3"]);
    let of = |stable: u32| {
        let share = |model, weight| Share::new(Some(ModelId(model)), weight);
        let shares =
            vec![("stable".to_owned(), share(stable, 9)), ("canary".to_owned(), share(2, 1))];
        led(&Split::new(NAME, &all, shares, Some(Sticky::User)), 1_000)
    };
    let (before, after) = (of(0), of(1));
    assert!(before.iter().zip(&after).all(|(one, other)| (one.0 == 2) == (other.0 == 2)));
}

#[test]
fn the_first_that_fits_leads() {
    let fits = |field: &str, value: Option<&str>, model| Match {
        field: field.into(),
        value: value.map(Into::into),
        model: Some(ModelId(model)),
    };
    let matches =
        vec![fits("x-canary", Some("yes"), 1), fits("x-beta", None, 2), fits("x-canary", None, 3)];
    let route = Route::new(NAME, &versions(&[]), Rules { matches, ..Rules::default() });
    let led = |fields: &[(&'static str, &'static [u8])]| {
        route.matching(fields.iter().copied()).map(|it| it.model.unwrap().0)
    };
    assert_eq!(led(&[]), None);
    assert_eq!(led(&[("accept", b"yes")]), None);
    assert_eq!(led(&[("X-Canary", b"yes")]), Some(1));
    assert_eq!(led(&[("x-canary", b"YES")]), Some(3));
    assert_eq!(led(&[("x-canary", b"no"), ("x-canary", b"yes")]), Some(1));
    assert_eq!(led(&[("x-canary", b"no"), ("x-beta", b"")]), Some(2));
    assert!(route.decides());
}

#[test]
fn copies_are_a_share_of_all() {
    let drawn = |share| {
        let shadow = Shadow { model: ModelId(0), share };
        even(10_000).filter(|dice| shadow.is_drawn(*dice)).count()
    };
    assert_eq!([0, 1, 250, 10_000].map(drawn), [0, 1, 250, 10_000]);
}
