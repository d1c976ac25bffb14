//! Making a mapping out of what is written, key by key.

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::Value;

use super::written::{Key, Written};
use super::{
    Account, AttributeName, Element, Field, Form, Mapped, Mapping, MappingError, Piece, Source,
};
use crate::config::{self, AttributeOverride};
use crate::repository::Authority;
use crate::repository::ldap::account::Switch;
use crate::repository::ldap::filter::is_attribute_name;
use crate::repository::ldap::key::KeyForm;
use crate::repository::ldap::literal::Comparison;
use crate::scim::mirror::CodeType;
use crate::scim::schema::ResourceType;
use crate::scim::schema::standard::{SOURCE, USER_ATTRIBUTE};

/// What a configuration says of a key, as a mapping file would say it.
pub(super) fn overridden(
    text: &str,
    change: &AttributeOverride,
    resource: &ResourceType,
) -> Result<(Key, Written), MappingError> {
    let mut written =
        Written { authority: change.authority, several: change.several, ..Written::default() };
    match &change.attribute {
        Some(config::Source::Attributes(names)) => written.attributes.clone_from(names),
        Some(config::Source::Template(template)) => written.template = Some(template.clone()),
        None => {}
    }
    // What is no way to read values can still be the type of an element: type = "home".
    let form = change.kind.as_deref().map(|name| (name, Form::named(name)));
    let element_type = match form {
        Some((name, None)) => Some(name),
        _ => None,
    };
    written.form = form.and_then(|(name, form)| Some((name.to_owned(), form?)));
    Ok((Key::parse(text, element_type, resource)?, written))
}

/// Changes what `entries` say of `key`, or adds it. A key without a type speaks of every type.
pub(super) fn apply(entries: &mut Vec<(Key, Written)>, key: Key, change: Written) {
    let replaces = !change.attributes.is_empty() || change.template.is_some();
    let mut found = false;
    if replaces && key.element_type.is_none() {
        entries.retain(|(old, _)| !(old.is_like(&key) && old.element_type.is_some()));
    }
    for (old, written) in entries.iter_mut() {
        let same = old.is_like(&key)
            && (old.element_type == key.element_type || key.element_type.is_none());
        if !same {
            continue;
        }
        found = true;
        if replaces {
            written.attributes.clone_from(&change.attributes);
            written.template.clone_from(&change.template);
            written.form.clone_from(&change.form);
            written.several = change.several;
        } else if change.form.is_some() {
            written.form.clone_from(&change.form);
        }
        written.authority = change.authority.or(written.authority);
    }
    if !found {
        entries.push((key, change));
    }
}

/// The attributes that are switched (see [`Switch`]).
const SWITCHES: &str = "userAccountControl, nsAccountLock, pwdAccountLockedTime";

#[derive(Default)]
pub(super) struct Builder {
    names: Vec<AttributeName>,
    /// The attributes that tell entries apart, and when they changed.
    pub own: Vec<usize>,
    fields: Vec<Field>,
    elements: Vec<Element>,
    account: Option<Account>,
}

impl Builder {
    pub fn name(&mut self, key: &str, text: &str) -> Result<usize, MappingError> {
        if !is_attribute_name(text) {
            return Err(MappingError::new(
                key,
                format!("\"{text}\" is no name of an LDAP attribute"),
                "use letters, digits and hyphens, as in telephoneNumber",
            ));
        }
        let lower = text.to_ascii_lowercase();
        let mut parts = lower.split(';').map(str::to_owned);
        let base = parts.next().unwrap_or_default();
        let options: Vec<String> = parts.collect();
        let known = |name: &AttributeName| name.base == base && name.options == options;
        if let Some(index) = self.names.iter().position(known) {
            return Ok(index);
        }
        self.names.push(AttributeName { text: text.to_owned(), base, options });
        Ok(self.names.len() - 1)
    }

