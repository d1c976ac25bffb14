//! A search as it is understood: what the store and each repository are asked. Kept under the query's
//! text, so that a query which comes again is not parsed again.

use std::borrow::Cow;
use std::sync::Arc;

use super::carried::is_role;
use super::directory::AskedKey;
use super::folding::{Asked, concerns, for_directory, for_type};
use super::members::MEMBERS;
use super::memory::Memory;
use super::owning::OWNED;
use super::resource::Resource;
use super::rows::{StoredKey, external_id_key, name_key};
use super::sort::Order;
use super::{Federation, is_group, is_user};
use crate::scim::dialect::Manner;
use crate::scim::{AttributePath, Filter, Query, ResourceType, mirror};
use crate::store::{RowKey, TypeName};

/// Longer query texts are understood each time.
const KEPT_TEXT: usize = 2048;

/// A query, divided among the sources.
#[expect(clippy::struct_excessive_bools, reason = "each says yes or no to one source or part")]
#[derive(Debug)]
pub struct Plan {
    /// What is searched.
    pub kind: Arc<ResourceType>,
    pub(super) type_name: TypeName,
    pub query: Query,
    pub(super) filter: Filter,
    pub(super) page: Page,
    /// Photos are asked for, or decide; they are large and not fetched otherwise.
    pub(super) photos: bool,
    /// Photos decide who is in the list, or where.
    pub(super) photos_decide: bool,
    /// Of groups: members are shown; or they decide who is in the list, where SQL cannot tell.
    pub(super) members: bool,
    pub(super) members_decide: bool,
    /// Whether the filter asks for roles of users.
    of_roles: bool,
    /// Of users: what they have is shown, or decides who is in the list.
    pub(super) owned: bool,
    /// Whether the filter can concern rows of the store.
    pub(super) concerns_store: bool,
    /// The one key under which every row that can match stands.
    pub(super) row: Option<StoredKey>,
    /// Whether repositories are part of the question.
    pub(super) federated: bool,
    /// The repositories that the filter can concern.
    pub(super) asks: Vec<Ask>,
    pub(super) memory: Memory,
}

/// What one repository is asked.
#[derive(Debug)]
pub(super) struct Ask {
    /// Its place in the configuration.
    pub(super) at: usize,
    pub(super) asked: Asked,
    pub(super) key: AskedKey,
}

/// Which part of the list is wanted.
#[derive(Clone, Debug)]
pub(super) struct Page {
    pub(super) skip: u64,
    pub(super) count: u64,
    pub(super) order: Order,
}

impl Plan {
    /// What the store is asked for; nothing where everybody is wanted.
    fn wanted(&self) -> Option<&Filter> {
        Some(&self.filter).filter(|filter| **filter != Filter::Constant(true))
    }
}

impl Federation {
    /// Whether rules of some repository give anything.
    fn rules_give(&self) -> bool {
        self.directories.iter().any(|directory| !directory.giving().is_nothing())
    }

    /// What the store is asked for, as it can tell it; nothing where everybody is wanted.
    pub(super) fn stored_filter<'a>(&self, plan: &'a Plan) -> Option<Cow<'a, Filter>> {
        let wanted = plan.wanted()?;
        let stored = if plan.of_roles {
            self.roles.as_stored(wanted, self.users(), self.rules_give())
        } else {
            None
        };
        Some(stored.map_or(Cow::Borrowed(wanted), Cow::Owned))
    }
}

impl Page {
    pub(super) fn cut(&self, people: &mut Vec<Arc<Resource>>) {
        let skip = usize::try_from(self.skip).unwrap_or(usize::MAX).min(people.len());
        people.drain(..skip);
        people.truncate(usize::try_from(self.count).unwrap_or(usize::MAX));
    }
}

impl Federation {
    /// The plan of a query that came as text in this manner, if such a query was answered from the
    /// caches before.
    pub fn known_plan(
        &self,
        kind: &ResourceType,
        text: &str,
        manner: &Manner,
    ) -> Option<Arc<Plan>> {
        self.shares.plans.get(self.plan_key(kind, text, manner)?.as_str())
    }

