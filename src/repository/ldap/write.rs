//! Writing an entry: found by its key, modified by its DN, and only while it holds what is expected.

use std::time::Instant;

use jiff::Timestamp;
use serde_json::Value;

use super::filter::LdapFilter;
use super::mapping::{AttributeName, Stated, Target};
use super::repository::LdapRepository;
use super::result_code::told;
use super::wire::{
    AttributeChange, ModifyRequest, Paging, RawEntry, Said, Scope, SearchRequest, Unsaid,
};
use crate::repository::write::alike;
use crate::repository::{EntryKey, Modification, Refusal, RepositoryError, WriteError};

/// The assertion control (RFC 4528).
pub(super) const ASSERTION: &str = "1.3.6.1.1.12";

/// The result code of an operation with a critical control that the server does not take.
const UNAVAILABLE_CRITICAL_EXTENSION: u32 = 12;

/// The result code for a value that is not there to be taken away (RFC 4511 section 4.1.9).
const NO_SUCH_VALUE: u32 = 16;

/// A modification with where its values stand.
type Placed<'a> = (&'a Modification, Target<'a>);

impl LdapRepository {
    pub(super) async fn modified(
        &self,
        key: &EntryKey,
        modifications: &[Modification],
        deadline: Instant,
    ) -> Result<(), WriteError> {
        let mut asserts = self.facts(deadline).await?.asserts;
        let placed: Vec<Placed<'_>> = modifications
            .iter()
            .filter_map(|one| Some((one, self.mapping.target(&one.key)?)))
            .collect();
        let mut broken = None;
        loop {
            let entry = match (self.entry_of(key, &placed, deadline).await, &broken) {
                (Err(WriteError::Unavailable(_)), Some(error)) => {
                    return Err(WriteError::Undecided(Clone::clone(error)));
                }
                (entry, _) => entry?,
            };
            let now = self.clock.now();
            // What was sent on the connection that broke was done.
            if broken.is_some() && placed.iter().all(|one| holds(&entry, one, &one.0.wanted, now)) {
                return Ok(());
            }
            let mut request = request(&entry, &placed, now)?;
            request.assertion = asserts.then(|| self.assertion(key, &entry, &placed));
            match self.directory.modify(&request, deadline).await {
                // The server names the control and does not take it here; nothing was done, and the
                // values that go still have to be there.
                Ok(said) if said.code == UNAVAILABLE_CRITICAL_EXTENSION && asserts => {
                    asserts = false;
                }
                Ok(Said { code: NO_SUCH_VALUE, .. }) => {
                    return Err(self.not_there(key, &entry, &placed, deadline).await);
                }
                Ok(said) => return judged(&said),
                Err(Unsaid::Unsent(error)) => return Err(error.into()),
                // A socket that was dead all along; what was expected is looked for once more, and
                // nothing is sent where it is not there.
                Err(Unsaid::Broken(error)) if broken.is_none() => broken = Some(error),
                Err(Unsaid::Broken(error) | Unsaid::Late(error)) => {
                    return Err(WriteError::Undecided(error));
                }
            }
        }
    }

    /// The entry as it is, with the attributes that are to be written.
    async fn entry_of(
        &self,
        key: &EntryKey,
        placed: &[Placed<'_>],
        deadline: Instant,
    ) -> Result<RawEntry, WriteError> {
        let request = SearchRequest {
            base: self.base.clone(),
            scope: Scope::Subtree,
            filter: self.sent(self.mapping.key_filter(key)).to_string(),
            attributes: placed.iter().flat_map(|(_, target)| target.read()).collect(),
            size_limit: 1,
            paging: Paging::Never,
        };
        // Nothing is written where a referral leads: what stands there is not ours to change.
        let found = self.directory.search_here(&request, deadline).await?;
        let whole = self.in_whole(&found.entries, deadline).await;
        if !whole.is_complete() {
            let text = "not all values of the entry were read";
            return Err(RepositoryError::Unavailable(text.into()).into());
        }
        match whole.entries().first() {
            Some(entry) => Ok(entry.clone()),
            None if !found.complete => {
                Err(RepositoryError::Unavailable("the answer was cut".into()).into())
            }
            None if self.directory.leads_on(&found) => {
                let text = "the entry is not on this server, and is not written where a referral \
                            leads; change it there";
                Err(WriteError::Refused { refusal: Refusal::Right, text: text.to_owned() })
            }
            None => Err(WriteError::Gone),
        }
    }

    /// Why a value that was just read could not be taken away: it is another one by now, or it is shown
    /// in the entry and stands elsewhere, as a lock of 389 Directory Server that comes of a role does.
    async fn not_there(
        &self,
        key: &EntryKey,
        before: &RawEntry,
        placed: &[Placed<'_>],
        deadline: Instant,
    ) -> WriteError {
        let account = placed.iter().find(|(_, target)| target.account.is_some());
        let Some((modification, target)) = account else { return WriteError::Changed };
        match self.entry_of(key, placed, deadline).await {
            Ok(entry) if values(&entry, target.name) == values(before, target.name) => {
                let text = format!(
                    "{}: {} is shown in the entry and does not stand in it: something else in the \
                     directory gives it, such as a role",
                    modification.key, target.name.text
                );
                WriteError::Refused { refusal: Refusal::Held, text }
            }
            _ => WriteError::Changed,
        }
    }

    /// That it is this entry, and has what is expected where a change takes nothing away that would
    /// have to be there.
    fn assertion(&self, key: &EntryKey, entry: &RawEntry, placed: &[Placed<'_>]) -> String {
        let holds = placed.iter().flat_map(|(modification, target)| {
            let name = || target.name.text.clone();
            let absent = || LdapFilter::Not(Box::new(LdapFilter::Present(name())));
            let expected: Vec<Vec<u8>> = match target.account {
                Some(_) => values(entry, target.name).to_vec(),
                None => modification.expected.iter().filter_map(|one| target.encode(one)).collect(),
            };
            let texts = expected.into_iter().filter_map(|bytes| String::from_utf8(bytes).ok());
            let mut parts: Vec<LdapFilter> =
                texts.map(|text| LdapFilter::Equal(name(), text)).collect();
            if parts.is_empty() {
                parts.push(absent());
            }
            parts
        });
        let holds: Vec<LdapFilter> = holds.collect();
        LdapFilter::and([self.mapping.key_filter(key)].into_iter().chain(holds)).to_string()
    }
}

/// The values of the attribute itself, without those of its subtypes.
fn values<'a>(entry: &'a RawEntry, name: &AttributeName) -> &'a [Vec<u8>] {
    let own = entry.attributes.iter().find(|(own, _)| name.is(own));
    own.map_or(&[], |(_, values)| values)
}

fn holds(
    entry: &RawEntry,
    (_, target): &Placed<'_>,
    values_wanted: &[Value],
    now: Timestamp,
) -> bool {
    let held: Vec<Value> = if let Some(account) = target.account {
        vec![account.read(|name| account.values(entry, name), now)]
    } else {
        values(entry, target.name).iter().filter_map(|one| target.decode(one)).collect()
    };
    alike(&held, values_wanted)
}

impl Target<'_> {
    /// What has to be read to write it.
    fn read(&self) -> Vec<String> {
        match self.account {
            Some(account) => account.names().map(|name| name.text.clone()).collect(),
            None => vec![self.name.text.clone()],
        }
    }
}

