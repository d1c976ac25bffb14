//! An entry as it was fetched, and the person whom it shows.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use super::super::authority::Theirs;
use super::super::given::{Given, Giving};
use super::super::packed::Packed;
use super::super::resource::{SOURCE_URN, Source, unbound, unbound_version};
use super::Directory;
use crate::cache::State;
use crate::repository::{Entry, EntryKey, rule};
use crate::scim::{Attributes, Filter, resource};

/// An entry as it was fetched.
#[derive(Debug)]
pub struct Known {
    pub key: EntryKey,
    pub dn: String,
    pub created: Option<Timestamp>,
    pub last_modified: Option<Timestamp>,
    /// As [`Entry::account`].
    pub(in crate::federation) account: Option<Value>,
    /// What the repository's rules give, which does not stand among the values.
    pub(in crate::federation) given: Given,
    /// The places of the rules that hold.
    pub(in crate::federation) rules: Vec<usize>,
    /// The person as shown while unbound and in `state`: what is mapped, and about it what federation
    /// says of everybody (`id`, `meta`, `userType`, `active`, the source extension).
    values: Packed,
    /// How the entry is mostly shown: from the cache, or where nothing is kept, as just read.
    pub(in crate::federation) state: State,
    /// Of what is mapped and given but photos, which are fetched only when asked for.
    pub digest: u64,
    /// Of the photos that are in `values`.
    photos_digest: Option<u64>,
    pub fetched: Timestamp,
    /// Whether photos were fetched along.
    pub(in crate::federation) photos: bool,
    pub(super) weight: u32,
}

impl Known {
    pub(super) fn new(
        repository: &str,
        giving: &Giving,
        entry: Entry,
        fetched: Timestamp,
        photos: bool,
        state: State,
    ) -> Self {
        let Entry { key, dn, mut attributes, created, last_modified, account, rules } = entry;
        let given = giving.of(&rules);
        // Nobody about whom the directory says nothing is locked out.
        attributes.entry("active").or_insert(Value::Bool(true));
        let pictures: Attributes = attributes.shift_remove_entry("photos").into_iter().collect();
        let digest = given.mixed(resource::digest(&attributes));
        let photos_digest = (!pictures.is_empty()).then(|| resource::digest(&pictures));
        attributes.extend(pictures);
        let version = unbound_version(digest, photos_digest);
        let source = Source { repository, dn: &dn, entry_key: &key.0, fetched };
        unbound(&mut attributes, &source, (created, last_modified), &version, state);
        let values = match state {
            State::Live => Packed::open_ended(attributes),
            State::Cached | State::Stale => Packed::at_rest(attributes),
        };
        let weight = values.weight().saturating_add(512);
        Self {
            key,
            dn,
            created,
            last_modified,
            account,
            given,
            rules,
            values,
            state,
            digest,
            photos_digest,
            fetched,
            photos,
            weight,
        }
    }

    /// The person as shown while unbound.
    pub(in crate::federation) fn values(&self) -> Arc<Attributes> {
        self.values.open()
    }

    /// Whether the entry itself meets a filter that the repository was asked for.
    pub(super) fn meets(&self, filter: &Filter) -> bool {
        let held = |leaf: &Filter| Some(Filter::Constant(self.rules.contains(&rule::asked(leaf)?)));
        // What no rule tells may be so, or not.
        rule::is_open(filter) || filter.rewrite(&mut |leaf| held(leaf)).matches(&self.values())
    }

    /// The version of the person while unbound: what is shown with photos has another one.
    pub(in crate::federation) fn version(&self) -> String {
        unbound_version(self.digest, self.photos_digest)
    }

    /// The version that the person has in the other half of all versions: of one whose user was
    /// deleted.
    pub(in crate::federation) fn other_version(&self) -> String {
        unbound_version(!self.digest, self.photos_digest)
    }

    /// The entry as it shall be, with these values among those that are shown.
    pub(super) fn planned(&self, directory: &Directory, theirs: Theirs) -> Self {
        let Theirs { values: mut attributes, account } = theirs;
        attributes.retain(|name, _| is_mapped(name));
        let entry = Entry {
            key: self.key.clone(),
            dn: self.dn.clone(),
            attributes,
            created: self.created,
            last_modified: self.last_modified,
            account: account.map(Value::Bool).or_else(|| self.account.clone()),
            rules: self.rules.clone(),
        };
        let (fetched, photos, state) = (self.fetched, self.photos, self.state);
        Self::new(&directory.id, &directory.giving, entry, fetched, photos, state)
    }

    /// Of what is kept of the entry in a shadow; `None` where pictures came along, which are not.
    pub(in crate::federation) fn sight(&self) -> Option<i64> {
        let photos = self.photos_digest.map_or(0, |photos| photos.rotate_left(1));
        (!self.photos).then(|| (self.digest ^ photos).cast_signed())
    }

    /// The mapped values alone; of photos the ones that are links, which every read brings.
    pub(in crate::federation) fn mapped(&self) -> Attributes {
        let mut mapped = Arc::unwrap_or_clone(self.values());
        mapped.retain(|name, _| is_mapped(name));
        if let Some(Value::Array(photos)) = mapped.get_mut("photos") {
            let picture = |photo: &Value| {
                let value = photo.get("value").and_then(Value::as_str);
                value.is_some_and(|value| value.starts_with("data:"))
            };
            photos.retain(|photo| !picture(photo));
            if photos.is_empty() {
                mapped.shift_remove("photos");
            }
        }
        mapped
    }
}

/// Whether an attribute is not what federation says of everybody.
fn is_mapped(name: &str) -> bool {
    !matches!(name, "id" | "meta" | "userType" | SOURCE_URN)
}
