//! What deciding costs: the body read, the model found, the endpoint chosen, an error written.

mod credentials;
mod harness;

use std::hint::black_box;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::time::Duration;

use harness::Harness;
use ringway::admission;
use ringway::admission::Caller;
use ringway::admission::Head;
use ringway::admission::Keys;
use ringway::admission::Level;
use ringway::admission::Memory;
use ringway::admission::ModelPolicy;
use ringway::admission::TenantPolicy;
use ringway::admission::address::AddressSet;
use ringway::admission::chain::Chain;
use ringway::admission::chain::Configured;
use ringway::admission::key::Key;
use ringway::admission::key::KeyDigest;
use ringway::admission::key::mint;
use ringway::admission::limit::Algorithm;
use ringway::admission::limit::Kind;
use ringway::admission::limit::Limit;
use ringway::admission::limit::Rule;
use ringway::admission::limit::Scope;
use ringway::admission::queue::Priority;
use ringway::balance::choose;
use ringway::balance::choose::Standing;
use ringway::balance::choose::Strategy;
use ringway::balance::choose::Turn;
use ringway::balance::choose::View;
use ringway::balance::hash;
use ringway::balance::hash::Ring;
use ringway::balance::load::PeakEwma;
use ringway::balance::load::slow_start;
use ringway::llm::dialect;
use ringway::llm::dialect::Dialect;
use ringway::llm::dialect::ErrorText;
use ringway::llm::edit;
use ringway::llm::edit::Edit;
use ringway::llm::features;
use ringway::llm::request;
use ringway::route::Entry;
use ringway::route::Table;
use ringway::route::path;
use ringway::units::ModelId;
use ringway::units::Moment;
use ringway::units::QuotaId;
use ringway::units::TenantId;
use ringway::wire::http1::parse;
use ringway::wire::http1::parse::Slots;
use serde::Deserialize;

/// What a tree-less reading with serde_json has to name.
#[derive(Deserialize)]
struct Asked<'b> {
    #[serde(borrow)]
    model: std::borrow::Cow<'b, str>,
    #[serde(default)]
    stream: bool,
    max_tokens: Option<u64>,
}

fn main() {
    let mut harness = Harness::from_args();
    for (name, turns) in [("1.1 KB", 3), ("20 KB", 58), ("205 KB", 600)] {
        let body = chat(turns);
        harness.run(&format!("peek: {name}"), || {
            black_box(request::peek(black_box(body.as_bytes())).expect("it is JSON"));
        });
        harness.run(&format!("the same by serde_json: {name}"), || {
            let asked: Asked<'_> =
                serde_json::from_slice(black_box(body.as_bytes())).expect("it is JSON");
            black_box((asked.model, asked.stream, asked.max_tokens));
        });
    }
    choices(&mut harness);
    balance(&mut harness);
    keys_of_bodies(&mut harness);
    plan(&mut harness);
    addresses(&mut harness);
    entering(&mut harness);
    texts(&mut harness);
    credentials::tokens(&mut harness);
    credentials::signed_request(&mut harness);
    harness.finish();
}

/// A conversation of some turns, with what real ones have in them: line ends, quotes, letters beyond ASCII.
fn chat(turns: usize) -> String {
    let mut body =
        "{\"model\":\"model-7\",\"stream\":true,\"max_tokens\":512,\"messages\":[".to_owned();
    for turn in 0..turns {
        let role = if turn % 2 == 0 { "user" } else { "assistant" };
        let comma = if turn == 0 { "" } else { "," };
        body.push_str(&format!(
            "{comma}{{\"role\":\"{role}\",\"content\":\"This is turn {turn} of a conversation.\\n\\nIt has \
             \\\"quoted words\\\", caf\u{e9}s, a list:\\n- one\\n- two, and some more plain text so that it is as \
             long as what people write to a model, which is rather long: it goes on like this for a while, until \
             it has said what it had to say.\"}}"
        ));
    }
    body.push_str("]}");
    body
}

fn table(models: usize) -> Table {
    let names: Vec<String> = (0..models).map(|index| format!("model-{index}")).collect();
    let aliases: Vec<[String; 1]> = (0..models).map(|index| [format!("alias-{index}")]).collect();
    let entries: Vec<Entry<'_>> = names
        .iter()
        .zip(&aliases)
        .map(|(name, aliases)| Entry { name, version: None, aliases, is_default: false })
        .collect();
    Table::new(&entries).expect("the names differ")
}

fn choices(harness: &mut Harness) {
    for models in [1, 1000] {
        let table = table(models);
        let name = format!("model-{}", models / 2);
        harness.run(&format!("route: a name among {models}"), || {
            black_box(table.pick(black_box(&name)));
        });
    }
}

