//! One LDAP directory as a [`Repository`].

use std::collections::BTreeSet;
use std::sync::{Arc, RwLock};
use std::time::Instant;

use futures_util::future::{BoxFuture, join, try_join_all};
use serde_json::Value;
use tokio::sync::{Mutex, mpsc};
use tracing::warn;

use super::changes;
use super::directory_schema::DirectorySchema;
use super::dn::{Dn, DnError};
use super::entry;
use super::facts::{Facts, SCHEMA_FRESH};
use super::filter::{FilterError, LdapFilter};
use super::key::canonical_key;
use super::mapping::Mapping;
use super::pushdown::{Pushdown, Pushed};
use super::rules::{Learnt, Reach, RuleError, Rules};
use super::wire::{
    self, Directory, Paging, RawEntry, RawFound, Scope, SearchRequest, SettingsError,
};
use crate::clock::Clock;
use crate::config::{Changes, Rule};
use crate::repository::{
    Authority, Back, Batches, Bounds, Change, Entry, EntryKey, Finding, Found, Modification, Plan,
    Repository, RepositoryError, Untold, Verdict, WriteError,
};
use crate::scim::resource::digest_text;
use crate::scim::{AttributePath, Attributes, Filter};
use crate::secret::Password;

/// Entry keys in one search.
pub(super) const BATCH: usize = 100;

/// What makes one repository.
#[derive(Debug)]
pub struct LdapSettings {
    /// `[a-z0-9-]+`
    pub id: Arc<str>,
    /// The entry under which people are.
    pub base: String,
    /// Who of them is a person; where absent, what the mapping says.
    pub filter: Option<String>,
    pub mapping: Mapping,
    pub wire: wire::Settings,
    /// How the directory tells what changes.
    pub changes: Changes,
    /// Of every entry is told which of them hold. What they give is not looked at.
    pub rules: Vec<Rule>,
    /// By which accounts expire.
    pub clock: Clock,
}

/// Why no repository can be made of the settings.
#[derive(Debug, thiserror::Error)]
pub enum LdapError {
    #[error("repository {id}: base \"{base}\"")]
    Base { id: Arc<str>, base: String, source: DnError },
    #[error("repository {id}: filter \"{filter}\"")]
    Filter { id: Arc<str>, filter: String, source: FilterError },
    #[error("repository {id}: rule {number}")]
    Rule { id: Arc<str>, number: usize, source: RuleError },
    #[error("repository {id}")]
    Wire { id: Arc<str>, source: SettingsError },
}

/// A directory behind the bridge.
#[derive(Debug)]
pub struct LdapRepository {
    pub(super) id: Arc<str>,
    pub(super) base: String,
    /// Who is a person.
    pub(super) people: LdapFilter,
    pub(super) mapping: Mapping,
    pub(super) directory: Directory,
    pub(super) clock: Clock,
    pub(super) changes: Changes,
    pub(super) rules: Rules,
    pub(super) place: changes::Place,
    pub(super) facts: RwLock<Option<Arc<Facts>>>,
    /// Held by the one who reads the facts.
    pub(super) reading: Mutex<()>,
}

/// A search that is ready to be sent.
#[derive(Debug)]
struct Prepared {
    learnt: Learnt,
    reach: Reach,
    /// `None` where nobody can match, and nobody is asked.
    sent: Option<LdapFilter>,
    /// The answer, without the entries.
    found: Found,
}

impl LdapRepository {
    /// Makes the repository; nothing is connected before the first use.
    pub fn new(settings: LdapSettings) -> Result<Self, LdapError> {
        let LdapSettings { id, base, filter, mapping, wire, changes, rules, clock } = settings;
        if let Err(source) = Dn::parse(&base) {
            return Err(LdapError::Base { id, base, source });
        }
        let filter = filter.unwrap_or_else(|| mapping.filter().to_owned());
        let people = match LdapFilter::configured(&filter) {
            Ok(people) => people,
            Err(source) => return Err(LdapError::Filter { id, filter, source }),
        };
        let rules = match Rules::new(&rules) {
            Ok(rules) => rules,
            Err((number, source)) => return Err(LdapError::Rule { id, number, source }),
        };
        let directory = match Directory::new(&id, wire) {
            Ok(directory) => directory,
            Err(source) => return Err(LdapError::Wire { id, source }),
        };
        Ok(Self {
            id,
            base,
            people,
            mapping,
            directory,
            clock,
            changes,
            rules,
            place: changes::Place::default(),
            facts: RwLock::new(None),
            reading: Mutex::new(()),
        })
    }