    pub fn add(
        &mut self,
        key: Key,
        written: Written,
        primary: &[String],
        resource: &ResourceType,
    ) -> Result<(), MappingError> {
        key.refuse_what_is_not_the_directorys()?;
        let form = key.form(&written)?;
        let source = self.source(&key, &written)?;
        let case_exact = key.path.case_exact;
        let authority = written.authority.unwrap_or(Authority::Directory);
        let text = key.text.clone();
        let mapped = Mapped { key: text, source, form, authority, kind: key.path.kind, case_exact };
        self.refuse_what_cannot_be_written_back(&mapped, &key)?;
        if let Some(code) = &key.code {
            let list = resource.resolve(&format!("{USER_ATTRIBUTE}:attributes"));
            let kind = written.form.and_then(|(name, _)| CodeType::named(&name));
            let read_only = authority == Authority::Directory;
            let mut fixed = vec![
                ("name".to_owned(), Value::from(code.as_str())),
                ("type".to_owned(), Value::from(kind.unwrap_or_default().name())),
                ("readOnly".to_owned(), Value::from(read_only)),
            ];
            if written.several {
                fixed.push(("multiValued".to_owned(), Value::from(true)));
            }
            let subs = vec![("value".to_owned(), mapped)];
            let each = written.several;
            self.elements.push(Element { list, fixed, subs, primary: false, each });
            return Ok(());
        }
        let (true, Some(sub)) = (key.path.multi_valued, key.path.sub.clone()) else {
            self.fields.push(Field { path: key.path, mapped });
            return Ok(());
        };
        let list = resource.resolve(&match &key.path.extension {
            Some(urn) => format!("{urn}:{}", key.path.attribute),
            None => key.path.attribute.clone(),
        });
        let fixed: Vec<(String, Value)> = key
            .element_type
            .iter()
            .map(|kind| ("type".into(), Value::from(kind.as_str())))
            .collect();
        let same = |old: &&mut Element| old.list == list && old.fixed == fixed;
        if let Some(element) = self.elements.iter_mut().find(same) {
            element.each = false;
            element.subs.push((sub, mapped));
            return Ok(());
        }
        let primary = primary.contains(&list.text);
        self.elements.push(Element { list, fixed, subs: vec![(sub, mapped)], primary, each: true });
        Ok(())
    }

    /// One value here must be one value there, of one attribute that nothing else writes.
    fn refuse_what_cannot_be_written_back(
        &mut self,
        mapped: &Mapped,
        key: &Key,
    ) -> Result<(), MappingError> {
        if mapped.authority != Authority::WriteBack {
            return Ok(());
        }
        let fault = |what: &str, remedy: &str| {
            let what = format!("{what} cannot be written back");
            Err(MappingError::new(&key.text, what, remedy))
        };
        let path = &key.path;
        let top = |name| path.extension.is_none() && path.attribute == name;
        if top("externalId") {
            let what = "an attribute that is always ours beside the directory's";
            return fault(what, "take authority out");
        }
        if top("active") {
            return self.switched(mapped);
        }
        let name = match &mapped.source {
            Source::First(names) if names.len() == 1 => names[0],
            Source::First(_) => {
                let what = "what the first of several LDAP attributes gives";
                return fault(what, "add attribute = \"…\" with the one that holds the value");
            }
            Source::Template(_) => {
                let what = "what a template makes";
                return fault(what, "add attribute = \"…\" with the one that holds the value");
            }
        };
        if !matches!(mapped.form, Form::Text | Form::Boolean | Form::Integer | Form::Decimal) {
            return fault("a value of this type", "use directory or local");
        }
        if self.own.contains(&name) {
            return fault("what tells entries and their times", "use directory or local");
        }
        let switched = self.account.as_ref().is_some_and(|account| account.name == name);
        if switched || self.written_back().any(|other| other.source == mapped.source) {
            let what = "an LDAP attribute that another path writes back";
            return fault(what, "let one path have the authority write_back");
        }
        Ok(())
    }