/// Which endpoint, by each strategy, among endpoints that differ in all that is looked at.
fn balance(harness: &mut Harness) {
    for count in [1, 3, 8, 64] {
        let views: Vec<View> = (0..count)
            .map(|index| View {
                weight: 100 * (1 + index % 3),
                load: 5 + index * 7 % 11,
                latency_us: 20_000 + index * 7919 % 5000,
                standing: if index == 2 { Standing::Open } else { Standing::Usable },
            })
            .collect();
        let urls: Vec<String> = (0..count).map(|index| format!("http://10.0.0.{index}")).collect();
        let weights = views.iter().map(|view| view.weight);
        let ring = Ring::new(urls.iter().map(String::as_str).zip(weights), 125);
        for &strategy in Strategy::ALL {
            let mut turn = Turn::default();
            let mut dice = 1_u64;
            harness.run(&format!("choose: {} of {count}", strategy.label()), || {
                dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(99);
                let views = black_box(&views);
                black_box(turn.choose(strategy, views, Some(&ring), Some(dice), dice));
            });
        }
        harness.run(&format!("choose: the least bad of {count}"), || {
            black_box(choose::least_bad(black_box(&views)));
        });
    }
    let mut ewma = PeakEwma::default();
    let mut now = Moment::from_nanos(1);
    harness.run("latency: one more seen, and read", || {
        now = now.after(Duration::from_micros(50));
        ewma.observe(black_box(Duration::from_millis(20)), now);
        black_box(ewma.value(now));
    });
    harness.run("slow start: a weight on its way", || {
        let (age, window) = (Duration::from_secs(20), Duration::from_secs(60));
        black_box(slow_start(black_box(300), black_box(age), black_box(window)));
    });
}

/// What a body tells about where it is best sent.
fn keys_of_bodies(harness: &mut Harness) {
    harness.run("hash: a session's id", || {
        black_box(hash::key(black_box(b"7f9c24e8-3b12-4c1f-9f4e-0123456789ab")));
    });
    for (name, turns) in [("1.1 KB", 3), ("20 KB", 58), ("205 KB", 600)] {
        let body = chat(turns);
        harness.run(&format!("features: 1 KB of the prompt of {name}"), || {
            black_box(features::prompt_fingerprint(black_box(body.as_bytes()), 1024));
        });
        harness.run(&format!("features: no tools in {name}"), || {
            black_box(features::has_tools(black_box(body.as_bytes())));
        });
        harness.run(&format!("features: no user in {name}"), || {
            black_box(features::user(black_box(body.as_bytes())));
        });
    }
}

/// All that is decided about a request, from its bytes: what `shard::plan` calls, in its order.
fn plan(harness: &mut Harness) {
    let body = chat(2);
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: gateway.local\r\naccept: application/json\r\n\
         content-type: application/json\r\nauthorization: Bearer sk-0123456789abcdef\r\n\
         user-agent: bench/1\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let table = table(100);
    harness.run(&format!("plan: head, path, body of {} bytes, model", body.len()), || {
        let mut slots = Slots::new();
        let head = parse::request(black_box(head.as_bytes()), &mut slots)
            .expect("it is well formed")
            .expect("it is whole");
        let destination = path::destination(head.method, head.path);
        let ask = request::peek(black_box(body.as_bytes())).expect("it is JSON");
        let name = ask.named_model().expect("it names a model");
        black_box((destination.is_ok(), table.pick(&name.decode()), ask.is_stream));
    });
}

fn texts(harness: &mut Harness) {
    let mut out = Vec::with_capacity(4 << 10);
    let text = ErrorText {
        status: 404,
        message: "The model `nonesuch` does not exist. GET /v1/models lists those that do.",
        kind: None,
        param: Some("model"),
        code: Some("model_not_found"),
    };
    harness.run("error body", || {
        out.clear();
        dialect::error_body(Dialect::OpenAi, black_box(&text), "0123456789abcdef", &mut out);
    });
    let body = chat(3);
    let span =
        request::peek(body.as_bytes()).expect("it is JSON").model.expect("it names a model").span;
    harness.run("rewrite: another model's name into 1.1 KB", || {
        out.clear();
        let edit = Edit::new(span.clone(), b"\"another-model\"");
        edit::apply(black_box(body.as_bytes()), &[edit], &mut out);
    });
}

/// A secret for each number.
fn secret(number: usize) -> String {
    let mut random = [7; 32];
    random[..8].copy_from_slice(&number.to_le_bytes());
    mint(random).secret
}

fn keys(count: usize) -> Keys {
    let key = |number: usize| Key {
        name: format!("key-{number:06}").into(),
        tenant: TenantId(0),
        expires_unix_s: Some(u64::MAX - 1),
        models: Some((0..50).map(ModelId).collect()),
        limits: Box::default(),
    };
    let keys = (0..count).map(|number| (KeyDigest::of(secret(number).as_bytes()), key(number)));
    Keys::new(keys).expect("the secrets differ")
}

