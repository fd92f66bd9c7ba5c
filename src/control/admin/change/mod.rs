//! Changes at run time: asked for on the admin listener, written to where the config is kept, and served before they are answered.

mod apply;
mod ask;
mod check;
mod document;
mod edit;
mod found;

mod keep;
mod list;
mod rollback;
mod table;
mod values;

use hyper::Method;
use hyper::Request;
use hyper::StatusCode;
use hyper::body::Incoming;
use hyper::header;
use hyper::header::HeaderValue;
use serde_json::Map;
use serde_json::Value as Json;
use serde_json::json;

use crate::admission::key::Minted;
use crate::admission::key::mint;
use crate::control::admin;
use crate::control::admin::Answer;
use crate::control::admin::tally::shown;
use crate::control::endpoints;
use crate::control::state::Shared;
use crate::snapshot::outline;
use crate::sys::clock;
use crate::sys::random;

use apply::Done;
use apply::Keeper;
use apply::Order;
use apply::Scene;
use ask::Place;
use document::Document;
use document::Name;
use edit::Edit;

/// How many digits of the digest make up the id of a key that was given none.
const ID_DIGITS: usize = 8;

/// The pages, as an unknown path lists them.
pub(super) const PAGES: &[(&str, &str)] = &[
    (
        "/admin/upstreams/NAME/endpoints",
        "GET: an upstream's endpoints; PATCH {\"url\", \"weight\", \"drain\"}: changes one of them",
    ),
    ("/admin/models/NAME", "GET, PUT, DELETE: a model, as the config file has it"),
    ("/admin/tenants/NAME", "GET, PUT, DELETE: a tenant, likewise, without secrets"),
    (
        "/admin/tenants/NAME/keys",
        "GET: its keys; POST {\"id\", \"expires\", \"models\", \"limits\"}: makes one, and shows it once",
    ),
    ("/admin/tenants/NAME/keys/ID", "DELETE: that key is refused from now on"),
    ("/admin/rollback?to=NUMBER", "POST: the file is written as it was for an earlier snapshot"),
];

/// Why something is not done.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Refused {
    status: StatusCode,
    /// Each with its field, where it is one's.
    errors: Vec<String>,
}

impl Refused {
    /// Each line of `why` is one thing that is wrong.
    fn new(status: StatusCode, why: impl AsRef<str>) -> Self {
        Self { status, errors: why.as_ref().lines().map(str::to_owned).collect() }
    }

    /// The answer to somebody who wanted a change: a line of the log as well, as there is for what was changed.
    fn audited(&self, who: &str, what: &str) -> Answer {
        let what = shown(what);
        let (status, why) = (self.status.as_u16(), self.errors.first().map(String::as_str));
        tracing::info!(who, what, status, why, "refused by the admin API");
        self.answer()
    }

    fn answer(&self) -> Answer {
        admin::json(self.status, &json!({ "errors": self.errors }))
    }
}

/// Whether something can be changed at this path.
pub(super) fn is_at(path: &str) -> bool {
    path == rollback::PATH || Place::of(path).is_some()
}

/// Shows or changes what is at a path; `who` asks.
pub(super) async fn answer(request: Request<Incoming>, shared: &Shared, who: String) -> Answer {
    let path = request.uri().path().to_owned();
    if path == rollback::PATH {
        return rollback::answer(request, shared, who).await;
    }
    let Some(place) = Place::of(&path) else {
        return Refused::new(StatusCode::NOT_FOUND, format!("nothing is at {path}")).answer();
    };
    if !place.allows(request.method()) {
        return only(place.methods());
    }
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return show(&place, shared).unwrap_or_else(|refused| refused.answer());
    }
    let what = format!("{} {path}", request.method());
    let changed = change(place, request, shared, who.clone()).await;
    changed.unwrap_or_else(|refused| refused.audited(&who, &what))
}

fn only(methods: &'static str) -> Answer {
    let why = format!("only {methods}");
    let mut answer = Refused::new(StatusCode::METHOD_NOT_ALLOWED, why).answer();
    answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static(methods));
    answer
}

/// What is there now; what is answered for a model or a tenant may be put there again.
fn show(place: &Place, shared: &Shared) -> Result<Answer, Refused> {
    let scene = Scene::now(shared)?;
    let number = scene.state.snapshot.number;
    let body = match place {
        Place::Endpoints(upstream) => shown_endpoints(shared, upstream)?,
        Place::Item(name) => shown_item(&scene, name)?.into(),
        Place::Keys(tenant) | Place::Key(tenant, _) => {
            let mut tenant = shown_item(&scene, tenant)?;
            json!({ "keys": tenant.remove("keys").unwrap_or_else(|| json!([])) })
        }
    };
    Ok(tagged(admin::json(StatusCode::OK, &body), number))
}

