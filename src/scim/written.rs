//! What is written of a user in a manner: who gives the names, which sections a body leaves alone,
//! what its codes say of core attributes, and how many values there may be.
//!
//! Knows nothing of who owns a value beyond whether `userName` is ours.

use serde_json::Value;

use super::dialect::{Manner, Names};
use super::display::display_name;
use super::error::{ErrorKind, ScimError};
use super::filter::Filter;
use super::mirror::{MIRRORS, Said, Which, folded, shown};
use super::patch::{Patch, Tolerance};
use super::resource::Attributes;
use super::schema::check::Checked;
use super::schema::elements::same;
use super::schema::standard::{SOURCE, USER_ATTRIBUTE};
use super::schema::{AttributePath, ResourceType};

/// The write of a user.
#[derive(Clone, Copy, Debug)]
pub struct Writing<'a> {
    pub kind: &'a ResourceType,
    pub manner: &'a Manner,
    /// Whether `userName` is kept here; else a directory gives it.
    pub owns_name: bool,
}

/// What a POST comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Posting {
    /// A new user.
    Creates,
    /// A new user whom a provisioning agent makes.
    Provisions,
    /// Somebody whom a directory has.
    Binds,
}

impl Writing<'_> {
    /// The attributes of a POST; `known` is what a directory says of whom it binds.
    ///
    /// # Errors
    /// `invalidValue` for what is missing, and as [`folded`].
    pub fn posted(
        &self,
        known: &Attributes,
        checked: &Checked,
        posting: Posting,
    ) -> Result<Attributes, ScimError> {
        let mut given = folded(known, checked.attributes.clone(), Said::Body)?;
        if self.manner.derives_display_name {
            given.shift_remove("displayName");
        }
        if self.manner.names == Names::ExternalId {
            let external_id = given.get("externalId").cloned();
            let external_id = external_id
                .ok_or_else(|| missing("externalId", "below api-version 4 it names the user"))?;
            // It is nobody's to write; whom a directory names keeps that name.
            given.shift_remove("userName");
            if self.owns_name && !known.contains_key("userName") {
                given.insert("userName".to_owned(), external_id);
            }
        }
        let named = given.contains_key("name");
        if self.manner.requires_name && posting == Posting::Creates && !named {
            return Err(missing("name", "give givenName, familyName or both"));
        }
        self.has_required(known, &given)?;
        Ok(given)
    }

    /// What the tenant asks for; a directory may give it.
    fn has_required(&self, known: &Attributes, given: &Attributes) -> Result<(), ScimError> {
        let there = |path: &&AttributePath| {
            let present = Filter::Present((*path).clone());
            !present.matches(given) && !present.matches(known)
        };
        match self.manner.required.iter().find(there) {
            None => Ok(()),
            Some(path) => Err(missing(&path.text, "give it a value that is not empty")),
        }
    }

    /// The whole resource after a PUT of what `checked` holds.
    ///
    /// # Errors
    /// `invalidValue` for what is missing, and as [`folded`]; `mutability` as [`ResourceType::over`].
    pub fn replaced(
        &self,
        current: &Attributes,
        checked: &Checked,
    ) -> Result<Attributes, ScimError> {
        let manner = self.manner;
        if manner.requires_groups && !checked.holds_groups {
            return Err(missing("groups", "repeat those that are shown, or give []"));
        }
        let mut after = self.kind.over(current, &checked.attributes)?;
        let holds = |urn: &str| checked.extensions.iter().any(|held| held == urn);
        if manner.sections_stand {
            for (schema, _) in &self.kind.extensions {
                if schema.id != SOURCE && !holds(&schema.id) {
                    stays(&schema.id, current, &mut after);
                }
            }
        }
        if manner.sections_stand && !holds(USER_ATTRIBUTE) {
            // The mirrored codes are elements of the section that stands.
            for mirror in &MIRRORS {
                if !after.contains_key(mirror.holder()) {
                    stays(mirror.holder(), current, &mut after);
                }
            }
        } else {
            after = folded(current, after, Said::Body)?;
        }
        if manner.derives_display_name {
            after.shift_remove("displayName");
            stays("displayName", current, &mut after);
        }
        if manner.names == Names::ExternalId {
            if !after.contains_key("externalId") {
                stays("externalId", current, &mut after);
            }
            self.name(current, &mut after);
        }
        Ok(after)
    }

    /// The whole resource after a PATCH.
    ///
    /// # Errors
    /// As [`Patch::apply`], `mutability` for another `userName` or `displayName` than follows from
    /// the rest, and as [`folded`].
    pub fn modified(
        &self,
        current: &Attributes,
        patch: &Patch,
        tolerance: Tolerance,
    ) -> Result<Attributes, ScimError> {
        let mut after = match patch.codes() {
            None => patch.apply(current, self.kind, tolerance)?,
            Some(element) => {
                // Whoever is shown the mirrored codes, or names one, means them too.
                let all = element || self.manner.shows_mirrored;
                let (which, said) =
                    if all { (Which::All, Said::Whole) } else { (Which::Own, Said::Body) };
                let mut open = current.clone();
                let elements = shown(current, which, &|_, _| false);
                open.shift_remove(USER_ATTRIBUTE);
                if !elements.is_empty() {
                    open.insert(
                        USER_ATTRIBUTE.to_owned(),
                        serde_json::json!({ "attributes": elements }),
                    );
                }
                folded(current, patch.apply(&open, self.kind, tolerance)?, said)?
            }
        };
        if self.manner.derives_display_name {
            let made = display_name(&after).map(Value::from);
            let shown = display_name(current).map(Value::from);
            let given = after.shift_remove("displayName");
            stays("displayName", current, &mut after);
            let repeats = [current.get("displayName"), made.as_ref(), shown.as_ref()];
            follows("displayName", "name", given.as_ref(), &repeats, tolerance)?;
        }
        if self.manner.names == Names::ExternalId {
            if current.contains_key("externalId") && !after.contains_key("externalId") {
                let detail = "externalId is required below api-version 4 and cannot be removed";
                return Err(ScimError::new(ErrorKind::Mutability, detail));
            }
            let given = after.get("userName").cloned();
            self.name(current, &mut after);
            let repeats = [current.get("userName"), after.get("userName")];
            follows("userName", "externalId", given.as_ref(), &repeats, tolerance)?;
        }
        Ok(after)
    }

    /// `userName` follows `externalId`, unless it had another value before, which somebody else
    /// wrote, or is a directory's.
    fn name(&self, current: &Attributes, after: &mut Attributes) {
        let (user_name, external_id) = (current.get("userName"), current.get("externalId"));
        let apart = user_name.is_some() && user_name != external_id;
        let name = match after.get("externalId").cloned() {
            Some(external_id) if self.owns_name && !apart => Some(external_id),
            _ => user_name.cloned(),
        };
        after.shift_remove("userName");
        after.extend(name.map(|name| ("userName".to_owned(), name)));
    }

    /// Refuses more values than there may be; what was there already may stay.
    ///
    /// # Errors
    /// `invalidValue`, with the attribute and its limit.
    pub fn limited(&self, current: &Attributes, after: &Attributes) -> Result<(), ScimError> {
        for limit in &self.manner.limits {
            let name = limit.attribute.as_str();
            // What a user is in and has is counted where it is written.
            if matches!(name, "groups" | "roles") {
                continue;
            }
            let Some(Value::Array(values)) = after.get(name) else { continue };
            if values.len() <= limit.most {
                continue;
            }
            let stands = current.get(name).zip(self.kind.top_level(name));
            if stands.is_some_and(|(was, list)| same(list, was, &after[name])) {
                continue;
            }
            let (count, most) = (values.len(), limit.most);
            return Err(ScimError::new(
                ErrorKind::InvalidValue,
                format!("{name} has {count} values: the limit is {most} (limits.{name})"),
            ));
        }
        Ok(())
    }
}

/// Takes over what was there.
fn stays(name: &str, current: &Attributes, after: &mut Attributes) {
    if let Some(value) = current.get(name) {
        after.insert(name.to_owned(), value.clone());
    }
}

fn missing(name: &str, what: &str) -> ScimError {
    ScimError::new(ErrorKind::InvalidValue, format!("{name} is required: {what}"))
}

/// Refuses another value of what is nobody's to write than it has.
fn follows(
    name: &str,
    source: &str,
    given: Option<&Value>,
    repeats: &[Option<&Value>],
    tolerance: Tolerance,
) -> Result<(), ScimError> {
    if given.is_none() || tolerance.pass_over_read_only || repeats.contains(&given) {
        return Ok(());
    }
    let detail = format!("{name} is readOnly here: it follows from {source}; leave it out");
    Err(ScimError::new(ErrorKind::Mutability, detail))
}

#[cfg(test)]
mod tests;
