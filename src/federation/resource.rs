//! A person as shown: row and entry merged into one set of attributes, with version and rendering.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::authority::{Owner, merge};
use super::directory::{Directory, Known};
use super::given::Given;
use super::members::MEMBERS;
use super::roles::Roles;
use super::vanish::Recorder;
use super::{GROUP, USER, hierarchy, is_group, owning, vanish};
use crate::cache::{Derived, State};
use crate::repository::EntryKey;
use crate::scim::dialect::{Numbers, location};
use crate::scim::resource::{digest, digest_text};
use crate::scim::{Attributes, ResourceType};
use crate::store::{Member, Membership, ResourceRow, TypeName};

/// What stands for how the entry of somebody was read who left.
const VANISHED: &str = "vanished";

/// The extension that says where a person comes from.
pub const SOURCE_URN: &str = "urn:scimbridge:schemas:2.0:Source";

/// One resource as it is shown. Immutable and shared.
#[derive(Debug)]
pub struct Resource {
    pub id: String,
    /// The inner text of the entity tag: `<row version>`, `<row version>.<hash of the entry>` for a
    /// bound user, the hash alone for an unbound one; then, where they are shown, `.<hash of the
    /// directory's photos>`, `.r<hash of what the roles are called>`, `.g<hash of the groups that it
    /// is in>`, `.o<hash of what the user has, or of whose a device or an authenticator is>` or
    /// `.m<hash of the group's members>`.
    pub version: String,
    /// Of itself and of those that it refers to, where any dialect shows them.
    pub numbers: Numbers,
    /// Everything under canonical names: `id`, `meta`, `userType` and the source extension too.
    pub attributes: Arc<Attributes>,
    /// Whether the source extension is shown without being asked for: the person is unbound, or what
    /// is shown is not fresh.
    pub show_source: bool,
    /// Default-projection bytes, per form without and with the source extension.
    rendered: Box<[OnceLock<Bytes>]>,
    located: OnceLock<(usize, Bytes)>,
}

impl Resource {
    /// The bytes of the default projection in a form, which tells mount and manner; rendered at most
    /// once.
    pub fn rendered(&self, form: usize, source: bool, render: impl FnOnce() -> Bytes) -> Bytes {
        match self.rendered.get(form * 2 + usize::from(source)) {
            Some(slot) => slot.get_or_init(render).clone(),
            None => render(),
        }
    }

    /// The name of its type.
    pub fn type_name(&self) -> &str {
        let meta = self.attributes.get("meta");
        meta.and_then(|meta| meta.get("resourceType")?.as_str()).unwrap_or_default()
    }

    /// The address of the resource in a form; kept for the one that asks first.
    pub fn located(&self, form: usize, locate: impl Fn() -> Bytes) -> Bytes {
        let (kept, location) = self.located.get_or_init(|| (form, locate()));
        if *kept == form { location.clone() } else { locate() }
    }

    pub(super) fn user_name(&self) -> Option<&str> {
        self.attributes.get("userName").and_then(Value::as_str)
    }
}

/// Where a bound user's directory values come from.
#[derive(Clone, Debug)]
pub(super) enum Half {
    /// The entry itself.
    Entry(Arc<Known>, State),
    /// The shadow, because the repository failed; the word tells how (`timeout`, `unavailable`).
    Shadow(&'static str),
    /// The shadow, because nobody asked the directory.
    Unasked,
    /// The shadow, because a whole answer of the directory did not hold the entry.
    Absent,
}

impl Half {
    pub(super) fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }
}

/// Makes people, and keeps the bound ones that were made from a given row and entry.
#[derive(Debug)]
pub(super) struct Resources {
    tenant: Arc<str>,
    resource_type: Arc<ResourceType>,
    groups: Arc<ResourceType>,
    types: Box<[Arc<ResourceType>]>,
    kept: Arc<Derived<ResourceKey, Arc<Resource>>>,
    roles: Arc<Roles>,
    recorder: Arc<Recorder>,
    forms: usize,
    /// Whether anybody is shown numbers.
    numbered: bool,
}