fn shown_item(scene: &Scene, name: &Name) -> Result<Map<String, Json>, Refused> {
    let mut document = Document::open(&scene.text)?;
    let mut fields = match scene.keeper(name, &document) {
        Some(Keeper::Registry(reach)) => {
            let key = name.key();
            let held = reach.entries.iter().find(|(held, _)| *held == key);
            let value = held.map_or(&[] as &[u8], |(_, value)| value);
            name.with_fields(&edit::Entry::open(value)?.shown())?
        }
        _ => document.get(name).ok_or_else(|| edit::missing(name, &document))?,
    };
    edit::hide(&mut fields);
    Ok(fields)
}

/// An upstream's endpoints as `/admin/snapshot` shows them.
fn shown_endpoints(shared: &Shared, upstream: &str) -> Result<Json, Refused> {
    let state = shared.lock();
    let not_yet = || Refused::new(StatusCode::SERVICE_UNAVAILABLE, "nothing is served yet");
    let snapshot = &state.current().ok_or_else(not_yet)?.snapshot;
    let Json::Object(mut all) = json!(outline(snapshot)) else { return Ok(Json::Null) };
    endpoints::add(&state, snapshot, clock::now(), &mut all);
    let shown = all.get_mut("upstreams").and_then(Json::as_array_mut).into_iter().flatten();
    let mut shown = shown.filter(|shown| shown["name"] == upstream);
    if let Some(shown) = shown.next() {
        return Ok(json!({ "upstream": upstream, "endpoints": shown["endpoints"].take() }));
    }
    let known: Vec<&str> = snapshot.upstreams.iter().map(|of| of.name.as_str()).collect();
    let said = crate::config::suggest(upstream, &known);
    Err(Refused::new(StatusCode::NOT_FOUND, format!("there is no upstream \"{upstream}\": {said}")))
}

async fn change(
    place: Place,
    request: Request<Incoming>,
    shared: &Shared,
    who: String,
) -> Result<Answer, Refused> {
    let (head, body) = request.into_parts();
    let registry = ask::registry(head.uri.query().unwrap_or_default())?;
    let is_deletion = head.method == Method::DELETE;
    let fields = if is_deletion { Map::new() } else { ask::body(&head.headers, body).await? };
    let mut minted = None;
    let edit = match place {
        Place::Endpoints(upstream) => {
            let (url, change) = ask::endpoint(&fields)?;
            Edit::Endpoint { upstream, url, change }
        }
        Place::Item(name) if is_deletion => Edit::Delete { name },
        Place::Item(name) => Edit::Put { name, fields },
        Place::Key(tenant, id) => Edit::RemoveKey { tenant, id },
        Place::Keys(tenant) => {
            let (key, secret) = new_key(ask::key(fields)?)?;
            minted = Some((key.clone(), secret));
            Edit::AddKey { tenant, key }
        }
    };
    let order = Order { edit, who, fields: head.headers, registry };
    // It goes on to its end if the client leaves: half a change is none.
    let changing = tokio::spawn(apply::apply(shared.clone(), order));
    let done = changing.await.map_err(stopping)??;
    Ok(changed(&done, minted))
}

fn stopping(_: tokio::task::JoinError) -> Refused {
    Refused::new(StatusCode::SERVICE_UNAVAILABLE, "the gateway is stopping")
}

/// What the config is to say of a new key, and its secret.
fn new_key(mut fields: Map<String, Json>) -> Result<(Map<String, Json>, Minted), Refused> {
    let (Some(head), Some(tail)) = (random::bytes(), random::bytes()) else {
        let why = "the system gives no random numbers";
        return Err(Refused::new(StatusCode::INTERNAL_SERVER_ERROR, why));
    };
    let mut random = [0; 32];
    for (to, from) in random.iter_mut().zip(head.into_iter().chain(tail)) {
        *to = from;
    }
    let minted = mint(random);
    let digest = minted.digest.to_hex();
    let id = format!("key-{}", digest.chars().take(ID_DIGITS).collect::<String>());
    fields.entry("id").or_insert_with(|| id.into());
    fields.insert("sha256".to_owned(), digest.into());
    Ok((fields, minted))
}

fn changed(done: &Done, minted: Option<(Map<String, Json>, Minted)>) -> Answer {
    let mut body = json!({
        "snapshot": done.number,
        "is_changed": done.is_changed,
        "is_taken_up": done.is_taken_up,
        "kept": done.kept,
        "now": done.item,
    });
    let is_key = minted.is_some();
    if let Some((mut key, minted)) = minted {
        key.remove("sha256");
        key.insert("secret".to_owned(), minted.secret.into());
        body["key"] = key.into();
    }
    let status = match (done.is_taken_up, done.is_new || is_key) {
        (false, _) => StatusCode::ACCEPTED,
        (true, true) => StatusCode::CREATED,
        (true, false) => StatusCode::OK,
    };
    tagged(admin::json(status, &body), done.number)
}

/// With the number that `If-Match` may name.
fn tagged(mut answer: Answer, number: u64) -> Answer {
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{number}\"")) {
        answer.headers_mut().insert(header::ETAG, tag);
    }
    answer
}
