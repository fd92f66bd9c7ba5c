//! What would happen to a request, and why: the decisions are pure, so they can be asked without a request.

mod admit;

use crate::admission::Caller;
use crate::llm::dialect::Dialect;
use crate::llm::dialect::Operation;
use crate::route::path;
use crate::route::path::Destination;
use crate::snapshot::Model;
use crate::snapshot::Snapshot;
use crate::wire::head::Method;
use serde::Serialize;
use std::fmt;
use std::net::IpAddr;
use std::net::Ipv4Addr;

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
    /// Where it comes from; none: from this machine.
    pub address: Option<IpAddr>,
    /// The tenant that its credential is taken to have shown: then none is looked at.
    pub tenant: Option<&'a str>,
    /// When it comes, in milliseconds since 1970: keys and tokens have their time.
    pub now_unix_ms: u64,
}

impl Asked<'_> {
    fn address(&self) -> IpAddr {
        self.address.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
    }
}

/// What would happen to a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The method asked with.
    pub method: String,
    /// The path asked for.
    pub path: String,
    /// `relayed`, `answered` (by the gateway itself) or `refused`.
    pub outcome: &'static str,
    /// The status, where the gateway answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Why, one step a line, in the order of the decisions.
    pub steps: Vec<String>,
    /// Where it goes, where it is relayed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relay: Option<Relay>,
}

/// Where a request goes and as what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Relay {
    /// The operation's name in metrics.
    pub operation: &'static str,
    /// The model's name in the config.
    pub model: String,
    /// Its version, where it has one.
    pub version: Option<String>,
    /// Who serves it.
    pub upstream: String,
    /// What is put in the place of the body's `model`; none: the body goes up as it came.
    pub model_becomes: Option<String>,
    /// The name of the field that shows who we are; its value is never shown.
    pub credential_field: Option<String>,
    /// Who may get it.
    pub endpoints: Vec<Choice>,
    /// How long we wait, in milliseconds.
    pub deadlines_ms: DeadlinesMs,
}

/// An endpoint that may get it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Choice {
    /// What is asked for there.
    pub url: String,
    /// Its share, in percent, rounded down.
    pub percent: u64,
    /// Where it is; empty: not known, so it is skipped.
    pub addresses: Vec<String>,
}

/// How long we wait, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct DeadlinesMs {
    /// To connect.
    pub connect: u128,
    /// To the first byte of the response.
    pub first_byte: u128,
    /// Within the response.
    pub gap: u128,
    /// In all.
    pub whole: u128,
}

/// Explains what would happen to `asked`.
#[must_use]
pub fn explain(snapshot: &Snapshot, asked: Asked<'_>) -> Explanation {
    let mut explanation = Explanation {
        method: asked.method.to_owned(),
        path: asked.path.to_owned(),
        outcome: "refused",
        status: None,
        steps: Vec::new(),
        relay: None,
    };
    let destination = match path::destination(method(asked.method), asked.path) {
        Ok(destination) => destination,
        Err(why) => {
            explanation.refuse(why.status(), why.explain().to_owned());
            return explanation;
        }
    };
    let caller = match admit::enter(snapshot, &asked, |line| explanation.step(line)) {
        Ok(caller) => caller,
        Err((status, why)) => {
            explanation.refuse(status, why);
            return explanation;
        }
    };
    match &destination {
        Destination::ListModels => {
            let count = snapshot.models.len();
            explanation.answer(format!("the gateway lists its models (there are {count})"));
        }
        Destination::DescribeModel { model } => match snapshot.route.pick(model) {
            Some(id) => {
                let label = snapshot.model(id).label();
                explanation.answer(format!("the gateway describes the model {label}"));
            }
            None => explanation.refuse_model(snapshot, model),
        },
        Destination::Generate(operation) => {
            explanation.step(format!("the path asks for the operation {}", operation.name()));
            match asked.model {
                None => explanation.refuse(400, "the body must name a model".to_owned()),
                Some(name) => {
                    explanation.find(snapshot, &asked, &caller, name, None, Some(*operation));
                }
            }
        }
        Destination::Invoke { model, version } => {
            explanation.step("the path names the model; the body may be any JSON".to_owned());
            explanation.find(snapshot, &asked, &caller, model, version.as_deref(), None);
        }
    }
    explanation
}

impl Explanation {
    fn step(&mut self, text: String) {
        self.steps.push(text);
    }