/// What a bound or local person was made from; equal keys mean equal bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ResourceKey {
    tenant: Arc<str>,
    who: Who,
    /// Hash of the entry and the time it was fetched; zero without one.
    entry: (u64, i64),
    /// How fresh the entry is, and whether photos came along.
    state: u8,
    /// [`Roles::stamp`].
    roles: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Who {
    Row { key: i64, version: i64, groups: u64, owned: u64 },
    Entry { repository: Arc<str>, key: EntryKey },
}

impl Resources {
    /// Drops whatever of the tenant is kept.
    pub(super) fn forget_all(&self) {
        self.kept.invalidate_where(|key| key.tenant == self.tenant);
    }

    pub(super) fn new(
        tenant: Arc<str>,
        types: &[Arc<ResourceType>],
        kept: Arc<Derived<ResourceKey, Arc<Resource>>>,
        roles: Arc<Roles>,
        recorder: Arc<Recorder>,
        forms: usize,
        numbered: bool,
    ) -> Self {
        let groups = types.iter().find(|kind| is_group(kind)).cloned();
        let groups = groups.unwrap_or_else(|| Arc::new(ResourceType::group(&[])));
        let (resource_type, types) = (Arc::clone(&types[0]), types.into());
        Self { tenant, resource_type, groups, types, kept, roles, recorder, forms, numbered }
    }

    /// Somebody whom only a directory knows.
    pub(super) fn unbound(
        &self,
        directory: &Directory,
        known: &Known,
        state: State,
    ) -> Arc<Resource> {
        let make = || {
            let mut attributes = known.values();
            if state != known.state {
                set_state(Arc::make_mut(&mut attributes), state_name(state));
            }
            if !known.given.is_empty() {
                directory.giving().show(&known.given, Arc::make_mut(&mut attributes));
            }
            let id = directory.long_id(&known.key.0);
            self.person(id, Numbers::default(), known.version(), attributes, true)
        };
        // What was just read is shown once; what comes from the cache comes again.
        if state != State::Cached {
            return make();
        }
        let key = ResourceKey {
            tenant: Arc::clone(&self.tenant),
            who: Who::Entry { repository: directory.shared_id(), key: known.key.clone() },
            entry: (known.digest, known.fetched.as_millisecond()),
            state: u8::from(known.photos),
            roles: self.roles.stamp(),
        };
        self.keep(key, make)
    }

    fn keep(&self, key: ResourceKey, make: impl FnOnce() -> Arc<Resource>) -> Arc<Resource> {
        if let Some(person) = self.kept.get(&key) {
            return person;
        }
        let person = make();
        self.kept.insert(key, Arc::clone(&person));
        person
    }

    /// Somebody whose row was deleted: the tombstone keeps the person out until bound again.
    pub(super) fn buried(
        &self,
        directory: &Directory,
        known: &Known,
        state: State,
    ) -> Arc<Resource> {
        let mut attributes = Arc::unwrap_or_clone(known.values());
        let version = known.other_version();
        directory.giving().show(&known.given, &mut attributes);
        set_state(&mut attributes, state_name(state));
        attributes.insert("active".into(), Value::Bool(false));
        attributes
            .insert("meta".into(), meta(USER, (known.created, known.last_modified), &version));
        let id = directory.long_id(&known.key.0);
        self.person(id, Numbers::default(), version, Arc::new(attributes), true)
    }

    /// Somebody with a row; `directory` is the one that the link names, where it is configured.
    pub(super) fn stored(
        &self,
        row: &ResourceRow,
        directory: Option<&Directory>,
        half: &Half,
    ) -> Arc<Resource> {
        self.recorder.saw(row, half);
        let half = vanish::superseded(row, half);
        let (entry, state) = match half {
            Half::Entry(known, state) => (
                (known.digest, known.fetched.as_millisecond()),
                1 + *state as u8 + 4 * u8::from(known.photos),
            ),
            Half::Unasked | Half::Absent => {
                let seen = row.link.as_ref().map_or(0, |link| link.seen.as_millisecond());
                ((0, seen), 0)
            }
            Half::Shadow(_) => return self.make_stored(row, directory, half),
        };
        let key = ResourceKey {
            tenant: Arc::clone(&self.tenant),
            who: Who::Row {
                key: row.key,
                version: row.version,
                groups: groups_digest(row),
                owned: owning::digest(row),
            },
            entry,
            state,
            roles: self.roles.stamp(),
        };
        self.keep(key, || self.make_stored(row, directory, half))
    }

