//! The mapping turned round: which values of a person are written back, and what they are in an entry.

use jiff::Timestamp;
use serde_json::Value;

use super::{Account, AttributeName, Element, Form, Mapped, Mapping, Source};
use crate::repository::ldap::account::Switch;
use crate::repository::ldap::entry::read_value;
use crate::repository::{Authority, Back};
use crate::scim::Attributes;
use crate::scim::schema::AttributePath;
use crate::scim::schema::standard::USER_ATTRIBUTE;

/// Where the values of a key stand in an entry.
pub(in crate::repository::ldap) struct Target<'a> {
    pub name: &'a AttributeName,
    /// Whether there may be more than one value.
    pub several: bool,
    /// Where it is the state of an account.
    pub account: Option<Stated<'a>>,
    mapped: &'a Mapped,
}

/// What tells the state of an account in an entry.
#[derive(Clone, Copy)]
pub(in crate::repository::ldap) struct Stated<'a> {
    mapping: &'a Mapping,
    account: &'a Account,
}

impl Mapping {
    /// Of a person's values those that are written back, and the state of the account.
    pub fn back(&self, attributes: &Attributes, account: Option<&Value>) -> Back {
        let fields = self.fields.iter().map(|field| {
            if field.mapped.form.is_account() {
                return (&field.mapped, account.cloned().into_iter().collect());
            }
            let value = held(attributes, &field.path);
            let value = match &field.path.sub {
                Some(sub) => value.and_then(|value| value.get(sub)),
                None => value,
            };
            (&field.mapped, listed(value).to_vec())
        });
        let subs = self.elements.iter().flat_map(|element| {
            element.subs.iter().map(move |(sub, mapped)| (mapped, element.values(attributes, sub)))
        });
        fields
            .chain(subs)
            .filter(|(mapped, _)| mapped.authority == Authority::WriteBack)
            .map(|(mapped, mut values)| {
                // SCIM takes what is empty for absent, and LDAP has no such values.
                let mut seen = Vec::new();
                values.retain(|value| {
                    let stays = !value.is_null() && *value != "" && !seen.contains(value);
                    seen.push(value.clone());
                    stays
                });
                (mapped.key.clone(), values)
            })
            .collect()
    }

    /// Where the values of a key of [`Mapping::back`] stand.
    pub(in crate::repository::ldap) fn target(&self, key: &str) -> Option<Target<'_>> {
        let fields = self.fields.iter().map(|one| (&one.mapped, one.path.multi_valued));
        let subs = self
            .elements
            .iter()
            .flat_map(|one| one.subs.iter().map(move |(_, mapped)| (mapped, one.each)));
        let (mapped, several) = fields
            .chain(subs)
            .find(|(one, _)| one.authority == Authority::WriteBack && one.key == key)?;
        let Source::First(names) = &mapped.source else { return None };
        let account = self.stated().filter(|_| mapped.form.is_account());
        let name = account.map_or_else(|| names.first().copied(), |one| Some(one.account.name));
        Some(Target { name: self.names.get(name?)?, several, account, mapped })
    }

    /// What tells the state of an account, where that is written back.
    pub(in crate::repository::ldap) fn stated(&self) -> Option<Stated<'_>> {
        Some(Stated { mapping: self, account: self.account.as_ref()? })
    }
}

impl<'a> Stated<'a> {
    /// What [`Back`] has of the account whose attributes have these values: `true` where it is open,
    /// `false` where its switch is off, and else what locks it beside that.
    pub fn read<V>(self, values: impl Fn(usize) -> V, now: Timestamp) -> Value
    where
        V: AsRef<[Vec<u8>]>,
    {
        match self.account.switch.state(values(self.account.name).as_ref()) {
            Value::Bool(true) => self.other(values, now).map_or(true.into(), Value::from),
            state => state,
        }
    }

    /// The first of the other attributes that locks the account.
    pub fn other<V>(self, values: impl Fn(usize) -> V, now: Timestamp) -> Option<&'a str>
    where
        V: AsRef<[Vec<u8>]>,
    {
        let mut others = self.account.others.iter();
        let (name, _) = others.find(|(name, lock)| lock.is_closed(values(*name).as_ref(), now))?;
        self.name(*name).map(|name| name.text.as_str())
    }

    pub fn name(self, name: usize) -> Option<&'a AttributeName> {
        self.mapping.names.get(name)
    }

    pub fn switch(self) -> Switch {
        self.account.switch
    }

    /// All attributes that are needed to tell.
    pub fn names(self) -> impl Iterator<Item = &'a AttributeName> {
        let others = self.account.others.iter().map(|(name, _)| *name);
        std::iter::once(self.account.name).chain(others).filter_map(move |name| self.name(name))
    }
}

impl Element {
    fn values(&self, attributes: &Attributes, sub: &str) -> Vec<Value> {
        let coded = self.list.extension.as_deref() == Some(USER_ATTRIBUTE);
        let kind = if coded { "name" } else { "type" };
        listed(held(attributes, &self.list))
            .iter()
            .filter(|one| self.is_of_kind(one.get(kind).and_then(Value::as_str)))
            .filter_map(|one| one.get(sub).cloned())
            .collect()
    }
}

impl Target<'_> {
    /// A value as an entry holds it; `None` for what could not be read again as it is.
    pub fn encode(&self, value: &Value) -> Option<Vec<u8>> {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Bool(truth) => truth.to_string(),
            Value::Number(number) => number.to_string(),
            _ => return None,
        };
        let text = match self.mapped.form {
            Form::Boolean => text.to_ascii_uppercase(),
            _ => text,
        };
        let bytes = text.into_bytes();
        (self.decode(&bytes).as_ref() == Some(value)).then_some(bytes)
    }

    /// The value that is read from an entry.
    pub fn decode(&self, bytes: &[u8]) -> Option<Value> {
        read_value(bytes, self.mapped.form, self.mapped.kind)
    }
}

/// What stands at the top level or in an extension.
fn held<'a>(attributes: &'a Attributes, path: &AttributePath) -> Option<&'a Value> {
    match &path.extension {
        Some(urn) => attributes.get(urn)?.get(&path.attribute),
        None => attributes.get(&path.attribute),
    }
}

fn listed(value: Option<&Value>) -> &[Value] {
    match value {
        Some(Value::Array(values)) => values,
        Some(value) => std::slice::from_ref(value),
        None => &[],
    }
}
