//! Who owns which value: how directory values and ours become one, and how a write is divided.
//!
//! Rule 6: every mapped path has one authority. A directory-owned value may be repeated, never
//! changed; a local one is the directory's until somebody writes it; one that is written back is the
//! directory's, and changed there; what is not mapped is ours.

mod back;

pub(super) use back::Theirs;

use serde_json::{Map, Value};

use super::compare::{repeats, same};
use super::life::agree;
use super::resource::SOURCE_URN;
use crate::repository::{Authority, Repository};
use crate::scim::schema::standard::USER_ATTRIBUTE;
use crate::scim::schema::{Attribute, AttributePath, Kind};
use crate::scim::{Attributes, ErrorKind, ResourceType, ScimError};

/// Who stands beside us.
#[derive(Clone, Copy, Debug)]
pub(super) enum Owner<'a> {
    /// Nobody: everything is ours.
    Store,
    Repository(&'a dyn Repository),
    /// A repository that is no longer configured. Nobody knows its mapping, so whatever it had a
    /// value for is its own, but for what we own already.
    Gone,
}

impl<'a> Owner<'a> {
    /// Of a linked row.
    pub(super) fn linked(repository: Option<&'a dyn Repository>) -> Self {
        repository.map_or(Self::Gone, Self::Repository)
    }

    /// Who decides the value of `path`, which both may have.
    fn authority(
        self,
        path: &AttributePath,
        theirs: Option<&Value>,
        ours: Option<&Value>,
    ) -> Option<Authority> {
        match self {
            Self::Store => None,
            Self::Repository(repository) => repository.authority(path),
            Self::Gone => {
                theirs?;
                let lent = ours.is_some() && !path.multi_valued;
                Some(if lent { Authority::Local } else { Authority::Directory })
            }
        }
    }

    /// Who decides such elements of a list.
    fn authority_of_element(
        self,
        path: &AttributePath,
        element: &Value,
        theirs: &[Value],
    ) -> Option<Authority> {
        let kind = kind(path, element);
        match self {
            Self::Store => None,
            Self::Repository(repository) => repository.authority_of_type(path, kind),
            Self::Gone => theirs
                .iter()
                .any(|held| alike(self::kind(path, held), kind))
                .then_some(Authority::Directory),
        }
    }
}

/// What tells the elements of a list apart: the code of the `ActivID` extension's, of others the
/// type.
pub(super) fn kind<'a>(path: &AttributePath, element: &'a Value) -> Option<&'a str> {
    let coded = path.extension.as_deref() == Some(USER_ATTRIBUTE);
    element.get(if coded { "name" } else { "type" }).and_then(Value::as_str)
}

pub(super) fn alike(one: Option<&str>, other: Option<&str>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one.eq_ignore_ascii_case(other),
        (one, other) => one == other,
    }
}

/// Directory values with ours over and beside them.
pub(super) fn merge(
    resource_type: &ResourceType,
    owner: Owner<'_>,
    directory: &Attributes,
    own: &Attributes,
) -> Attributes {
    let merging = Merging { resource_type, owner };
    let mut merged = directory.clone();
    for (name, ours) in own {
        let value = match (merged.get(name), resource_type.extension(name)) {
            (None, _) => ours.clone(),
            (Some(Value::Object(theirs)), Some(schema)) => {
                let prefix = format!("{name}:");
                merging.members(&schema.attributes, &prefix, theirs, ours)
            }
            (Some(theirs), _) if name == "active" => {
                let no = Value::Bool(false);
                Value::Bool(*theirs != no && *ours != no)
            }
            (Some(theirs), _) => match resource_type.top_level(name) {
                Some(definition) => merging.value(definition, name, theirs, ours),
                None => ours.clone(),
            },
        };
        merged.insert(name.clone(), value);
    }
    // Shown true only if neither side says no; a user about whom nobody says anything is active.
    merged.entry("active").or_insert(Value::Bool(true));
    agree(&mut merged);
    merged
}

struct Merging<'a> {
    resource_type: &'a ResourceType,
    owner: Owner<'a>,
}

