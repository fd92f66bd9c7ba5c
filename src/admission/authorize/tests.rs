//! Who may have which model, and what is done then.

use super::*;
use crate::admission::address::AddressSet;
use crate::admission::limit::Scope;
use crate::admission::tests::ACME;
use crate::admission::tests::Authorized;
use crate::admission::tests::HUGE;
use crate::admission::tests::LARGE;
use crate::admission::tests::SMALL;
use crate::admission::tests::World;
use crate::admission::tests::bearer;
use crate::admission::tests::limit;
use crate::admission::tests::token;

const OWN: &str = "x-api-key: sk-own\r\n";
const NARROW: &str = "x-api-key: sk-narrow\r\n";

#[track_caller]
fn enter(world: &mut World, line: &str) -> Caller {
    world.enter(&[line]).unwrap()
}

#[test]
fn each_list_must_have_the_model() {
    let mut world = World::new("any key jwt");
    world.table.tenants[ACME.index()].models = Some([SMALL, LARGE].into_iter().collect());
    let (own, narrow) = (enter(&mut world, OWN), enter(&mut world, NARROW));
    let by_token = enter(&mut world, &bearer(&token("acme", ",\"models\":[\"large\",\"huge\"]")));
    let mut may =
        |caller: &Caller| [SMALL, LARGE, HUGE].map(|model| world.authorize(caller, model).is_ok());
    assert_eq!(may(&own), [true, true, false]);
    assert_eq!(may(&narrow), [true, false, false]);
    assert_eq!(may(&by_token), [false, true, false]);
    assert_eq!(may(&Caller::default()), [true, true, true]);
    assert_eq!(world.authorize(&narrow, LARGE), Err(Refusal::ModelDenied));
    assert_eq!(
        world.noted(),
        ["tenant models of the tenant: Passed", "tenant models of the key: Refused(ModelDenied)"]
    );
    assert_eq!(world.authorize(&by_token, SMALL), Err(Refusal::ModelDenied));
    assert_eq!(world.noted()[1], "tenant models of the token: Refused(ModelDenied)");
}

#[test]
fn a_model_has_addresses_and_credentials_of_its_own() {
    let mut world = World::new("any key jwt")
        .model(SMALL, "address")
        .model(LARGE, "jwt")
        .model(HUGE, "all key signature");
    let denied = AddressSet::new(&[], &[("10.0.0.0".parse().unwrap(), 8)]);
    world.table.models[SMALL.index()].level.addresses = Some(denied);
    let own = enter(&mut world, OWN);
    let by_token = enter(&mut world, &bearer(&token("acme", "")));
    assert_eq!(world.authorize(&own, SMALL), Err(Refusal::AddressDenied));
    assert_eq!(world.noted().last().unwrap(), "model address: Address(Denied)");
    assert_eq!(world.authorize(&own, LARGE), Err(Refusal::CredentialInsufficient));
    assert_eq!(world.noted().last().unwrap(), "model jwt: Refused(CredentialInsufficient)");
    assert!(world.authorize(&by_token, LARGE).is_ok());
    assert_eq!(world.noted().last().unwrap(), "model jwt: Before");
    assert_eq!(world.authorize(&own, HUGE), Err(Refusal::CredentialInsufficient));
    let mut world = world.model(HUGE, "any key signature");
    assert!(world.authorize(&own, HUGE).is_ok());
    assert_eq!(world.authorize(&by_token, HUGE), Err(Refusal::CredentialInsufficient));
}

#[test]
fn every_limit_that_applies_is_named_once() {
    let mut world = World::new("any key jwt > limit");
    let tenant = &mut world.table.tenants[ACME.index()];
    tenant.limits = Box::new([limit(1, Scope::Tenant), limit(2, Scope::Tenant)]);
    tenant.model_limits = Box::new([
        (SMALL, Box::new([limit(3, Scope::TenantModel)])),
        (HUGE, Box::new([limit(4, Scope::TenantModel)])),
    ]);
    world.table.models[LARGE.index()].limits = Box::new([limit(5, Scope::Model)]);
    let (own, narrow) = (enter(&mut world, OWN), enter(&mut world, NARROW));
    let beta = enter(&mut world, "x-api-key: sk-beta\r\n");
    let named = |caller: &Caller, model: ModelId| -> Vec<u32> {
        limits(&world.table, &world.keys, caller, model).map(|limit| limit.id.0).collect()
    };
    assert_eq!(named(&own, SMALL), [1, 2, 3]);
    assert_eq!(named(&own, LARGE), [1, 2, 5]);
    assert_eq!(named(&own, HUGE), [1, 2, 4]);
    assert_eq!(named(&narrow, SMALL), [1, 2, 20, 3]);
    assert_eq!(named(&beta, LARGE), [5]);
    assert_eq!(named(&beta, SMALL), [0; 0]);
    assert_eq!(named(&Caller::default(), LARGE), [5]);
    assert!(world.authorize(&beta, LARGE).unwrap().has_limits);
    assert!(!world.authorize(&beta, SMALL).unwrap().has_limits);
    // A token may bring rules of its own.
    let by_token = enter(&mut world, &bearer(&token("beta", ",\"rpm\":60")));
    assert!(world.authorize(&by_token, SMALL).unwrap().has_limits);
}

#[test]
fn normalizing_and_limiting_are_done_once_in_the_order_that_comes_first() {
    for (listen, tenant, model, limits, normalizes, first) in [
        ("key", "", "", false, false, false),
        ("key > limit > normalize", "normalize > limit", "", true, true, false),
        ("key > normalize > limit", "limit > normalize", "limit", true, true, true),
        ("key > limit", "", "normalize", true, true, false),
        ("key", "normalize", "limit", true, true, true),
        ("key", "limit", "", true, false, false),
    ] {
        let mut world = World::new(listen).tenant(ACME, tenant).model(SMALL, model);
        world.table.models[SMALL.index()].limits = Box::new([limit(1, Scope::Model)]);
        world.table.models[SMALL.index()].parameters = Some(Box::default());
        let own = enter(&mut world, OWN);
        let authorized = world.authorize(&own, SMALL).unwrap();
        let expected = Authorized {
            has_limits: limits,
            has_normalize: normalizes,
            normalizes_first: first,
            has_steps: false,
        };
        assert_eq!(authorized, expected, "{listen}, {tenant}, {model}");
        let late: Vec<Late> = late(&world.table, &own, SMALL).collect();
        assert_eq!(late.len(), usize::from(limits) + usize::from(normalizes));
        assert!(!normalizes || !limits || (late[0] == Late::Normalize) == first);
        // Where the model has no parameters there is nothing to normalize.
        world.table.models[SMALL.index()].parameters = None;
        assert!(!world.authorize(&own, SMALL).unwrap().has_normalize);
    }
}
