//! What an operation does to attributes (RFC 7644 sections 3.5.2.1 to 3.5.2.3).

use serde_json::{Map, Value};

use super::budget::{Budget, size, sizes};
use super::element::{self, Finder};
use super::{Operation, Patch, Tolerance, Verb};
use crate::scim::error::{ErrorKind, ScimError};
use crate::scim::filter::Filter;
use crate::scim::resource::Attributes;
use crate::scim::schema::elements::{bounded, complete, each, identity, is_primary, same, settle};
use crate::scim::schema::value::{Place, canonical, invalid, is_blank, members};
use crate::scim::schema::{Attribute, Kind, Mutability, ResourceType};

impl Patch {
    /// The attributes after all operations, in their order; `current` stays as it is, and a failing
    /// operation leaves nothing behind. Attributes that no operation touches are not looked at.
    ///
    /// Decided where the RFC is silent: an `add` at a value filter that matches nothing creates the
    /// element; a `remove` there, of an absent attribute, or of listed values that are not there
    /// changes nothing (clients repeat removals); `null` removes; an element whose `value` is
    /// removed goes altogether. A `replace` of elements by a value filter keeps, of what the value
    /// does not give, the sub-attributes that the filter fixes by `eq`, and what is required,
    /// immutable or readOnly.
    ///
    /// # Errors
    /// `noTarget`, `mutability` and `invalidValue`, each naming the operation and its path;
    /// `tooMany` where operations and values together are more than is worked through at once.
    pub fn apply(
        &self,
        current: &Attributes,
        kind: &ResourceType,
        tolerance: Tolerance,
    ) -> Result<Attributes, ScimError> {
        self.apply_within(current, kind, tolerance, &Budget::usual())
    }

    pub(super) fn apply_within(
        &self,
        current: &Attributes,
        kind: &ResourceType,
        tolerance: Tolerance,
        budget: &Budget,
    ) -> Result<Attributes, ScimError> {
        let mut attributes = current.clone();
        for operation in &self.operations {
            operation
                .apply(&mut attributes, kind, tolerance, budget)
                .map_err(|error| operation.located(error))?;
        }
        // One operation may give what another one left out, so this is for the end.
        let mut seen: Vec<&Attribute> = Vec::new();
        for operation in &self.operations {
            let Some(attribute) = kind.holder(&operation.path) else { continue };
            if seen.iter().any(|seen| std::ptr::eq(*seen, attribute)) {
                continue;
            }
            seen.push(attribute);
            operation.complete(&attributes, attribute).map_err(|error| operation.located(error))?;
        }
        Ok(attributes)
    }
}

impl Operation {
    fn apply(
        &self,
        attributes: &mut Attributes,
        kind: &ResourceType,
        tolerance: Tolerance,
        budget: &Budget,
    ) -> Result<(), ScimError> {
        let Some(urn) = &self.path.extension else {
            return match kind.holder(&self.path) {
                Some(attribute) => self.change(attributes, attribute, None, tolerance, budget),
                None => Ok(()),
            };
        };
        // Taken out while it is worked on, and put back unless nothing is left of it.
        let mut members = match attributes.get_mut(urn).map(Value::take) {
            Some(Value::Object(members)) => members,
            _ => Map::new(),
        };
        let place = Place::extension(urn);
        match kind.holder(&self.path) {
            Some(attribute) => {
                self.change(&mut members, attribute, Some(&place), tolerance, budget)?;
            }
            None => {
                for attribute in kind.extension(urn).map_or(&[][..], |schema| &schema.attributes) {
                    if attribute.mutability != Mutability::ReadOnly {
                        let place = Place::name(Some(&place), &attribute.name);
                        remove(&mut members, attribute, &place)?;
                    }
                }
            }
        }
        if members.is_empty() {
            attributes.shift_remove(urn);
        } else {
            attributes.insert(urn.clone(), Value::Object(members));
        }
        Ok(())
    }

