//! From a spelling to what it means: attribute paths, in any case, with or without a URN
//! (RFC 7644 section 3.10, RFC 7643 section 2.1).

use std::sync::Arc;

use super::standard::{self, ENTERPRISE, GROUP_DETAILS, SOURCE};
use super::{
    Attribute, AttributePath, Definition, Kind, Mutability, Paths, ResourceType, Returned, Schema,
};

/// Longer names than any of the standard's.
const LONGEST_KEY: usize = 128;

impl ResourceType {
    /// A resource type with these schemas; `extensions` say whether each is required.
    pub fn new(
        name: &str,
        endpoint: &str,
        description: &str,
        schema: Arc<Schema>,
        extensions: Vec<(Arc<Schema>, bool)>,
    ) -> Self {
        let common = standard::common();
        let paths = all_paths(&common, &schema, &extensions);
        Self {
            name: name.to_owned(),
            endpoint: endpoint.to_owned(),
            description: description.to_owned(),
            schema,
            extensions,
            common,
            paths,
        }
    }

    /// `schemas`, `id`, `externalId` and `meta` (RFC 7643 section 3.1).
    pub fn common(&self) -> &[Attribute] {
        &self.common
    }

    /// What `text` leads to, in any case: `userName`, `name.givenName`,
    /// `urn:ietf:params:scim:schemas:core:2.0:User:emails.value`, an extension's attribute behind
    /// its URN, or a bare extension URN. `userRepositoryId` alone stands for the one of [`SOURCE`].
    ///
    /// Literal: `emails` is the complex attribute; that a comparison with it means `emails.value` is
    /// a rule of filters. What no schema knows is a path with [`Definition::known`] false.
    pub fn resolve(&self, text: &str) -> AttributePath {
        match self.known(text) {
            Some(path) => path.clone(),
            None => self.unknown(text).into(),
        }
    }

    /// The same; an attribute of the enterprise extension may stand without its URN where the type has
    /// none of that name, as Entra ID writes `manager`.
    pub fn resolve_loosely(&self, text: &str) -> AttributePath {
        let path = self.resolve(text);
        let qualified = || self.known(&format!("{ENTERPRISE}:{text}")).cloned();
        if path.known { path } else { qualified().unwrap_or(path) }
    }

    /// What `text` leads to, where a schema knows it. Every filter asks this at least once, so that the
    /// key is made without allocating.
    pub(in crate::scim) fn known(&self, text: &str) -> Option<&AttributePath> {
        let mut buffer = [0; LONGEST_KEY];
        let Some(key) = buffer.get_mut(..text.len()) else {
            return self.paths.get(&text.to_ascii_lowercase());
        };
        key.copy_from_slice(text.as_bytes());
        key.make_ascii_lowercase();
        self.paths.get(str::from_utf8(key).ok()?)
    }

    /// The attribute or sub-attribute to which `path` leads; none for a whole extension and for
    /// what no schema knows.
    pub fn attribute(&self, path: &AttributePath) -> Option<&Attribute> {
        let attribute = match &path.extension {
            None => self.top_level(&path.attribute)?,
            Some(urn) => find(&self.extension(urn)?.attributes, &path.attribute)?,
        };
        match &path.sub {
            None => Some(attribute),
            Some(sub) => attribute.sub_attribute(sub),
        }
    }

    /// The core or common attribute with this name, in any case.
    pub fn top_level(&self, name: &str) -> Option<&Attribute> {
        find(&self.schema.attributes, name).or_else(|| find(&self.common, name))
    }

    /// The extension with this URN, in any case.
    pub fn extension(&self, urn: &str) -> Option<&Schema> {
        self.extensions
            .iter()
            .map(|(schema, _)| schema.as_ref())
            .find(|schema| schema.id.eq_ignore_ascii_case(urn))
    }

    fn unknown(&self, text: &str) -> Definition {
        let (extension, rest) = self.split_urn(text);
        let (attribute, sub) = match rest.split_once('.') {
            Some((attribute, sub)) => (attribute, Some(sub.to_owned())),
            None => (rest, None),
        };
        let known = match &extension {
            None => self.top_level(attribute),
            Some(urn) => self.extension(urn).and_then(|schema| find(&schema.attributes, attribute)),
        };
        Definition {
            text: text.to_owned(),
            extension,
            attribute: known.map_or(attribute, |known| &known.name).to_owned(),
            sub,
            kind: Kind::String,
            case_exact: false,
            multi_valued: known.is_some_and(|known| known.multi_valued),
            mutability: Mutability::ReadWrite,
            returned: Returned::Default,
            required: false,
            known: false,
        }
    }