impl Stated<'_> {
    fn values(self, entry: &RawEntry, name: usize) -> &[Vec<u8>] {
        self.name(name).map_or(&[], |name| values(entry, name))
    }
}

/// What takes the entry from what is expected to what is wanted: exactly the bytes that it holds go,
/// so that whoever changes them meanwhile makes this fail.
fn request(
    entry: &RawEntry,
    placed: &[Placed<'_>],
    now: Timestamp,
) -> Result<ModifyRequest, WriteError> {
    let mut changes = Vec::new();
    for one @ (modification, target) in placed {
        if let Some(account) = target.account {
            if !holds(entry, one, &modification.expected, now) {
                return Err(WriteError::Changed);
            }
            changes.push(switched(entry, modification, (target, account), now)?);
            continue;
        }
        let Modification { key, expected, wanted } = modification;
        let attribute = &target.name.text;
        let held = values(entry, target.name);
        let most = held.len().max(wanted.len());
        if !target.several && most > 1 {
            let text = format!(
                "{key}: of the LDAP attribute {attribute} one value is shown here, and there would be, \
                 or are, {most}; change it in the directory"
            );
            return Err(WriteError::Refused { refusal: Refusal::Value, text });
        }
        if !holds(entry, one, expected, now) {
            return Err(WriteError::Changed);
        }
        let goes =
            |bytes: &&Vec<u8>| target.decode(bytes).is_some_and(|value| !wanted.contains(&value));
        let delete: Vec<Vec<u8>> = held.iter().filter(goes).cloned().collect();
        let mut add = Vec::new();
        for value in wanted.iter().filter(|value| !expected.contains(value)) {
            let Some(bytes) = target.encode(value) else {
                let text =
                    format!("{key}: the value cannot be one of the LDAP attribute {attribute}");
                return Err(WriteError::Refused { refusal: Refusal::Value, text });
            };
            add.push(bytes);
        }
        changes.push(AttributeChange { name: attribute.clone(), delete, add });
    }
    Ok(ModifyRequest { dn: entry.dn.clone(), changes, assertion: None })
}

/// The switch of an account is moved. Whom something else locks is not opened by it.
fn switched(
    entry: &RawEntry,
    Modification { key, wanted, .. }: &Modification,
    (target, account): (&Target<'_>, Stated<'_>),
    now: Timestamp,
) -> Result<AttributeChange, WriteError> {
    let name = &target.name.text;
    let wanted = wanted.first().unwrap_or(&Value::Bool(true));
    if *wanted == Value::Bool(true)
        && let Some(other) = account.other(|name| account.values(entry, name), now)
    {
        let text = format!(
            "{key}: the LDAP attribute {other} locks the account, and nothing but {name} is written"
        );
        return Err(WriteError::Refused { refusal: Refusal::Held, text });
    }
    let held = values(entry, target.name);
    let Some((delete, add)) = account.switch().moved(held, wanted) else {
        let text = format!(
            "{key}: the entry shows no number in the LDAP attribute {name}; the bind must be able to \
             read it"
        );
        return Err(WriteError::Refused { refusal: Refusal::Right, text });
    };
    Ok(AttributeChange { name: name.clone(), delete, add })
}

/// What the result codes of RFC 4511 section 4.1.9 mean for whoever wrote.
fn judged(said: &Said) -> Result<(), WriteError> {
    let refusal = match said.code {
        0 => return Ok(()),
        16 | 122 => return Err(WriteError::Changed),
        32 => return Err(WriteError::Gone),
        8 | 10 | UNAVAILABLE_CRITICAL_EXTENSION | 13 | 50 | 53 => Refusal::Right,
        17..=21 | 64..=69 => Refusal::Value,
        _ => {
            let text = told(said.code, &said.text);
            return Err(WriteError::Unavailable(RepositoryError::Unavailable(text.into())));
        }
    };
    Err(WriteError::Refused { refusal, text: told(said.code, &said.text) })
}

#[cfg(test)]
mod tests;
