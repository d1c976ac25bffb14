//! A modification finds its server. Unlike a search it is sent once: what breaks after that leaves open
//! whether it was done.

use std::fmt;
use std::sync::atomic::Ordering;

use tokio::time::Instant;

use super::connection::Outcome;
use super::directory::{Directory, ILL, WELL, named, waited};
use super::failure::Failure;
use crate::repository::RepositoryError;

/// What is changed of one entry.
#[derive(Debug)]
pub struct ModifyRequest {
    pub dn: String,
    pub changes: Vec<AttributeChange>,
    /// A filter that the entry must meet; for servers that know the control of RFC 4528.
    pub assertion: Option<String>,
}

/// Values of one attribute that go, each of which must be there, and those that come.
pub struct AttributeChange {
    pub name: String,
    pub delete: Vec<Vec<u8>>,
    pub add: Vec<Vec<u8>>,
}

impl fmt::Debug for AttributeChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AttributeChange").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What the server said.
#[derive(Clone, Debug)]
pub struct Said {
    /// The result code of RFC 4511 section 4.1.9.
    pub code: u32,
    /// The server's diagnostic message.
    pub text: String,
}

/// Why nothing was said.
#[derive(Clone, Debug)]
pub enum Unsaid {
    /// It was never sent.
    Unsent(RepositoryError),
    /// It was sent, and the connection broke.
    Broken(RepositoryError),
    /// It was sent, and no answer came in time.
    Late(RepositoryError),
}

impl Directory {
    /// Modifies an entry by the first server that can be reached.
    pub async fn modify(
        &self,
        request: &ModifyRequest,
        deadline: std::time::Instant,
    ) -> Result<Said, Unsaid> {
        let deadline = Instant::from_std(deadline);
        let mut last = Failure::Timeout { silent: false };
        for (index, server) in self.0.servers.iter().enumerate() {
            let is_last = index + 1 == self.0.servers.len();
            let soon = deadline.min(Instant::now() + server.plan.dial.timeout);
            let connection = match server.lookup(if is_last { deadline } else { soon }).await {
                Ok(connection) => connection,
                Err(failure) => {
                    last = waited(server, failure, deadline);
                    continue;
                }
            };
            let until = deadline.min(Instant::now() + server.plan.operation_timeout);
            let answered = connection.modify(request, until).await;
            let well = if answered.is_ok() { WELL } else { ILL };
            self.0.last.store(well, Ordering::Relaxed);
            return match answered {
                Ok(Outcome { code, text, .. }) => {
                    server.answered();
                    Ok(Said { code, text })
                }
                Err(failure @ Failure::Timeout { silent }) => {
                    if silent {
                        server.silent();
                    }
                    Err(Unsaid::Late(failure.into()))
                }
                Err(failure) => {
                    server.suspect();
                    Err(Unsaid::Broken(named(server, failure).into()))
                }
            };
        }
        self.0.last.store(ILL, Ordering::Relaxed);
        Err(Unsaid::Unsent(last.into()))
    }
}