    /// Of the attributes that lock an account one is there for others to move; the rest are looked at.
    fn switched(&mut self, mapped: &Mapped) -> Result<(), MappingError> {
        let fault = |what: String, remedy: &str| {
            let what = format!("{what} cannot be written back");
            Err(MappingError::new(&mapped.key, what, remedy))
        };
        if !mapped.form.is_account() {
            let remedy =
                "add type = \"accountState\", and attribute = [\"…\"] with what locks accounts";
            return fault("what only says true or false".to_owned(), remedy);
        }
        let (mut switches, mut others) = (Vec::new(), Vec::new());
        for name in mapped.source.names() {
            let attribute = &self.names[name];
            let lock = attribute.lock(mapped.form);
            match Switch::of(lock, &attribute.base) {
                Some(switch) => switches.push((name, switch)),
                None => others.push((name, lock)),
            }
        }
        switches.dedup();
        let [(name, switch)] = switches[..] else {
            let names = mapped.source.names().map(|name| self.names[name].text.as_str());
            let names: Vec<&str> = names.collect();
            let what = format!("the state of an account by {}", names.join(", "));
            let remedy = format!(
                "let attribute have exactly one of {SWITCHES}, with type = \"accountState\""
            );
            return fault(what, &remedy);
        };
        if self.written_back().any(|other| other.source == Source::First(vec![name])) {
            let what = "an LDAP attribute that another path writes back".to_owned();
            return fault(what, "let one path have the authority write_back");
        }
        self.account = Some(Account { name, switch, others });
        Ok(())
    }

    fn written_back(&self) -> impl Iterator<Item = &Mapped> {
        let fields = self.fields.iter().map(|field| &field.mapped);
        let subs = self.elements.iter().flat_map(|element| &element.subs).map(|(_, sub)| sub);
        fields.chain(subs).filter(|mapped| mapped.authority == Authority::WriteBack)
    }

    fn source(&mut self, key: &Key, written: &Written) -> Result<Source, MappingError> {
        match (&written.template, written.attributes.as_slice()) {
            (Some(template), []) => self.template(key, template).map(Source::Template),
            (None, names) if !names.is_empty() => {
                let names: Result<Vec<usize>, MappingError> =
                    names.iter().map(|name| self.name(&key.text, name)).collect();
                names.map(Source::First)
            }
            (Some(_), _) => Err(MappingError::new(
                &key.text,
                "both attribute and template are given",
                "keep one of them",
            )),
            _ => Err(MappingError::new(
                &key.text,
                "it is not in the mapping, and no LDAP attribute is named",
                "add attribute = \"…\"",
            )),
        }
    }

    fn template(&mut self, key: &Key, template: &str) -> Result<Vec<Piece>, MappingError> {
        let fault = || {
            MappingError::new(
                &key.text,
                format!("the template \"{template}\" names no attribute, or a brace is not closed"),
                "write it as in \"{givenName} {sn}\"",
            )
        };
        let mut pieces = Vec::new();
        let mut rest = template;
        while let Some((text, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}').ok_or_else(fault)?;
            if !text.is_empty() {
                pieces.push(Piece::Text(text.to_owned()));
            }
            pieces.push(Piece::First(self.name(&key.text, name)?));
            rest = after;
        }
        if pieces.is_empty() || rest.contains('}') {
            return Err(fault());
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.to_owned()));
        }
        Ok(pieces)
    }

    pub fn finish(
        self,
        (key, key_form): (usize, KeyForm),
        created: Option<usize>,
        last_modified: Option<usize>,
        comparison: Comparison,
        filter: String,
    ) -> Mapping {
        let small = self.elements.iter().filter(|element| !element.is_large());
        let usual: HashSet<usize> = [Some(key), created, last_modified]
            .into_iter()
            .flatten()
            .chain(self.fields.iter().flat_map(|field| field.mapped.source.names()))
            .chain(small.flat_map(|element| &element.subs).flat_map(|(_, m)| m.source.names()))
            .collect();
        let texts = |wanted: &dyn Fn(&usize) -> bool| -> Arc<[String]> {
            (0..self.names.len()).filter(wanted).map(|i| self.names[i].text.clone()).collect()
        };
        Mapping {
            usual: texts(&|index| usual.contains(index)),
            all: texts(&|_| true),
            names: self.names,
            key,
            key_form,
            created,
            last_modified,
            fields: self.fields,
            elements: self.elements,
            account: self.account,
            comparison,
            filter,
        }
    }
}

impl Key {
    /// What is the bridge's own to say, whatever an entry holds.
    fn refuse_what_is_not_the_directorys(&self) -> Result<(), MappingError> {
        let path = &self.path;
        let own = matches!(
            path.attribute.as_str(),
            "id" | "schemas" | "meta" | "userType" | "password" | "groups"
        ) && path.extension.is_none();
        if own || path.extension.as_deref() == Some(SOURCE) {
            return Err(MappingError::new(
                &self.text,
                "no directory decides this attribute",
                "take the key out",
            ));
        }
        Ok(())
    }
}