/// Networks far apart and of many lengths, in both families.
fn networks(count: u32) -> AddressSet {
    let spread = |number: u32| number.wrapping_mul(0x9E37_79B9);
    let network = |number: u32| -> (IpAddr, u8) {
        if number.is_multiple_of(2) {
            (Ipv4Addr::from_bits(spread(number)).into(), 20 + (number % 11) as u8)
        } else {
            let bits = 0x2001_u128 << 112 | u128::from(spread(number)) << 64;
            (Ipv6Addr::from_bits(bits).into(), 48 + (number % 17) as u8)
        }
    };
    let deny: Vec<(IpAddr, u8)> = (0..count).map(network).collect();
    AddressSet::new(&[(Ipv4Addr::UNSPECIFIED.into(), 0), (Ipv6Addr::UNSPECIFIED.into(), 0)], &deny)
}

fn addresses(harness: &mut Harness) {
    for count in [10, 100_000] {
        let set = networks(count);
        let mut number = 0_u32;
        harness.run(&format!("admission: an IPv4 address among {count} networks"), || {
            number = number.wrapping_add(0x9E37_79B9);
            black_box(set.verdict(Ipv4Addr::from_bits(number).into()));
        });
        harness.run(&format!("admission: an IPv6 address among {count} networks"), || {
            number = number.wrapping_add(0x9E37_79B9);
            let bits = 0x2001_u128 << 112 | u128::from(number) << 64;
            black_box(set.verdict(Ipv6Addr::from_bits(bits).into()));
        });
    }
}

/// A world with everything on: an address list, keys, three limits, a list of models.
fn governed() -> admission::Table {
    let limits = |first: u32, scope: Scope| -> Box<[Limit]> {
        [Kind::Requests, Kind::Tokens, Kind::Concurrency]
            .into_iter()
            .zip(first..)
            .map(|(kind, id)| {
                let minute = Duration::from_secs(60);
                let rule = Rule::new(kind, Algorithm::TokenBucket, 600, minute, None);
                Limit { id: QuotaId(id), scope, rule }
            })
            .collect()
    };
    let configured = Configured {
        has_addresses: true,
        has_keys: true,
        has_jwt: true,
        has_limits: true,
        has_parameters: true,
        ..Configured::default()
    };
    admission::Table {
        listen: Level { chain: Chain::default_for(configured), addresses: Some(networks(100_000)) },
        tenants: vec![TenantPolicy {
            name: "acme".into(),
            level: Level {
                chain: Chain::default_for(Configured {
                    has_addresses: true,
                    ..Configured::default()
                }),
                addresses: Some(networks(10)),
            },
            models: Some((0..50).map(ModelId).collect()),
            limits: limits(0, Scope::Tenant),
            model_limits: Box::default(),
            priority: Priority::Normal,
            resume: None,
            throttle: None,
            when_full: None,
        }],
        models: vec![ModelPolicy {
            name: "model".into(),
            level: Level::default(),
            limits: Box::default(),
            when_full: None,
            degrade_to: None,
            parameters: None,
            output_tokens: 1024,
        }],
        issuers: vec![admission::jwt::Issuer::default()],
        ..admission::Table::default()
    }
}

fn entering(harness: &mut Harness) {
    for count in [100, 100_000] {
        let keys = keys(count);
        let secrets: Vec<String> = (0..1024).map(|number| secret(number * 97 % count)).collect();
        let mut turns = secrets.iter().cycle();
        harness.run(
            &format!("admission: a key among {count} ({} bytes each)", keys.bytes() / count),
            || {
                let secret = turns.next().expect("it goes around");
                black_box(keys.find(black_box(secret.as_bytes())).expect("it is there"));
            },
        );
        harness.run(&format!("admission: no key among {count}"), || {
            let secret = turns.next().expect("it goes around");
            black_box(keys.find(black_box(&secret.as_bytes()[1..])).is_some());
        });
    }
    let keys = keys(100_000);
    let table = governed();
    let open = admission::Table::default();
    let mut memory = Memory::new(0);
    let text = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: gateway.local\r\naccept: application/json\r\n\
         content-type: application/json\r\nauthorization: Bearer {}\r\nuser-agent: bench/1\r\n\
         content-length: 10\r\n\r\n",
        secret(5)
    );
    let mut slots = Slots::new();
    let request = parse::request(text.as_bytes(), &mut slots)
        .expect("it is well formed")
        .expect("it is whole");
    let address = Ipv4Addr::new(192, 0, 2, 1).into();
    let head = Head { request: &request, address };
    harness.run("admission: enter without a chain", || {
        black_box(admission::enter(&open, &keys, &mut memory, black_box(&head), 0, |_| {})).ok();
    });
    harness.run("admission: enter with addresses and a key", || {
        let caller = admission::enter(&table, &keys, &mut memory, black_box(&head), 0, |_| {});
        black_box(caller.expect("it may enter"));
    });
    let caller: Caller =
        admission::enter(&table, &keys, &mut memory, &head, 0, |_| {}).expect("it may enter");
    harness.run("admission: authorize, and the limits named", || {
        let model = ModelId(0);
        let may = admission::authorize(&table, &keys, black_box(&caller), address, model, |_| {});
        may.expect("it may have the model");
        let limits = admission::limits(&table, &keys, &caller, model);
        black_box(limits.fold(0, |sum, limit| sum + limit.id.0));
    });
}
