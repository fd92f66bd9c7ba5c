//! A small world that the tests of the decisions share: two tenants, three models, every kind of credential.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;

use super::*;
use crate::admission::chain::Listed;
use crate::admission::jwks::KeySet;
use crate::admission::key::Key;
use crate::admission::key::KeyDigest;
use crate::admission::limit::Algorithm;
use crate::admission::limit::Kind;
use crate::admission::limit::Rule;
use crate::admission::limit::Scope;
use crate::units::QuotaId;
use crate::wire::http1::parse;
use crate::wire::http1::parse::Slots;

pub(super) const NOW_S: u64 = 1_000_000;
pub(super) const ACME: TenantId = TenantId(0);
pub(super) const BETA: TenantId = TenantId(1);
pub(super) const SMALL: ModelId = ModelId(0);
pub(super) const LARGE: ModelId = ModelId(1);
pub(super) const HUGE: ModelId = ModelId(2);
const SECRET: &[u8] = b"a secret of thirty-two bytes, or more";

/// What is done for a request that may have its model, as `late` and `limits` say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Authorized {
    /// Whether limits apply.
    pub(super) has_limits: bool,
    /// Whether parameters have defaults or bounds.
    pub(super) has_normalize: bool,
    /// Whether parameters come before limits.
    pub(super) normalizes_first: bool,
    /// Whether steps of the embedder's are still to be asked.
    pub(super) has_steps: bool,
}

/// All that a decision is made of.
pub(super) struct World {
    pub(super) table: Table,
    pub(super) keys: Keys,
    pub(super) memory: Memory,
    pub(super) address: IpAddr,
    pub(super) now_s: u64,
    pub(super) notes: Vec<Note>,
}

/// `a` for one, `any a b`, `all a b`; several with `>` between.
pub(super) fn chain(level: LevelKind, text: &str) -> Chain {
    let listed: Vec<Listed> = text
        .split('>')
        .map(str::trim)
        .filter(|entry| !entry.is_empty())
        .map(|entry| {
            let mut words = entry.split(' ').map(str::to_owned);
            match (words.next().unwrap(), words.collect::<Vec<String>>()) {
                (word, rest) if word == "any" => Listed::Any(rest),
                (word, rest) if word == "all" => Listed::All(rest),
                (word, _) => Listed::One(word),
            }
        })
        .collect();
    Chain::compile(level, &listed, &["first", "second"], |_, _| String::new()).unwrap()
}

pub(super) fn limit(number: u32, scope: Scope) -> Limit {
    let rule = Rule::new(Kind::Requests, Algorithm::TokenBucket, 60, Duration::from_secs(60), None);
    Limit { id: QuotaId(number), scope, rule }
}

fn tenant(name: &str) -> TenantPolicy {
    TenantPolicy {
        name: name.into(),
        level: Level::default(),
        models: None,
        limits: Box::default(),
        model_limits: Box::default(),
        when_full: None,
        priority: queue::Priority::Normal,
        resume: None,
        throttle: None,
    }
}

fn model(name: &str) -> ModelPolicy {
    ModelPolicy {
        name: name.into(),
        level: Level::default(),
        limits: Box::default(),
        when_full: None,
        degrade_to: None,
        parameters: None,
        output_tokens: 1024,
    }
}

fn key(secret: &str, name: &str, tenant: TenantId) -> (KeyDigest, Key) {
    let key = Key {
        name: name.into(),
        tenant,
        expires_unix_s: None,
        models: None,
        limits: Box::default(),
    };
    (KeyDigest::of(secret.as_bytes()), key)
}

impl World {
    /// A world whose listener has this chain.
    pub(super) fn new(listen: &str) -> Self {
        let mut signers = signature::Signers::new(300);
        signers.add("acme-signs", SECRET, Some(ACME)).unwrap();
        signers.add("beta-signs", SECRET, Some(BETA)).unwrap();
        let issuer = jwt::Issuer {
            issuer: Some("login".into()),
            keys: KeySet::secret(SECRET, &[]).unwrap(),
            claims: jwt::ClaimNames {
                tenant: Some("org".into()),
                models: Some("models".into()),
                requests_per_minute: Some("rpm".into()),
                ..jwt::ClaimNames::default()
            },
            tenants: [("acme".into(), ACME), ("beta".into(), BETA)].into(),
            ..jwt::Issuer::default()
        };
        let own = key("sk-own", "own", ACME);
        let mut late = key("sk-late", "late", ACME);
        late.1.expires_unix_s = Some(NOW_S);
        let mut narrow = key("sk-narrow", "narrow", ACME);
        narrow.1.models = Some([SMALL].into_iter().collect());
        narrow.1.limits = Box::new([limit(20, Scope::Key)]);
        let lost = key("sk-lost", "lost", TenantId(9));
        let beta = key("sk-beta", "beta", BETA);
        // It looks like a token and is a key.
        let dotted = key("a.b.c", "dotted", ACME);
        Self {
            table: Table {
                listen: Level { chain: chain(LevelKind::Listen, listen), addresses: None },
                tenants: vec![tenant("acme"), tenant("beta")],
                models: vec![model("small"), model("large"), model("huge")],
                model_names: [("small".into(), SMALL), ("large".into(), LARGE)].into(),
                issuers: vec![issuer],
                signers,
                identity: Identity::default(),
            },
            keys: Keys::new([own, late, narrow, lost, beta, dotted].into_iter()).unwrap(),
            memory: Memory::new(16),
            address: Ipv4Addr::new(10, 0, 0, 1).into(),
            now_s: NOW_S,
            notes: Vec::new(),
        }
    }