impl Merging<'_> {
    fn members(
        &self,
        definitions: &[Attribute],
        prefix: &str,
        theirs: &Attributes,
        ours: &Value,
    ) -> Value {
        let mut merged = theirs.clone();
        for (name, ours) in ours.as_object().into_iter().flatten() {
            let value = match (theirs.get(name), definitions.iter().find(|one| one.name == *name)) {
                (Some(theirs), Some(definition)) => {
                    self.value(definition, &format!("{prefix}{name}"), theirs, ours)
                }
                _ => ours.clone(),
            };
            merged.insert(name.clone(), value);
        }
        Value::Object(merged)
    }

    fn value(&self, definition: &Attribute, path: &str, theirs: &Value, ours: &Value) -> Value {
        if definition.kind == Kind::Complex
            && !definition.multi_valued
            && let Value::Object(theirs) = theirs
        {
            return self.members(&definition.sub_attributes, &format!("{path}."), theirs, ours);
        }
        let path = self.resource_type.resolve(path);
        match self.owner.authority(&path, Some(theirs), Some(ours)) {
            Some(Authority::Directory | Authority::WriteBack) if definition.multi_valued => {
                self.beside(definition, &path, elements(Some(theirs)), elements(Some(ours)))
            }
            Some(Authority::Directory | Authority::WriteBack) => theirs.clone(),
            Some(Authority::Local) | None => ours.clone(),
        }
    }

    /// The directory's elements, then ours; ours wins where both claim to be primary, and ours alone
    /// are shown of a type that is lent to us.
    fn beside(
        &self,
        definition: &Attribute,
        path: &AttributePath,
        theirs: &[Value],
        ours: &[Value],
    ) -> Value {
        let primary = |element: &Value| element.get("primary") == Some(&Value::Bool(true));
        let demote = ours.iter().any(primary);
        let hidden = |held: &Value| {
            self.owner.authority_of_element(path, held, theirs) == Some(Authority::Local)
                && ours.iter().any(|ours| alike(kind(path, ours), kind(path, held)))
        };
        let mut shown: Vec<Value> = theirs.iter().filter(|held| !hidden(held)).cloned().collect();
        if demote {
            for members in shown.iter_mut().filter_map(Value::as_object_mut) {
                members.remove("primary");
            }
        }
        let added: Vec<Value> = ours
            .iter()
            .filter(|ours| !shown.iter().any(|held| repeats(definition, ours, held)))
            .cloned()
            .collect();
        shown.extend(added);
        Value::Array(shown)
    }
}

/// How a write says what it does not mention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// PUT, POST: absence is no write to a directory-owned attribute.
    Replace,
    /// PATCH: what is absent from the result was removed.
    Modify,
}

/// Why a write was refused: it would change what the directory owns.
#[derive(Debug, PartialEq)]
pub(super) struct Owned {
    pub(super) path: String,
}

impl Owned {
    pub(super) fn into_error(self, repository: &str) -> ScimError {
        ScimError::new(
            ErrorKind::Mutability,
            format!(
                "\"{}\" is owned by the repository \"{repository}\"; change it there, or leave it \
                 out here.",
                self.path
            ),
        )
    }
}

/// What a write is divided by.
pub(super) struct Division<'a> {
    pub(super) resource_type: &'a ResourceType,
    pub(super) owner: Owner<'a>,
    /// The entry's values now.
    pub(super) directory: &'a Attributes,
    /// The entry's values when last shown.
    pub(super) shadow: Option<&'a Attributes>,
    /// Our values before the write.
    pub(super) own: &'a Attributes,
    pub(super) mode: Mode,
    /// Whether the caller says of its own accord what `active` shall be. Else it may but hand back
    /// what it was shown, and what is shown already is no write: a PUT is usually a GET with changes.
    pub(super) says_active: bool,
    pub(super) account: Account<'a>,
}

/// Who locks the account that `active` tells of.
#[derive(Clone, Copy, Debug)]
pub(super) enum Account<'a> {
    /// Both sides: a no of ours stands beside the directory's.
    Both,
    /// The directory, where it is written back: how it stands there, as
    /// [`Entry::account`](crate::repository::Entry::account) has it; `None` where that was not read.
    Theirs(Option<&'a Value>),
}

