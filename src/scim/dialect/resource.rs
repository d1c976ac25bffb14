//! One resource as a message: `schemas`, `id`, `externalId`, `meta`, the core schema in its own
//! order, then the extensions.

use percent_encoding::{AsciiSet, CONTROLS, PercentEncode, utf8_percent_encode};
use serde_json::Value;

use super::json::Writer;
use super::{Manner, Numbers};
use crate::scim::projection::{Projection, Share};
use crate::scim::resource::Attributes;
use crate::scim::schema::standard::{GROUP, USER, USER_ATTRIBUTE, USER_AUTHENTICATOR, USER_DEVICE};
use crate::scim::schema::{Attribute, ResourceType, Schema};

/// What cannot stand in a segment of a path (RFC 3986 section 3.3).
const SEGMENT: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'/')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// How a resource is told.
#[derive(Clone, Copy, Debug)]
pub struct Look<'a> {
    pub kind: &'a ResourceType,
    pub projection: &'a Projection,
    /// The address of the mount without a trailing slash.
    pub base: &'a str,
    /// See [`Projection::share`].
    pub show_source: bool,
    pub manner: &'a Manner,
}

/// A resource's message. `attributes` holds canonical names, with `id` and with `meta` as far as it
/// is the resource's own (`created`, `lastModified`, `version`); `schemas`, `meta.resourceType` and
/// `meta.location` are made here.
///
/// `schemas` names the core schema and the extensions of which something is shown. What no schema
/// knows is not shown.
pub fn render_resource(attributes: &Attributes, numbers: &Numbers, look: Look<'_>) -> Vec<u8> {
    let render = Render { look, numbers };
    let kind = look.kind;
    let (urns, extensions) = render.extensions(attributes);
    let mut out = Vec::with_capacity(1536 + extensions.len());
    out.extend_from_slice(br#"{"schemas":["#);
    out.text(&kind.schema.id);
    for urn in urns {
        out.push(b',');
        out.text(urn);
    }
    out.push(b']');
    let id = attributes.get("id").and_then(Value::as_str).unwrap_or_default();
    let id = numbers.shown(&kind.name, id, look.manner);
    for common in kind.common() {
        match common.name.as_str() {
            "schemas" => {}
            "id" if look.manner.numbers => {
                out.extend_from_slice(br#","id":"#);
                out.text(&id);
            }
            "meta" => render.meta(&mut out, common, attributes, &id),
            _ => render.member(&mut out, None, common, attributes),
        }
    }
    for attribute in &kind.schema.attributes {
        render.member(&mut out, None, attribute, attributes);
    }
    out.extend_from_slice(&extensions);
    out.push(b'}');
    out
}

/// The address of the resource with this id.
pub fn location(base: &str, kind: &ResourceType, id: &str) -> String {
    format!("{base}{}/{}", kind.endpoint, encoded(id))
}

/// An id as a segment of a path.
fn encoded(id: &str) -> PercentEncode<'_> {
    utf8_percent_encode(id, SEGMENT)
}

struct Render<'a> {
    look: Look<'a>,
    numbers: &'a Numbers,
}

/// What is shown of users also where there is nothing in it.
const LISTS: [&str; 2] = ["groups", "roles"];

impl<'a> Render<'a> {
    /// The extensions' URNs and their members, each with a comma before it.
    fn extensions(&self, attributes: &Attributes) -> (Vec<&'a str>, Vec<u8>) {
        let nothing = Attributes::new();
        let mut urns = Vec::new();
        let mut out = Vec::new();
        for (schema, _) in &self.look.kind.extensions {
            let members = match attributes.get(&schema.id) {
                Some(Value::Object(members)) => members,
                _ if self.is_told_empty(schema) => &nothing,
                _ => continue,
            };
            let before = out.len();
            out.push(b',');
            out.name(&schema.id);
            let start = out.len();
            for attribute in &schema.attributes {
                self.member(&mut out, Some(schema), attribute, members);
            }
            // The first member's comma gives its place to the brace.
            match out.get_mut(start) {
                Some(first) => {
                    *first = b'{';
                    out.push(b'}');
                    urns.push(schema.id.as_str());
                }
                None => out.truncate(before),
            }
        }
        (urns, out)
    }

    /// Whether an extension is shown although nothing is in it.
    fn is_told_empty(&self, schema: &Schema) -> bool {
        self.look.manner.shows_empty
            && match schema.id.as_str() {
                USER_ATTRIBUTE => true,
                // Whoever has no row has neither.
                USER_DEVICE | USER_AUTHENTICATOR => self.numbers.own.is_some(),
                _ => false,
            }
    }

    /// Whether an attribute is shown although it has no value.
    fn is_shown_empty(&self, extension: Option<&Schema>, attribute: &Attribute) -> bool {
        match extension {
            Some(schema) => attribute.multi_valued && self.is_told_empty(schema),
            None => {
                self.look.manner.shows_empty
                    && self.numbers.own.is_some()
                    && self.look.kind.schema.id == USER
                    && LISTS.contains(&attribute.name.as_str())
            }
        }
    }