    /// The same, kept nowhere: of somebody who only passes by.
    pub(super) fn passing(
        &self,
        row: &ResourceRow,
        directory: Option<&Directory>,
        half: &Half,
    ) -> Arc<Resource> {
        self.recorder.saw(row, half);
        self.make_stored(row, directory, vanish::superseded(row, half))
    }

    fn make_stored(
        &self,
        row: &ResourceRow,
        directory: Option<&Directory>,
        half: &Half,
    ) -> Arc<Resource> {
        let mut modified = row.last_modified;
        let mut version = row.version.to_string();
        let mut show_source = false;
        let given = given(row, half);
        let mut attributes = match &row.link {
            None => row.own.clone(),
            Some(link) => {
                let left = vanish::has_left(link);
                let values = match half {
                    Half::Entry(known, _) => known.values(),
                    _ => Arc::new(vanish::shadow(link).into_owned()),
                };
                let (dn, state, fetched, entry_modified) = match half {
                    Half::Entry(known, state) => {
                        (known.dn.as_str(), state_name(*state), known.fetched, known.last_modified)
                    }
                    Half::Shadow(how) => (link.dn.as_str(), *how, link.seen, link.entry_modified),
                    Half::Unasked | Half::Absent => {
                        let state = if left { VANISHED } else { "cached" };
                        (link.dn.as_str(), state, link.seen, link.entry_modified)
                    }
                };
                let entry = match half {
                    Half::Entry(known, _) => known.version(),
                    _ => unbound_version(given.mixed(digest(&values)), None),
                };
                version = format!("{version}.{entry}");
                modified = entry_modified.map_or(modified, |at| at.max(modified));
                show_source = match half {
                    Half::Shadow(_) | Half::Entry(_, State::Stale) => true,
                    Half::Entry(..) => false,
                    Half::Unasked | Half::Absent => left,
                };
                let mut merged = merge(
                    &self.resource_type,
                    Owner::linked(directory.map(Directory::repository)),
                    &values,
                    &row.own,
                );
                let (repository, entry_key) = (&link.repository, &link.entry_key);
                let source = Source { repository, dn, entry_key, fetched };
                merged.insert(SOURCE_URN.into(), source.shown(state));
                merged
            }
        };
        let name = row.type_name.as_str();
        if row.type_name == TypeName::User {
            attributes.insert("userType".into(), row.user_type.name().into());
        }
        if row.type_name == TypeName::User && !row.groups.is_empty() {
            let groups = attributes.entry("groups").or_insert_with(|| json!([]));
            if let Some(groups) = groups.as_array_mut() {
                groups.extend(row.groups.iter().map(|group| self.group_of(group)));
            }
            version = format!("{version}.g{:016x}", groups_digest(row));
        }
        if let Some(directory) = directory.filter(|_| !given.is_empty()) {
            directory.giving().show(&given, &mut attributes);
        }
        if row.type_name == TypeName::User {
            let groups = row.groups.iter().map(|group| group.id.as_str());
            let derived = self.roles.derived(groups, Some(&given));
            if let Some(digest) = self.roles.show(&mut attributes, &derived) {
                version = format!("{version}.r{digest:016x}");
            }
        }
        if row.type_name == TypeName::Group && !row.groups.is_empty() {
            hierarchy::show(&mut attributes, row, &self.groups);
            version = format!("{version}.g{:016x}", groups_digest(row));
        }
        let owned = owning::digest(row);
        if owned != 0 {
            attributes.extend(owning::shown(&self.types, row));
            version = format!("{version}.o{owned:016x}");
        }
        attributes.insert("meta".into(), meta(name, (Some(row.created), Some(modified)), &version));
        attributes.insert("id".into(), Value::String(row.id.clone()));
        let groups = row.groups.iter().map(|group| (GROUP, group.id.as_str(), group.number));
        let others = row.owned.iter().map(|one| (one.type_name.as_str(), &*one.id, one.number));
        let whose = row.owner.iter().map(|one| (USER, one.id.as_str(), one.number));
        // An authenticator's id begins with its owner's.
        let own = (!row.owned.is_empty()).then_some((name, row.id.as_str(), row.number));
        let numbers = self.numbers(row, groups.chain(others).chain(whose).chain(own));
        self.person(row.id.clone(), numbers, version, Arc::new(attributes), show_source)
    }

