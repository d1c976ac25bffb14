//! Who is in a group of the directory, directly or through groups in it.
//!
//! Active Directory follows nested groups by itself, and keeps in each entry which groups name it.
//! Elsewhere the groups are walked, from the group down: what they say of their members counts, and
//! what entries say of their groups is sent in filters only where it was seen to be the same.

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tracing::debug;

use super::super::directory_schema::{DirectorySchema, Knowledge};
use super::super::dn::Dn;
use super::super::filter::LdapFilter;
use super::super::pushdown::Pushed;
use super::super::repository::LdapRepository;
use super::super::wire::{Paging, RawEntry, RawFound, Scope, SearchRequest, rest_of};
use super::root::Root;
use crate::repository::RepositoryError;
use crate::scim::text::fold;

/// More groups than these are not walked for one rule.
const MOST_GROUPS: usize = 1_000;
/// More members than these are not kept for one rule.
const MOST_MEMBERS: usize = 200_000;
/// A directory with more groups than these is not walked.
const MOST_LISTED: usize = 50_000;
/// More names than these do not stand in one filter.
const NAMES: usize = 500;
/// How many groups are read at the same time.
const ABREAST: usize = 8;

/// What groups are called; where a directory knows a name not, no entry has it.
const CLASSES: [&str; 6] = [
    "groupOfNames",
    "groupOfUniqueNames",
    "groupOfMembers",
    "groupOfEntries",
    "posixGroup",
    // Of Active Directory's Lightweight Directory Services.
    "group",
];

/// Who is in a group, as it was at a moment.
#[derive(Debug)]
pub(super) struct Membership {
    /// Nothing that it says is older.
    pub learnt: Instant,
    /// What is sent for the members.
    pub pushed: Pushed,
    people: People,
}

#[derive(Debug)]
enum People {
    /// Of Active Directory: who names one of these groups, or has one as its primary group.
    Telling { groups: HashSet<Box<[u8]>>, primary: HashSet<u32> },
    /// Who is named by the groups: by DN, or by the login.
    Named { members: HashSet<Box<[u8]>>, logins: HashSet<String> },
}

impl Membership {
    /// The attributes by which entries are told apart.
    pub(super) fn attributes(&self) -> &'static [&'static str] {
        match &self.people {
            People::Telling { .. } => &["memberOf", "primaryGroupID"],
            People::Named { logins, .. } if logins.is_empty() => &[],
            People::Named { .. } => &["uid"],
        }
    }

    /// What the directory is to be asked where an entry does not tell.
    pub(super) fn asked(&self) -> Option<&LdapFilter> {
        matches!(self.people, People::Telling { .. }).then_some(&self.pushed.filter)
    }

    /// Whether the groups name anybody.
    pub(super) fn names_anybody(&self) -> bool {
        match &self.people {
            People::Telling { .. } => true,
            People::Named { members, logins } => !(members.is_empty() && logins.is_empty()),
        }
    }

    /// Whether the entry is a member; `None` where it does not tell all of its groups at once.
    pub(super) fn has(&self, raw: &RawEntry, dn: &Dn) -> Option<bool> {
        match &self.people {
            People::Named { members, logins } => {
                let login = || {
                    let mut uids = raw.values("uid").filter_map(text);
                    uids.any(|uid| logins.contains(&*fold(uid)))
                };
                Some(members.contains(&dn.identity()) || (!logins.is_empty() && login()))
            }
            People::Telling { groups, primary } => {
                let mut rids = raw.values("primaryGroupID").filter_map(text);
                let is_primary =
                    rids.any(|rid| rid.parse().is_ok_and(|rid| primary.contains(&rid)));
                let named = |value: &[u8]| {
                    let dn = text(value).and_then(|value| Dn::parse(value).ok());
                    dn.is_some_and(|dn| groups.contains(&dn.identity()))
                };
                if is_primary || raw.values("memberOf").any(named) {
                    return Some(true);
                }
                // Values that come in parts have options (`memberOf;range=0-1499`).
                let parts = raw.attributes.iter().any(|(name, _)| {
                    name.get(..9).is_some_and(|start| start.eq_ignore_ascii_case("memberOf;"))
                });
                (!parts).then_some(false)
            }
        }
    }
}

