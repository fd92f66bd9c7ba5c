//! What is to become of a request: pure, from its bytes and the world, who asks, and dice.

use std::borrow::Cow;

use crate::llm::dialect::Dialect;
use crate::llm::dialect::Operation;
use crate::llm::edit;
use crate::llm::edit::Edit;
use crate::llm::estimate;
use crate::llm::normalize;
use crate::llm::request;
use crate::llm::request::Ask;
use crate::route::Found;
use crate::route::Why;
use crate::route::path;
use crate::route::path::Destination;
use crate::shard::look::Goal;
use crate::shard::refusal::NoStream;
use crate::shard::refusal::Refusal;
use crate::shard::refusal::no_stream;
use crate::shard::refusal::unfit;
use crate::shard::refusal::unknown_model;
use crate::shard::refusal::unknown_version;
use crate::shard::refusal::unreadable;
use crate::shard::refusal::unroutable;
use crate::shard::version::Chooser;
use crate::snapshot::Snapshot;
use crate::units::ModelId;
use crate::wire::head::RequestHead;

/// What is to be done.
pub(super) enum Decision<'w> {
    /// A model server is asked.
    Forward(Plan<'w>),
    /// The gateway answers: the list of models.
    ListModels,
    /// The gateway answers: one model.
    DescribeModel(ModelId),
}

/// How a model server is asked.
pub(super) struct Plan<'w> {
    /// The model.
    pub(super) model: ModelId,
    /// Why it is this version of it, where it is one of several.
    pub(super) why: Option<Why>,
    /// Where its name stands in the body, which is shorter than 4 GiB: an open stream pays for every byte here.
    name: Option<(u32, u32)>,
    /// Whether it has another name upstream.
    is_renamed: bool,
    /// The path to ask for.
    pub(super) path: Cow<'static, str>,
    /// What is asked; none where the body may be any JSON.
    kind: Option<Operation>,
    /// Shape of errors.
    pub(super) dialect: Dialect,
    /// Whether a stream was asked for.
    pub(super) is_stream: bool,
    /// The greatest number of tokens that the request allows for the answer.
    max_tokens: Option<u64>,
    /// Whether the usage that the response tells is wanted.
    pub(super) meters_usage: bool,
    /// Whether the event that tells it stays here.
    pub(super) drops_usage_event: bool,
    /// What policies add; nothing where there are none.
    added: Option<Box<Policed<'w>>>,
}

/// What policies add to a plan.
#[derive(Default)]
struct Policed<'w> {
    /// What else changes of the body. If anything, the model's name is among it.
    edits: Vec<Edit<'w>>,
    /// Whole field lines that tell the client how its limits stand.
    fields: Option<Box<[u8]>>,
}

impl<'w> Plan<'w> {
    /// What is asked; none where the body may be any JSON.
    pub(super) const fn kind(&self) -> Option<Operation> {
        self.kind
    }