    /// A group with its members. What is shown of a member may change without the group, so that the
    /// version tells both.
    pub(super) fn group(
        &self,
        types: &[Arc<ResourceType>],
        row: &ResourceRow,
        members: &[Member],
    ) -> Arc<Resource> {
        let bare = self.make_stored(row, None, &Half::Unasked);
        let mut attributes = (*bare.attributes).clone();
        let member = |member: &Member| {
            let name = member.type_name.as_str();
            let mut shown = Attributes::new();
            shown.insert("value".into(), member.id.as_str().into());
            if let Some(kind) = types.iter().find(|kind| kind.name == name) {
                shown.insert("$ref".into(), location("", kind, &member.id).into());
            }
            shown.insert("type".into(), name.into());
            if let Some(display) = &member.display {
                shown.insert("display".into(), display.as_str().into());
            }
            Value::Object(shown)
        };
        let others = members.iter().map(|one| (one.type_name.as_str(), &*one.id, one.number));
        let numbers = self.numbers(row, others);
        let members = Value::Array(members.iter().map(member).collect());
        let hash = digest(&Attributes::from_iter([(MEMBERS.to_owned(), members.clone())]));
        let version = format!("{}.m{hash:016x}", bare.version);
        attributes.insert(MEMBERS.into(), members);
        if let Some(meta) = attributes.get_mut("meta").and_then(Value::as_object_mut) {
            meta.insert("version".into(), format!("W/\"{version}\"").into());
        }
        self.person(bare.id.clone(), numbers, version, Arc::new(attributes), false)
    }

    fn group_of(&self, group: &Membership) -> Value {
        let mut shown = Attributes::new();
        shown.insert("value".into(), group.id.as_str().into());
        shown.insert("$ref".into(), location("", &self.groups, &group.id).into());
        if let Some(display) = &group.display {
            shown.insert("display".into(), display.as_str().into());
        }
        shown.insert("type".into(), if group.direct { "direct" } else { "indirect" }.into());
        Value::Object(shown)
    }

    /// The same person with the mark `conflict`: the ids of who else has the same `userName`.
    pub(super) fn marked(&self, person: &Resource, others: &[&str]) -> Arc<Resource> {
        let mut attributes = (*person.attributes).clone();
        let source = attributes.entry(SOURCE_URN).or_insert_with(|| json!({}));
        if let Some(source) = source.as_object_mut() {
            source.insert("conflict".into(), json!(others));
        }
        let (id, version) = (person.id.clone(), person.version.clone());
        self.person(id, person.numbers.clone(), version, Arc::new(attributes), person.show_source)
    }

    fn numbers<'a>(
        &self,
        row: &ResourceRow,
        others: impl Iterator<Item = (&'a str, &'a str, i64)>,
    ) -> Numbers {
        if self.numbered { Numbers::new(Some(row.number), others) } else { Numbers::default() }
    }

    fn person(
        &self,
        id: String,
        numbers: Numbers,
        version: String,
        attributes: Arc<Attributes>,
        show_source: bool,
    ) -> Arc<Resource> {
        let rendered = (0..self.forms * 2).map(|_| OnceLock::new()).collect();
        let located = OnceLock::new();
        Arc::new(Resource { id, version, numbers, attributes, show_source, rendered, located })
    }
}

