//! What changes in a directory, told as it happens, by the means that the directory has.
//!
//! Each returns when it can no longer tell; what it knows of its place is kept in [`Place`], so that
//! the next one goes on where that is possible, and else says [`Change::Anything`].

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{interval, sleep};

use super::key::canonical_key;
use super::repository::LdapRepository;
use super::wire::{
    Listener, Message, Paging, RawEntry, RequestControl, Scope, SearchRequest, sync,
};
use crate::config::Changes;
use crate::repository::{Change, EntryKey, RepositoryError};

/// How often a directory that has to be asked is asked.
const POLL: Duration = Duration::from_millis(500);
/// How often a connection on which nothing is said is tried.
const PROBE: Duration = Duration::from_secs(10);
/// More changes at once are not told one by one.
const MOST: usize = 1000;

/// Up to where changes were told.
#[derive(Debug, Default)]
pub(super) struct Place(Mutex<Option<Mark>>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Mark {
    /// Of RFC 4533, or of `DirSync`.
    Cookie(Vec<u8>),
    /// The server's identity, and the number of its last change.
    Usn(String, u64),
}

impl Place {
    fn get(&self) -> Option<Mark> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, mark: Option<Mark>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = mark;
    }

    fn cookie(&self) -> Option<Vec<u8>> {
        match self.get() {
            Some(Mark::Cookie(cookie)) => Some(cookie),
            _ => None,
        }
    }
}

/// Where changes go; closed once nobody wants to know.
type Into = mpsc::Sender<Change>;

/// Tells changes until that is no longer possible, and why.
pub(super) async fn follow(repository: &LdapRepository, into: &Into) -> RepositoryError {
    let listener = match repository.directory.listener().await {
        Ok(listener) => listener,
        Err(error) => return error,
    };
    let feed = Feed { repository, listener: &listener, into };
    let ended = match repository.changes {
        Changes::Off => Ok(()),
        Changes::Syncrepl => feed.syncrepl().await,
        Changes::Psearch => feed.persistent_search().await,
        Changes::Usn => feed.usn().await,
        Changes::Dirsync => feed.dirsync().await,
    };
    ended.err().unwrap_or_else(|| lost("the server ended the feed"))
}

struct Feed<'a> {
    repository: &'a LdapRepository,
    listener: &'a Listener,
    into: &'a Into,
}

