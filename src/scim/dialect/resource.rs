//! One resource as a message: `schemas`, `id`, `externalId`, `meta`, the core schema in its own
//! order, then the extensions.

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde_json::Value;

use super::json::Writer;
use crate::scim::projection::{Projection, Share};
use crate::scim::resource::Attributes;
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

/// A resource's message. `attributes` holds canonical names, with `id` and with `meta` as far as it
/// is the resource's own (`created`, `lastModified`, `version`); `schemas`, `meta.resourceType` and
/// `meta.location` are made here. `base` is the address of the mount without a trailing slash.
///
/// `schemas` names the core schema and the extensions of which something is shown. What no schema
/// knows is not shown. `show_source`: see [`Projection::share`].
pub fn render_resource(
    attributes: &Attributes,
    projection: &Projection,
    kind: &ResourceType,
    base: &str,
    show_source: bool,
) -> Vec<u8> {
    let render = Render { projection, show_source, base };
    let (urns, extensions) = render.extensions(attributes, kind);
    let mut out = Vec::with_capacity(1536 + extensions.len());
    out.extend_from_slice(br#"{"schemas":["#);
    out.text(&kind.schema.id);
    for urn in urns {
        out.push(b',');
        out.text(urn);
    }
    out.push(b']');
    let id = attributes.get("id").and_then(Value::as_str).unwrap_or_default();
    for common in kind.common() {
        match common.name.as_str() {
            "schemas" => {}
            "meta" => render.meta(&mut out, common, attributes, kind, base, id),
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
    format!("{base}{}/{}", kind.endpoint, utf8_percent_encode(id, SEGMENT))
}

struct Render<'a> {
    projection: &'a Projection,
    show_source: bool,
    base: &'a str,
}

impl Render<'_> {
    /// The extensions' URNs and their members, each with a comma before it.
    fn extensions<'a>(
        &self,
        attributes: &Attributes,
        kind: &'a ResourceType,
    ) -> (Vec<&'a str>, Vec<u8>) {
        let mut urns = Vec::new();
        let mut out = Vec::new();
        for (schema, _) in &kind.extensions {
            let Some(Value::Object(members)) = attributes.get(&schema.id) else { continue };
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

    /// `,"name":value`, or nothing.
    fn member(
        &self,
        out: &mut Vec<u8>,
        extension: Option<&Schema>,
        attribute: &Attribute,
        from: &Attributes,
    ) {
        let Some(value) = from.get(&attribute.name) else { return };
        let share = self.projection.share(extension, attribute, self.show_source);
        let part = match share {
            Share::Nothing => return,
            Share::Whole => None,
            Share::Part => match self.projection.part(extension, attribute, value) {
                None => return,
                some => some,
            },
        };
        out.push(b',');
        out.name(&attribute.name);
        let value = part.as_ref().unwrap_or(value);
        if attribute.sub_attribute("$ref").is_some() {
            self.referring(out, value);
        } else {
            out.value(value);
        }
    }

    /// A value whose `$ref`s lead to resources of this mount where they begin with a slash.
    fn referring(&self, out: &mut Vec<u8>, value: &Value) {
        match value {
            Value::Array(elements) => {
                out.push(b'[');
                for (index, element) in elements.iter().enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    self.referring(out, element);
                }
                out.push(b']');
            }
            Value::Object(members) => {
                out.push(b'{');
                for (index, (name, member)) in members.iter().enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    out.name(name);
                    match member {
                        Value::String(path) if name == "$ref" && path.starts_with('/') => {
                            out.text(&[self.base, path].concat());
                        }
                        member => out.value(member),
                    }
                }
                out.push(b'}');
            }
            other => out.value(other),
        }
    }

    fn meta(
        &self,
        out: &mut Vec<u8>,
        attribute: &Attribute,
        from: &Attributes,
        kind: &ResourceType,
        base: &str,
        id: &str,
    ) {
        let share = self.projection.share(None, attribute, self.show_source);
        if share == Share::Nothing {
            return;
        }
        let own = from.get("meta").and_then(Value::as_object);
        let before = out.len();
        out.push(b',');
        out.name("meta");
        let start = out.len();
        for sub in &attribute.sub_attributes {
            if share == Share::Part && !self.projection.shows(None, attribute, sub) {
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
                name => {
                    if let Some(value) = own.and_then(|own| own.get(name)) {
                        write(value);
                    }
                }
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
}
