//! What a write makes of the values that are written back: the directory's as they shall be.

use serde_json::{Map, Value};

use super::super::compare::repeats;
use super::{Account, Division, Mode, Owner, Sides, alike, elements, kind};
use crate::repository::Authority;
use crate::scim::Attributes;
use crate::scim::schema::{Attribute, AttributePath, Kind};

/// What the directory shall have.
#[derive(Debug)]
pub(in crate::federation) struct Theirs {
    pub(in crate::federation) values: Attributes,
    /// Whether the account shall be open, where it is to be switched.
    pub(in crate::federation) account: Option<bool>,
}

impl Division<'_> {
    /// What the directory shall have after the write of `wanted`, where that is not what it has. What a
    /// PUT does not mention, or hands back as it was last shown, is no write.
    pub(in crate::federation) fn theirs_after(&self, wanted: &Attributes) -> Option<Theirs> {
        let Owner::Repository(repository) = self.owner else { return None };
        if repository.back(&Attributes::new(), None).is_empty() {
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
            let value = if name == "active" {
                continue;
            } else if let Some(schema) = self.resource_type.extension(name) {
                self.parts(&schema.attributes, &format!("{name}:"), sides)
            } else if let Some(definition) = self.resource_type.top_level(name) {
                self.there(definition, name, sides)
            } else {
                continue;
            };
            put(&mut after, name, value);
        }
        let account = self.switched(wanted);
        if let Some(open) = account {
            after.insert("active".to_owned(), Value::Bool(open));
        }
        let differs = account.is_some() || after != *self.directory;
        differs.then_some(Theirs { values: after, account })
    }

    /// What becomes of the account, where that is not what it is. Who says no is heard although
    /// something else keeps the person out already: that may pass.
    fn switched(&self, wanted: &Attributes) -> Option<bool> {
        let Account::Theirs(held) = self.account else { return None };
        let theirs = self.directory.get("active");
        let said = self.said(Sides {
            theirs,
            shown: self.shadow.and_then(|shadow| shadow.get("active")),
            ours: self.own.get("active"),
            wanted: wanted.get("active"),
        })?;
        let open = Value::Bool(true);
        let held = held.or_else(|| theirs.filter(|theirs| **theirs == open));
        (held != Some(&Value::Bool(said))).then_some(said)
    }

    /// What the write says of an account that is the directory's alone; `None` where it hands back what
    /// it was shown.
    pub(super) fn said(&self, sides: Sides<'_>) -> Option<bool> {
        let no = Value::Bool(false);
        let shown = sides.theirs != Some(&no) && sides.ours != Some(&no);
        match sides.wanted {
            // Removed, which is shown as true.
            None => (self.mode == Mode::Modify && !shown).then_some(true),
            Some(Value::Bool(said)) if self.says_active => Some(*said),
            Some(Value::Bool(said)) if *said == shown => None,
            // Who locked the account there has the last word over a copy from before.
            Some(Value::Bool(true)) if sides.shown.is_some_and(|shown| *shown != no) => None,
            Some(Value::Bool(said)) => Some(*said),
            Some(_) => None,
        }
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
