//! What a write makes of the values that are written back: the directory's as they shall be.

use serde_json::{Map, Value};

use super::super::compare::repeats;
use super::{Division, Mode, Owner, Sides, alike, elements, kind};
use crate::repository::Authority;
use crate::scim::Attributes;
use crate::scim::schema::{Attribute, AttributePath, Kind};

impl Division<'_> {
    /// The directory's values after the write of `wanted`, where they shall be others. What a PUT does
    /// not mention, or hands back as it was last shown, is no write.
    pub(in crate::federation) fn theirs_after(&self, wanted: &Attributes) -> Option<Attributes> {
        let Owner::Repository(repository) = self.owner else { return None };
        if repository.back(&Attributes::new()).is_empty() {
            return None;
        }
        let mut after = self.directory.clone();
        let mut names: Vec<&String> = wanted.keys().collect();
        names.extend(self.directory.keys().filter(|name| !wanted.contains_key(*name)));
        for name in names {
            let sides = Sides {
                theirs: self.directory.get(name),
                shown: self.shadow.and_then(|shadow| shadow.get(name)),
                ours: None,
                wanted: wanted.get(name),
            };
            let value = if let Some(schema) = self.resource_type.extension(name) {
                self.parts(&schema.attributes, &format!("{name}:"), sides)
            } else if let Some(definition) = self.resource_type.top_level(name) {
                self.there(definition, name, sides)
            } else {
                continue;
            };
            put(&mut after, name, value);
        }
        (after != *self.directory).then_some(after)
    }

    fn parts(&self, definitions: &[Attribute], prefix: &str, sides: Sides<'_>) -> Option<Value> {
        let mut after = sides.theirs.and_then(Value::as_object).cloned().unwrap_or_default();
        for definition in definitions {
            let path = format!("{prefix}{}", definition.name);
            let value = self.there(definition, &path, sides.member(&definition.name));
            put(&mut after, &definition.name, value);
        }
        (!after.is_empty()).then_some(Value::Object(after))
    }

    fn there(&self, definition: &Attribute, path: &str, sides: Sides<'_>) -> Option<Value> {
        if definition.kind == Kind::Complex && !definition.multi_valued {
            return self.parts(&definition.sub_attributes, &format!("{path}."), sides);
        }
        let path = self.resource_type.resolve(path);
        if definition.multi_valued {
            return self.list(definition, &path, sides);
        }
        let theirs = || sides.theirs.cloned();
        match self.owner.authority(&path, sides.theirs, None) {
            Some(Authority::WriteBack) if self.stands(definition, sides) => theirs(),
            Some(Authority::WriteBack) => sides.wanted.cloned(),
            Some(Authority::Directory | Authority::Local) | None => theirs(),
        }
    }

    /// Whether a value is not written.
    fn stands(&self, definition: &Attribute, sides: Sides<'_>) -> bool {
        let listed = |value: Option<&Value>| elements(value).to_vec();
        self.all_stand(
            definition,
            &listed(sides.theirs),
            &listed(sides.shown),
            &listed(sides.wanted),
        )
    }

    fn all_stand(
        &self,
        definition: &Attribute,
        theirs: &[Value],
        shown: &[Value],
        wanted: &[Value],
    ) -> bool {
        let replaces = self.mode == Mode::Replace;
        repeat(definition, wanted, theirs)
            || (replaces && (wanted.is_empty() || repeat(definition, wanted, shown)))
    }

    /// Of each kind that is written back, the elements as they are given.
    fn list(
        &self,
        definition: &Attribute,
        path: &AttributePath,
        sides: Sides<'_>,
    ) -> Option<Value> {
        let theirs = elements(sides.theirs);
        let wanted = elements(sides.wanted);
        let of = |list: &[Value], wanted: Option<&str>| -> Vec<Value> {
            list.iter().filter(|one| alike(kind(path, one), wanted)).cloned().collect()
        };
        let mut kinds: Vec<Option<&str>> = Vec::new();
        for element in theirs.iter().chain(wanted) {
            let own = kind(path, element);
            let back = self.owner.authority_of_element(path, element, theirs)
                == Some(Authority::WriteBack);
            if back && !kinds.iter().any(|known| alike(*known, own)) {
                kinds.push(own);
            }
        }
        let mut after = theirs.to_vec();
        for own in kinds {
            let given = of(wanted, own);
            let shown = of(elements(sides.shown), own);
            if !self.all_stand(definition, &of(theirs, own), &shown, &given) {
                after.retain(|one| !alike(kind(path, one), own));
                after.extend(given);
            }
        }
        (!after.is_empty()).then_some(Value::Array(after))
    }
}

/// Whether both hold the same values.
fn repeat(definition: &Attribute, given: &[Value], held: &[Value]) -> bool {
    given.len() == held.len()
        && given.iter().all(|given| held.iter().any(|held| repeats(definition, given, held)))
}

fn put(members: &mut Map<String, Value>, name: &str, value: Option<Value>) {
    match value {
        Some(value) => drop(members.insert(name.to_owned(), value)),
        None => drop(members.shift_remove(name)),
    }
}
