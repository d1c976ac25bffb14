//! POST of a bulk request (RFC 7644 section 3.7): each of its operations by the same core as a
//! request of its own, with the permission and the atomic change that it has there.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::Response;

use super::body::{self, Payload};
use super::caller::Call;
use super::error::Failure;
use super::operation::{self, Done};
use super::resource::to_the_end;
use super::writes::Writes;
use super::{etag, query};
use crate::federation::Problem;
use crate::scim::bulk::references::{Later, resolve, split, unresolved};
use crate::scim::bulk::{Bulk, BulkError, Id, Method, Operation, Step, Task};
use crate::scim::dialect::{BulkOutcome, render_bulk};
use crate::scim::{ErrorKind, Projection, ResourceType, ScimError};

/// How many operations one request may hold.
pub const MAX_OPERATIONS: usize = 1_000;

/// How many bytes of resources the operations that read may bring into one answer, but for the last.
const MAX_ANSWER: usize = 16 << 20;

/// Does them one after the other; the answer has them in the order of the request, without those
/// that were given up after `failOnErrors`.
pub async fn run(call: Call, payload: Payload, writes: &Writes) -> Result<Response, Failure> {
    let body = payload.json(&call.head.headers).await?;
    let bulk = Bulk::parse(body, MAX_OPERATIONS).map_err(|error| match error {
        BulkError::Scim(error) => error.into(),
        BulkError::TooMany { limit } => Failure::TooManyOperations(limit),
    })?;
    to_the_end(writes, async move {
        let outcomes = Run::new(&call, bulk).carry_out().await;
        Ok(body::message(render_bulk(&outcomes), call.manner()))
    })
    .await
}

/// A bulk request on its way.
struct Run<'a> {
    call: &'a Call,
    steps: Vec<Step>,
    tasks: Vec<Task>,
    fail_on_errors: usize,
    errors: usize,
    /// Bulk id -> id, or nothing where that resource was not made.
    ids: HashMap<String, Option<String>>,
    outcomes: Vec<Option<BulkOutcome>>,
    /// What is still to be added to the resource of an operation.
    unfinished: HashMap<usize, Unfinished>,
    /// Bytes of resources that were read for the answer.
    answered: usize,
}

struct Unfinished {
    kind: Arc<ResourceType>,
    id: String,
    later: Later,
}

impl<'a> Run<'a> {
    fn new(call: &'a Call, bulk: Bulk) -> Self {
        Self {
            call,
            tasks: bulk.order(),
            fail_on_errors: bulk.fail_on_errors.unwrap_or(usize::MAX),
            errors: 0,
            ids: HashMap::new(),
            outcomes: vec![None; bulk.steps.len()],
            unfinished: HashMap::new(),
            answered: 0,
            steps: bulk.steps,
        }
    }

    async fn carry_out(mut self) -> Vec<BulkOutcome> {
        for task in std::mem::take(&mut self.tasks) {
            if self.errors >= self.fail_on_errors {
                break;
            }
            match task {
                Task::Run { step, postponed } => self.step(step, &postponed).await,
                Task::Complete { step } => self.complete(step).await,
            }
        }
        // Whoever gave up in the middle of a circle is told which resources lack a part.
        let unfinished: Vec<usize> = self.unfinished.keys().copied().collect();
        for place in unfinished {
            let detail = "The resource was created, and what it was to refer to was not; it lacks \
                          that reference.";
            self.fail(place, Problem::Conflict(detail.to_owned()).into());
        }
        self.outcomes.into_iter().flatten().collect()
    }

    async fn step(&mut self, place: usize, postponed: &[String]) {
        let Some(step) = self.steps.get_mut(place) else { return };
        let written = std::mem::replace(&mut step.operation, Err(nothing()));
        let bulk_id = step.bulk_id.clone();
        let outcome = BulkOutcome {
            method: step.method.clone(),
            bulk_id: bulk_id.clone(),
            ..BulkOutcome::default()
        };
        self.outcomes[place] = Some(outcome);
        let mut created = None;
        match written {
            Ok(operation) => {
                let is_new = operation.method == Method::Post;
                let reads = operation.method == Method::Get;
                match self.operate(place, operation, postponed).await {
                    Ok(done) => {
                        let id = done.shown.as_ref().map(|shown| shown.resource.id.clone());
                        created = id.filter(|_| is_new);
                        self.tell(place, &done);
                        if let (true, Some(shown), Some(outcome)) =
                            (reads, done.shown, &mut self.outcomes[place])
                        {
                            outcome.response = Some(shown.body.to_vec());
                        }
                    }
                    Err(failure) => self.fail(place, failure),
                }
                if let (true, Some(bulk_id)) = (is_new, bulk_id) {
                    self.ids.insert(bulk_id, created);
                }
            }
            Err(error) => {
                self.fail(place, error.into());
                if let Some(bulk_id) = bulk_id {
                    self.ids.entry(bulk_id).or_insert(None);
                }
            }
        }
    }