    /// The canonical URN of the extension before the attribute's name, and that name; without URN
    /// for the core schema. Of a URN that nobody knows all up to the last colon counts.
    fn split_urn<'a>(&self, text: &'a str) -> (Option<String>, &'a str) {
        if let Some(rest) = after_urn(text, &self.schema.id) {
            return (None, rest);
        }
        for (schema, _) in &self.extensions {
            for spelling in spellings(&schema.id) {
                if let Some(rest) = after_urn(text, spelling) {
                    return (Some(schema.id.clone()), rest);
                }
            }
        }
        match text.rsplit_once(':') {
            Some((urn, rest)) => (Some(urn.to_owned()), rest),
            None => (None, text),
        }
    }
}

impl Attribute {
    /// The sub-attribute with this name, in any case.
    pub fn sub_attribute(&self, name: &str) -> Option<&Attribute> {
        find(&self.sub_attributes, name)
    }
}

fn find<'a>(attributes: &'a [Attribute], name: &str) -> Option<&'a Attribute> {
    attributes.iter().find(|attribute| attribute.name.eq_ignore_ascii_case(name))
}

/// A URN, and what stands for it besides.
fn spellings(urn: &str) -> impl Iterator<Item = &str> {
    let aliases = standard::ALIASES.into_iter().filter(move |(_, meant)| *meant == urn);
    std::iter::once(urn).chain(aliases.map(|(alias, _)| alias))
}

fn after_urn<'a>(text: &'a str, urn: &str) -> Option<&'a str> {
    let head = text.get(..urn.len())?;
    if !head.eq_ignore_ascii_case(urn) {
        return None;
    }
    text[urn.len()..].strip_prefix(':')
}

fn all_paths(common: &[Attribute], core: &Schema, extensions: &[(Arc<Schema>, bool)]) -> Paths {
    let mut paths = Paths::default();
    for attribute in core.attributes.iter().chain(common) {
        for path in with_sub_attributes(None, attribute) {
            let bare = path.text.to_ascii_lowercase();
            paths.insert(format!("{}:{bare}", core.id.to_ascii_lowercase()), path.clone());
            paths.insert(bare, path);
        }
    }
    for (schema, required) in extensions {
        let whole = whole(schema, *required);
        let inner = schema
            .attributes
            .iter()
            .flat_map(|attribute| with_sub_attributes(Some(&schema.id), attribute))
            .collect::<Vec<AttributePath>>();
        for spelling in spellings(&schema.id) {
            for path in std::iter::once(&whole).chain(&inner) {
                let rest = path.text.get(schema.id.len()..).unwrap_or_default();
                paths.insert(format!("{spelling}{rest}").to_ascii_lowercase(), path.clone());
            }
        }
    }
    // What of extensions may stand at the top level, where the type itself has no such attribute.
    for (urn, name) in [(SOURCE, "userRepositoryId"), (GROUP_DETAILS, "description")] {
        if let Some(path) = paths.get(&format!("{urn}:{name}").to_ascii_lowercase()).cloned() {
            paths.entry(name.to_ascii_lowercase()).or_insert(path);
        }
    }
    paths
}

fn with_sub_attributes(
    urn: Option<&str>,
    attribute: &Attribute,
) -> impl Iterator<Item = AttributePath> {
    let subs = attribute.sub_attributes.iter().map(Some);
    std::iter::once(None).chain(subs).map(move |sub| definition(urn, attribute, sub).into())
}

fn definition(urn: Option<&str>, attribute: &Attribute, sub: Option<&Attribute>) -> Definition {
    let mut text = urn.map_or_else(String::new, |urn| format!("{urn}:"));
    text.push_str(&attribute.name);
    if let Some(sub) = sub {
        text.push('.');
        text.push_str(&sub.name);
    }
    let end = sub.unwrap_or(attribute);
    Definition {
        text,
        extension: urn.map(str::to_owned),
        attribute: attribute.name.clone(),
        sub: sub.map(|sub| sub.name.clone()),
        kind: end.kind,
        case_exact: end.case_exact,
        multi_valued: attribute.multi_valued,
        mutability: end.mutability,
        returned: end.returned,
        required: end.required,
        known: true,
    }
}

fn whole(schema: &Schema, required: bool) -> AttributePath {
    Definition {
        text: schema.id.clone(),
        extension: Some(schema.id.clone()),
        attribute: String::new(),
        sub: None,
        kind: Kind::Complex,
        case_exact: false,
        multi_valued: false,
        mutability: Mutability::ReadWrite,
        returned: Returned::Default,
        required,
        known: true,
    }
    .into()
}

#[cfg(test)]
mod tests {
    use super::super::standard::ENTERPRISE;
    use super::*;