    /// Name of the operation in metrics.
    pub(super) fn operation(&self) -> &'static str {
        self.kind.map_or("invoke", Operation::name)
    }

    fn added(&mut self) -> &mut Policed<'w> {
        self.added.get_or_insert_default()
    }

    /// Has the response tell how the limits stand: whole field lines.
    pub(super) fn tell(&mut self, fields: Box<[u8]>) {
        self.added().fields = Some(fields);
    }

    /// Whole field lines that tell the client how its limits stand.
    pub(super) fn fields(&self) -> Option<&[u8]> {
        self.added.as_ref()?.fields.as_deref()
    }

    /// Goes to another model instead, which may do for the same body.
    pub(super) fn turn_to(&mut self, world: &'w Snapshot, model: ModelId) {
        self.model = model;
        self.why = None;
        self.is_renamed = true;
        self.added = None;
        if self.kind.is_none() {
            self.path = Cow::Owned(path::of_invoke(&world.model(model).upstream_model, None));
        }
    }

    /// The same question to another model, of which nothing but the model's name is known to differ.
    pub(super) fn turned(&self, world: &'w Snapshot, model: ModelId, body: &[u8]) -> Self {
        let mut turned = Self {
            path: self.path.clone(),
            // As the client has it: what the first model's bounds have made of it is not for this one.
            max_tokens: request::peek_any(body).map_or(None, |ask| ask.max_tokens),
            meters_usage: false,
            drops_usage_event: false,
            added: None,
            ..*self
        };
        turned.turn_to(world, model);
        turned
    }

    /// The same question to another version, of the body as it has come.
    pub(super) fn copied(&self, world: &Snapshot, model: ModelId) -> Plan<'static> {
        let to = world.model(model);
        let path = match self.kind {
            Some(_) => self.path.clone(),
            // Who names versions upstream is asked for this one.
            None => {
                let version = to.version.as_deref().filter(|_| path::has_version(&self.path));
                Cow::Owned(path::of_invoke(&to.upstream_model, version))
            }
        };
        Plan {
            model,
            why: None,
            name: self.name,
            is_renamed: true,
            path,
            kind: self.kind,
            dialect: self.dialect,
            is_stream: self.is_stream,
            max_tokens: None,
            meters_usage: false,
            drops_usage_event: false,
            added: None,
        }
    }

    /// Has the parameters become as the model wants them.
    pub(super) fn normalize(
        &mut self,
        world: &'w Snapshot,
        body: &[u8],
    ) -> Result<(), Box<Refusal>> {
        let policy = world.admission.model(self.model);
        let Some(parameters) = policy.and_then(|policy| policy.parameters.as_deref()) else {
            return Ok(());
        };
        let mut edits = Vec::new();
        if let Err(why) = normalize::normalize(parameters, self.kind, body, &mut edits) {
            return Err(unfit(&why).spoken(self.dialect));
        }
        if !edits.is_empty() {
            // What is reserved for the answer goes by what goes up.
            edit::sort(&mut edits);
            let mut changed = Vec::new();
            edit::apply(body, &edits, &mut changed);
            self.max_tokens = request::peek_any(&changed).map_or(None, |ask| ask.max_tokens);
            self.added().edits = edits;
        }
        Ok(())
    }

    /// Tokens that question and answer may come to: those of the body by its length, and as many for the answer as the
    /// request allows or, where it does not say, as the model's policy expects.
    pub(super) fn tokens(&self, world: &Snapshot, body: &[u8]) -> u32 {
        let input = estimate::input_tokens(body.len() as u64);
        let output = match self.kind {
            Some(Operation::Embeddings) => 0,
            _ => self.max_tokens.unwrap_or_else(|| {
                let policy = world.admission.model(self.model);
                policy.map_or(0, |policy| u64::from(policy.output_tokens))
            }),
        };
        u32::try_from(input.saturating_add(output)).unwrap_or(u32::MAX)
    }

    /// Has the usage told and read. A stream of some operations must be asked to tell it at its end.
    pub(super) fn meter(&mut self, body: &[u8]) {
        self.meters_usage = true;
        let must_ask = matches!(self.kind, Some(Operation::Chat | Operation::TextCompletion));
        if self.is_stream
            && must_ask
            && let Ok(ask) = request::peek(body)
            && let Some(edit) = edit::include_usage(&ask)
        {
            self.added().edits.push(edit);
            self.drops_usage_event = true;
        }
    }

    /// The edits are complete: puts them in order, the model's name among them.
    pub(super) fn close_edits(&mut self, world: &'w Snapshot) {
        let name = self.name_edit(world);
        let Some(added) = self.added.as_mut().filter(|added| !added.edits.is_empty()) else {
            return;
        };
        added.edits.extend(name);
        edit::sort(&mut added.edits);
    }

    /// The model's name, where it has another one upstream.
    pub(super) fn name_edit(&self, world: &'w Snapshot) -> Option<Edit<'w>> {
        let (start, end) = self.name.filter(|_| self.is_renamed)?;
        Some(Edit::new(
            start as usize..end as usize,
            world.model(self.model).upstream_model_json.as_slice(),
        ))
    }

    /// What changes of the body beside the name; if anything, the name is among it.
    pub(super) fn edits(&self) -> &[Edit<'w>] {
        self.added.as_ref().map_or(&[], |added| &added.edits)
    }
}

