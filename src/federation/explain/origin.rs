//! Which side each value of a merged person is from. Pure: it looks at the sides, and asks nobody.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::super::authority::{alike, kind};
use super::super::joining::GROUPS;
use super::super::life::LIFE_CYCLE;
use super::super::owning::OWNED;
use super::super::resource::SOURCE_URN;
use super::super::roles::ROLES;
use crate::repository::{Authority, Repository};
use crate::scim::schema::{Attribute, Kind, Returned};
use crate::scim::{AttributePath, Attributes, ResourceType};

/// A value with where it comes from.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExplainedValue {
    pub path: String,
    /// An element of a list as a whole; nothing of pictures and other binaries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    pub origin: Origin,
    /// Who decides it: `store`, `directory`, `local` (the directory's until it is written here), or
    /// `both` (shown true only if neither side says no).
    pub authority: &'static str,
    /// The directory's value that ours stands in place of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hides: Option<Value>,
}

/// Which source gave a value.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", tag = "from")]
pub enum Origin {
    /// Written here.
    Store,
    /// The entry as it is now, by the mapping of these attributes: the first that has a value, or all of
    /// a template.
    Directory { repository: String, attributes: Vec<String> },
    /// The entry as it was when last seen, since the directory has no word on it now.
    Shadow { repository: String, attributes: Vec<String>, seen: Timestamp },
    /// What holds of everybody about whom no source says anything.
    Default,
    /// Made of other values.
    Made,
}

/// The directory's half of a person.
#[derive(Clone, Copy, Debug)]
pub(super) struct Theirs<'a> {
    pub(super) repository: &'a str,
    /// Nothing where the repository is no longer configured.
    pub(super) mapping: Option<&'a dyn Repository>,
    pub(super) values: &'a Attributes,
    /// When it was seen, where it is a shadow.
    pub(super) shadow: Option<Timestamp>,
}

/// What a person is made of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sides<'a> {
    pub(super) resource_type: &'a ResourceType,
    pub(super) ours: &'a Attributes,
    pub(super) theirs: Option<Theirs<'a>>,
}