impl Division<'_> {
    /// Our values after the write of `wanted`, the whole resource as it shall be shown.
    pub(super) fn own_after(&self, wanted: &Attributes) -> Result<Attributes, Owned> {
        let mut after = Attributes::new();
        let mut names: Vec<&String> = wanted.keys().collect();
        names.extend(self.directory.keys().filter(|name| !wanted.contains_key(*name)));
        for name in names {
            // Never stored: what others compute, and passwords, which nothing here checks.
            if matches!(
                name.as_str(),
                "id" | "meta" | "schemas" | "userType" | "password" | SOURCE_URN
            ) {
                continue;
            }
            let sides = Sides {
                theirs: self.directory.get(name),
                shown: self.shadow.and_then(|shadow| shadow.get(name)),
                ours: self.own.get(name),
                wanted: wanted.get(name),
            };
            let value = if name == "active" {
                self.active(sides)?
            } else if let Some(schema) = self.resource_type.extension(name) {
                self.members(&schema.attributes, &format!("{name}:"), sides)?
            } else if let Some(definition) = self.resource_type.top_level(name) {
                self.value(definition, name, sides)?
            } else {
                sides.wanted.cloned()
            };
            if let Some(value) = value {
                after.insert(name.clone(), value);
            }
        }
        // Whose agent brought the user: nobody's to write.
        if let Some(source) = self.own.get(SOURCE_URN) {
            after.insert(SOURCE_URN.to_owned(), source.clone());
        }
        if self.mode == Mode::Replace
            && !wanted.contains_key("active")
            && let Some(active) = self.own.get("active")
        {
            // A PUT that does not mention `active` neither disables nor enables anybody.
            after.insert("active".into(), active.clone());
        }
        Ok(after)
    }

    /// Both sides must say yes; writing `false` is ours, `true` takes our no back.
    fn active(&self, sides: Sides<'_>) -> Result<Option<Value>, Owned> {
        let no = Value::Bool(false);
        if let Account::Theirs(_) = self.account {
            // A no of ours is from before it was written back, and goes with the first word.
            return Ok(sides.ours.filter(|_| self.said(sides).is_none()).cloned());
        }
        let theirs_no = sides.theirs == Some(&no);
        let shown = !theirs_no && sides.ours != Some(&no);
        match sides.wanted {
            None => Ok(sides.ours.filter(|_| self.mode == Mode::Replace).cloned()),
            Some(Value::Bool(false)) if self.says_active => Ok(Some(no)),
            Some(Value::Bool(wanted)) if *wanted == shown => Ok(sides.ours.cloned()),
            Some(Value::Bool(false)) => Ok(Some(no)),
            Some(_) if theirs_no => Err(Owned { path: "active".into() }),
            Some(_) if matches!(self.owner, Owner::Store) => Ok(Some(Value::Bool(true))),
            Some(_) => Ok(None),
        }
    }

    fn members(
        &self,
        definitions: &[Attribute],
        prefix: &str,
        sides: Sides<'_>,
    ) -> Result<Option<Value>, Owned> {
        let mut after = Map::new();
        for definition in definitions {
            let path = format!("{prefix}{}", definition.name);
            if let Some(value) = self.value(definition, &path, sides.member(&definition.name))? {
                after.insert(definition.name.clone(), value);
            }
        }
        Ok(if after.is_empty() { None } else { Some(Value::Object(after)) })
    }

    fn value(
        &self,
        definition: &Attribute,
        path: &str,
        sides: Sides<'_>,
    ) -> Result<Option<Value>, Owned> {
        if definition.kind == Kind::Complex && !definition.multi_valued {
            return self.members(&definition.sub_attributes, &format!("{path}."), sides);
        }
        let resolved = self.resource_type.resolve(path);
        match self.owner.authority(&resolved, sides.theirs, sides.ours) {
            None => Ok(sides.wanted.cloned()),
            Some(Authority::Local) => Ok(local(definition, sides)),
            Some(Authority::Directory | Authority::WriteBack) if definition.multi_valued => {
                self.elements(definition, &resolved, sides)
            }
            // What becomes of it in the directory, `theirs_after` says.
            Some(Authority::WriteBack) => Ok(None),
            Some(Authority::Directory) => match (sides.theirs, sides.wanted) {
                (Some(_), None) if self.mode == Mode::Modify => Err(Owned { path: path.into() }),
                (_, None) => Ok(None),
                (theirs, Some(wanted)) => {
                    let repeated = |held: Option<&Value>| {
                        held.is_some_and(|held| same(definition, wanted, held))
                    };
                    if repeated(theirs) || repeated(sides.shown) {
                        Ok(None)
                    } else {
                        Err(Owned { path: path.into() })
                    }
                }
            },
        }
    }

    /// Elements of a kind that the mapping gives are the directory's, or lent to us; others stand
    /// beside them.
    fn elements(
        &self,
        definition: &Attribute,
        path: &AttributePath,
        sides: Sides<'_>,
    ) -> Result<Option<Value>, Owned> {
        let (theirs, wanted) = (elements(sides.theirs), elements(sides.wanted));
        let ours = elements(sides.ours);
        let repeated = |given: &Value, held: &[Value]| {
            held.iter().any(|held| repeats(definition, given, held))
        };
        let authority = |element: &Value| self.owner.authority_of_element(path, element, theirs);
        let kept = |held: &Value| {
            matches!(authority(held), Some(Authority::Local | Authority::WriteBack))
                || wanted.iter().any(|given| repeats(definition, given, held))
        };
        if self.mode == Mode::Modify && !theirs.iter().all(kept) {
            return Err(Owned { path: path.text.clone() });
        }
        let lent = |given: &Value| {
            let same_kind = |element: &&Value| alike(kind(path, element), kind(path, given));
            let held: Vec<&Value> = theirs.iter().filter(same_kind).collect();
            let given: Vec<&Value> = wanted.iter().filter(same_kind).collect();
            !ours.iter().any(|ours| same_kind(&ours))
                && given.len() == held.len()
                && given
                    .iter()
                    .all(|given| held.iter().any(|held| repeats(definition, given, held)))
        };
        let mut after = Vec::new();
        for given in wanted {
            match authority(given) {
                // Of a lent kind all elements are theirs, or all are ours.
                Some(Authority::Local) if lent(given) => {}
                Some(Authority::Local) => after.push(given.clone()),
                Some(Authority::WriteBack) => {}
                _ if repeated(given, theirs) || repeated(given, elements(sides.shown)) => {}
                None => after.push(given.clone()),
                Some(Authority::Directory)
                    if matches!(self.owner, Owner::Gone) && repeated(given, ours) =>
                {
                    after.push(given.clone());
                }
                Some(Authority::Directory) => return Err(Owned { path: path.text.clone() }),
            }
        }
        Ok(if after.is_empty() { None } else { Some(Value::Array(after)) })
    }
}