    /// Changes `attribute`, which stands in `holder`: the resource or an extension's object.
    fn change(
        &self,
        holder: &mut Map<String, Value>,
        attribute: &Attribute,
        parent: Option<&Place<'_>>,
        tolerance: Tolerance,
        budget: &Budget,
    ) -> Result<(), ScimError> {
        let place = Place::name(parent, &attribute.name);
        let sub = self.path.sub.as_deref().and_then(|sub| attribute.sub_attribute(sub));
        let given = self.value.as_ref();
        match (&self.filter, sub) {
            (None, None) if self.replaces_whole(attribute, tolerance) => {
                match given.map(|given| canonical(attribute, given.clone(), &place)).transpose()? {
                    Some(Some(value)) => set(holder, attribute, value, &place),
                    _ => remove(holder, attribute, &place),
                }
            }
            (None, None) => write(holder, attribute, self.verb, given, &place, budget),
            (None, Some(sub)) if !attribute.multi_valued => {
                let mut members = match holder.get(&attribute.name) {
                    Some(Value::Object(members)) => members.clone(),
                    _ => Map::new(),
                };
                write_sub(&mut members, attribute, sub, self.verb, given, &place, budget)?;
                put_back(holder, attribute, Value::Object(members), &place)
            }
            (filter, sub) => {
                let mut elements = taken(holder, attribute);
                let creates = self.verb == Verb::Add
                    || self.verb == Verb::Replace
                        && (filter.is_none() || tolerance.create_on_absent_value_path);
                let edit = Edit {
                    attribute,
                    sub,
                    filter: filter.as_ref(),
                    verb: self.verb,
                    given,
                    creates,
                    place: &place,
                    budget,
                };
                edit.apply(&mut elements)?;
                put_back(holder, attribute, Value::Array(elements), &place)
            }
        }
    }

    fn replaces_whole(&self, attribute: &Attribute, tolerance: Tolerance) -> bool {
        tolerance.strict
            && self.verb == Verb::Replace
            && attribute.kind == Kind::Complex
            && !attribute.multi_valued
    }

    fn complete(&self, attributes: &Attributes, attribute: &Attribute) -> Result<(), ScimError> {
        if !attribute.sub_attributes.iter().any(|sub| sub.required) {
            return Ok(());
        }
        let urn = self.path.extension.as_deref();
        let holder = match urn {
            None => Some(attributes),
            Some(urn) => attributes.get(urn).and_then(Value::as_object),
        };
        let parent = urn.map(Place::extension);
        let place = Place::name(parent.as_ref(), &attribute.name);
        match holder.and_then(|holder| holder.get(&attribute.name)) {
            Some(value) => complete(attribute, value, &place),
            None => Ok(()),
        }
    }
}

/// A change of some elements of a multi-valued attribute.
struct Edit<'a> {
    attribute: &'a Attribute,
    /// The sub-attribute that is changed; without one, the elements themselves.
    sub: Option<&'a Attribute>,
    /// Which elements are meant; without one, all.
    filter: Option<&'a Filter>,
    verb: Verb,
    given: Option<&'a Value>,
    /// Whether an element is made where none is there.
    creates: bool,
    place: &'a Place<'a>,
    budget: &'a Budget,
}

/// What it takes to tell which of some values are the same, in the steps of going through them.
const SETTLING: usize = 8;

