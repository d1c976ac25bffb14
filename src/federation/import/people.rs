//! The directory people whom rows of an import name: found in searches for many at once.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;

use super::super::directory::{Directory, Known};
use super::super::{Federation, Problem, demand};
use super::judge::{Judged, Reason};
use crate::caller::{Caller, Permission};
use crate::scim::filter::{Filter, Literal, Operator, Text};
use crate::scim::{AttributePath, ErrorKind};
use crate::store::{LinkState, StoreError};

/// How many people one search asks for at most.
pub(super) const TOGETHER: usize = 100;

/// Whom a row means.
#[derive(Debug)]
pub(super) enum Meant {
    /// Nobody of a directory: a local user.
    Nobody,
    Person {
        directory: Arc<Directory>,
        known: Arc<Known>,
        /// Whether a user that was deleted stands in its place.
        revive: bool,
    },
    /// It cannot be told, or must not be done.
    Refused(Reason),
}

/// Everybody of one repository who has one of the ids asked for, by the form under which ids are
/// compared; or why that cannot be told of an id.
type Found = HashMap<String, Result<Vec<Arc<Known>>, Reason>>;

impl Federation {
    /// Whom each of the rows means, by the mapped `externalId` alone, as a POST does. All are asked
    /// for past every cache. Where a repository that might hold somebody does not answer, nothing is
    /// concluded about anybody.
    pub(super) async fn meant_by(
        &self,
        caller: &Caller,
        rows: &[Judged],
    ) -> Result<Vec<Meant>, Problem> {
        let path = self.users().resolve("externalId");
        let mut wanted: Vec<Vec<(usize, Arc<Directory>)>> = Vec::with_capacity(rows.len());
        let mut meant: Vec<Meant> = Vec::with_capacity(rows.len());
        let mut asked: HashMap<&str, (Arc<Directory>, Vec<&str>)> = HashMap::new();
        for (at, row) in rows.iter().enumerate() {
            let (directories, refused) = self.candidates(caller, row);
            meant.push(refused.map_or(Meant::Nobody, Meant::Refused));
            if let Some(id) = external_id(row) {
                for directory in &directories {
                    if directory.repository().maps(&path) {
                        let entry = asked.entry(directory_key(self, directory));
                        let (_, ids) = entry.or_insert((Arc::clone(directory), Vec::new()));
                        ids.push(id);
                    }
                }
            }
            wanted.push(directories.into_iter().map(|directory| (at, directory)).collect());
        }
        let photos = rows.iter().any(|row| {
            row.checked.as_ref().is_ok_and(|checked| checked.attributes.contains_key("photos"))
        });
        let mut found: HashMap<&str, Found> = HashMap::with_capacity(asked.len());
        for (key, (directory, ids)) in asked {
            found.insert(key, search(&directory, &ids, &path, photos).await?);
        }
        for (at, directory) in wanted.into_iter().flatten() {
            let Some(id) = external_id(&rows[at]) else { continue };
            let key = Text::new(id, &path).key().to_owned();
            let of = found.get(directory.id()).and_then(|found| found.get(&key));
            match of {
                None => {}
                Some(Err(reason)) => meant[at] = Meant::Refused(reason.clone()),
                Some(Ok(people)) => {
                    for known in people {
                        let first = std::mem::replace(&mut meant[at], Meant::Nobody);
                        meant[at] = joined(first, id, &directory, known);
                    }
                }
            }
        }
        refuse(caller, rows, &mut meant);
        self.linked(&mut meant).await?;
        Ok(meant)
    }

    /// Where the person whom a row may mean is looked for.
    fn candidates(&self, caller: &Caller, row: &Judged) -> (Vec<Arc<Directory>>, Option<Reason>) {
        let Ok(checked) = &row.checked else { return (Vec::new(), None) };
        match (&checked.user_repository_id, external_id(row)) {
            (Some(named), Some(_)) => {
                let there = self.directory(named).map(Arc::clone);
                let refused = there.is_none().then(|| {
                    Reason::invalid(format!(
                        "userRepositoryId: there is no repository \"{named}\" in this tenant."
                    ))
                });
                (there.into_iter().collect(), refused)
            }
            (Some(_), None) => {
                let detail = "externalId is missing: with userRepositoryId it names the directory \
                              person to bind.";
                (Vec::new(), Some(Reason::invalid(detail)))
            }
            (None, Some(_)) if caller.binds == Some(true) => (self.directories.clone(), None),
            (None, _) => (Vec::new(), None),
        }
    }

