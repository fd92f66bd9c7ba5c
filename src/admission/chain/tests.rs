//! Chains: what may be written, and what is said of what may not.

use super::*;

fn one(name: &str) -> Listed {
    Listed::One(name.to_owned())
}

fn any(names: &[&str]) -> Listed {
    Listed::Any(names.iter().map(|name| (*name).to_owned()).collect())
}

fn all(names: &[&str]) -> Listed {
    Listed::All(names.iter().map(|name| (*name).to_owned()).collect())
}

fn compile(level: LevelKind, listed: &[Listed]) -> Result<Chain, ChainError> {
    Chain::compile(level, listed, &["audit", "geo"], |word, known| {
        format!("is {word} one of {}?", known.join(" "))
    })
}

#[track_caller]
fn wrong(listed: &[Listed], index: usize, text: &str) {
    let error = compile(LevelKind::Listen, listed).unwrap_err();
    assert!(error.index == index && error.text.contains(text), "{error:?}");
}

#[track_caller]
fn shown(chain: &Chain) -> String {
    let links: Vec<String> = chain.links().iter().map(Link::to_string).collect();
    links.join(" > ")
}

#[test]
fn what_makes_sense_is_taken_in_its_order() {
    let listed = [
        one("address"),
        one("geo"),
        any(&["key", "jwt"]),
        one("signature"),
        one("normalize"),
        one("limit"),
    ];
    let chain = compile(LevelKind::Listen, &listed).unwrap();
    assert_eq!(shown(&chain), "address > step 1 > any of key, jwt > signature > normalize > limit");
    assert_eq!((chain.early().len(), chain.late().len()), (4, 2));
    let listed = [all(&["signature", "key"]), one("limit"), one("audit"), one("normalize")];
    let chain = compile(LevelKind::Tenant, &listed).unwrap();
    assert_eq!(shown(&chain), "all of key, signature > limit > step 0 > normalize");
    assert_eq!(chain.early().len(), 1);
    // Credentials before addresses are slower, not wrong.
    assert_eq!(
        shown(&compile(LevelKind::Listen, &[one("key"), one("address")]).unwrap()),
        "key > address"
    );
    assert_eq!(compile(LevelKind::Model, &[]).unwrap(), Chain::default());
}

#[test]
fn what_does_not_is_said_with_its_place() {
    wrong(
        &[one("address"), one("kye")],
        1,
        "no step is called \"kye\": is kye one of address key jwt",
    );
    wrong(&[one("kye")], 0, "limit audit geo?");
    wrong(&[any(&[])], 0, "any names no credential: write { any = [");
    wrong(
        &[any(&["key", "jvt"])],
        0,
        "no credential is called \"jvt\": is jvt one of key jwt signature?",
    );
    wrong(&[all(&["key", "limit"])], 0, "\"limit\" is no credential");
    wrong(&[all(&["key", "audit"])], 0, "\"audit\" is no credential");
    wrong(&[any(&["key", "key"])], 0, "any names \"key\" twice");
    wrong(
        &[one("address"), one("address")],
        1,
        "\"address\" is in this chain twice, first as entry 0",
    );
    wrong(&[one("geo"), one("audit"), one("geo")], 2, "twice, first as entry 0");
    wrong(
        &[one("key"), any(&["jwt", "key"])],
        1,
        "\"key\" is in this chain twice, first as entry 0",
    );
    wrong(&[one("limit"), one("key")], 1, "\"key\" stands behind \"limit\": put it before");
    wrong(&[one("normalize"), one("address")], 1, "\"address\" stands behind \"normalize\"");
    wrong(&[one("limit"), any(&["key", "jwt"])], 1, "{ any = [\"key\", \"jwt\"] } stands behind");
    let model = compile(LevelKind::Model, &[one("audit"), one("address")]).unwrap_err();
    assert!(model.text.contains("stands behind \"a step of yours\""), "{model:?}");
}

#[test]
fn without_a_word_a_chain_is_what_is_configured() {
    let everything = Configured {
        has_addresses: true,
        has_keys: true,
        has_jwt: true,
        has_signatures: true,
        has_limits: true,
        has_parameters: true,
    };
    let chain = Chain::default_for(everything);
    assert_eq!(shown(&chain), "address > any of key, jwt, signature > normalize > limit");
    let keys = Configured { has_keys: true, ..Configured::default() };
    assert_eq!(shown(&Chain::default_for(keys)), "key");
    assert_eq!(Chain::default_for(Configured::default()), Chain::default());
}

#[track_caller]
fn unfit(level: LevelKind, listen: &[Listed], listed: &[Listed]) -> Option<ChainError> {
    let listen = compile(LevelKind::Listen, listen).unwrap();
    compile(level, listed).unwrap().fits(level, &listen, listen.kinds()).err()
}

#[test]
fn a_chain_that_nobody_can_pass_is_refused() {
    let tenant = LevelKind::Tenant;
    assert!(unfit(tenant, &[], &[one("limit")]).unwrap().text.contains("listen.middleware"));
    assert_eq!(unfit(tenant, &[], &[]), None);
    assert_eq!(unfit(tenant, &[one("key")], &[one("signature"), one("limit")]), None);
    let either = [any(&["key", "jwt", "signature"])];
    assert_eq!(unfit(tenant, &either, &[all(&["key", "signature"])]), None);
    assert_eq!(unfit(tenant, &either, &[any(&["key", "jwt"])]), None);
    assert!(unfit(tenant, &either, &[all(&["key", "jwt"])]).unwrap().text.contains("only one of"));
    let apart = unfit(tenant, &either, &[one("key"), one("jwt")]).unwrap();
    assert!(apart.index == 1 && apart.text.contains("only one of"), "{apart:?}");
    assert_eq!(unfit(tenant, &[all(&["key", "jwt"])], &[one("key"), one("jwt")]), None);
    let model = LevelKind::Model;
    assert_eq!(unfit(model, &[one("key")], &[any(&["key", "signature"])]), None);
    assert_eq!(unfit(model, &[], &[one("address"), one("limit")]), None);
    let unchecked = unfit(model, &[one("key")], &[one("address"), all(&["key", "jwt"])]).unwrap();
    assert!(unchecked.index == 1 && unchecked.text.contains("checks jwt: put"), "{unchecked:?}");
}