    pub(super) fn tenant(mut self, tenant: TenantId, text: &str) -> Self {
        self.table.tenants[tenant.index()].level.chain = chain(LevelKind::Tenant, text);
        self
    }

    pub(super) fn model(mut self, model: ModelId, text: &str) -> Self {
        self.table.models[model.index()].level.chain = chain(LevelKind::Model, text);
        self
    }

    /// Decides about a request with these lines in its head.
    pub(super) fn enter(&mut self, lines: &[&str]) -> Result<Caller, Refusal> {
        let text = format!("GET /v1/models HTTP/1.1\r\nhost: h\r\n{}\r\n", lines.concat());
        let mut slots = Slots::new();
        let request = parse::request(text.as_bytes(), &mut slots).unwrap().unwrap();
        let head = Head { request: &request, address: self.address };
        self.notes.clear();
        let notes = &mut self.notes;
        enter(&self.table, &self.keys, &mut self.memory, &head, self.now_s * 1000 + 999, |note| {
            notes.push(note);
        })
    }

    pub(super) fn authorize(
        &mut self,
        caller: &Caller,
        model: ModelId,
    ) -> Result<Authorized, Refusal> {
        self.notes.clear();
        let notes = &mut self.notes;
        authorize(&self.table, &self.keys, caller, self.address, model, |note| notes.push(note))?;
        let mut authorized = Authorized::default();
        for late in late(&self.table, caller, model) {
            match late {
                Late::Normalize => {
                    authorized.has_normalize =
                        self.table.model(model).is_some_and(|model| model.parameters.is_some());
                    authorized.normalizes_first = !authorized.has_limits;
                }
                Late::Limit => authorized.has_limits = self.has_limits(caller, model),
                Late::Step(_) => authorized.has_steps = true,
            }
        }
        Ok(authorized)
    }

    fn has_limits(&self, caller: &Caller, model: ModelId) -> bool {
        let of_claims =
            caller.claims.as_ref().is_some_and(|claims| claims.rules.iter().any(Option::is_some));
        of_claims || limits(&self.table, &self.keys, caller, model).next().is_some()
    }

    /// What was noted, a line for each.
    pub(super) fn noted(&self) -> Vec<String> {
        let line = |note: &Note| {
            let matter = note.matter.describe(&["first", "second"]);
            format!("{} {matter}: {:?}", note.level.name(), note.finding)
        };
        self.notes.iter().map(line).collect()
    }
}

pub(super) fn bearer(credential: &str) -> String {
    format!("authorization: Bearer {credential}\r\n")
}

/// A token of the world's issuer; `claims` are more members.
pub(super) fn token(org: &str, claims: &str) -> String {
    let exp = NOW_S + 600;
    let payload =
        format!("{{\"iss\":\"login\",\"sub\":\"ann\",\"org\":\"{org}\",\"exp\":{exp}{claims}}}");
    let header = URL_SAFE_NO_PAD.encode("{\"alg\":\"HS256\"}");
    let message = format!("{header}.{}", URL_SAFE_NO_PAD.encode(payload));
    let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET), message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(mac))
}

/// A signature over the head that [`World::enter`] makes.
pub(super) fn signed(id: &str) -> String {
    let base = format!("(request-target): get /v1/models\n(created): {NOW_S}\nhost: h");
    let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET), base.as_bytes());
    format!(
        "authorization: Signature keyId=\"{id}\",algorithm=\"hs2019\",created={NOW_S},\
         headers=\"(request-target) (created) host\",signature=\"{}\"\r\n",
        STANDARD.encode(mac)
    )
}

#[test]
fn sets_of_models_are_in_order_and_have_each_once() {
    let set: ModelSet = [HUGE, SMALL, HUGE].into_iter().collect();
    assert_eq!(set.models(), [SMALL, HUGE]);
    assert!(set.contains(HUGE) && !set.contains(LARGE));
}

#[test]
fn refusals_have_labels_of_their_own_and_codes_that_fit_their_status() {
    for (index, refusal) in Refusal::ALL.iter().enumerate() {
        assert_eq!(refusal.index(), index);
        assert_eq!(refusal.www_authenticate().is_some(), refusal.status() == 401);
        assert!((400..=599).contains(&refusal.status()) && refusal.explain().ends_with('.'));
        let others = Refusal::ALL.iter().filter(|other| other.label() == refusal.label());
        assert_eq!(others.count(), 1, "{}", refusal.label());
    }
    assert_eq!(Refusal::COUNT, Refusal::ALL.len());
    // Whoever holds an expired or revoked key reads what whoever guesses reads.
    let told = |refusal: Refusal| {
        (refusal.status(), refusal.code(), refusal.explain(), refusal.www_authenticate())
    };
    assert_eq!(told(Refusal::KeyUnknown), told(Refusal::KeyExpired));
    assert_eq!(told(Refusal::SignatureKeyUnknown), told(Refusal::SignatureWrong));
}
