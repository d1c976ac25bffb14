//! Searches that tell what changes: a connection of their own, and each message as the server sent it.

use std::sync::Arc;

use ldap3::asn1::{PL, StructureTag};
use tokio::sync::mpsc;
use tokio::time::{Duration, timeout};

use super::connection::{Ask, Connection, Weight};
use super::directory::Directory;
use super::entry::{Paging, RawEntry, Scope, SearchRequest};
use super::failure::Failure;
use super::server::Server;
use crate::repository::RepositoryError;

/// A control that goes along with a request.
#[derive(Clone, Debug)]
pub struct RequestControl {
    /// Its object identifier.
    pub name: &'static str,
    pub critical: bool,
    pub value: Option<Vec<u8>>,
}

/// The controls that came along with an answer: object identifiers and values.
#[derive(Clone, Debug, Default)]
pub struct Controls(pub(super) Vec<(String, Vec<u8>)>);

impl Controls {
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.0.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_slice())
    }
}

/// One message of a search.
#[derive(Clone, Debug)]
pub enum Message {
    Entry {
        entry: RawEntry,
        controls: Controls,
    },
    /// RFC 4511 section 4.13: what it is, and what it says.
    Intermediate {
        name: String,
        value: Vec<u8>,
    },
}

impl Message {
    pub(super) fn intermediate(tag: StructureTag) -> Option<Self> {
        let (mut name, mut value) = (String::new(), Vec::new());
        for part in tag.expect_constructed()? {
            let PL::P(bytes) = part.payload else { return None };
            match part.id {
                0 => name = String::from_utf8(bytes).ok()?,
                1 => value = bytes,
                _ => {}
            }
        }
        Some(Self::Intermediate { name, value })
    }
}

/// How a search ended.
#[derive(Clone, Debug)]
pub struct End {
    pub code: u32,
    pub text: String,
    pub controls: Controls,
}

/// A connection that nobody else uses, to one server that stays the same.
#[derive(Debug)]
pub struct Listener {
    server: Arc<Server>,
    connection: Connection,
}

impl Directory {
    /// Connects to the first server that can be reached.
    pub async fn listener(&self) -> Result<Listener, RepositoryError> {
        let mut last = RepositoryError::Timeout;
        for server in &self.0.servers {
            if let Some(failure) = server.refusal() {
                last = failure.into();
                continue;
            }
            let patience = server.plan.dial.timeout + server.plan.operation_timeout;
            match timeout(patience, server.open()).await {
                Ok(Ok(connection)) => {
                    return Ok(Listener { server: Arc::clone(server), connection });
                }
                Ok(Err(text)) => last = RepositoryError::Unavailable(text),
                Err(_) => last = RepositoryError::Timeout,
            }
        }
        Err(last)
    }
}

impl Listener {
    /// Asks, and hands on every message until the search ends or `into` is closed. Only the network
    /// bounds how long that takes.
    pub async fn ask(
        &self,
        request: &SearchRequest,
        control: Option<&RequestControl>,
        into: &mpsc::Sender<Message>,
    ) -> Result<End, RepositoryError> {
        let end = self.connection.listen(request, control, into).await;
        end.map_err(|failure| match failure {
            Failure::Died(text) => RepositoryError::Unavailable(self.server.text(&text)),
            other => other.into(),
        })
    }

    /// One whole answer of few messages, within the time of one operation.
    pub async fn read(
        &self,
        request: &SearchRequest,
        control: Option<&RequestControl>,
    ) -> Result<(Vec<RawEntry>, End), RepositoryError> {
        let (sender, mut receiver) = mpsc::channel(64);
        let asked = async {
            let sender = sender;
            self.ask(request, control, &sender).await
        };
        let heard = async {
            let mut entries = Vec::new();
            while let Some(message) = receiver.recv().await {
                if let Message::Entry { entry, .. } = message {
                    entries.push(entry);
                }
            }
            entries
        };
        let both = async { tokio::join!(asked, heard) };
        let (end, entries) =
            timeout(self.patience(), both).await.map_err(|_| RepositoryError::Timeout)?;
        Ok((entries, end?))
    }

    /// Whether the server still answers here.
    pub async fn probe(&self) -> Result<(), RepositoryError> {
        let request = SearchRequest {
            base: String::new(),
            scope: Scope::Base,
            filter: "(objectClass=*)".to_owned(),
            attributes: vec!["1.1".to_owned()].into(),
            size_limit: 1,
            paging: Paging::Never,
        };
        let weight = Weight::new(&Arc::default());
        let pause = self.patience();
        let ask = Ask::one(&request, pause, tokio::time::Instant::now() + pause, &weight);
        self.connection.search(&ask).await.map(drop).map_err(RepositoryError::from)
    }

    fn patience(&self) -> Duration {
        self.server.plan.operation_timeout
    }
}
