//! Which of the configured rules hold for an entry: by its DN here, by its groups as [`group`] knows
//! them, and by a rule's own filter as the directory itself decides it.
//!
//! For a batch of entries at most one search is made for each rule that has a filter. Nothing of this
//! is done where there are no rules.

pub(super) mod check;
mod group;
mod operators;
mod root;

use std::collections::HashSet;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use tokio::sync::Mutex;

use super::directory_schema::DirectorySchema;
use super::dn::{Dn, DnError};
use super::filter::{FilterError, LdapFilter};
use super::pushdown::Pushed;
use super::repository::{BATCH, LdapRepository};
use super::wire::{Paging, RawEntry, RawFound, Scope, SearchRequest};
use crate::config;
use crate::repository::{Bounds, Entry, EntryKey, RepositoryError, rule};
use crate::scim::Filter;
use group::{Membership, Walk};
pub use operators::Population;
use root::Root;

/// The rules of one repository, with what was learnt of the groups that they name.
#[derive(Debug, Default)]
pub(super) struct Rules {
    each: Vec<Rule>,
    groups: Vec<Group>,
    root: RwLock<Option<Arc<Root>>>,
}

/// All that are there must hold.
#[derive(Debug)]
struct Rule {
    base: Option<(String, Dn)>,
    filter: Option<LdapFilter>,
    /// Its place among the groups.
    group: Option<usize>,
}

/// A group that rules name.
#[derive(Debug)]
struct Group {
    dn: String,
    known: RwLock<Option<Arc<Membership>>>,
    /// Held by the one who finds out.
    walking: Mutex<()>,
}

/// Why no rule can be made of what is configured.
#[derive(Debug, thiserror::Error)]
pub enum RuleError {
    #[error("\"{0}\"")]
    Name(String, #[source] DnError),
    #[error("\"{0}\"")]
    Filter(String, #[source] FilterError),
}

/// What is known of the groups, for one search.
#[derive(Debug, Default)]
pub(super) struct Learnt {
    groups: Vec<Option<Arc<Membership>>>,
    /// How old the oldest of it is.
    pub aged: Duration,
}

/// Where a search has to look, and for which rules it brings nobody else.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reach {
    /// The entries to search under; none where nobody can be meant.
    pub bases: Vec<String>,
    /// The rules that the filter asks for of everybody.
    sure: Vec<usize>,
}

impl Rules {
    /// Says which rule, counted from 1, is at fault.
    pub(super) fn new(written: &[config::Rule]) -> Result<Self, (usize, RuleError)> {
        let mut rules = Self::default();
        for (place, rule) in written.iter().enumerate() {
            rules.push(rule).map_err(|error| (place + 1, error))?;
        }
        Ok(rules)
    }

    fn push(&mut self, rule: &config::Rule) -> Result<(), RuleError> {
        let dn =
            |text: &String| Dn::parse(text).map_err(|error| RuleError::Name(text.clone(), error));
        let base = rule.base.as_ref().map(|text| Ok((text.clone(), dn(text)?))).transpose()?;
        let filter = rule.filter.as_ref().map(|text| {
            LdapFilter::configured(text).map_err(|error| RuleError::Filter(text.clone(), error))
        });
        let filter = filter.transpose()?;
        let group = match &rule.member_of {
            Some(text) => Some(self.group(text, &dn(text)?)),
            None => None,
        };
        self.each.push(Rule { base, filter, group });
        Ok(())
    }

    /// The place of a group; two rules may name one.
    fn group(&mut self, text: &str, dn: &Dn) -> usize {
        let same = |group: &Group| Dn::parse(&group.dn).as_ref() == Ok(dn);
        if let Some(place) = self.groups.iter().position(same) {
            return place;
        }
        let (known, walking) = (RwLock::default(), Mutex::default());
        self.groups.push(Group { dn: text.to_owned(), known, walking });
        self.groups.len() - 1
    }

    pub(super) fn is_empty(&self) -> bool {
        self.each.is_empty()
    }

    /// The attributes to ask for beside the mapping's.
    pub(super) fn attributes(learnt: &Learnt) -> impl Iterator<Item = &'static str> {
        let groups = learnt.groups.iter().flatten();
        groups.flat_map(|group| group.attributes()).copied()
    }

    /// What is known without asking, however old it is.
    pub(super) fn remembered(&self) -> Learnt {
        let groups = self.groups.iter().map(Group::known).collect();
        Learnt { groups, aged: Duration::ZERO }
    }

    /// What is sent for each rule in a search of that reach.
    pub(super) fn pushed(&self, learnt: &Learnt, reach: &Reach) -> Vec<Pushed> {
        let below = |text: &String, base: &Dn| Dn::parse(text).is_ok_and(|dn| dn.is_under(base));
        let sent = |rule: &Rule| {
            let reached =
                |(_, base): &(String, Dn)| reach.bases.iter().all(|text| below(text, base));
            // Where an entry stands no filter tells.
            let base = rule.base.iter().filter(|base| !reached(base)).map(|_| Pushed::EVERYBODY);
            let filter = rule.filter.iter().map(|filter| Pushed::of(filter.clone(), true));
            let group = rule.group.map(|group| match learnt.group(group) {
                Some(known) => known.pushed.clone(),
                None => Pushed::EVERYBODY,
            });
            Pushed::all(filter.chain(group).chain(base))
        };
        self.each.iter().map(sent).collect()
    }