    /// Refuses who is bound already, and finds out whose user was deleted.
    async fn linked(&self, meant: &mut [Meant]) -> Result<(), Problem> {
        let mut keys: HashMap<String, Vec<String>> = HashMap::new();
        for one in meant.iter() {
            if let Meant::Person { directory, known, .. } = one {
                keys.entry(directory.id().to_owned()).or_default().push(known.key.0.to_string());
            }
        }
        let mut states: HashMap<(String, String), LinkState> = HashMap::new();
        for (repository, keys) in keys {
            for state in self.store.find_links(&self.tenant, &repository, &keys).await? {
                let entry_key = match &state {
                    LinkState::Row(row) => row.link.as_ref().map(|link| link.entry_key.clone()),
                    LinkState::Tombstone { entry_key } => Some(entry_key.clone()),
                };
                states.insert((repository.clone(), entry_key.unwrap_or_default()), state);
            }
        }
        for one in meant {
            let Meant::Person { directory, known, revive } = one else { continue };
            match states.get(&(directory.id().to_owned(), known.key.0.to_string())) {
                None => {}
                Some(LinkState::Tombstone { .. }) => *revive = true,
                Some(LinkState::Row(row)) => {
                    let linked = StoreError::Linked { id: row.id.clone() };
                    *one = Meant::Refused(Reason::refused(linked)?);
                }
            }
        }
        Ok(())
    }
}

/// Refuses whom the caller must not bind, and who was named and is not there.
fn refuse(caller: &Caller, rows: &[Judged], meant: &mut [Meant]) {
    for (row, meant) in rows.iter().zip(meant) {
        let named = row.checked.as_ref().ok().and_then(|one| one.user_repository_id.as_ref());
        let reason = match (&*meant, named, external_id(row)) {
            (Meant::Nobody, Some(named), Some(id)) => Reason::invalid(format!(
                "externalId: nobody in the repository \"{named}\" has \"{id}\"."
            )),
            (Meant::Person { .. }, ..) => match demand(caller, Permission::UsersBind) {
                Ok(()) => continue,
                Err(problem) => Reason { existed: false, kind: None, detail: problem.to_string() },
            },
            _ => continue,
        };
        *meant = Meant::Refused(reason);
    }
}

fn external_id(row: &Judged) -> Option<&str> {
    row.checked.as_ref().ok()?.attributes.get("externalId").and_then(Value::as_str)
}

/// The directory's id, for as long as the federation lives.
fn directory_key<'a>(federation: &'a Federation, directory: &Directory) -> &'a str {
    federation.directory(directory.id()).map_or("", |one| one.id())
}

/// One more person who has the id of a row.
fn joined(before: Meant, id: &str, directory: &Arc<Directory>, known: &Arc<Known>) -> Meant {
    match before {
        Meant::Nobody => Meant::Person {
            directory: Arc::clone(directory),
            known: Arc::clone(known),
            revive: false,
        },
        Meant::Person { directory: other, .. } => Meant::Refused(Reason {
            existed: false,
            kind: Some(ErrorKind::Uniqueness),
            detail: format!(
                "externalId \"{id}\" is the externalId of several people, in the repositories {}, {}; \
                 name one by userRepositoryId.",
                other.id(),
                directory.id()
            ),
        }),
        refused @ Meant::Refused(_) => refused,
    }
}

/// Everybody of a repository who has one of `ids`.
async fn search(
    directory: &Directory,
    ids: &[&str],
    path: &AttributePath,
    photos: bool,
) -> Result<Found, Problem> {
    let mut found = Found::new();
    let mut ids = ids.to_vec();
    ids.sort_unstable();
    ids.dedup();
    let mut waiting: Vec<&[&str]> = ids.chunks(TOGETHER).collect();
    while let Some(ids) = waiting.pop() {
        let filter = Filter::or(ids.iter().map(|id| Filter::Compare {
            path: path.clone(),
            operator: Operator::Eq,
            value: Literal::String(Text::new(*id, path)),
        }));
        match directory.resolve(&filter, photos).await {
            Ok(people) => {
                for known in people {
                    let values = known.values();
                    let Some(id) = values.get("externalId").and_then(Value::as_str) else {
                        continue;
                    };
                    let of = found.entry(Text::new(id, path).key().to_owned());
                    if let Ok(people) = of.or_insert_with(|| Ok(Vec::new())) {
                        people.push(known);
                    }
                }
            }
            // The repository says no more at once: it is asked for fewer.
            Err(Problem::Scim(error)) if error.kind == ErrorKind::TooMany => match ids {
                [one] => {
                    let key = Text::new(*one, path).key().to_owned();
                    found.insert(key, Err(error.into()));
                }
                several => {
                    let (first, second) = several.split_at(several.len() / 2);
                    waiting.extend([first, second]);
                }
            },
            Err(problem) => return Err(problem),
        }
    }
    Ok(found)
}