    fn push(
        &self,
        filter: &Filter,
        (schema, absence): (&DirectorySchema, bool),
        (learnt, reach): (&Learnt, &Reach),
    ) -> Pushed {
        let rules = &self.rules.pushed(learnt, reach);
        let (mapping, repository, now) = (&self.mapping, &*self.id, self.clock.now());
        let pushed = Pushdown { mapping, schema, repository, absence, now, rules }.push(filter);
        if reach.bases.is_empty() {
            return Pushed::constant(false);
        }
        // Who is looked for in a part is not looked for in the whole.
        let whole = matches!(reach.bases.as_slice(), [base] if *base == self.base);
        Pushed { narrowed: pushed.narrowed || !whole, ..pushed }
    }

    /// The filter that is sent for people who match `pushed`. What finds few comes first: OpenLDAP and
    /// 389 DS look up their indexes in this order, and carry on what they have found.
    pub(super) fn sent(&self, pushed: LdapFilter) -> LdapFilter {
        LdapFilter::and([pushed, self.people.clone()])
    }

    async fn ask(
        &self,
        filter: &LdapFilter,
        learnt: &Learnt,
        reach: Option<&Reach>,
        bounds: Bounds,
    ) -> Result<(Vec<Arc<Entry>>, bool), RepositoryError> {
        let bases = reach.map_or(std::slice::from_ref(&self.base), |reach| &reach.bases);
        let request = |base: &String| self.request(base, filter, learnt, bounds);
        let requests: Vec<SearchRequest> = bases.iter().map(request).collect();
        let asked = requests.iter().map(|one| self.directory.search(one, bounds.deadline));
        let mut answers = try_join_all(asked).await?;
        let mut whole = answers.iter().all(|answer| answer.complete);
        let RawFound { entries: mut raw, .. } = answers.pop().unwrap_or_default();
        raw.extend(answers.into_iter().flat_map(|answer| answer.entries));
        whole &= raw.len() <= bounds.size_limit;
        raw.truncate(bounds.size_limit);
        let (entries, named) = self.read_raw(&raw, learnt, reach, bounds).await?;
        Ok((entries, whole && named))
    }

    /// The entries, and whether all show who they are. Who cannot be told apart from others cannot
    /// be shown, but is not absent either.
    async fn read_raw(
        &self,
        raw: &[RawEntry],
        learnt: &Learnt,
        reach: Option<&Reach>,
        bounds: Bounds,
    ) -> Result<(Vec<Arc<Entry>>, bool), RepositoryError> {
        let now = self.clock.now();
        let whole = self.in_whole(raw, bounds.deadline).await;
        let raw = whole.entries();
        let read = raw.iter().filter_map(|raw| Some((raw, entry::read(&self.mapping, raw, now)?)));
        let mut read: Vec<(&RawEntry, Entry)> = read.collect();
        self.decide(&mut read, learnt, reach, bounds).await?;
        let entries: Vec<_> = read.into_iter().map(|(_, entry)| Arc::new(entry)).collect();
        let nameless = raw.len() - entries.len();
        if nameless > 0 {
            let attribute = &self.mapping.names[self.mapping.key].text;
            warn!(repository = %self.id, entries = nameless, attribute, "entries do not show their key");
        }
        Ok((entries, nameless == 0 && whole.is_complete()))
    }

    async fn streamed(
        &self,
        filter: &Filter,
        bounds: Bounds,
        into: Batches,
    ) -> Result<Found, RepositoryError> {
        let Prepared { learnt, reach, sent, mut found } = self.prepared(filter, bounds).await?;
        let Some(filter) = sent else { return Ok(found) };
        let (learnt, reach) = (&learnt, &reach);
        let mut left = bounds.size_limit;
        for base in &reach.bases {
            let bounds = Bounds { size_limit: left.max(1), ..bounds };
            let request = SearchRequest {
                paging: Paging::Always,
                ..self.request(base, &filter, learnt, bounds)
            };
            let (sender, mut pages) = mpsc::channel(1);
            let asked = async {
                let sender = sender;
                self.directory.stream(&request, &sender, bounds.deadline).await
            };
            let into = &into;
            let passed = async {
                let (mut named, mut passed) = (true, 0);
                while let Some(raw) = pages.recv().await {
                    let (entries, all) =
                        match self.read_raw(&raw, learnt, Some(reach), bounds).await {
                            Ok(read) => read,
                            Err(error) => {
                                pages.close();
                                return Err(error);
                            }
                        };
                    named &= all;
                    passed += raw.len();
                    if into.send(entries).await.is_err() {
                        pages.close();
                    }
                }
                Ok((named, passed))
            };
            let (complete, passed) = join(asked, passed).await;
            let (named, passed) = passed?;
            found.complete &= complete? && named && passed <= left;
            left = left.saturating_sub(passed);
            if !found.complete {
                break;
            }
        }
        Ok(found)
    }