impl Feed<'_> {
    async fn tell(&self, change: Change) -> Result<(), RepositoryError> {
        self.into.send(change).await.map_err(|_| lost("nobody listens any more"))
    }

    /// From here on every change is told; what came before is not known.
    async fn begin_anew(&self) -> Result<(), RepositoryError> {
        self.tell(Change::Anything).await?;
        self.tell(Change::Following).await
    }

    /// `refreshAndPersist` (RFC 4533).
    async fn syncrepl(&self) -> Result<(), RepositoryError> {
        let place = &self.repository.place;
        let cookie = place.cookie();
        let mut first = cookie.is_none();
        let mut refreshing = true;
        let control = sync::refresh_and_persist(cookie.as_deref());
        let request = self.people(vec!["1.1".to_owned()]);
        let (sender, mut messages) = mpsc::channel(64);
        let heard = async {
            while let Some(message) = self.next(&mut messages).await? {
                match message {
                    Message::Entry { controls, .. } => {
                        let state = controls.get(sync::SYNC_STATE).and_then(sync::sync_state);
                        let (state, uuid, cookie) = state.ok_or_else(unreadable)?;
                        // Without a place the first part is everybody.
                        let news = !(first && refreshing);
                        match state {
                            sync::State::Deleted => self.tell(Change::Gone(key(&uuid))).await?,
                            sync::State::Changed if news => {
                                self.tell(Change::Changed(key(&uuid))).await?;
                            }
                            sync::State::Changed | sync::State::Present => {}
                        }
                        keep(place, cookie);
                    }
                    Message::Intermediate { name, value } if name == sync::SYNC_INFO => {
                        let info = sync::sync_info(&value).ok_or_else(unreadable)?;
                        for uuid in &info.gone {
                            self.tell(Change::Gone(key(uuid))).await?;
                        }
                        if info.others_are_gone && !first {
                            self.tell(Change::Anything).await?;
                        }
                        if info.refreshed && refreshing {
                            refreshing = false;
                            if std::mem::take(&mut first) {
                                self.tell(Change::Anything).await?;
                            }
                            self.tell(Change::Following).await?;
                        }
                        keep(place, info.cookie);
                    }
                    Message::Intermediate { .. } => {}
                }
            }
            Ok(())
        };
        let asked = async {
            let end = self.listener.ask(&request, Some(&control), &sender).await?;
            if end.code == sync::REFRESH_REQUIRED {
                place.set(None);
            }
            Err(refused(end.code, &end.text))
        };
        either(asked, heard).await
    }

    /// Persistent search, which has no place to go on from.
    async fn persistent_search(&self) -> Result<(), RepositoryError> {
        let name = &self.repository.mapping.names[self.repository.mapping.key].text;
        let request = self.people(vec![name.clone()]);
        let control = sync::persistent_search();
        let (sender, mut messages) = mpsc::channel(64);
        let heard = async {
            // Answered behind the search, on the same connection.
            self.listener.probe().await?;
            self.begin_anew().await?;
            while let Some(message) = self.next(&mut messages).await? {
                let Message::Entry { entry, controls } = message else { continue };
                let key = self.key_of(&entry).ok_or_else(unreadable)?;
                let gone = controls.get(sync::ENTRY_CHANGE).and_then(sync::is_deletion);
                let gone = gone == Some(true);
                self.tell(if gone { Change::Gone(key) } else { Change::Changed(key) }).await?;
            }
            Ok(())
        };
        let asked = async {
            let end = self.listener.ask(&request, Some(&control), &sender).await?;
            Err(refused(end.code, &end.text))
        };
        either(asked, heard).await
    }

    /// Numbers of changes, which each server of Active Directory counts for itself.
    async fn usn(&self) -> Result<(), RepositoryError> {
        let place = &self.repository.place;
        let root = self.root().await?;
        let identity = self.identity(&root).await?;
        match place.get() {
            Some(Mark::Usn(known, _)) if known == identity => self.tell(Change::Following).await?,
            _ => {
                place.set(Some(Mark::Usn(identity.clone(), root.usn)));
                self.begin_anew().await?;
            }
        }
        let mut ticks = interval(POLL);
        loop {
            ticks.tick().await;
            let root = self.root().await?;
            let Some(Mark::Usn(_, last)) = place.get() else { return Ok(()) };
            if root.usn < last {
                // A server that was set back counts anew.
                place.set(None);
                return Err(lost("the server was set back"));
            }
            if root.usn > last {
                let name = "uSNChanged".to_owned();
                let since = super::filter::LdapFilter::GreaterOrEqual(name, (last + 1).to_string());
                match self.changed(&root.domain, &since.to_string()).await? {
                    Some(entries) => self.tell_all(&entries).await?,
                    None => self.tell(Change::Anything).await?,
                }
                place.set(Some(Mark::Usn(identity.clone(), root.usn)));
            }
        }
    }

    /// The control of Active Directory by which it tells its changes.
    async fn dirsync(&self) -> Result<(), RepositoryError> {
        let place = &self.repository.place;
        let root = self.root().await?;
        if let Some(cookie) = place.cookie() {
            // The cookie is refused where it is of another domain.
            let (entries, cookie, _) =
                self.differences(&root.domain, &cookie).await.inspect_err(|_| place.set(None))?;
            self.tell_all(&entries).await?;
            place.set(Some(Mark::Cookie(cookie)));
            self.tell(Change::Following).await?;
        } else {
            let mut cookie = Vec::new();
            loop {
                let (_, next, more) = self.differences(&root.domain, &cookie).await?;
                cookie = next;
                if !more {
                    break;
                }
            }
            place.set(Some(Mark::Cookie(cookie)));
            self.begin_anew().await?;
        }
        loop {
            sleep(POLL).await;
            let mut more = true;
            while more {
                let cookie = place.cookie().unwrap_or_default();
                let (entries, next, goes_on) = self.differences(&root.domain, &cookie).await?;
                self.tell_all(&entries).await?;
                place.set(Some(Mark::Cookie(next)));
                more = goes_on;
            }
        }
    }

    async fn differences(
        &self,
        domain: &str,
        cookie: &[u8],
    ) -> Result<(Vec<RawEntry>, Vec<u8>, bool), RepositoryError> {
        let mapping = &self.repository.mapping;
        // An object is told of where one of these attributes changed.
        let mut attributes = mapping.requested(true).to_vec();
        attributes.push("isDeleted".to_owned());
        let request = request(domain, "(objectClass=user)".to_owned(), attributes);
        let control = sync::dirsync(cookie);
        let (entries, end) = self.listener.read(&request, Some(&control)).await?;
        if end.code != 0 {
            return Err(refused(end.code, &end.text));
        }
        let answer = end.controls.get(sync::DIRSYNC).and_then(sync::dirsync_answer);
        let (more, cookie) = answer.ok_or_else(unreadable)?;
        Ok((entries, cookie, more))
    }

    /// Whatever has changed anywhere in the domain: people may have left the base, and the deleted
    /// ones have. Where this bind may not see those, the others. `None` where the answer was cut.
    async fn changed(
        &self,
        domain: &str,
        filter: &str,
    ) -> Result<Option<Vec<RawEntry>>, RepositoryError> {
        let name = &self.repository.mapping.names[self.repository.mapping.key].text;
        let request =
            request(domain, filter.to_owned(), vec![name.clone(), "isDeleted".to_owned()]);
        let deleted: RequestControl = sync::show_deleted();
        let (entries, end) = self.listener.read(&request, Some(&deleted)).await?;
        let (entries, end) = match end.code {
            0 => (entries, end),
            _ => self.listener.read(&request, None).await?,
        };
        match end.code {
            0 => Ok(Some(entries)),
            3 | 4 | 11 => Ok(None),
            code => Err(refused(code, &end.text)),
        }
    }

    async fn tell_all(&self, entries: &[RawEntry]) -> Result<(), RepositoryError> {
        if entries.len() >= MOST {
            return self.tell(Change::Anything).await;
        }
        for entry in entries {
            let Some(key) = self.key_of(entry) else { continue };
            let gone = first(entry, "isDeleted").is_some_and(|value| value == b"TRUE");
            self.tell(if gone { Change::Gone(key) } else { Change::Changed(key) }).await?;
        }
        Ok(())
    }

    /// The next message; meanwhile the connection is tried.
    async fn next(
        &self,
        messages: &mut mpsc::Receiver<Message>,
    ) -> Result<Option<Message>, RepositoryError> {
        loop {
            match tokio::time::timeout(PROBE, messages.recv()).await {
                Ok(message) => return Ok(message),
                Err(_) => self.listener.probe().await?,
            }
        }
    }

    async fn root(&self) -> Result<Root, RepositoryError> {
        let attributes = ["highestCommittedUSN", "dsServiceName", "defaultNamingContext"];
        let request = SearchRequest {
            scope: Scope::Base,
            ..request("", "(objectClass=*)".to_owned(), attributes.map(str::to_owned).to_vec())
        };
        let (entries, _) = self.listener.read(&request, None).await?;
        let entry = entries.first().ok_or_else(|| lost("the root DSE may not be read"))?;
        let text = |name| first(entry, name).and_then(|value| std::str::from_utf8(value).ok());
        let missing = || lost("the root DSE is not the one of an Active Directory");
        Ok(Root {
            usn: text("highestCommittedUSN")
                .and_then(|usn| usn.parse().ok())
                .ok_or_else(missing)?,
            service: text("dsServiceName").ok_or_else(missing)?.to_owned(),
            domain: text("defaultNamingContext").ok_or_else(missing)?.to_owned(),
        })
    }

    /// Which server this is, and which life of it: `invocationId` changes where a server comes back
    /// from a copy of itself.
    async fn identity(&self, root: &Root) -> Result<String, RepositoryError> {
        let request = SearchRequest {
            scope: Scope::Base,
            ..request(&root.service, "(objectClass=*)".to_owned(), vec!["invocationId".to_owned()])
        };
        let (entries, _) = self.listener.read(&request, None).await?;
        let life = entries.first().and_then(|entry| first(entry, "invocationId"));
        Ok(format!("{} {life:?}", root.service))
    }

    fn people(&self, attributes: Vec<String>) -> SearchRequest {
        request(&self.repository.base, self.repository.people.to_string(), attributes)
    }

    fn key_of(&self, entry: &RawEntry) -> Option<EntryKey> {
        let mapping = &self.repository.mapping;
        mapping.key_form.read(first(entry, &mapping.names[mapping.key].text)?)
    }
}