    #[track_caller]
    fn leads(text: &str, canonical: &str) -> AttributePath {
        let path = ResourceType::user(&[]).resolve(text);
        assert_eq!(path.text, canonical);
        assert!(path.known, "{text}");
        path
    }

    #[test]
    fn any_case_and_any_way_of_writing_lead_to_one_path() {
        let path = leads("USERNAME", "userName");
        assert!(!path.case_exact && path.required);
        leads("urn:ietf:params:scim:schemas:core:2.0:user:username", "userName");
        let path = leads("Emails.VALUE", "emails.value");
        assert_eq!((path.attribute.as_str(), path.sub.as_deref()), ("emails", Some("value")));
        assert!(path.multi_valued);
        leads("urn:ietf:params:scim:schemas:core:2.0:User:emails.value", "emails.value");
    }

    #[test]
    fn urns_are_known_by_their_vendors_other_spellings() {
        for (urn, list) in [
            (standard::USER_ATTRIBUTE, "attributes"),
            (standard::USER_DEVICE, "devices"),
            (standard::USER_AUTHENTICATOR, "authenticators"),
        ] {
            let short = urn.replace("2.0:", "").to_uppercase();
            leads(&short, urn);
            leads(&format!("{short}:{list}.value"), &format!("{urn}:{list}.value"));
        }
        let code = ResourceType::user(&[]).resolve("urn:hid:scim:api:idp:2.0:Attribute:DOB");
        assert_eq!(code.extension.as_deref(), Some(standard::USER_ATTRIBUTE));
        assert!(!code.known);
    }

    #[test]
    fn extensions_stand_behind_their_urn() {
        let path = leads(
            &format!("{}:MANAGER.displayname", ENTERPRISE.to_uppercase()),
            &format!("{ENTERPRISE}:manager.displayName"),
        );
        assert_eq!(path.extension.as_deref(), Some(ENTERPRISE));
        assert_eq!(path.mutability, Mutability::ReadOnly);
        let path = leads(&ENTERPRISE.to_lowercase(), ENTERPRISE);
        assert_eq!((path.attribute.as_str(), path.kind), ("", Kind::Complex));
        let path = leads("userrepositoryid", &format!("{SOURCE}:userRepositoryId"));
        assert_eq!(path.attribute, "userRepositoryId");
    }

    #[test]
    fn common_attributes_are_known_to_every_type() {
        assert!(leads("ID", "id").case_exact);
        assert!(leads("externalid", "externalId").case_exact);
        assert_eq!(leads("META.lastmodified", "meta.lastModified").kind, Kind::DateTime);
        assert_eq!(leads("meta.created", "meta.created").kind, Kind::DateTime);
        assert!(leads("schemas", "schemas").multi_valued);
        assert_eq!(leads("password", "password").returned, Returned::Never);
    }

    #[test]
    fn the_unknown_is_a_path_too() {
        let user = ResourceType::user(&[]);
        let path = user.resolve("shoeSize");
        assert!(!path.known);
        assert_eq!(path.text, "shoeSize");
        let path = user.resolve("NAME.shoe");
        assert_eq!((path.attribute.as_str(), path.sub.as_deref()), ("name", Some("shoe")));
        assert!(!path.known);
        let path = user.resolve("urn:hid:scim:api:idp:2.0:userattribute:DOB");
        assert_eq!(path.extension.as_deref(), Some("urn:hid:scim:api:idp:2.0:UserAttribute"));
        assert_eq!((path.attribute.as_str(), path.known), ("DOB", false));
        let path = user.resolve("urn:example:2.0:Badge:color");
        assert_eq!(path.extension.as_deref(), Some("urn:example:2.0:Badge"));
        assert_eq!(path.attribute, "color");
        for odd in ["", ":", ".", "urn:", "é:é.é"] {
            assert!(!user.resolve(odd).known);
        }
    }

    #[test]
    fn paths_lead_back_to_attributes() {
        let user = ResourceType::user(&[]);
        let attribute = |text| user.attribute(&user.resolve(text)).map(|found| found.name.as_str());
        assert_eq!(attribute("EMAILS.type"), Some("type"));
        assert_eq!(attribute("meta.version"), Some("version"));
        assert_eq!(attribute("userRepositoryId"), Some("userRepositoryId"));
        assert_eq!(attribute(ENTERPRISE), None);
        assert_eq!(attribute("nobody"), None);
        assert_eq!(user.top_level("USERname").unwrap().name, "userName");
        assert_eq!(user.top_level("EXTERNALID").unwrap().name, "externalId");
        assert_eq!(user.extension(&SOURCE.to_uppercase()).unwrap().id, SOURCE);
    }
}