    fn request(
        &self,
        base: &str,
        filter: &LdapFilter,
        learnt: &Learnt,
        bounds: Bounds,
    ) -> SearchRequest {
        let mut attributes = Arc::clone(self.mapping.requested(bounds.photos));
        let mapped = |name: &str| attributes.iter().any(|own| own.eq_ignore_ascii_case(name));
        let further: BTreeSet<&str> =
            Rules::attributes(learnt).filter(|name| !mapped(name)).collect();
        if !further.is_empty() {
            let further = further.into_iter().map(str::to_owned);
            attributes = attributes.iter().cloned().chain(further).collect();
        }
        SearchRequest {
            base: base.to_owned(),
            scope: Scope::Subtree,
            filter: filter.to_string(),
            attributes,
            size_limit: bounds.size_limit,
            paging: Paging::Overflow,
        }
    }

    /// How `filter` is asked for, with what has to be learnt before.
    async fn prepared(&self, filter: &Filter, bounds: Bounds) -> Result<Prepared, RepositoryError> {
        let facts = self.facts(bounds.deadline).await?;
        let learnt = self.learn(&facts.schema, bounds).await?;
        let reach = self.rules.reach(&self.base, filter);
        let pushed = self.push(filter, (&facts.schema, facts.absence), (&learnt, &reach));
        let Pushed { filter, exact, narrowed } = pushed;
        let (aged, entries) = (learnt.aged, Vec::new());
        let found = Found { entries, complete: true, exact, scan: !narrowed, aged };
        let sent = (filter != LdapFilter::False).then(|| self.sent(filter));
        Ok(Prepared { learnt, reach, sent, found })
    }

    async fn searched(&self, filter: &Filter, bounds: Bounds) -> Result<Found, RepositoryError> {
        let Prepared { learnt, reach, sent, mut found } = self.prepared(filter, bounds).await?;
        let Some(sent) = sent else { return Ok(found) };
        (found.entries, found.complete) = self.ask(&sent, &learnt, Some(&reach), bounds).await?;
        Ok(found)
    }

    async fn read_keys(&self, keys: &[EntryKey], bounds: Bounds) -> Result<Found, RepositoryError> {
        // What is no key of this kind of directory names nobody.
        let keys: BTreeSet<EntryKey> =
            keys.iter().filter_map(|key| canonical_key(key.0.as_bytes())).collect();
        let keys: Vec<EntryKey> = keys.into_iter().collect();
        let learnt = if self.rules.is_empty() {
            Learnt::default()
        } else {
            self.learn(&self.facts(bounds.deadline).await?.schema, bounds).await?
        };
        let mut entries = Vec::with_capacity(keys.len());
        let mut complete = true;
        for batch in keys.chunks(BATCH) {
            let any = LdapFilter::or(batch.iter().map(|key| self.mapping.key_filter(key)));
            let bounds = Bounds { size_limit: batch.len(), ..bounds };
            let (found, whole) = self.ask(&self.sent(any), &learnt, None, bounds).await?;
            entries.extend(found);
            complete &= whole;
        }
        Ok(Found { entries, complete, exact: true, scan: false, aged: learnt.aged })
    }
}

impl Repository for LdapRepository {
    fn id(&self) -> &str {
        &self.id
    }

    fn base(&self) -> &str {
        &self.base
    }

    fn maps(&self, path: &AttributePath) -> bool {
        self.mapping.maps(path)
    }

    fn authority(&self, path: &AttributePath) -> Option<Authority> {
        self.mapping.authority(path)
    }

    fn authority_of_type(&self, path: &AttributePath, kind: Option<&str>) -> Option<Authority> {
        self.mapping.authority_of_type(path, kind)
    }

    fn origins(&self, path: &AttributePath, kind: Option<&str>) -> Vec<String> {
        self.mapping.origins(path, kind).map(str::to_owned).collect()
    }

