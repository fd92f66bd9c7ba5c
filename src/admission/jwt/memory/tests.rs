//! What is remembered, for how long, and that it never grows.

use std::rc::Rc;

use super::TokenMemory;
use crate::admission::jwt::Claims;

fn claims(expires_unix_s: u64) -> Rc<Claims> {
    Rc::new(Claims {
        issuer: 0,
        tenant: None,
        user: "".into(),
        models: None,
        subject: 0,
        rules: [None; 3],
        expires_unix_s,
    })
}

#[test]
fn a_token_is_found_until_it_expires() {
    let mut memory = TokenMemory::new(8);
    memory.remember("a.b.c", claims(100), 50);
    assert!(memory.find("a.b.c", 99).is_some());
    assert!(memory.find("a.b.c", 100).is_none());
    assert!(memory.find("a.b.d", 99).is_none());
    assert!(memory.find("a.b", 99).is_none());
    memory.remember("old", claims(100), 100);
    assert_eq!((memory.len(), memory.bytes()), (1, 5));
}

#[test]
fn all_are_forgotten_at_once() {
    let mut memory = TokenMemory::new(8);
    memory.remember("a.b.c", claims(100), 50);
    memory.forget();
    assert!(memory.find("a.b.c", 50).is_none());
    memory.remember("a.b.c", claims(100), 50);
    assert!(memory.find("a.b.c", 50).is_some());
    assert_eq!((memory.len(), memory.bytes()), (1, 5));
}

#[test]
fn what_is_used_stays() {
    let mut memory = TokenMemory::new(8);
    memory.remember("used", claims(1000), 0);
    for number in 0..1000 {
        memory.remember(&format!("token {number}"), claims(1000), 0);
        assert!(memory.find("used", 0).is_some(), "{number}");
        assert!(memory.len() <= 8);
    }
    assert!(memory.find("token 999", 0).is_some() && memory.find("token 1", 0).is_none());
}

#[test]
fn it_is_bounded_in_number_and_bytes() {
    let mut memory = TokenMemory::with_bytes(64, 1000);
    for number in 0..5000_usize {
        let token = format!("{number} {}", "x".repeat(number * 7 % 400));
        memory.remember(&token, claims(1000), 0);
        assert!(memory.bytes() <= 1000 && memory.len() <= 64);
    }
    let held: usize = memory.places.iter().flatten().map(|entry| entry.token.len()).sum();
    assert_eq!(held, memory.bytes());
    assert_eq!(memory.places.iter().flatten().count(), memory.len());
    memory.remember(&"x".repeat(1001), claims(1000), 0);
    assert!(memory.bytes() <= 1000);
    let mut none = TokenMemory::new(0);
    none.remember("a", claims(1000), 0);
    assert!(none.find("a", 0).is_none() && none.is_empty());
}