impl RawEntry {
    pub(in super::super) fn values(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        let named = move |own: &str| {
            let base = own.split(';').next().unwrap_or_default();
            base.eq_ignore_ascii_case(name)
        };
        let found = self.attributes.iter().filter(move |(own, _)| named(own));
        found.flat_map(|(_, values)| values.iter().map(Vec::as_slice))
    }
}

fn text(value: &[u8]) -> Option<&str> {
    std::str::from_utf8(value).ok()
}

/// What is needed to find out.
pub(super) struct Walk<'a> {
    pub repository: &'a LdapRepository,
    pub schema: &'a DirectorySchema,
    pub root: &'a Root,
    /// The group's DN, as configured.
    pub group: &'a str,
    /// By which key it is.
    pub named_by: &'static str,
    /// Whether it will be searched for members.
    pub sends: bool,
    pub deadline: Instant,
}

impl Walk<'_> {
    pub(super) async fn membership(&self) -> Result<Membership, RepositoryError> {
        let learnt = Instant::now();
        let found = if self.root.active_directory { self.chain().await } else { self.down().await };
        let (people, pushed) = found.map_err(|error| match error {
            RepositoryError::Timeout => error,
            RepositoryError::Unavailable(why) => RepositoryError::Unavailable(
                format!("who is in \"{}\" ({}) is not known: {why}", self.group, self.named_by)
                    .into(),
            ),
        })?;
        Ok(Membership { learnt, pushed, people })
    }

    /// Active Directory tells which groups are in the group, and each entry which groups it is in, but
    /// for its primary group.
    async fn chain(&self) -> Result<(People, Pushed), RepositoryError> {
        let sid = || vec!["objectSid".to_owned()];
        let own = self.entry(self.group, sid()).await?;
        let group = LdapFilter::Equal("objectClass".into(), "group".into());
        let within = LdapFilter::InChain("memberOf".into(), self.group.to_owned());
        let filter = LdapFilter::and([group, within.clone()]);
        let context = self.root.context(&parsed(self.group)?).unwrap_or(self.group);
        let found = self.ask(context, Scope::Subtree, &filter, sid(), MOST_GROUPS).await?;
        if !found.complete {
            return Err(too_many("groups", MOST_GROUPS));
        }
        let (mut groups, mut primary) = (HashSet::new(), HashSet::new());
        for entry in found.entries.iter().chain([&own]) {
            groups.insert(parsed(&entry.dn)?.identity());
            // The last of its numbers tells a group from the others of its domain.
            let rid = entry.values("objectSid").next().and_then(|sid| sid.last_chunk());
            primary.extend(rid.map(|rid| u32::from_le_bytes(*rid)));
        }
        let mut rids: Vec<&u32> = primary.iter().collect();
        rids.sort_unstable();
        let name = "primaryGroupID";
        let primary_of = rids.iter().map(|rid| LdapFilter::Equal(name.into(), rid.to_string()));
        let pushed = Pushed::of(LdapFilter::or([within].into_iter().chain(primary_of)), true);
        Ok((People::Telling { groups, primary }, pushed))
    }

    /// Down from the group, level by level; a group that was seen is not read again.
    async fn down(&self) -> Result<(People, Pushed), RepositoryError> {
        let mut seen = HashSet::from([parsed(self.group)?.identity()]);
        let mut groups = vec![self.group.to_owned()];
        // With their names as the groups write them.
        let mut members: HashMap<Box<[u8]>, String> = HashMap::new();
        let mut logins = HashSet::new();
        let mut listed: HashMap<&str, HashSet<Box<[u8]>>> = HashMap::new();
        let mut level = groups.clone();
        while !level.is_empty() {
            let read = stream::iter(level).map(|group| async move { self.members(&group).await });
            let read: Vec<Members> = read.buffer_unordered(ABREAST).try_collect().await?;
            level = Vec::new();
            for Members { named, uids } in read {
                logins.extend(uids.iter().map(|uid| fold(uid).into_owned()));
                for name in named {
                    let Ok(dn) = Dn::parse(&name) else {
                        debug!(ldap.dn = name, "a member is passed over: it is no DN");
                        continue;
                    };
                    let identity = dn.identity();
                    if let Some(context) = self.root.context(&dn) {
                        if !listed.contains_key(context) {
                            listed.insert(context, self.all_groups(context).await?);
                        }
                        let is_group =
                            listed.get(context).is_some_and(|all| all.contains(&identity));
                        if is_group && seen.insert(identity.clone()) {
                            level.push(name.clone());
                            groups.push(name.clone());
                        }
                    }
                    members.insert(identity, name);
                }
            }
            if groups.len() > MOST_GROUPS {
                return Err(too_many("groups", MOST_GROUPS));
            }
            if members.len() + logins.len() > MOST_MEMBERS {
                return Err(too_many("members", MOST_MEMBERS));
            }
        }
        let pushed = if self.sends {
            self.pushed(&groups, &members, &logins).await?
        } else {
            Pushed::EVERYBODY
        };
        Ok((People::Named { members: members.into_keys().collect(), logins }, pushed))
    }

    /// What selects all of the members: the groups in their entries where these are kept there, or
    /// else the members' names where they are few.
    async fn pushed(
        &self,
        groups: &[String],
        members: &HashMap<Box<[u8]>, String>,
        logins: &HashSet<String>,
    ) -> Result<Pushed, RepositoryError> {
        if logins.len() > NAMES {
            return Ok(Pushed::EVERYBODY);
        }
        let mut logins: Vec<&str> = logins.iter().map(String::as_str).collect();
        logins.sort_unstable();
        let logins = any("uid", logins);
        if members.is_empty() {
            return Ok(Pushed::of(logins, true));
        }
        let known = |name: &str| matches!(self.schema.get(name), Knowledge::Known(_));
        let by_name = known("entrydn");
        if known("memberof") && groups.len() <= NAMES {
            let telling = any("memberOf", groups.iter().map(String::as_str));
            if let Some(exact) = self.is_kept(&telling, members, by_name).await? {
                return Ok(Pushed::of(LdapFilter::or([telling, logins]), exact));
            }
        }
        if by_name && members.len() <= NAMES {
            let mut names: Vec<&str> = members.values().map(String::as_str).collect();
            names.sort_unstable();
            return Ok(Pushed::of(LdapFilter::or([any("entryDN", names), logins]), true));
        }
        Ok(Pushed::EVERYBODY)
    }

    /// Whether `telling` selects nobody else; `None` where it does not select every one of the members
    /// who is there.
    async fn is_kept(
        &self,
        telling: &LdapFilter,
        members: &HashMap<Box<[u8]>, String>,
        by_name: bool,
    ) -> Result<Option<bool>, RepositoryError> {
        let people = |filter| LdapFilter::and([self.repository.people.clone(), filter]);
        let (base, none) = (&self.repository.base, || vec!["1.1".to_owned()]);
        let sent = people(telling.clone());
        let found = self.ask(base, Scope::Subtree, &sent, none(), members.len()).await?;
        if !found.complete {
            return Ok(None);
        }
        // Whoever is at another server is not asked here.
        let elsewhere = self.repository.directory.leads_on(&found);
        let identity = |entry: &RawEntry| Some(Dn::parse(&entry.dn).ok()?.identity());
        let told: HashSet<Box<[u8]>> = found.entries.iter().filter_map(identity).collect();
        let exact = !elsewhere && told.iter().all(|identity| members.contains_key(identity));
        let silent = members.iter().filter(|(identity, _)| !told.contains(*identity));
        let silent: Vec<&str> = silent.map(|(_, name)| name.as_str()).collect();
        if silent.is_empty() {
            return Ok(Some(exact));
        }
        // Whoever is silent is a group, stands elsewhere, or is gone; or the directory does not keep
        // in entries which groups name them.
        if elsewhere || !by_name || silent.len() > NAMES {
            return Ok(None);
        }
        let sent = people(any("entryDN", silent));
        let found = self.ask(base, Scope::Subtree, &sent, none(), 1).await?;
        Ok((found.complete && found.entries.is_empty()).then_some(exact))
    }

    async fn all_groups(&self, context: &str) -> Result<HashSet<Box<[u8]>>, RepositoryError> {
        let class = |class: &&str| LdapFilter::Equal("objectClass".into(), (*class).to_owned());
        let filter = LdapFilter::or(CLASSES.iter().map(class));
        let none = vec!["1.1".to_owned()];
        let found = self.ask(context, Scope::Subtree, &filter, none, MOST_LISTED).await?;
        if !found.complete {
            return Err(RepositoryError::Unavailable(
                "the list of the directory's groups was cut; let this bind read all of them".into(),
            ));
        }
        found.entries.iter().map(|entry| Ok(parsed(&entry.dn)?.identity())).collect()
    }

    /// The members that one group names, also where they come in parts.
    async fn members(&self, group: &str) -> Result<Members, RepositoryError> {
        let mut members = Members::default();
        let mut wanted: Vec<String> =
            ["member", "uniqueMember", "memberUid"].map(str::to_owned).to_vec();
        while !wanted.is_empty() {
            let entry = self.entry(group, wanted).await?;
            wanted = Vec::new();
            for (name, values) in entry.attributes {
                let (base, options) = name.split_once(';').unwrap_or((&name, ""));
                let texts = values.into_iter().filter_map(|value| String::from_utf8(value).ok());
                if base.eq_ignore_ascii_case("memberUid") {
                    members.uids.extend(texts);
                } else if base.eq_ignore_ascii_case("uniqueMember") {
                    members.named.extend(texts.map(without_uid));
                } else {
                    members.named.extend(texts);
                }
                wanted.extend(rest_of(base, options));
            }
            if members.named.len() + members.uids.len() > MOST_MEMBERS {
                return Err(too_many("members", MOST_MEMBERS));
            }
        }
        Ok(members)
    }

    /// One entry, which must be there to be read.
    async fn entry(&self, dn: &str, attributes: Vec<String>) -> Result<RawEntry, RepositoryError> {
        let any = LdapFilter::Present("objectClass".into());
        let found = self.ask(dn, Scope::Base, &any, attributes, 1).await?;
        found.entries.into_iter().next().ok_or_else(|| {
            RepositoryError::Unavailable(format!("\"{dn}\" may not be read by this bind").into())
        })
    }

    /// Groups are read at the directory's own servers: none behind a referral can fail a rule.
    async fn ask(
        &self,
        base: &str,
        scope: Scope,
        filter: &LdapFilter,
        attributes: Vec<String>,
        size_limit: usize,
    ) -> Result<RawFound, RepositoryError> {
        let request = SearchRequest {
            base: base.to_owned(),
            scope,
            filter: filter.to_string(),
            attributes: attributes.into(),
            size_limit,
            paging: if size_limit > 1 { Paging::Overflow } else { Paging::Never },
        };
        self.repository.directory.search_place(&request, self.deadline).await
    }
}