    fn prepare(&self, deadline: Instant) -> BoxFuture<'_, Result<(), RepositoryError>> {
        Box::pin(async move {
            let facts = self.facts(deadline).await?;
            let now = Instant::now();
            // Whatever is known of the groups is good enough to plan by.
            let since = now.checked_sub(SCHEMA_FRESH).unwrap_or(now);
            let bounds = Bounds { size_limit: 0, photos: false, deadline, since };
            self.learn(&facts.schema, bounds).await.map(drop)
        })
    }

    fn plan(&self, filter: &Filter) -> Plan {
        let reach = self.rules.reach(&self.base, filter);
        let known = (&self.rules.remembered(), &reach);
        let pushed = match self.known() {
            Some(facts) => self.push(filter, (&facts.schema, facts.absence), known),
            None => self.push(filter, (&DirectorySchema::standard(), false), known),
        };
        let Pushed { filter, exact, narrowed } = pushed;
        let bases = if filter == LdapFilter::False { Vec::new() } else { reach.bases };
        Plan { text: self.sent(filter).to_string(), bases, exact, scan: !narrowed }
    }

    fn search<'a>(
        &'a self,
        filter: &'a Filter,
        bounds: Bounds,
    ) -> BoxFuture<'a, Result<Found, RepositoryError>> {
        Box::pin(self.searched(filter, bounds))
    }

    fn stream<'a>(
        &'a self,
        filter: &'a Filter,
        bounds: Bounds,
        into: Batches,
    ) -> BoxFuture<'a, Result<Found, RepositoryError>> {
        Box::pin(self.streamed(filter, bounds, into))
    }

    fn read<'a>(
        &'a self,
        keys: &'a [EntryKey],
        bounds: Bounds,
    ) -> BoxFuture<'a, Result<Found, RepositoryError>> {
        Box::pin(self.read_keys(keys, bounds))
    }

    fn back(&self, attributes: &Attributes, account: Option<&Value>) -> Back {
        self.mapping.back(attributes, account)
    }

    fn write<'a>(
        &'a self,
        key: &'a EntryKey,
        modifications: &'a [Modification],
        deadline: Instant,
    ) -> BoxFuture<'a, Result<(), WriteError>> {
        Box::pin(self.modified(key, modifications, deadline))
    }

    fn authenticate<'a>(
        &'a self,
        key: &'a EntryKey,
        password: &'a Password,
        deadline: Instant,
    ) -> BoxFuture<'a, Result<Verdict, Untold>> {
        Box::pin(self.signed_in(key, password, deadline))
    }

    fn is_member<'a>(
        &'a self,
        key: &'a EntryKey,
        group: &'a str,
        deadline: Instant,
    ) -> BoxFuture<'a, Result<bool, RepositoryError>> {
        Box::pin(self.belongs(key, group, deadline))
    }

    fn scope(&self) -> i64 {
        let (base, people) = (self.base.to_lowercase(), self.people.to_string());
        let key = &self.mapping.names[self.mapping.key].text;
        // Whoever stands behind a host is out of view once referrals to it are not followed any more.
        let hosts = self.directory.followed_hosts().map(|host| format!("\n{host}"));
        let hosts: BTreeSet<String> = hosts.collect();
        let hosts: String = hosts.into_iter().collect();
        digest_text(&format!("{base}\n{people}\n{key}{hosts}")).cast_signed()
    }

    fn base_is_readable(&self, deadline: Instant) -> BoxFuture<'_, Result<bool, RepositoryError>> {
        Box::pin(async move {
            let request = SearchRequest {
                base: self.base.clone(),
                scope: Scope::Base,
                filter: "(objectClass=*)".to_owned(),
                attributes: ["1.1".to_owned()].into(),
                size_limit: 1,
                paging: Paging::Never,
            };
            Ok(!self.directory.search(&request, deadline).await?.entries.is_empty())
        })
    }

    fn check(&self) -> BoxFuture<'_, Vec<Finding>> {
        Box::pin(super::check::check(self))
    }

    fn healthy(&self) -> Option<bool> {
        self.directory.healthy()
    }

    fn tells_changes(&self) -> bool {
        self.changes != Changes::Off
    }

    fn follow<'a>(&'a self, into: &'a mpsc::Sender<Change>) -> BoxFuture<'a, RepositoryError> {
        Box::pin(changes::follow(self, into))
    }
}