impl Sides<'_> {
    /// Every value that is shown, in the order in which it is, but those that the bridge itself computes
    /// and what is told apart: groups and roles.
    pub(super) fn values(&self, shown: &Attributes) -> Vec<ExplainedValue> {
        let told_apart =
            ["id", "meta", "schemas", "userType", "password", GROUPS, ROLES, SOURCE_URN];
        let mut values = Vec::new();
        for (name, value) in shown {
            if told_apart.contains(&name.as_str()) || OWNED.contains(&name.as_str()) {
                continue;
            }
            let (theirs, ours) =
                (self.theirs.and_then(|one| one.values.get(name)), self.ours.get(name));
            if name == "active" {
                values.push(self.active(value));
            } else if let Some(schema) = self.resource_type.extension(name) {
                let prefix = format!("{name}:");
                self.members(&schema.attributes, &prefix, value, (theirs, ours), &mut values);
            } else if let Some(attribute) = self.resource_type.top_level(name) {
                self.value(attribute, name, value, (theirs, ours), &mut values);
            }
        }
        values
    }

    fn members(
        &self,
        attributes: &[Attribute],
        prefix: &str,
        shown: &Value,
        (theirs, ours): (Option<&Value>, Option<&Value>),
        into: &mut Vec<ExplainedValue>,
    ) {
        for (name, value) in shown.as_object().into_iter().flatten() {
            let Some(attribute) = attributes.iter().find(|one| one.name == *name) else { continue };
            let of = |side: Option<&Value>| side.and_then(|side| side.get(name)).cloned();
            let (theirs, ours) = (of(theirs), of(ours));
            let path = format!("{prefix}{name}");
            self.value(attribute, &path, value, (theirs.as_ref(), ours.as_ref()), into);
        }
    }

    fn value(
        &self,
        attribute: &Attribute,
        path: &str,
        shown: &Value,
        (theirs, ours): (Option<&Value>, Option<&Value>),
        into: &mut Vec<ExplainedValue>,
    ) {
        if attribute.returned == Returned::Never {
            return;
        }
        if attribute.kind == Kind::Complex && !attribute.multi_valued {
            let prefix = format!("{path}.");
            return self.members(&attribute.sub_attributes, &prefix, shown, (theirs, ours), into);
        }
        let resolved = self.resource_type.resolve(path);
        let Some(elements) = shown.as_array().filter(|_| attribute.multi_valued) else {
            let hides = theirs.filter(|theirs| ours.is_some() && *theirs != shown);
            return into.push(self.one(
                attribute,
                &resolved,
                shown,
                (theirs, ours),
                hides.cloned(),
            ));
        };
        into.extend(elements.iter().map(|element| {
            let found = (find(theirs, element), find(ours, element));
            let hides = found.1.and_then(|_| self.hidden(&resolved, element, theirs, elements));
            self.one(attribute, &resolved, element, found, hides)
        }));
    }

    /// An element of the directory's of a lent kind, which ours stands in place of.
    fn hidden(
        &self,
        path: &AttributePath,
        element: &Value,
        theirs: Option<&Value>,
        shown: &[Value],
    ) -> Option<Value> {
        let kind_of = |element| kind(path, element);
        let mapping = self.theirs?.mapping?;
        let lent = mapping.authority_of_type(path, kind_of(element)) == Some(Authority::Local);
        let theirs = theirs.and_then(Value::as_array).filter(|_| lent)?;
        let gone =
            |held: &&Value| !shown.iter().any(|one| without_primary(one) == without_primary(held));
        theirs.iter().find(|held| alike(kind_of(held), kind_of(element)) && gone(held)).cloned()
    }

    fn one(
        &self,
        attribute: &Attribute,
        path: &AttributePath,
        shown: &Value,
        (theirs, ours): (Option<&Value>, Option<&Value>),
        hides: Option<Value>,
    ) -> ExplainedValue {
        let kind = kind(path, shown).filter(|_| attribute.multi_valued);
        let authority = self.theirs.and_then(|half| match half.mapping {
            Some(mapping) if attribute.multi_valued => mapping.authority_of_type(path, kind),
            Some(mapping) => mapping.authority(path),
            None => theirs.map(|_| Authority::Directory),
        });
        let origin = match (theirs, ours) {
            (Some(_), None) => self.of_theirs(path, kind),
            (Some(_), Some(_))
                if matches!(authority, Some(Authority::Directory | Authority::WriteBack)) =>
            {
                self.of_theirs(path, kind)
            }
            (_, Some(_)) => Origin::Store,
            (None, None) => Origin::Made,
        };
        let is_picture = path.extension.is_none() && path.attribute == "photos";
        let mut kinds = attribute.sub_attributes.iter().map(|sub| sub.kind).chain([attribute.kind]);
        let binary = is_picture || kinds.any(|kind| kind == Kind::Binary);
        ExplainedValue {
            path: path.text.clone(),
            value: (!binary).then(|| shown.clone()),
            hides: hides.filter(|_| !binary && origin == Origin::Store),
            authority: word(authority),
            origin,
        }
    }

    fn active(&self, shown: &Value) -> ExplainedValue {
        let path = self.resource_type.resolve("active");
        let no = Value::Bool(false);
        let theirs = self.theirs.filter(|half| half.mapping.is_none_or(|one| one.maps(&path)));
        let theirs = theirs.and_then(|half| half.values.get("active"));
        let ours = self.ours.get("active");
        let origin = match (theirs, ours) {
            (Some(theirs), _) if *theirs == no => self.of_theirs(&path, None),
            (_, Some(ours)) if *ours == no => Origin::Store,
            (Some(_), _) => self.of_theirs(&path, None),
            (None, Some(_)) => Origin::Store,
            // By the status that stands beside it.
            (None, None) if *shown == no || self.ours.contains_key(LIFE_CYCLE) => Origin::Made,
            (None, None) => Origin::Default,
        };
        let mapping = self.theirs.and_then(|half| half.mapping);
        let authority = match (self.theirs, mapping.and_then(|one| one.authority(&path))) {
            (_, Some(Authority::WriteBack)) => word(Some(Authority::WriteBack)),
            (Some(_), _) => "both",
            (None, _) => "store",
        };
        let value = Some(shown.clone());
        ExplainedValue { path: path.text.clone(), value, origin, authority, hides: None }
    }

    pub(super) fn of_theirs(&self, path: &AttributePath, kind: Option<&str>) -> Origin {
        let Some(half) = self.theirs else { return Origin::Made };
        let repository = half.repository.to_owned();
        let mut attributes = half.mapping.map_or_else(Vec::new, |one| one.origins(path, kind));
        attributes.dedup();
        match half.shadow {
            Some(seen) => Origin::Shadow { repository, attributes, seen },
            None => Origin::Directory { repository, attributes },
        }
    }
}

fn word(authority: Option<Authority>) -> &'static str {
    match authority {
        None => "store",
        Some(Authority::Directory) => "directory",
        Some(Authority::Local) => "local",
        Some(Authority::WriteBack) => "write_back",
    }
}

/// The same element of a side's list; which one is primary is decided over both sides.
fn find<'a>(side: Option<&'a Value>, element: &Value) -> Option<&'a Value> {
    let elements = side.and_then(Value::as_array)?;
    elements.iter().find(|held| without_primary(held) == without_primary(element))
}

fn without_primary(element: &Value) -> Value {
    let mut element = element.clone();
    if let Some(members) = element.as_object_mut() {
        members.remove("primary");
    }
    element
}