/// What rules give a linked row: by its entry, or as the shadow has it.
pub(super) fn given(row: &ResourceRow, half: &Half) -> Given {
    match (half, &row.link) {
        (_, None) => Given::default(),
        (Half::Entry(known, _), _) => known.given.clone(),
        (_, Some(link)) => Given::kept(&link.given),
    }
}

/// Differs where the groups that are shown do, the same on every node; 0 where there are none.
fn groups_digest(row: &ResourceRow) -> u64 {
    let mix = |sum: u64, text: &str| sum.rotate_left(5).wrapping_mul(31) ^ digest_text(text);
    row.groups.iter().fold(0, |sum, group| {
        let sum = mix(sum.wrapping_add(u64::from(group.direct)), &group.id);
        mix(sum, group.display.as_deref().unwrap_or_default())
    })
}

fn state_name(state: State) -> &'static str {
    match state {
        State::Live => "ok",
        State::Cached => "cached",
        State::Stale => "stale",
    }
}

/// Adds to mapped values what is said of an unbound person.
pub(super) fn unbound(
    attributes: &mut Attributes,
    source: &Source<'_>,
    times: (Option<Timestamp>, Option<Timestamp>),
    version: &str,
    state: State,
) {
    let id = format!("{}.{}", source.repository, source.entry_key);
    attributes.insert("userType".into(), "LDAP".into());
    attributes.insert("meta".into(), meta(USER, times, version));
    attributes.insert("id".into(), Value::String(id));
    attributes.insert(SOURCE_URN.into(), source.shown(state_name(state)));
}

/// An unbound person has no count of writes: the version is a hash of the entry and, where they are
/// shown, one of the photos.
pub(super) fn unbound_version(digest: u64, photos: Option<u64>) -> String {
    match photos {
        None => format!("{digest:016x}"),
        Some(photos) => format!("{digest:016x}.{photos:016x}"),
    }
}

fn set_state(attributes: &mut Attributes, state: &str) {
    let source = attributes.get_mut(SOURCE_URN).and_then(Value::as_object_mut);
    if let Some(state_of) = source.and_then(|source| source.get_mut("state")) {
        *state_of = state.into();
    }
}

/// `resourceType`, `created` and `lastModified`, and the version.
fn meta(
    name: &str,
    (created, modified): (Option<Timestamp>, Option<Timestamp>),
    version: &str,
) -> Value {
    let mut meta = Attributes::new();
    meta.insert("resourceType".into(), name.into());
    if let Some(created) = created {
        meta.insert("created".into(), created.to_string().into());
    }
    if let Some(modified) = modified {
        meta.insert("lastModified".into(), modified.to_string().into());
    }
    meta.insert("version".into(), format!("W/\"{version}\"").into());
    Value::Object(meta)
}

/// Where a person comes from.
pub(super) struct Source<'a> {
    pub(super) repository: &'a str,
    pub(super) dn: &'a str,
    pub(super) entry_key: &'a str,
    pub(super) fetched: Timestamp,
}

impl Source<'_> {
    fn shown(&self, state: &str) -> Value {
        let mut source = Attributes::new();
        source.insert("userRepositoryId".into(), self.repository.into());
        source.insert("dn".into(), self.dn.into());
        source.insert("entryKey".into(), self.entry_key.into());
        source.insert("state".into(), state.into());
        source.insert("fetchedAt".into(), self.fetched.to_string().into());
        Value::Object(source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_is_one_that_the_schema_names() {
        let resource_type = ResourceType::user(&[]);
        let path = resource_type.resolve(&format!("{SOURCE_URN}:state"));
        let named = &resource_type.attribute(&path).unwrap().canonical_values;
        let live = [State::Live, State::Cached, State::Stale].map(state_name);
        // Of a shadow: how the repository failed.
        let failed = ["timeout", "unavailable", VANISHED];
        let states: Vec<&str> = live.into_iter().chain(failed).collect();
        assert_eq!(*named, states);
    }
}