/// Decides about a request that has arrived whole.
pub(super) fn decide<'w>(
    world: &'w Snapshot,
    chooser: &Chooser<'_>,
    goal: Goal,
) -> Result<Decision<'w>, Box<Refusal>> {
    match goal {
        Goal::Generate(operation) => {
            generate(world, chooser, operation).map_err(|refusal| refusal.of(operation))
        }
        Goal::Resume(..) => Err(no_stream(NoStream::Unknown)),
        Goal::Other => chooser.request.with_head(|head| other(world, chooser, head)),
    }
}

fn other<'w>(
    world: &'w Snapshot,
    chooser: &Chooser<'_>,
    head: &RequestHead<'_, '_>,
) -> Result<Decision<'w>, Box<Refusal>> {
    match path::destination(head.method, head.path).map_err(unroutable)? {
        Destination::Generate(operation) => generate(world, chooser, operation),
        Destination::Invoke { model, version } => {
            invoke(world, chooser, &model, version.as_deref())
        }
        Destination::ListModels => Ok(Decision::ListModels),
        Destination::Stream { .. } => Err(no_stream(NoStream::Unknown)),
        Destination::DescribeModel { model } => match world.route.find(&model) {
            Found::Model(id, _) | Found::Route(id, _) => Ok(Decision::DescribeModel(id)),
            Found::NoVersion => {
                let (name, spec) = model.rsplit_once('@').unwrap_or((&model, ""));
                Err(unknown_version(name, spec))
            }
            Found::Nothing => Err(unknown_model(world, &model)),
        },
    }
}

fn generate<'w>(
    world: &'w Snapshot,
    chooser: &Chooser<'_>,
    operation: Operation,
) -> Result<Decision<'w>, Box<Refusal>> {
    let ask = request::peek(chooser.request.body()).map_err(unreadable)?;
    let name = ask.named_model().map_err(unreadable)?;
    let decoded = name.decode();
    let (id, why) = chooser.pick(world, &decoded, None)?;
    let place = |at| u32::try_from(at).ok();
    Ok(Decision::Forward(Plan {
        model: id,
        why,
        name: place(name.span.start).zip(place(name.span.end)),
        is_renamed: *decoded != world.model(id).upstream_model,
        path: Cow::Borrowed(operation.path()),
        kind: Some(operation),
        dialect: operation.dialect(),
        is_stream: ask.is_stream,
        max_tokens: ask.max_tokens,
        meters_usage: false,
        drops_usage_event: false,
        added: None,
    }))
}

fn invoke<'w>(
    world: &'w Snapshot,
    chooser: &Chooser<'_>,
    model: &str,
    version: Option<&str>,
) -> Result<Decision<'w>, Box<Refusal>> {
    let ask: Ask<'_> = request::peek_any(chooser.request.body()).map_err(unreadable)?;
    let (id, why) = chooser.pick(world, model, version)?;
    let found = world.model(id);
    // Which version a label or a range means is decided here, and not once more upstream.
    let version = version.map(|asked| found.version.as_deref().unwrap_or(asked));
    Ok(Decision::Forward(Plan {
        model: id,
        why,
        name: None,
        is_renamed: false,
        path: Cow::Owned(path::of_invoke(&found.upstream_model, version)),
        kind: None,
        dialect: Dialect::OpenAi,
        is_stream: ask.is_stream,
        max_tokens: ask.max_tokens,
        meters_usage: false,
        drops_usage_event: false,
        added: None,
    }))
}