impl Edit<'_> {
    fn apply(&self, elements: &mut Vec<Value>) -> Result<(), ScimError> {
        let removes = self.verb == Verb::Remove || self.given.is_none();
        let settles = self.sub.is_some() || !removes;
        let passes = 1 + self.filter.map_or(0, |filter| filter.paths().count());
        let settling = if settles { SETTLING } else { 0 };
        self.budget.spend(sizes(elements), passes + settling)?;
        let mut chosen: Vec<bool> = elements
            .iter()
            .map(|element| self.filter.is_none_or(|filter| filter.matches_element(element)))
            .collect();
        if !chosen.contains(&true) {
            if removes {
                return Ok(());
            }
            let element = self.filter.map_or_else(
                || Some(Map::new()),
                |filter| element::described(self.attribute, filter),
            );
            let Some(element) = element.filter(|_| self.creates) else {
                let detail = format!("no value of {} matches the filter", self.place);
                return Err(ScimError::new(ErrorKind::NoTarget, detail));
            };
            elements.push(Value::Object(element));
            chosen.push(true);
        }
        if let Some(given) = self.given {
            self.budget.spend(size(given), chosen.iter().filter(|chosen| **chosen).count())?;
        }
        let mut promotes = false;
        for (index, (element, _)) in
            elements.iter_mut().zip(&chosen).enumerate().filter(|(_, (_, chosen))| **chosen)
        {
            let place = Place::index(self.place, index);
            if let Value::Object(members) = element {
                self.element(members, &place)?;
            } else if removes {
                *element = Value::Null;
            }
            promotes |= self.gives_primary() && is_primary(element);
        }
        if promotes {
            element::demote_others(elements, |index| chosen.get(index) == Some(&true));
        }
        if self.verb == Verb::Replace && self.sub.is_none() && self.filter.is_some() {
            self.swallow_equal(elements, &chosen);
        }
        elements.retain(|element| match element {
            Value::Object(members) => !is_blank(members),
            other => !other.is_null(),
        });
        // Where elements only went, no two of the others have become the same.
        if settles {
            *elements = settle(self.attribute, std::mem::take(elements), self.place)?;
        }
        Ok(())
    }

    /// A value that was replaced is the whole of it: another that has become the same adds nothing,
    /// so that doing it again changes nothing.
    fn swallow_equal(&self, elements: &mut [Value], chosen: &[bool]) {
        let replaced: std::collections::HashSet<String> = elements
            .iter()
            .zip(chosen)
            .filter(|(_, chosen)| **chosen)
            .map(|(element, _)| identity(self.attribute, element))
            .collect();
        for (element, _) in elements.iter_mut().zip(chosen).filter(|(_, chosen)| !**chosen) {
            if replaced.contains(&identity(self.attribute, element)) {
                *element = Value::Null;
            }
        }
    }

    fn element(
        &self,
        members: &mut Map<String, Value>,
        place: &Place<'_>,
    ) -> Result<(), ScimError> {
        match (self.sub, self.given) {
            (Some(sub), given) => {
                write_sub(members, self.attribute, sub, self.verb, given, place, self.budget)?;
                // An element is its value: what is left says nothing of anything.
                if sub.name == "value" && !members.contains_key("value") {
                    members.clear();
                }
                Ok(())
            }
            (None, Some(given)) if self.verb == Verb::Add => {
                merge(members, self.attribute, given, place)
            }
            (None, Some(given)) if self.verb == Verb::Replace => {
                self.replace(members, given, place)
            }
            (None, _) => {
                members.clear();
                Ok(())
            }
        }
    }

    /// RFC 7644 section 3.5.2.3: "If the target location is a multi-valued attribute and a value
    /// selection ("valuePath") filter is specified that matches one or more values of the
    /// multi-valued attribute, then all matching record values SHALL be replaced."
    fn replace(
        &self,
        present: &mut Map<String, Value>,
        given: &Value,
        place: &Place<'_>,
    ) -> Result<(), ScimError> {
        let given = members(self.attribute, given.clone(), place)?;
        if given.set.is_empty() {
            present.clear();
            return Ok(());
        }
        let before = present.get("value").cloned();
        for sub in given.cleared {
            remove(present, sub, &Place::name(Some(place), &sub.name))?;
        }
        let fixed =
            self.filter.map_or_else(Vec::new, |filter| element::fixed(self.attribute, filter));
        present.retain(|name, _| {
            let sub = self.attribute.sub_attribute(name);
            fixed.contains(&name.as_str())
                || sub.is_some_and(|sub| {
                    sub.required
                        || matches!(sub.mutability, Mutability::Immutable | Mutability::ReadOnly)
                })
        });
        overwrite(present, self.attribute, given.set, before.as_ref(), place)
    }

    fn gives_primary(&self) -> bool {
        match self.sub {
            Some(sub) => sub.name == "primary",
            None => self
                .given
                .and_then(Value::as_object)
                .is_some_and(|given| given.keys().any(|name| name.eq_ignore_ascii_case("primary"))),
        }
    }
}