    async fn operate(
        &mut self,
        place: usize,
        operation: Operation,
        postponed: &[String],
    ) -> Result<Done, Failure> {
        let call = self.call;
        let kinds = call.federation().types().iter();
        let at = |kind: &&Arc<ResourceType>| {
            let endpoint = kind.endpoint.trim_start_matches('/');
            endpoint.eq_ignore_ascii_case(&operation.endpoint)
        };
        let kind = Arc::clone(kinds.clone().find(at).ok_or(Failure::UnknownPath)?);
        let id = match &operation.id {
            None => Cow::Borrowed(""),
            Some(Id::Known(id)) => query::segment(id).ok_or(Failure::UnknownPath)?,
            Some(Id::Created(name)) => Cow::Owned(self.id_of(name)?),
        };
        if let (Some(outcome), false) = (&mut self.outcomes[place], id.is_empty()) {
            // RFC 7644 section 3.7: the location is told also of what failed, unless it was a POST.
            let location = crate::scim::dialect::location(&call.mount.base, &kind, &id);
            outcome.location = Some(location.into_bytes());
        }
        let mut data = operation.data;
        let later = split(&mut data, postponed);
        resolve(&mut data, &|name: &str| self.ids.get(name).cloned().flatten());
        if let Some(name) = unresolved(&data) {
            self.id_of(&name)?;
        }
        let if_match = operation.version.as_deref().map(etag::matching).transpose()?;
        let if_match = if_match.as_ref();
        let projection = &Projection::Default;
        let done = match operation.method {
            Method::Post => operation::create(call, &kind, data, projection).await?,
            Method::Put => operation::replace(call, &kind, &id, if_match, data, projection).await?,
            Method::Patch => {
                operation::modify(call, &kind, &id, if_match, &data, projection).await?
            }
            Method::Delete => operation::remove(call, &kind, &id, if_match).await?,
            Method::Get => self.read(&kind, &id).await?,
        };
        if let (false, Some(shown)) = (postponed.is_empty(), &done.shown) {
            let id = shown.resource.id.clone();
            self.unfinished.insert(place, Unfinished { kind, id, later });
        }
        Ok(done)
    }

    /// A GET, where the tenant's clients send them; of a group without its members.
    async fn read(&mut self, kind: &Arc<ResourceType>, id: &str) -> Result<Done, Failure> {
        let call = self.call;
        if !call.federation().customs().bulk_get {
            return Err(ScimError::new(
                ErrorKind::InvalidSyntax,
                "method is GET, which RFC 7644 section 3.7 does not have: send it on its own",
            )
            .into());
        }
        if self.answered > MAX_ANSWER {
            let detail = "what was read before fills the answer; read this in another request";
            return Err(ScimError::new(ErrorKind::TooMany, detail).into());
        }
        let resource = call.federation().read(&call.caller, kind, id, &call.view).await?;
        let done = Done::new(call, kind, resource, &Projection::Default, StatusCode::OK);
        self.answered += done.shown.as_ref().map_or(0, |shown| shown.body.len());
        Ok(done)
    }

    /// Adds what had to wait for resources that there are by now.
    async fn complete(&mut self, place: usize) {
        let Some(Unfinished { kind, id, later }) = self.unfinished.remove(&place) else { return };
        let patch = later.patch(&|name: &str| self.ids.get(name).cloned().flatten());
        let missing = unresolved(&patch).and_then(|name| self.id_of(&name).err());
        let modified = if let Some(failure) = missing {
            Err(failure)
        } else {
            operation::modify(self.call, &kind, &id, None, &patch, &Projection::Default).await
        };
        match modified {
            // It is still the answer to the POST.
            Ok(done) => self.tell(place, &Done { status: self.call.created(), ..done }),
            Err(failure) => self.fail(place, failure),
        }
    }

    /// The id of what the operation with this bulk id created.
    fn id_of(&self, bulk_id: &str) -> Result<String, Failure> {
        match self.ids.get(bulk_id) {
            Some(Some(id)) => Ok(id.clone()),
            Some(None) => Err(Problem::Conflict(format!(
                "bulkId:{bulk_id} refers to an operation that failed, so that there is no such \
                 resource."
            ))
            .into()),
            None => Err(ScimError::new(
                ErrorKind::InvalidValue,
                format!("bulkId:{bulk_id} refers to no operation of this request that creates"),
            )
            .into()),
        }
    }

    fn tell(&mut self, place: usize, done: &Done) {
        let Some(outcome) = &mut self.outcomes[place] else { return };
        outcome.status = done.status.as_u16();
        if let Some(shown) = &done.shown {
            outcome.location = Some(shown.location.to_vec());
            outcome.version = Some(shown.resource.version.clone());
        }
    }

    fn fail(&mut self, place: usize, failure: Failure) {
        self.errors += 1;
        let (status, response) = failure.message(&self.call.view.request_id, self.call.manner());
        if let Some(outcome) = &mut self.outcomes[place] {
            outcome.status = status.as_u16();
            outcome.response = Some(response);
            outcome.version = None;
        }
    }
}

fn nothing() -> ScimError {
    ScimError::new(ErrorKind::InvalidSyntax, "the operation is done already")
}
