//! Who is let in by the head: every order, every combination, every refusal.

use super::*;
use crate::admission::Late;
use crate::admission::chain::LevelKind;
use crate::admission::tests::ACME;
use crate::admission::tests::BETA;
use crate::admission::tests::SMALL;
use crate::admission::tests::World;
use crate::admission::tests::bearer;
use crate::admission::tests::chain;
use crate::admission::tests::signed;
use crate::admission::tests::token;

#[track_caller]
fn refused(world: &mut World, lines: &[&str], refusal: Refusal) {
    assert_eq!(world.enter(lines).unwrap_err(), refusal, "{lines:?}");
}

const OWN: &str = "x-api-key: sk-own\r\n";

#[test]
fn without_a_chain_everybody_is_nobody_in_particular() {
    let caller = World::new("").enter(&[OWN]).unwrap();
    assert_eq!((caller.tenant, caller.key), (None, None));
    assert!(!caller.has_used_credential && caller.kinds().is_empty());
}

#[test]
fn a_key_names_its_tenant() {
    let mut world = World::new("key");
    for line in [OWN, "api-key: sk-own\r\n", "authorization: bearer sk-own\r\n"] {
        let caller = world.enter(&[line]).unwrap();
        assert_eq!((caller.tenant, world.keys.get(caller.key.unwrap()).name), (Some(ACME), "own"));
        assert!(caller.has_used_credential && caller.user().is_none());
    }
    assert_eq!(world.noted(), ["listen key: Key(KeyId(0))"]);
    assert_eq!(world.enter(&["x-api-key: sk-beta\r\n"]).unwrap().tenant, Some(BETA));
}

#[test]
fn keys_are_refused_for_what_is_wrong_with_them() {
    let mut world = World::new("key");
    refused(&mut world, &[], Refusal::CredentialMissing);
    refused(&mut world, &["authorization: Basic abc\r\n"], Refusal::CredentialMissing);
    refused(&mut world, &[&bearer("sk-none")], Refusal::KeyUnknown);
    assert_eq!(world.noted(), ["listen key: Refused(KeyUnknown)"]);
    refused(&mut world, &[&bearer("sk-ow")], Refusal::KeyUnknown);
    refused(&mut world, &[&bearer("sk-own2")], Refusal::KeyUnknown);
    refused(&mut world, &["x-api-key: \r\n"], Refusal::CredentialMalformed);
    refused(&mut world, &[OWN, "api-key: sk-beta\r\n"], Refusal::CredentialsMany);
    refused(&mut world, &[OWN, OWN], Refusal::CredentialsMany);
    refused(&mut world, &["x-api-key: sk-lost\r\n"], Refusal::TenantUnknown);
    refused(&mut world, &["x-api-key: sk-late\r\n"], Refusal::KeyExpired);
    world.now_s -= 1;
    assert!(world.enter(&["x-api-key: sk-late\r\n"]).is_ok());
    // A token is no key, nor a signature.
    refused(&mut world, &[&bearer(&token("acme", ""))], Refusal::CredentialMissing);
    refused(&mut world, &[&signed("acme-signs")], Refusal::CredentialMissing);
}

#[test]
fn a_key_may_look_like_a_token_where_nobody_issues_any() {
    let mut world = World::new("key");
    refused(&mut world, &["x-api-key: a.b.c\r\n"], Refusal::CredentialMissing);
    world.table.issuers.clear();
    assert!(world.enter(&["x-api-key: a.b.c\r\n"]).is_ok());
}

#[test]
fn a_token_names_its_tenant_and_is_remembered() {
    let mut world = World::new("jwt");
    let line = bearer(&token("acme", ""));
    let caller = world.enter(&[&line]).unwrap();
    assert_eq!((caller.tenant, caller.user()), (Some(ACME), Some("ann")));
    let again = world.enter(&[&line]).unwrap();
    assert!(Rc::ptr_eq(&caller.claims.unwrap(), &again.claims.unwrap()));
    world.now_s += 600;
    refused(&mut world, &[&line], Refusal::TokenExpired);
    world.now_s -= 600;
    refused(&mut world, &[&bearer(&token("none", ""))], Refusal::TenantUnknown);
    refused(&mut world, &[line.split_at(line.len() - 4).0, "AA\r\n"], Refusal::TokenSignature);
    refused(&mut world, &[OWN], Refusal::CredentialMissing);
}

#[test]
fn a_signature_names_its_tenant() {
    let mut world = World::new("signature");
    let caller = world.enter(&[&signed("acme-signs")]).unwrap();
    assert_eq!(caller.tenant, Some(ACME));
    assert!(caller.signature.is_some() && caller.has_used_credential);
    refused(&mut world, &[&signed("nobody")], Refusal::SignatureKeyUnknown);
    refused(&mut world, &[OWN], Refusal::CredentialMissing);
    world.now_s += 301;
    refused(&mut world, &[&signed("acme-signs")], Refusal::SignatureExpired);
}