    /// Where people are for whom `filter` can hold, seen from `base` on.
    pub(super) fn reach(&self, base: &str, filter: &Filter) -> Reach {
        let mut sure = Vec::new();
        match filter {
            Filter::And(parts) => sure.extend(parts.iter().filter_map(rule::asked)),
            filter => sure.extend(rule::asked(filter)),
        }
        if self.is_empty() {
            return Reach { bases: vec![base.to_owned()], sure };
        }
        let Ok(whole) = Dn::parse(base) else {
            return Reach { bases: vec![base.to_owned()], sure };
        };
        let Some(below) = self.bases(filter, &whole) else {
            return Reach { bases: vec![base.to_owned()], sure };
        };
        let outermost = |(place, (_, dn)): &(usize, &(String, Dn))| {
            let covers = |(other, (_, above)): (usize, &(String, Dn))| {
                dn.is_under(above) && (dn != above || other < *place)
            };
            !below.iter().enumerate().any(|other| other.0 != *place && covers(other))
        };
        let bases = below.iter().enumerate().filter(outermost);
        Reach { bases: bases.map(|(_, (text, _))| text.clone()).collect(), sure }
    }

    /// The entries under which everybody is for whom the filter can hold, where that is less than the
    /// whole.
    fn bases(&self, filter: &Filter, whole: &Dn) -> Option<Vec<(String, Dn)>> {
        match filter {
            Filter::And(parts) => {
                // One part is as good as another where both are lists; nobody is better than both.
                let parts = parts.iter().filter_map(|part| self.bases(part, whole));
                parts.min_by_key(Vec::len)
            }
            Filter::Or(parts) => {
                let parts: Option<Vec<_>> =
                    parts.iter().map(|part| self.bases(part, whole)).collect();
                parts.map(|parts| parts.concat())
            }
            Filter::Constant(false) => Some(Vec::new()),
            filter => {
                let (text, dn) = self.each.get(rule::asked(filter)?)?.base.as_ref()?;
                if whole.is_under(dn) {
                    return None;
                }
                let there = dn.is_under(whole).then(|| (text.clone(), dn.clone()));
                Some(there.into_iter().collect())
            }
        }
    }
}

impl Group {
    fn known(&self) -> Option<Arc<Membership>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Learnt {
    fn group(&self, place: usize) -> Option<&Membership> {
        self.groups.get(place)?.as_deref()
    }
}

impl LdapRepository {
    /// What is known of the groups, found out where it is older than the bounds allow.
    pub(super) async fn learn(
        &self,
        schema: &DirectorySchema,
        bounds: Bounds,
    ) -> Result<Learnt, RepositoryError> {
        if self.rules.is_empty() {
            return Ok(Learnt::default());
        }
        let learn = |group| self.learn_group(schema, group, bounds);
        let groups = try_join_all(self.rules.groups.iter().map(learn)).await?;
        let oldest = groups.iter().map(|group| group.learnt).min();
        let groups = groups.into_iter().map(Some).collect();
        let aged = oldest.map_or(Duration::ZERO, |learnt| learnt.elapsed());
        Ok(Learnt { groups, aged })
    }

    async fn learn_group(
        &self,
        schema: &DirectorySchema,
        group: &Group,
        bounds: Bounds,
    ) -> Result<Arc<Membership>, RepositoryError> {
        let fresh = |known: &Arc<Membership>| known.learnt >= bounds.since;
        if let Some(known) = group.known().filter(fresh) {
            return Ok(known);
        }
        let _walking = tokio::time::timeout_at(bounds.deadline.into(), group.walking.lock())
            .await
            .map_err(|_| RepositoryError::Timeout)?;
        if let Some(known) = group.known().filter(fresh) {
            return Ok(known);
        }
        let root = self.root(bounds.deadline).await?;
        let (root, group_dn) = (&*root, group.dn.as_str());
        let (named_by, deadline) = ("member_of of a rule", bounds.deadline);
        let walk = Walk {
            repository: self,
            schema,
            root,
            group: group_dn,
            named_by,
            sends: true,
            deadline,
        };
        let membership = Arc::new(walk.membership().await?);
        *group.known.write().unwrap_or_else(PoisonError::into_inner) =
            Some(Arc::clone(&membership));
        Ok(membership)
    }