/// Changes one attribute of `holder`, whatever its kind.
fn write(
    holder: &mut Map<String, Value>,
    attribute: &Attribute,
    verb: Verb,
    given: Option<&Value>,
    place: &Place<'_>,
    budget: &Budget,
) -> Result<(), ScimError> {
    let Some(given) = given.filter(|_| verb != Verb::Remove) else {
        return match given.filter(|_| attribute.multi_valued) {
            Some(listed) => remove_listed(holder, attribute, listed, place, budget),
            None => remove(holder, attribute, place),
        };
    };
    if attribute.multi_valued && verb == Verb::Add {
        return add(holder, attribute, given, place, budget);
    }
    let absent = given.as_array().is_some_and(Vec::is_empty);
    if attribute.multi_valued || attribute.kind != Kind::Complex || absent {
        return match canonical(attribute, given.clone(), place)? {
            Some(value) => set(holder, attribute, value, place),
            None if attribute.required => {
                Err(invalid(place, format_args!("is required: give it a value that is not empty")))
            }
            None => remove(holder, attribute, place),
        };
    }
    // RFC 7644 section 3.5.2.3: the given sub-attributes replace or are added, the others stay.
    let mut present = match holder.get(&attribute.name) {
        Some(Value::Object(present)) => present.clone(),
        _ => Map::new(),
    };
    merge(&mut present, attribute, given, place)?;
    put_back(holder, attribute, Value::Object(present), place)
}

/// Changes one sub-attribute of a complex value.
fn write_sub(
    members_of: &mut Map<String, Value>,
    attribute: &Attribute,
    sub: &Attribute,
    verb: Verb,
    given: Option<&Value>,
    place: &Place<'_>,
    budget: &Budget,
) -> Result<(), ScimError> {
    let before = members_of.get("value").cloned();
    write(members_of, sub, verb, given, &Place::name(Some(place), &sub.name), budget)?;
    drop_stale(members_of, attribute, before.as_ref(), |name| name == sub.name);
    Ok(())
}

/// Puts the given sub-attributes over those that are there; one that is `null` goes.
fn merge(
    present: &mut Map<String, Value>,
    attribute: &Attribute,
    given: &Value,
    place: &Place<'_>,
) -> Result<(), ScimError> {
    let members = members(attribute, given.clone(), place)?;
    let before = present.get("value").cloned();
    for sub in members.cleared {
        remove(present, sub, &Place::name(Some(place), &sub.name))?;
    }
    overwrite(present, attribute, members.set, before.as_ref(), place)
}

/// Sets the given sub-attributes; `before`: the `value` as it was.
fn overwrite(
    present: &mut Map<String, Value>,
    attribute: &Attribute,
    given: Map<String, Value>,
    before: Option<&Value>,
    place: &Place<'_>,
) -> Result<(), ScimError> {
    let mut given_names = Vec::with_capacity(given.len());
    for (name, value) in given {
        if let Some(sub) = attribute.sub_attribute(&name) {
            set(present, sub, value, &Place::name(Some(place), &name))?;
            given_names.push(name);
        }
    }
    drop_stale(present, attribute, before, |name| given_names.iter().any(|n| n == name));
    Ok(())
}

/// What described the old `value` (a manager's display name and address) goes with it, unless it was
/// given anew.
fn drop_stale(
    members: &mut Map<String, Value>,
    attribute: &Attribute,
    before: Option<&Value>,
    given: impl Fn(&str) -> bool,
) {
    if before.is_none() || members.get("value") == before {
        return;
    }
    members.retain(|name, _| {
        let derived = name == "$ref"
            || attribute
                .sub_attribute(name)
                .is_some_and(|sub| sub.mutability == Mutability::ReadOnly);
        !derived || given(name)
    });
}

/// RFC 7644 section 3.5.2.1: values are appended; what is there already is not added again.
fn add(
    holder: &mut Map<String, Value>,
    attribute: &Attribute,
    given: &Value,
    place: &Place<'_>,
    budget: &Budget,
) -> Result<(), ScimError> {
    // Told apart from what is there first: two primary values in one body are a fault, one beside
    // a present one is a change of mind.
    let given = settle(attribute, each(attribute, given.clone(), place)?, place)?;
    let mut elements = taken(holder, attribute);
    let mut finder = Finder::new(attribute, &elements, given.len(), budget)?;
    let mut primary = None;
    for value in given {
        let promotes = is_primary(&value);
        let meant = |element: &Value| element::stands_for(attribute, &value, element);
        let at = if let Some(at) = finder.find(&elements, &value, meant)? {
            if let Some(element) = elements.get_mut(at) {
                refine(element, attribute, value);
            }
            at
        } else {
            finder.added(elements.len(), &value);
            elements.push(value);
            elements.len() - 1
        };
        if promotes {
            primary = Some(at);
        }
    }
    bounded(elements.len(), place)?;
    if let Some(primary) = primary {
        element::demote_others(&mut elements, |at| at == primary);
    }
    put_back(holder, attribute, Value::Array(elements), place)
}