    /// Keeps a plan under its text, if it was answered from the caches: what comes once is not worth
    /// a place.
    pub fn keep_plan(&self, text: &str, manner: &Manner, plan: &Arc<Plan>) {
        if !plan.memory.is_empty()
            && let Some(key) = self.plan_key(&plan.kind, text, manner)
        {
            self.shares.plans.insert(key, Arc::clone(plan));
        }
    }

    /// Drops the tenant's plans: their texts and last answers may name people.
    pub(super) fn forget_plans(&self) {
        let after = |key: &str| key.strip_prefix(&*self.tenant)?.chars().next();
        self.shares.plans.invalidate_where(|key| matches!(after(key), Some('/' | ':')));
    }

    fn plan_key(&self, kind: &ResourceType, text: &str, manner: &Manner) -> Option<String> {
        // A tenant's name holds neither slash nor colon, an endpoint no question mark.
        const MANNERS: [&str; 9] = ["", ":1", ":2", ":3", ":4", ":5", ":6", ":7", ":8"];
        let in_manner = MANNERS.get(manner.index).filter(|_| text.len() <= KEPT_TEXT)?;
        Some([&*self.tenant, in_manner, &kind.endpoint, "?", text].concat())
    }

    /// The plan of a query over the resources of one type.
    pub fn plan(&self, kind: &Arc<ResourceType>, query: Query) -> Plan {
        let filter = query.filter.clone().unwrap_or(Filter::Constant(true));
        let filter = if is_user(kind) { mirror::asked(filter, kind) } else { filter };
        let filter = for_type(filter, kind);
        let photos_decide = filter.paths().chain(&query.sort_by).any(is_photos);
        let photos = photos_decide || query.projection.asks_for("photos");
        let of_members = |path: &AttributePath| path.attribute == MEMBERS;
        let members_decide = is_group(kind) && filter.paths().chain(&query.sort_by).any(of_members);
        let of_roles = is_user(kind) && filter.paths().any(is_role);
        let members = query.projection.includes(MEMBERS);
        let is_owned = |path: &AttributePath| {
            path.extension.as_deref().is_some_and(|urn| OWNED.contains(&urn))
        };
        let owned = OWNED.iter().any(|urn| query.projection.includes_extension(urn))
            || filter.paths().chain(&query.sort_by).any(is_owned);
        let type_name = TypeName::new(&kind.name);
        let by_name = || kind.resolve(type_name.naming().unwrap_or("id"));
        let order = Order {
            path: query.sort_by.clone().unwrap_or_else(by_name),
            descending: query.descending,
        };
        let page = Page {
            skip: query.start_index.max(1) - 1,
            count: query.count.unwrap_or(self.rules.max_results).min(self.rules.max_results),
            order,
        };
        // Of everything else but users, all is ours.
        let federated = query.search_repositories && is_user(kind);
        let asks = if federated { self.asks(&filter, photos) } else { Vec::new() };
        Plan {
            concerns_store: concerns(&filter, &["FTRESS", "FTRESS_LDAP", "SCIM_FED"]),
            row: row_key(&filter, &type_name).map(|key| self.rows.key(key)),
            type_name,
            federated,
            kind: Arc::clone(kind),
            query,
            filter,
            page,
            photos,
            photos_decide,
            members,
            members_decide,
            of_roles,
            owned,
            asks,
            memory: Memory::default(),
        }
    }

    fn asks(&self, filter: &Filter, photos: bool) -> Vec<Ask> {
        let mut asks = Vec::with_capacity(self.directories.len());
        for (at, directory) in self.directories.iter().enumerate() {
            let asked = for_directory(filter, directory.repository(), directory.giving());
            if asked.filter != Filter::Constant(false) {
                let key = directory.key(asked.filter.canonical(), photos);
                asks.push(Ask { at, asked, key });
            }
        }
        asks
    }
}

fn is_photos(path: &AttributePath) -> bool {
    path.extension.is_none() && path.attribute == "photos"
}

fn row_key(filter: &Filter, type_name: &TypeName) -> Option<RowKey> {
    if let Some(name) = type_name.naming().and_then(|naming| filter.equality(naming)) {
        return Some(name_key(type_name, &name.written));
    }
    if let Some(id) = filter.equality("externalId") {
        return Some(external_id_key(type_name, &id.written));
    }
    filter.equality("id").map(|id| RowKey::Id(id.written.clone()))
}
