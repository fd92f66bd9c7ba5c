//! What would happen to a request, and why: the decisions are pure, so they can be asked without a request.

mod admit;
mod candidates;
mod flow;
mod head;
mod late;
mod near;
mod onward;
mod relay;
mod shown;
mod version;

use crate::admission;
use crate::admission::Caller;
use crate::llm::dialect::Operation;
use crate::llm::request::Unreadable;
use crate::route::path;
use crate::route::path::Destination;
use crate::snapshot::Model;
use crate::snapshot::Snapshot;
use crate::units::ModelId;
use crate::wire::http1::parse::Slots;
use std::net::IpAddr;
use std::net::Ipv4Addr;

use relay::Going;

pub use candidates::Look;
pub use candidates::Seen;
pub use shown::Explanation;

/// A request as far as it decides whether it may enter and where it goes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asked<'a> {
    /// For instance `POST`.
    pub method: &'a str,
    /// For instance `/v1/chat/completions`.
    pub path: &'a str,
    /// The `model` of its body, where it has one.
    pub model: Option<&'a str>,
    /// Its fields, credentials among them: names and values.
    pub fields: &'a [(String, String)],
    /// Whom it comes from, once proxies have been believed or not; none: from this machine.
    pub address: Option<IpAddr>,
    /// The tenant that its credential is taken to have shown: then none is looked at.
    pub tenant: Option<&'a str>,
    /// How endpoints are now.
    pub look: Look<'a>,
    /// When it comes, in milliseconds since 1970: keys and tokens have their time.
    pub now_unix_ms: u64,
}

impl Asked<'_> {
    fn address(&self) -> IpAddr {
        self.address.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
    }
}

/// Explains what would happen to `asked`.
#[must_use]
pub fn explain(snapshot: &Snapshot, asked: Asked<'_>) -> Explanation {
    let mut explanation = Explanation {
        method: asked.method.to_owned(),
        path: asked.path.to_owned(),
        outcome: "refused",
        status: None,
        code: None,
        steps: Vec::new(),
        relay: None,
    };
    let written = head::write(&asked, snapshot.listen.address);
    let mut slots = Slots::new();
    let read = match &written {
        Ok(bytes) => head::read(bytes, &mut slots),
        Err(why) => Err(*why),
    };
    let head = match read {
        Ok(head) => head,
        Err(why) => {
            explanation.refuse(
                why.status(),
                why.label(),
                format!("it cannot be read: {}", why.explain()),
            );
            return explanation;
        }
    };
    let destination = match path::destination(head.method, head.path) {
        Ok(destination) => destination,
        Err(why) => {
            explanation.refuse(why.status(), why.code(), why.explain().to_owned());
            return explanation;
        }
    };
    let caller = match admit::enter(snapshot, &asked, &head, |line| explanation.step(line)) {
        Ok(caller) => caller,
        Err((status, code, why)) => {
            explanation.refuse(status, code, why);
            return explanation;
        }
    };
    explanation.go(snapshot, &asked, &caller, &destination);
    explanation
}

impl Explanation {
    fn go(
        &mut self,
        snapshot: &Snapshot,
        asked: &Asked<'_>,
        caller: &Caller,
        destination: &Destination<'_>,
    ) {
        let (table, keys) = (&snapshot.admission, &snapshot.keys);
        let sees = |id: &ModelId| admission::may_have(table, keys, caller, *id);
        match destination {
            Destination::ListModels => {
                let all = snapshot.models.len();
                let seen = (0..).map(ModelId).take(all).filter(sees).count();
                let which = if seen == all { "its" } else { "the caller's" };
                self.answer(format!("the gateway lists {which} models ({seen} of {all})"));
            }
            Destination::Stream { .. } => {
                let what = "the client comes back to a stream: its shard sends what it has missed";
                self.answer(what.to_owned());
            }
            Destination::DescribeModel { model } => match version::described(snapshot, model) {
                Some(id) if !sees(&id) => {
                    let label = snapshot.model(id).label();
                    let why = format!(
                        "the caller may not have the model {label}, and is told that there is none"
                    );
                    self.refuse(404, "model_not_found", why);
                }
                Some(id) => {
                    let label = snapshot.model(id).label();
                    self.answer(format!("the gateway describes the model {label}"));
                }
                None => self.refuse_model(snapshot, model),
            },
            Destination::Generate(operation) => {
                self.step(format!("the path asks for the operation {}", operation.name()));
                match asked.model {
                    None => self.refuse(
                        400,
                        Unreadable::ModelMissing.code(),
                        "the body must name a model".to_owned(),
                    ),
                    Some(name) => self.find(snapshot, asked, caller, name, None, Some(*operation)),
                }
            }
            Destination::Invoke { model, version } => {
                self.step("the path names the model; the body may be any JSON".to_owned());
                self.find(snapshot, asked, caller, model, version.as_deref(), None);
            }
        }
    }

    fn step(&mut self, text: String) {
        self.steps.push(text);
    }

    fn refuse(&mut self, status: u16, code: &'static str, why: String) {
        self.status = Some(status);
        self.code = Some(code);
        self.step(why);
    }

    fn answer(&mut self, how: String) {
        self.outcome = "answered";
        self.status = Some(200);
        self.step(how);
    }

    fn refuse_model(&mut self, snapshot: &Snapshot, name: &str) {
        let names: Vec<String> = snapshot.models.iter().map(Model::label).collect();
        let there_are = names.join(", ");
        self.refuse(
            404,
            "model_not_found",
            format!("no model is called \"{name}\" (there are: {there_are})"),
        );
    }

    fn find(
        &mut self,
        snapshot: &Snapshot,
        asked: &Asked<'_>,
        caller: &Caller,
        name: &str,
        version: Option<&str>,
        operation: Option<Operation>,
    ) {
        let Some(id) = self.version(snapshot, asked, caller, name, version) else { return };
        let model = snapshot.model(id);
        let authorized = admit::authorize(snapshot, asked, caller, id, |line| self.step(line));
        if let Err((status, code, why)) = authorized {
            self.refuse(status, code, why);
            return;
        }
        let path = operation.map_or_else(
            || {
                let version = version.map(|asked| model.version.as_deref().unwrap_or(asked));
                path::of_invoke(&model.upstream_model, version)
            },
            |operation| flow::path_up(snapshot.upstream(model.upstream), operation).to_owned(),
        );
        let going = Going { snapshot, asked, caller, model, path: &path };
        self.relay(&going, name, operation);
        self.show(&going);
    }
}

#[cfg(test)]
mod tests;