/// What the added value says beyond the element that it stands for; what cannot change, stays.
fn refine(element: &mut Value, attribute: &Attribute, value: Value) {
    let (Value::Object(element), Value::Object(value)) = (element, value) else { return };
    for (name, value) in value {
        let sub = attribute.sub_attribute(&name);
        let fixed = sub.is_none_or(|sub| sub.mutability == Mutability::Immutable);
        let same = || match (sub, element.get(&name)) {
            (Some(sub), Some(present)) => element::equal(sub, present, &value),
            _ => false,
        };
        if (!fixed || !element.contains_key(&name)) && !same() {
            element.insert(name, value);
        }
    }
}

/// RFC 7644 section 3.5.2.2: "If an attribute is removed or becomes unassigned and is defined as a
/// required attribute or a readOnly attribute": mutability. So it is with what is immutable.
fn remove(
    holder: &mut Map<String, Value>,
    attribute: &Attribute,
    place: &Place<'_>,
) -> Result<(), ScimError> {
    if !holder.contains_key(&attribute.name) {
        return Ok(());
    }
    let why = match attribute.mutability {
        Mutability::Immutable => "immutable",
        Mutability::ReadOnly => "readOnly",
        _ if attribute.required => "required",
        _ => {
            holder.shift_remove(&attribute.name);
            return Ok(());
        }
    };
    let detail = format!("{place} is {why} and cannot be removed");
    Err(ScimError::new(ErrorKind::Mutability, detail))
}

/// Of a multi-valued attribute only these values, as Entra ID takes members out of a group; an
/// empty list takes out nothing.
fn remove_listed(
    holder: &mut Map<String, Value>,
    attribute: &Attribute,
    listed: &Value,
    place: &Place<'_>,
    budget: &Budget,
) -> Result<(), ScimError> {
    let elements = taken(holder, attribute);
    if elements.is_empty() {
        holder.shift_remove(&attribute.name);
        return Ok(());
    }
    let listed = each(attribute, listed.clone(), place)?;
    let finder = Finder::new(attribute, &listed, elements.len(), budget)?;
    let mut kept = Vec::with_capacity(elements.len());
    for element in elements {
        budget.spend(size(&element), 1)?;
        let meant = |listed: &Value| element::is_meant(attribute, listed, &element);
        if finder.find(&listed, &element, meant)?.is_none() {
            kept.push(element);
        }
    }
    put_back(holder, attribute, Value::Array(kept), place)
}

/// The elements of a list, to be put back; what is immutable is compared then, and so stays there.
fn taken(holder: &mut Map<String, Value>, attribute: &Attribute) -> Vec<Value> {
    let value = if attribute.mutability == Mutability::Immutable {
        holder.get(&attribute.name).cloned()
    } else {
        holder.get_mut(&attribute.name).map(Value::take)
    };
    match value {
        Some(Value::Array(elements)) => elements,
        Some(Value::Null) | None => Vec::new(),
        Some(other) => vec![other],
    }
}

/// Sets a value that is there to stay.
fn set(
    holder: &mut Map<String, Value>,
    attribute: &Attribute,
    value: Value,
    place: &Place<'_>,
) -> Result<(), ScimError> {
    if attribute.mutability == Mutability::Immutable
        && let Some(present) = holder.get(&attribute.name)
    {
        if same(attribute, present, &value) {
            return Ok(());
        }
        let detail = format!("{place} is immutable and has another value");
        return Err(ScimError::new(ErrorKind::Mutability, detail));
    }
    holder.insert(attribute.name.clone(), value);
    Ok(())
}

/// Puts a complex value or a list back where it was; an empty one is absent (RFC 7643 section 2.5).
fn put_back(
    holder: &mut Map<String, Value>,
    attribute: &Attribute,
    value: Value,
    place: &Place<'_>,
) -> Result<(), ScimError> {
    let empty = match &value {
        Value::Object(members) => is_blank(members),
        Value::Array(elements) => elements.is_empty(),
        _ => false,
    };
    if empty { remove(holder, attribute, place) } else { set(holder, attribute, value, place) }
}