#[test]
fn any_takes_what_is_there_and_the_failure_of_one_is_final() {
    let mut world = World::new("any key jwt signature");
    let jwt = bearer(&token("acme", ""));
    assert!(world.enter(&[OWN]).unwrap().key.is_some());
    assert_eq!(
        world.noted(),
        ["listen key: Key(KeyId(0))", "listen jwt: Nothing", "listen signature: Nothing"]
    );
    assert!(world.enter(&[&jwt]).unwrap().claims.is_some());
    assert!(world.enter(&[&signed("acme-signs")]).unwrap().signature.is_some());
    refused(&mut world, &[], Refusal::CredentialMissing);
    assert_eq!(world.noted(), ["listen any of key, jwt, signature: Refused(CredentialMissing)"]);
    refused(&mut world, &[OWN, &jwt], Refusal::CredentialsMany);
    refused(&mut world, &[&bearer("a.b.c")], Refusal::TokenMalformed);
    // A signature beside a key: each must pass, and they must agree.
    let both = world.enter(&[OWN, &signed("acme-signs")]).unwrap();
    assert!(both.key.is_some() && both.signature.is_some());
    refused(&mut world, &["x-api-key: no\r\n", &signed("acme-signs")], Refusal::KeyUnknown);
    refused(&mut world, &[OWN, &signed("nobody")], Refusal::SignatureKeyUnknown);
    refused(&mut world, &[OWN, &signed("beta-signs")], Refusal::TenantMismatch);
}

#[test]
fn all_takes_each_and_they_must_agree() {
    for listen in ["all key jwt", "key > jwt", "jwt > address > key"] {
        let mut world = World::new(listen);
        let jwt = bearer(&token("acme", ""));
        let caller = world.enter(&[OWN, &jwt]).unwrap();
        assert!(caller.key.is_some() && caller.claims.is_some());
        refused(&mut world, &[OWN], Refusal::CredentialMissing);
        refused(&mut world, &[&jwt], Refusal::CredentialMissing);
        refused(&mut world, &["x-api-key: sk-beta\r\n", &jwt], Refusal::TenantMismatch);
        refused(&mut world, &[OWN, &bearer(&token("beta", ""))], Refusal::TenantMismatch);
        refused(&mut world, &[OWN, &bearer("sk-own")], Refusal::CredentialMissing);
    }
    let mut world = World::new("all key signature");
    assert!(world.enter(&[OWN, &signed("acme-signs")]).is_ok());
    refused(&mut world, &[OWN, &signed("beta-signs")], Refusal::TenantMismatch);
}

#[test]
fn addresses_and_credentials_are_looked_at_in_the_order_of_the_chain() {
    let elsewhere = || Some(AddressSet::new(&[("192.0.2.0".parse().unwrap(), 24)], &[]));
    for (listen, refusal) in
        [("address > key", Refusal::AddressDenied), ("key > address", Refusal::CredentialMissing)]
    {
        let mut world = World::new(listen);
        world.table.listen.addresses = elsewhere();
        refused(&mut world, &[], refusal);
        refused(&mut world, &[OWN], Refusal::AddressDenied);
        world.address = "192.0.2.9".parse().unwrap();
        assert!(world.enter(&[OWN]).is_ok());
    }
    // Without the step the list is not looked at.
    let mut world = World::new("key");
    world.table.listen.addresses = elsewhere();
    assert!(world.enter(&[OWN]).is_ok());
}

#[test]
fn a_tenant_may_ask_for_more() {
    let mut world = World::new("any key jwt").tenant(ACME, "address > signature > limit");
    refused(&mut world, &[OWN], Refusal::CredentialMissing);
    assert!(world.enter(&["x-api-key: sk-beta\r\n"]).is_ok());
    assert!(world.enter(&[OWN, &signed("acme-signs")]).is_ok());
    let noted = ["listen key: Key(KeyId(0))", "listen jwt: Nothing", "tenant address: Nothing"];
    assert_eq!(world.noted()[..3], noted);
    assert_eq!(world.noted()[3..], ["tenant signature: Passed"]);
    refused(&mut world, &[OWN, &signed("beta-signs")], Refusal::TenantMismatch);
    let denied = AddressSet::new(&[], &[("10.0.0.0".parse().unwrap(), 8)]);
    world.table.tenants[ACME.index()].level.addresses = Some(denied);
    refused(&mut world, &[OWN, &signed("acme-signs")], Refusal::AddressDenied);
    assert_eq!(world.noted().last().unwrap(), "tenant address: Address(Denied)");
    assert!(world.enter(&["x-api-key: sk-beta\r\n"]).is_ok());
}

#[test]
fn what_has_passed_for_the_listener_is_not_asked_for_again() {
    let mut world = World::new("any key jwt").tenant(ACME, "key");
    assert!(world.enter(&[OWN]).is_ok());
    assert_eq!(world.noted().last().unwrap(), "tenant key: Before");
    // By a token one may not come in where the tenant wants a key.
    refused(&mut world, &[&bearer(&token("acme", ""))], Refusal::CredentialMissing);
    let mut world = World::new("all key jwt").tenant(ACME, "any key jwt");
    assert!(world.enter(&[OWN, &bearer(&token("acme", ""))]).is_ok());
}

#[test]
fn only_what_stands_before_limits_is_done_on_the_head() {
    let mut world = World::new("key > limit > first").tenant(ACME, "normalize > second");
    let caller = world.enter(&[OWN]).unwrap();
    assert!(caller.steps.is_empty());
    let late: Vec<_> = crate::admission::late(&world.table, &caller, SMALL).collect();
    let step = |place| Late::Step(StepId(place));
    assert_eq!(late, [Late::Limit, step(0), Late::Normalize, step(1)]);
    // A step that nobody has is no open door.
    world.table.listen.chain = chain(LevelKind::Listen, "key > first");
    refused(&mut world, &[OWN], Refusal::StepFailed);
    world.memory = Memory::for_explanation();
    assert!(world.enter(&[OWN]).is_ok());
    assert_eq!(world.noted().last().unwrap(), "listen first: Unasked");
}
