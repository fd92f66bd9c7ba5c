//! The part of an explanation that says who may enter: the decisions of admission, and a line for each thing they looked at.

use std::net::IpAddr;

use crate::admission;
use crate::admission::Caller;
use crate::admission::Finding;
use crate::admission::Head;
use crate::admission::Matter;
use crate::admission::Memory;
use crate::admission::Note;
use crate::admission::Refusal;
use crate::admission::WhenFull;
use crate::admission::chain::Kind;
use crate::admission::chain::LevelKind;
use crate::admission::chain::Link;
use crate::admission::chain::Quorum;
use crate::admission::limit::Limit;
use crate::snapshot::Snapshot;
use crate::snapshot::explain::Asked;
use crate::units::ModelId;
use crate::units::TenantId;
use crate::wire::head::BodyLength;
use crate::wire::head::Field;
use crate::wire::head::Fields;
use crate::wire::head::Method;
use crate::wire::head::RequestHead;
use crate::wire::head::Version;
use crate::wire::head::is_same_name;

/// Why a request is not let in: its status and words.
pub(super) type Stopped = (u16, String);

/// Decides about the head of `asked`; `say` gets a line for each thing that was looked at.
pub(super) fn enter(
    snapshot: &Snapshot,
    asked: &Asked<'_>,
    mut say: impl FnMut(String),
) -> Result<Caller, Stopped> {
    let table = &snapshot.admission;
    let address = asked.address();
    let caller = if let Some(name) = asked.tenant {
        let is_called = |tenant: &admission::TenantPolicy| &*tenant.name == name;
        let Some(place) = table.tenants.iter().position(is_called) else {
            return Err((403, format!("no tenant is called \"{name}\"")));
        };
        let tenant = u32::try_from(place).ok().map(TenantId);
        say(format!("as if a credential had shown that the tenant {name} asks; none is looked at"));
        let levels = [
            (LevelKind::Listen, Some(&table.listen)),
            (LevelKind::Tenant, tenant.and_then(|id| table.tenant(id)).map(|tenant| &tenant.level)),
        ];
        for (kind, level) in levels {
            let Some(level) = level.filter(|level| level.chain.has_address()) else { continue };
            let verdict = level.addresses.as_ref().map(|addresses| addresses.verdict(address));
            let finding = verdict.map_or(Finding::Nothing, Finding::Address);
            say(line(
                snapshot,
                address,
                Note { level: kind, matter: Matter::Link(Link::Address), finding },
            ));
            if verdict.is_some_and(|verdict| !verdict.is_allowed()) {
                return Err(stopped(Refusal::AddressDenied));
            }
        }
        Caller { tenant, ..Caller::default() }
    } else {
        let mut memory = Memory::new(1);
        let fields: Vec<Field<'_>> = asked.fields.iter().map(field).collect();
        let request = head(asked, &fields);
        let head = Head { request: &request, address };
        let note = |note| say(line(snapshot, address, note));
        admission::enter(table, &snapshot.keys, &mut memory, &head, asked.now_unix_ms, note)
            .map_err(stopped)?
    };
    if let Some(text) = who(snapshot, &caller) {
        say(text);
    }
    if caller.signature.is_some() {
        say("its nonce, and the digest of its body, are looked at when it is sent".to_owned());
    }
    Ok(caller)
}

/// Decides whether the caller may have a model, and says what is still to come.
pub(super) fn authorize(
    snapshot: &Snapshot,
    asked: &Asked<'_>,
    caller: &Caller,
    model: ModelId,
    mut say: impl FnMut(String),
) -> Result<(), Stopped> {
    let (table, keys, address) = (&snapshot.admission, &*snapshot.keys, asked.address());
    let note = |note| say(line(snapshot, address, note));
    let authorized =
        admission::authorize(table, keys, caller, address, model, note).map_err(stopped)?;
    if authorized.has_normalize {
        say("parameters of the body get the model's defaults and bounds".to_owned());
    }
    if !authorized.has_limits {
        return Ok(());
    }
    for limit in admission::limits(table, keys, caller, model) {
        say(self::limit(limit));
    }
    let rules = caller.claims.as_deref().map(|claims| claims.rules).unwrap_or_default();
    for rule in rules.into_iter().flatten() {
        say(format!("limit of the token's subject: {} {}", rule.limit(), rule.kind().label()));
    }
    let tenant = caller.tenant.and_then(|tenant| table.tenant(tenant));
    let of_model = table.model(model).and_then(|model| model.when_full);
    say(match tenant.and_then(|tenant| tenant.when_full).or(of_model) {
        None | Some(WhenFull::Reject) => {
            "where a limit is reached it is refused with 429".to_owned()
        }
        Some(WhenFull::Queue { waiting_max, wait }) => format!(
            "where a limit is reached it waits, for {} ms at most, with {waiting_max} at most",
            wait.as_millis()
        ),
        Some(WhenFull::Degrade) => {
            let other = table.model(model).and_then(|model| table.model(model.degrade_to?));
            let name = other.map_or("another model", |other| &*other.name);
            format!("where a limit is reached it goes to {name}")
        }
    });
    Ok(())
}