    fn refuse(&mut self, status: u16, why: String) {
        self.status = Some(status);
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
        self.refuse(404, format!("no model is called \"{name}\" (there are: {there_are})"));
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
        let found = match version {
            Some(version) => snapshot.route.pick_version(name, version),
            None => snapshot.route.pick(name),
        };
        let Some(id) = found else {
            let called = version.map_or_else(|| name.to_owned(), |v| format!("{name}@{v}"));
            self.refuse_model(snapshot, &called);
            return;
        };
        let model = snapshot.model(id);
        let how =
            if model.aliases.iter().any(|alias| alias == name) { "an alias" } else { "a name" };
        self.step(format!("\"{name}\" is {how} of the model {}", model.label()));
        if let Err((status, why)) =
            admit::authorize(snapshot, asked, caller, id, |line| self.step(line))
        {
            self.refuse(status, why);
            return;
        }
        let path = operation.map_or_else(
            || path::of_invoke(&model.upstream_model, version),
            |operation| operation.path().to_owned(),
        );
        self.relay(snapshot, model, &path, name, operation);
        let own =
            caller.tenant.and_then(|tenant| snapshot.tenant_credentials(tenant, model.upstream));
        if own.is_some() {
            self.step("the upstream is shown the tenant's own credential".to_owned());
            if let Some(relay) = &mut self.relay {
                let dialect = snapshot.upstream(model.upstream).dialect;
                relay.credential_field = Some(credential_field(dialect));
            }
        }
    }

    fn relay(
        &mut self,
        snapshot: &Snapshot,
        model: &Model,
        path: &str,
        asked: &str,
        operation: Option<Operation>,
    ) {
        let upstream = snapshot.upstream(model.upstream);
        let is_rewritten = operation.is_some() && asked != model.upstream_model;
        let name = &upstream.name;
        self.step(format!("it is served by the upstream {name} ({})", upstream.dialect.name()));
        let spoken = operation.map(Operation::dialect);
        if let Some(spoken) = spoken.filter(|spoken| *spoken != upstream.dialect) {
            let (path, there) = (spoken.name(), upstream.dialect.name());
            self.step(format!(
                "the path is of the dialect {path} and the upstream speaks {there}: nothing is translated"
            ));
        }
        self.step(if is_rewritten {
            format!("the body's model becomes \"{}\"", model.upstream_model)
        } else {
            "the body goes up as it came".to_owned()
        });
        let total: u64 = upstream.weights.iter().map(|weight| u64::from(*weight)).sum();
        let shares = upstream.endpoints.iter().zip(&upstream.weights);
        let choices: Vec<Choice> = shares
            .map(|(id, weight)| {
                let endpoint = snapshot.endpoint(*id);
                Choice {
                    url: format!("{}{path}", endpoint.url),
                    percent: u64::from(*weight) * 100 / total.max(1),
                    addresses: endpoint.addresses.iter().map(ToString::to_string).collect(),
                }
            })
            .collect();
        if choices.iter().all(|choice| choice.percent == 0 || choice.addresses.is_empty()) {
            self.step("no endpoint has an address now: it would fail with 502 or 503".to_owned());
        }
        let balance = upstream.balance.label();
        self.step(format!("one of {} endpoint(s) gets it, by {balance}", choices.len()));
        self.outcome = "relayed";
        self.relay = Some(Relay {
            operation: operation.map_or("invoke", Operation::name),
            model: model.name.clone(),
            version: model.version.clone(),
            upstream: name.clone(),
            model_becomes: is_rewritten.then(|| model.upstream_model.clone()),
            credential_field: upstream
                .credential
                .is_some()
                .then(|| credential_field(upstream.dialect)),
            endpoints: choices,
            deadlines_ms: DeadlinesMs {
                connect: model.deadlines.connect.as_millis(),
                first_byte: model.deadlines.first_byte.as_millis(),
                gap: model.deadlines.gap.as_millis(),
                whole: model.deadlines.whole.as_millis(),
            },
        });
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}: {}", self.method, self.path, self.outcome)?;
        match self.status {
            Some(status) => writeln!(out, " with {status}")?,
            None => writeln!(out)?,
        }
        for step in &self.steps {
            writeln!(out, "  - {step}")?;
        }
        let Some(relay) = &self.relay else {
            return Ok(());
        };
        if let Some(field) = &relay.credential_field {
            writeln!(out, "  credential  {field}: ***")?;
        }
        for choice in &relay.endpoints {
            let addresses = if choice.addresses.is_empty() {
                "no address".to_owned()
            } else {
                choice.addresses.join(", ")
            };
            writeln!(out, "  endpoint    {} ({}%, {addresses})", choice.url, choice.percent)?;
        }
        let deadlines = &relay.deadlines_ms;
        writeln!(
            out,
            "  deadlines   connect {} ms, first byte {} ms, gap {} ms, whole {} ms",
            deadlines.connect, deadlines.first_byte, deadlines.gap, deadlines.whole
        )
    }
}

fn credential_field(dialect: Dialect) -> String {
    match dialect {
        Dialect::OpenAi => "authorization".to_owned(),
        Dialect::Anthropic => "x-api-key".to_owned(),
    }
}

/// A method by its name, in any case: it is typed by people here.
fn method(text: &str) -> Method {
    match text.to_ascii_uppercase().as_str() {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "PATCH" => Method::Patch,
        "DELETE" => Method::Delete,
        "OPTIONS" => Method::Options,
        "CONNECT" => Method::Connect,
        "TRACE" => Method::Trace,
        _ => Method::Other,
    }
}

#[cfg(test)]
mod tests;