/// Ours stands once written; what repeats the directory's value is not ours.
fn local(definition: &Attribute, sides: Sides<'_>) -> Option<Value> {
    let wanted = sides.wanted?;
    match (sides.ours, sides.theirs) {
        (Some(ours), _) if same(definition, ours, wanted) => Some(ours.clone()),
        (None, Some(theirs)) if same(definition, theirs, wanted) => None,
        _ => Some(wanted.clone()),
    }
}

/// One value as each side has it.
#[derive(Clone, Copy)]
struct Sides<'a> {
    theirs: Option<&'a Value>,
    shown: Option<&'a Value>,
    ours: Option<&'a Value>,
    wanted: Option<&'a Value>,
}

impl Sides<'_> {
    fn member(&self, name: &str) -> Self {
        Sides {
            theirs: self.theirs.and_then(|value| value.get(name)),
            shown: self.shown.and_then(|value| value.get(name)),
            ours: self.ours.and_then(|value| value.get(name)),
            wanted: self.wanted.and_then(|value| value.get(name)),
        }
    }
}

fn elements(value: Option<&Value>) -> &[Value] {
    match value {
        Some(Value::Array(elements)) => elements,
        Some(single) => std::slice::from_ref(single),
        None => &[],
    }
}

#[cfg(test)]
mod tests;