fn limit(limit: &Limit) -> String {
    let (rule, scope) = (&limit.rule, limit.scope.label());
    let (number, what) = (rule.limit(), rule.kind().label());
    if rule.is_concurrency() {
        return format!("limit of the {scope}: {number} at once");
    }
    let how = rule.algorithm().label();
    format!(
        "limit of the {scope}: {number} {what} in its time, by {how}, {} at once",
        rule.capacity()
    )
}

fn stopped(refusal: Refusal) -> Stopped {
    (refusal.status(), format!("refused ({}): {}", refusal.label(), refusal.explain()))
}

fn who(snapshot: &Snapshot, caller: &Caller) -> Option<String> {
    let tenant = caller.tenant.and_then(|tenant| snapshot.admission.tenant(tenant));
    let mut text = match tenant {
        Some(tenant) => format!("it is asked by the tenant {}", tenant.name),
        None if caller.has_used_credential => "it is asked by nobody's tenant".to_owned(),
        None => return None,
    };
    if let Some(key) = caller.key {
        text.push_str(&format!(", with the key {}", snapshot.keys.get(key).name));
    }
    if let Some(user) = caller.user() {
        text.push_str(&format!(", for the user {user:?}"));
    }
    Some(text)
}

/// One thing that was looked at, and what came of it.
fn line(snapshot: &Snapshot, address: IpAddr, note: Note) -> String {
    let matter = match note.matter {
        Matter::Link(Link::Address) => "address".to_owned(),
        Matter::Link(Link::Credentials { kinds, quorum }) => {
            let names: Vec<&str> = kinds.iter().map(Kind::name).collect();
            let how = if quorum == Quorum::Any { "any" } else { "all" };
            format!("{how} of {}", names.join(", "))
        }
        Matter::Link(Link::Normalize) => "normalize".to_owned(),
        Matter::Link(Link::Limit) => "limit".to_owned(),
        Matter::Link(Link::Step(step)) => format!("step {} of the embedder's", step.0),
        Matter::Credential(kind) => kind.name().to_owned(),
        Matter::TenantModels => "models of the tenant".to_owned(),
        Matter::KeyModels => "models of the key".to_owned(),
        Matter::TokenModels => "models of the token".to_owned(),
    };
    let finding = match note.finding {
        Finding::Passed => "passed".to_owned(),
        Finding::Address(verdict) => {
            let word = if verdict.is_allowed() { "passed" } else { "refused" };
            format!("{word}, {address}: {}", verdict.explain())
        }
        Finding::Key(key) => format!("passed, it is the key {}", snapshot.keys.get(key).name),
        Finding::Nothing => match note.matter {
            Matter::Credential(_) => "passed over, none was sent".to_owned(),
            _ => "passed, there is no list".to_owned(),
        },
        Finding::Before => "passed before".to_owned(),
        Finding::Unasked => "not asked, it lives on shards only".to_owned(),
        Finding::Refused(refusal) => format!("refused: {}", refusal.label()),
    };
    format!("{}: {matter}: {finding}", note.level.name())
}

fn field((name, value): &(String, String)) -> Field<'_> {
    Field { name, value: value.as_bytes() }
}

/// The head as the wire would have read it. Nothing of it is ever sent.
fn head<'a>(asked: &Asked<'a>, fields: &'a [Field<'a>]) -> RequestHead<'a, 'a> {
    let (path, query) = match asked.path.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (asked.path, None),
    };
    let mut hosts = asked.fields.iter().filter(|(name, _)| is_same_name(name, "host"));
    RequestHead {
        bytes: 0,
        method: Method::from_text(asked.method),
        method_text: asked.method,
        path,
        query,
        authority: hosts.next().map_or("", |(_, host)| host),
        version: Version::Http11,
        fields: Fields(fields),
        body: BodyLength::Empty,
        is_keep_alive: true,
        expects_continue: false,
    }
}