#[derive(Debug, Default)]
struct Members {
    named: Vec<String>,
    uids: Vec<String>,
}

/// A name without the bits that RFC 4517 section 3.3.21 lets stand behind it (`#'0101'B`).
fn without_uid(mut name: String) -> String {
    if name.ends_with("'B")
        && let Some(at) = name.rfind("#'")
        && name[at + 2..name.len() - 2].bytes().all(|bit| matches!(bit, b'0' | b'1'))
    {
        name.truncate(at);
    }
    name
}

fn any<'a>(attribute: &str, values: impl IntoIterator<Item = &'a str>) -> LdapFilter {
    let equal = |value: &str| LdapFilter::Equal(attribute.into(), value.to_owned());
    LdapFilter::or(values.into_iter().map(equal))
}

fn parsed(dn: &str) -> Result<Dn, RepositoryError> {
    Dn::parse(dn)
        .map_err(|error| RepositoryError::Unavailable(format!("\"{dn}\" is {error}").into()))
}

fn too_many(what: &str, most: usize) -> RepositoryError {
    RepositoryError::Unavailable(format!("there are more than {most} {what} in it").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_behind_a_name_are_none_of_it() {
        for (written, name) in [
            ("cn=a,dc=b#'0101'B", "cn=a,dc=b"),
            ("cn=a,dc=b#''B", "cn=a,dc=b"),
            ("cn=a#'2'B", "cn=a#'2'B"),
            ("cn=a,dc=b", "cn=a,dc=b"),
            ("'B", "'B"),
        ] {
            assert_eq!(without_uid(written.to_owned()), name);
        }
    }
}