    /// `,"name":value`, or nothing.
    fn member(
        &self,
        out: &mut Vec<u8>,
        extension: Option<&Schema>,
        attribute: &Attribute,
        from: &Attributes,
    ) {
        const EMPTY: &Value = &Value::Array(Vec::new());
        let value = match from.get(&attribute.name) {
            Some(value) => value,
            None if self.is_shown_empty(extension, attribute) => EMPTY,
            None => return,
        };
        let Look { projection, show_source, .. } = self.look;
        let part = match projection.share(extension, attribute, show_source) {
            Share::Nothing => return,
            Share::Whole => None,
            Share::Part => match projection.part(extension, attribute, value) {
                None => return,
                some => some,
            },
        };
        out.push(b',');
        out.name(&attribute.name);
        let value = part.as_ref().unwrap_or(value);
        if attribute.sub_attribute("$ref").is_some() {
            References { render: self, attribute, extension }.write(out, value);
        } else {
            out.value(value);
        }
    }

    fn meta(&self, out: &mut Vec<u8>, attribute: &Attribute, from: &Attributes, id: &str) {
        let Look { kind, projection, base, show_source, manner } = self.look;
        let share = projection.share(None, attribute, show_source);
        if share == Share::Nothing {
            return;
        }
        let own = from.get("meta").and_then(Value::as_object);
        let before = out.len();
        out.push(b',');
        out.name("meta");
        let start = out.len();
        for sub in &attribute.sub_attributes {
            if share == Share::Part && !projection.shows(None, attribute, sub) {
                continue;
            }
            let mut write = |value: &Value| {
                out.push(b',');
                out.name(&sub.name);
                out.value(value);
            };
            match sub.name.as_str() {
                "resourceType" => write(&Value::from(kind.name.as_str())),
                "location" => write(&Value::from(location(base, kind, id))),
                name => match own.and_then(|own| own.get(name)) {
                    Some(Value::String(tag)) if name == "version" && manner.bare_versions => {
                        write(&Value::from(self.bare(tag)));
                    }
                    Some(value) => write(value),
                    None => {}
                },
            }
        }
        match out.get_mut(start) {
            Some(first) => {
                *first = b'{';
                out.push(b'}');
            }
            None => out.truncate(before),
        }
    }

    /// The version of the row, out of the entity tag `W/"<row version>.<more>"`.
    fn bare<'t>(&self, tag: &'t str) -> &'t str {
        let inner = tag.trim_start_matches("W/").trim_matches('"');
        let first = inner.split('.').next().unwrap_or_default();
        if self.numbers.own.is_some() { first } else { "1" }
    }
}

/// Values of an attribute that refers to other resources: their `$ref`s lead to resources of this
/// mount where they begin with a slash.
struct References<'a> {
    render: &'a Render<'a>,
    attribute: &'a Attribute,
    extension: Option<&'a Schema>,
}

impl References<'_> {
    fn write(&self, out: &mut Vec<u8>, value: &Value) {
        match value {
            Value::Array(elements) => {
                out.push(b'[');
                for (index, element) in elements.iter().filter(|one| self.is_told(one)).enumerate()
                {
                    if index > 0 {
                        out.push(b',');
                    }
                    self.write(out, element);
                }
                out.push(b']');
            }
            Value::Object(members) => self.element(out, members),
            other => out.value(other),
        }
    }

    fn element(&self, out: &mut Vec<u8>, members: &Attributes) {
        let Look { base, manner, .. } = self.render.look;
        let ours = |value: &Value| value.as_str().is_some_and(|path| path.starts_with('/'));
        let is_ours = members.get("$ref").is_some_and(ours);
        let named = members.get("value").and_then(Value::as_str);
        let id = named.filter(|_| is_ours).map(|id| self.render.numbers.referred(id, manner));
        out.push(b'{');
        let told = members.iter().filter(|(name, _)| self.is_told_of_one(name));
        for (index, (name, member)) in told.enumerate() {
            if index > 0 {
                out.push(b',');
            }
            out.name(name);
            match (name.as_str(), member) {
                ("$ref", Value::String(path)) if path.starts_with('/') => match &id {
                    Some(id) if manner.numbers => {
                        let above = path.rsplit_once('/').map_or("", |(above, _)| above);
                        out.text(&format!("{base}{above}/{}", encoded(id)));
                    }
                    _ => out.text(&[base, path].concat()),
                },
                ("value", Value::String(_)) if id.is_some() => {
                    out.text(id.as_deref().unwrap_or_default());
                }
                ("type", _) if self.is_groups() && !manner.shows_indirect_groups => {
                    out.text("Group");
                }
                (_, member) => out.value(member),
            }
        }
        out.push(b'}');
    }

    /// Whether an element of a list is shown.
    fn is_told(&self, element: &Value) -> bool {
        let Look { kind, manner, .. } = self.render.look;
        let is = |word: &str| element.get("type").and_then(Value::as_str) == Some(word);
        let hidden = self.is_groups() && !manner.shows_indirect_groups && is("indirect")
            || manner.subgroups_only
                && kind.schema.id == GROUP
                && self.attribute.name == "members"
                && is("User");
        !hidden
    }

    /// Whether a sub-attribute of this name is shown.
    fn is_told_of_one(&self, name: &str) -> bool {
        let of_devices = || self.extension.is_some_and(|schema| schema.id == USER_DEVICE);
        self.render.look.manner.friendly_names || name != "friendlyName" || !of_devices()
    }

    /// Whether these are the groups that a user is in.
    fn is_groups(&self) -> bool {
        self.extension.is_none()
            && self.render.look.kind.schema.id == USER
            && self.attribute.name == "groups"
    }
}