struct Root {
    usn: u64,
    service: String,
    domain: String,
}

fn request(base: &str, filter: String, attributes: Vec<String>) -> SearchRequest {
    SearchRequest {
        base: base.to_owned(),
        scope: Scope::Subtree,
        filter,
        attributes: attributes.into(),
        size_limit: 0,
        paging: Paging::Never,
    }
}

fn first<'a>(entry: &'a RawEntry, name: &str) -> Option<&'a [u8]> {
    let (_, values) = entry.attributes.iter().find(|(own, _)| own.eq_ignore_ascii_case(name))?;
    values.first().map(Vec::as_slice)
}

fn key(uuid: &[u8; 16]) -> EntryKey {
    let text = uuid::Uuid::from_bytes(*uuid).to_string();
    canonical_key(text.as_bytes()).unwrap_or_else(|| EntryKey(text.into()))
}

fn keep(place: &Place, cookie: Option<Vec<u8>>) {
    if let Some(cookie) = cookie {
        place.set(Some(Mark::Cookie(cookie)));
    }
}

/// Both run until one of them fails.
async fn either(
    asked: impl Future<Output = Result<(), RepositoryError>>,
    heard: impl Future<Output = Result<(), RepositoryError>>,
) -> Result<(), RepositoryError> {
    tokio::try_join!(asked, heard).map(drop)
}

fn lost(why: &str) -> RepositoryError {
    RepositoryError::Unavailable(why.into())
}

fn unreadable() -> RepositoryError {
    lost("the server tells of a change in a way that cannot be read")
}

fn refused(code: u32, text: &str) -> RepositoryError {
    let why = match code {
        0 => "the server ended the feed".to_owned(),
        12 => "the server has no such feed".to_owned(),
        50 => "this bind may not follow changes".to_owned(),
        code => format!("the feed ended with result code {code}"),
    };
    lost(&if text.is_empty() { why } else { format!("{why}: {text}") })
}