    async fn root(&self, deadline: Instant) -> Result<Arc<Root>, RepositoryError> {
        let known = self.rules.root.read().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(root) = known {
            return Ok(root);
        }
        let root = Arc::new(Root::read(self, deadline).await?);
        *self.rules.root.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&root));
        Ok(root)
    }

    /// Says of each entry which rules hold for it.
    pub(super) async fn decide(
        &self,
        read: &mut [(&RawEntry, Entry)],
        learnt: &Learnt,
        reach: Option<&Reach>,
        bounds: Bounds,
    ) -> Result<(), RepositoryError> {
        if self.rules.is_empty() || read.is_empty() {
            return Ok(());
        }
        let parse = |(raw, _): &(&RawEntry, Entry)| Dn::parse(&raw.dn);
        let names: Result<Vec<Dn>, DnError> = read.iter().map(parse).collect();
        let names = names.map_err(|error| {
            RepositoryError::Unavailable(format!("an entry cannot be placed: {error}").into())
        })?;
        let mut open: Vec<(usize, Vec<usize>)> = Vec::new();
        for (place, rule) in self.rules.each.iter().enumerate() {
            let group = rule.group.and_then(|group| learnt.group(group));
            // Only where no more was sent for than the members does everybody who came belong.
            let sure = reach.is_some_and(|reach| reach.sure.contains(&place))
                && group.is_none_or(|group| group.pushed.exact);
            let group = group.filter(|_| !sure);
            let filter = rule.filter.as_ref().filter(|_| !sure);
            let mut asked = Vec::new();
            for (at, ((raw, entry), dn)) in read.iter_mut().zip(&names).enumerate() {
                if rule.base.as_ref().is_some_and(|(_, base)| !dn.is_under(base)) {
                    continue;
                }
                match group.map_or(Some(true), |group| group.has(raw, dn)) {
                    Some(false) => {}
                    Some(true) if filter.is_none() => entry.rules.push(place),
                    _ => asked.push(at),
                }
            }
            if !asked.is_empty() {
                open.push((place, asked));
            }
        }
        let keys: Vec<EntryKey> = read.iter().map(|(_, entry)| entry.key.clone()).collect();
        let asked = open.into_iter().map(|(place, asked)| {
            let keys: Vec<&EntryKey> = asked.iter().filter_map(|at| keys.get(*at)).collect();
            async move { self.hold(place, &keys, learnt, bounds).await.map(|held| (place, held)) }
        });
        for (place, keys) in try_join_all(asked).await? {
            for (_, entry) in read.iter_mut().filter(|(_, entry)| keys.contains(&entry.key)) {
                entry.rules.push(place);
                entry.rules.sort_unstable();
            }
        }
        Ok(())
    }

    /// The keys for whose entries the directory says that the rule holds.
    async fn hold(
        &self,
        place: usize,
        keys: &[&EntryKey],
        learnt: &Learnt,
        bounds: Bounds,
    ) -> Result<HashSet<EntryKey>, RepositoryError> {
        let mut held = HashSet::with_capacity(keys.len());
        let Some(rule) = self.rules.each.get(place) else { return Ok(held) };
        let group = rule.group.and_then(|group| learnt.group(group));
        let name = &self.mapping.names[self.mapping.key].text;
        for batch in keys.chunks(BATCH) {
            let any = LdapFilter::or(batch.iter().map(|key| self.mapping.key_filter(key)));
            let condition = rule.filter.iter().chain(group.and_then(|group| group.asked()));
            let filter = LdapFilter::and([any].into_iter().chain(condition.cloned()));
            let request = SearchRequest {
                base: self.base.clone(),
                scope: Scope::Subtree,
                filter: filter.to_string(),
                attributes: vec![name.clone()].into(),
                size_limit: batch.len(),
                paging: Paging::Overflow,
            };
            let found = self.directory.search(&request, bounds.deadline).await?;
            held.extend(self.keys_of(&found));
            if found.complete {
                continue;
            }
            let open: Vec<&EntryKey> =
                batch.iter().copied().filter(|key| !held.contains(*key)).collect();
            if !self.are_here(&open, &request, &mut held, bounds).await? {
                return Err(RepositoryError::Unavailable(
                    format!("the answer to rule {} was cut", place + 1).into(),
                ));
            }
        }
        Ok(held)
    }

    /// Whether all of these are at the directory's own servers, which say of each by `condition` whether
    /// it holds. What a server behind a referral does not answer is then nothing to them.
    async fn are_here(
        &self,
        keys: &[&EntryKey],
        condition: &SearchRequest,
        held: &mut HashSet<EntryKey>,
        bounds: Bounds,
    ) -> Result<bool, RepositoryError> {
        if keys.is_empty() {
            return Ok(true);
        }
        if !self.directory.follows() {
            return Ok(false);
        }
        let any = LdapFilter::or(keys.iter().map(|key| self.mapping.key_filter(key)));
        let anybody = SearchRequest { filter: any.to_string(), ..condition.clone() };
        let found = self.directory.search_here(condition, bounds.deadline).await?;
        let here = self.directory.search_here(&anybody, bounds.deadline).await?;
        held.extend(self.keys_of(&found));
        let here: HashSet<EntryKey> = self.keys_of(&here).collect();
        Ok(found.complete && keys.iter().all(|key| here.contains(*key)))
    }

    fn keys_of<'a>(&'a self, found: &'a RawFound) -> impl Iterator<Item = EntryKey> + 'a {
        let name = &self.mapping.names[self.mapping.key].text;
        found.entries.iter().filter_map(move |raw| {
            let value = raw.values(name).next()?;
            self.mapping.key_form.read(value)
        })
    }
}

#[cfg(test)]
mod tests;
