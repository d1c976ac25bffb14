//! Under what the rows of an import are judged: for whom, and in which manner. It is kept with the job,
//! so that what was accepted is done, whatever becomes of the token meanwhile.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::caller::{Agent, Caller, Ceiling, Client, PERMISSIONS, PermissionSet};
use crate::federation::{Problem, View};
use crate::store::StoreError;

/// As the store keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Terms {
    caller: String,
    user: Option<String>,
    permissions: Vec<String>,
    binds: bool,
    client: Word,
    /// [`Manner::index`]
    manner: usize,
    /// [`Ceiling`]: the rank, and the role whose it is.
    #[serde(default)]
    ceiling: Option<(i64, Option<String>)>,
    request_id: String,
    /// Of a provisioning agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    agent: Option<Provisioning>,
    /// Under which policy each user gets an authenticator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    policy: Option<String>,
}

/// [`Agent`] as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Provisioning {
    repository: Option<String>,
}

/// [`Client`] as it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    Rfc,
    Entra,
    Okta,
    Strict,
}

impl Terms {
    pub(super) fn new(caller: &Caller, policy: Option<&str>, view: &View) -> Self {
        let may = |permission: &&(_, &str)| caller.permissions.contains(permission.0);
        let permissions = PERMISSIONS.iter().filter(may);
        Self {
            caller: caller.name.to_string(),
            user: caller.user.as_deref().map(str::to_owned),
            permissions: permissions.map(|(_, name)| (*name).to_owned()).collect(),
            binds: caller.binds.unwrap_or(view.manner.binds),
            client: match caller.client {
                Client::Rfc => Word::Rfc,
                Client::Entra => Word::Entra,
                Client::Okta => Word::Okta,
                Client::Strict => Word::Strict,
            },
            manner: view.manner.index,
            ceiling: caller
                .ceiling
                .as_ref()
                .map(|ceiling| (ceiling.rank, ceiling.role.as_deref().map(str::to_owned))),
            request_id: view.request_id.clone(),
            agent: caller.agent.as_ref().map(|agent| Provisioning {
                repository: agent.repository.as_deref().map(str::to_owned),
            }),
            policy: policy.map(str::to_owned),
        }
    }

    pub(super) fn read(kept: &str) -> Result<Self, Problem> {
        serde_json::from_str(kept).map_err(|error| unusable("read", &error))
    }

    pub(super) fn written(&self) -> Result<String, Problem> {
        serde_json::to_string(self).map_err(|error| unusable("written", &error))
    }

    /// [`Manner::index`] of the manner in which the import came.
    pub(super) fn manner(&self) -> usize {
        self.manner
    }

    pub(super) fn caller(&self, tenant: &Arc<str>) -> Caller {
        let permissions = self.permissions.iter().filter_map(|name| name.parse().ok());
        Caller {
            tenant: Arc::clone(tenant),
            name: Arc::from(&*self.caller),
            permissions: permissions.fold(PermissionSet::default(), PermissionSet::union),
            binds: Some(self.binds),
            dialect: None,
            user: self.user.as_deref().map(Arc::from),
            ceiling: self
                .ceiling
                .as_ref()
                .map(|(rank, role)| Ceiling { rank: *rank, role: role.as_deref().map(Arc::from) }),
            // The import says itself in which group its users are.
            groups: Arc::default(),
            agent: self
                .agent
                .as_ref()
                .map(|agent| Agent { repository: agent.repository.as_deref().map(Arc::from) }),
            client: match self.client {
                Word::Rfc => Client::Rfc,
                Word::Entra => Client::Entra,
                Word::Okta => Client::Okta,
                Word::Strict => Client::Strict,
            },
        }
    }

    pub(super) fn request_id(&self) -> &str {
        &self.request_id
    }

    pub(super) fn policy(&self) -> Option<&str> {
        self.policy.as_deref()
    }
}

fn unusable(what: &str, error: &serde_json::Error) -> Problem {
    let why = format!("the terms of an import cannot be {what}: {error}");
    Problem::Internal(StoreError::Database(why))
}
