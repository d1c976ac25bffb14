//! Schema and ResourceType documents as an administrator writes them (RFC 7643 sections 6 and 7),
//! in the shape in which `/Schemas` and `/ResourceTypes` print them.
//!
//! Reads one file at a time: knows nothing of the other files, nor of what ships with the program.

use std::fmt;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{Attribute, Kind, Mutability, Returned, Schema, Uniqueness};
use crate::scim::schema::value::found;

/// What is wrong with a document: where it stands, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    /// Which of the files, from 0.
    pub file: usize,
    /// `[1].attributes[0].name`; empty for the file as a whole.
    pub place: String,
    pub problem: String,
    pub remedy: String,
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.place.is_empty() {
            write!(f, "{}: ", self.place)?;
        }
        f.write_str(&self.problem)
    }
}

/// One document, with where it stands.
#[derive(Clone, Debug)]
pub(super) struct Document {
    pub(super) file: usize,
    pub(super) place: String,
    pub(super) content: Content,
}

#[derive(Clone, Debug)]
pub(super) enum Content {
    Schema(Schema),
    Type(TypeDocument),
}

/// A ResourceType document. What a known type says anyway may be missing.
#[derive(Clone, Debug)]
pub(super) struct TypeDocument {
    pub(super) name: String,
    pub(super) endpoint: Option<String>,
    pub(super) description: Option<String>,
    pub(super) schema: Option<String>,
    /// URNs, each with whether it is required.
    pub(super) extensions: Vec<(String, bool)>,
}

impl Document {
    /// A misfit of something below this document.
    pub(super) fn misfit(&self, below: &str, problem: String, remedy: &str) -> Misfit {
        let place = format!("{}{below}", self.place).trim_start_matches('.').to_owned();
        Misfit { file: self.file, place, problem, remedy: remedy.to_owned() }
    }
}

/// The documents of one file: one alone, an array of them, or a ListResponse.
pub(super) fn read(file: usize, text: &str) -> Result<Vec<Document>, Misfit> {
    let value: Value = serde_json::from_str(text).map_err(|error| Misfit {
        file,
        place: format!("line {}, column {}", error.line(), error.column()),
        problem: format!("this is not JSON: {error}"),
        remedy: "correct the file at that place".to_owned(),
    })?;
    let (values, above) = match value {
        Value::Array(values) => (values, Some(String::new())),
        Value::Object(mut list) if list.contains_key("Resources") => {
            match list.remove("Resources") {
                Some(Value::Array(values)) => (values, Some("Resources".to_owned())),
                other => {
                    let found = other.as_ref().map_or("missing", found);
                    let at = At { file, place: "Resources".to_owned() };
                    return at.fault(format!("is {found} where a list is expected"), DOCUMENTS);
                }
            }
        }
        one => (vec![one], None),
    };
    values
        .into_iter()
        .enumerate()
        .map(|(index, value)| {
            let place =
                above.as_ref().map_or_else(String::new, |above| format!("{above}[{index}]"));
            document(&At { file, place }, value)
        })
        .collect()
}

const DOCUMENTS: &str = "write one Schema or ResourceType document, a list of such, or a \
                         ListResponse, as /Schemas and /ResourceTypes print them";

fn document(at: &At, value: Value) -> Result<Document, Misfit> {
    let Value::Object(members) = value else {
        return at.fault(format!("is {} where a document is expected", found(&value)), DOCUMENTS);
    };
    let is = |name: &str| {
        members.get("schemas").and_then(Value::as_array).is_some_and(|urns| {
            urns.iter().filter_map(Value::as_str).any(|urn| {
                urn.eq_ignore_ascii_case(&format!("urn:ietf:params:scim:schemas:core:2.0:{name}"))
            })
        })
    };
    let content = if is("Schema") || members.contains_key("attributes") {
        Content::Schema(schema(at, &members)?)
    } else if is("ResourceType")
        || ["schema", "schemaExtensions"].iter().any(|m| members.contains_key(*m))
    {
        Content::Type(resource_type(at, &members)?)
    } else {
        return at.fault(
            "is neither a Schema (it has no attributes) nor a ResourceType (it has no schema)"
                .to_owned(),
            DOCUMENTS,
        );
    };
    Ok(Document { file: at.file, place: at.place.clone(), content })
}

fn schema(at: &At, members: &Map<String, Value>) -> Result<Schema, Misfit> {
    at.only(members, &["schemas", "id", "name", "description", "attributes", "meta"])?;
    let id =
        at.text(members, "id")?.ok_or_else(|| at.missing("id", "\"urn:example:2.0:Badge\""))?;
    let well_formed = id.split_once(':').is_some_and(|(scheme, rest)| {
        scheme.starts_with(|first: char| first.is_ascii_alphabetic()) && !rest.is_empty()
    }) && !id.ends_with([':', '.'])
        && id.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"\\[]()".contains(&byte));
    if !well_formed {
        return at.below("id").fault(
            format!("\"{id}\" is no URN"),
            "write a name that nobody else uses, such as \"urn:example:2.0:Badge\"",
        );
    }
    let name = at.text(members, "name")?;
    let name = name.unwrap_or_else(|| id.rsplit(':').next().unwrap_or(&id).to_owned());
    let attributes = at.list(members, "attributes")?.unwrap_or_default();
    if attributes.is_empty() {
        return at.below("attributes").fault(
            "a schema without attributes says nothing".to_owned(),
            "write a list of attributes, each with name and type",
        );
    }
    Ok(Schema {
        description: at.text(members, "description")?.unwrap_or_default(),
        attributes: self::attributes(&at.below("attributes"), attributes, None)?,
        id,
        name,
    })
}

/// `holder`: the complex attribute whose sub-attributes these are.
fn attributes(at: &At, values: &[Value], holder: Option<&str>) -> Result<Vec<Attribute>, Misfit> {
    let mut attributes: Vec<Attribute> = Vec::with_capacity(values.len());
    for (index, value) in values.iter().enumerate() {
        let at = at.index(index);
        let attribute = attribute(&at, value, holder)?;
        let same = |other: &Attribute| other.name.eq_ignore_ascii_case(&attribute.name);
        if attributes.iter().any(same) {
            return at.below("name").fault(
                format!("there is an attribute \"{}\" here already", attribute.name),
                "names differ in more than their case",
            );
        }
        attributes.push(attribute);
    }
    Ok(attributes)
}

const KINDS: [&str; 8] =
    ["string", "boolean", "decimal", "integer", "dateTime", "reference", "binary", "complex"];

fn attribute(at: &At, value: &Value, holder: Option<&str>) -> Result<Attribute, Misfit> {
    let Value::Object(members) = value else {
        return at.fault(
            format!("is {} where an attribute is expected", found(value)),
            "write an object with name and type",
        );
    };
    at.only(
        members,
        &[
            "name",
            "type",
            "subAttributes",
            "multiValued",
            "description",
            "required",
            "canonicalValues",
            "caseExact",
            "mutability",
            "returned",
            "uniqueness",
            "referenceTypes",
        ],
    )?;
    let name = at.text(members, "name")?.ok_or_else(|| at.missing("name", "\"badgeNumber\""))?;
    // RFC 7643 section 2.1: ATTRNAME = ALPHA *(nameChar); nameChar = "-" / "_" / DIGIT / ALPHA.
    // Sections 2.4 and 4 name the one sub-attribute that begins otherwise.
    let plain = name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if !(plain || name == "$ref" && holder.is_some()) {
        return at.below("name").fault(
            format!("\"{name}\" is no attribute name (RFC 7643 section 2.1)"),
            "begin with a letter; letters, digits, - and _ may follow",
        );
    }
    let kind: Kind = at
        .word(members, "type", &KINDS)?
        .ok_or_else(|| at.missing("type", "\"string\", \"boolean\" or \"complex\""))?;
    let subs = at.list(members, "subAttributes")?.unwrap_or_default();
    let sub_attributes = match (kind, holder) {
        (Kind::Complex, Some(holder)) => {
            return at.below("type").fault(
                format!("{holder} is complex, and {name} in it is complex again"),
                "make it an attribute of its own: RFC 7643 section 2.3.8 does not nest them",
            );
        }
        (Kind::Complex, None) if subs.is_empty() => {
            return at.below("subAttributes").fault(
                format!("{name} is complex and has no sub-attributes"),
                "write a list of them, each with name and type, or another type",
            );
        }
        (Kind::Complex, None) => attributes(&at.below("subAttributes"), subs, Some(&name))?,
        (_, _) if !subs.is_empty() => {
            return at.below("subAttributes").fault(
                format!("{name} has sub-attributes and is not complex"),
                "write \"type\": \"complex\", or leave them out",
            );
        }
        _ => Vec::new(),
    };
    let attribute = Attribute {
        kind,
        sub_attributes,
        multi_valued: at.flag(members, "multiValued")?,
        description: at.text(members, "description")?.unwrap_or_default(),
        required: at.flag(members, "required")?,
        canonical_values: at.texts(members, "canonicalValues")?,
        // RFC 7643 sections 2.3.6 and 2.3.7: both are compared exactly.
        case_exact: at.flag(members, "caseExact")?
            || matches!(kind, Kind::Binary | Kind::Reference),
        mutability: at
            .word(members, "mutability", &["readOnly", "readWrite", "immutable", "writeOnly"])?
            .unwrap_or_default(),
        returned: at
            .word(members, "returned", &["always", "never", "default", "request"])?
            .unwrap_or_default(),
        uniqueness: at
            .word(members, "uniqueness", &["none", "server", "global"])?
            .unwrap_or_default(),
        reference_types: at.texts(members, "referenceTypes")?,
        closed: true,
        loose: false,
        name,
    };
    agree(at, &attribute, holder)?;
    Ok(attribute)
}

/// Characteristics that say opposite things, or nothing.
fn agree(at: &At, attribute: &Attribute, holder: Option<&str>) -> Result<(), Misfit> {
    let name = &attribute.name;
    let text = matches!(attribute.kind, Kind::String | Kind::Reference);
    if !attribute.canonical_values.is_empty() && !text {
        return at.below("canonicalValues").fault(
            format!("{name} is no string, so that no list of strings holds its values"),
            "leave them out, or write \"type\": \"string\"",
        );
    }
    if !attribute.reference_types.is_empty() && attribute.kind != Kind::Reference {
        return at.below("referenceTypes").fault(
            format!("{name} is no reference"),
            "leave them out, or write \"type\": \"reference\"",
        );
    }
    if attribute.mutability == Mutability::WriteOnly && attribute.returned != Returned::Never {
        return at.below("returned").fault(
            format!("{name} is writeOnly and would be shown"),
            "write \"returned\": \"never\" (RFC 7643 section 7)",
        );
    }
    if attribute.mutability == Mutability::ReadOnly && attribute.required {
        return at.below("required").fault(
            format!("{name} is readOnly, so that nobody could give what is required"),
            "write \"required\": false, or another mutability",
        );
    }
    let comparable = matches!(attribute.kind, Kind::String | Kind::Reference | Kind::Integer);
    if attribute.uniqueness != Uniqueness::None && (!comparable || holder.is_some()) {
        return at.below("uniqueness").fault(
            format!("{name} cannot be held unique"),
            "only strings, references and integers can, and no sub-attributes; write \"none\"",
        );
    }
    Ok(())
}

fn resource_type(at: &At, members: &Map<String, Value>) -> Result<TypeDocument, Misfit> {
    at.only(
        members,
        &["schemas", "id", "name", "endpoint", "description", "schema", "schemaExtensions", "meta"],
    )?;
    let name = at.text(members, "name")?.ok_or_else(|| at.missing("name", "\"Badge\""))?;
    let is_name = name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if !is_name {
        return at.below("name").fault(
            format!("\"{name}\" is no name of a resource type"),
            "begin with a letter; letters, digits, - and _ may follow",
        );
    }
    let endpoint = at.text(members, "endpoint")?;
    if let Some(endpoint) = &endpoint {
        let inner = endpoint.strip_prefix('/').unwrap_or_default();
        let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        if inner.is_empty() || !inner.bytes().all(letter) {
            return at.below("endpoint").fault(
                format!("\"{endpoint}\" is no endpoint"),
                "write one segment behind a slash, such as \"/Badges\"",
            );
        }
    }
    let mut extensions: Vec<(String, bool)> = Vec::new();
    let list = at.below("schemaExtensions");
    for (index, value) in at.list(members, "schemaExtensions")?.into_iter().flatten().enumerate() {
        let at = list.index(index);
        let Value::Object(members) = value else {
            return at.fault(
                format!("is {} where an object is expected", found(value)),
                "write { \"schema\": \"urn:…\", \"required\": false }",
            );
        };
        at.only(members, &["schema", "required"])?;
        let urn = at
            .text(members, "schema")?
            .ok_or_else(|| at.missing("schema", "the URN of a schema"))?;
        if extensions.iter().any(|(other, _)| other.eq_ignore_ascii_case(&urn)) {
            return at.below("schema").fault(
                format!("\"{urn}\" is an extension of {name} already"),
                "name every extension once",
            );
        }
        extensions.push((urn, at.flag(members, "required")?));
    }
    Ok(TypeDocument {
        name,
        endpoint,
        description: at.text(members, "description")?,
        schema: at.text(members, "schema")?,
        extensions,
    })
}

/// A place in a file.
struct At {
    file: usize,
    place: String,
}

impl At {
    fn below(&self, name: &str) -> Self {
        let dot = if self.place.is_empty() { "" } else { "." };
        Self { file: self.file, place: format!("{}{dot}{name}", self.place) }
    }

    fn index(&self, index: usize) -> Self {
        Self { file: self.file, place: format!("{}[{index}]", self.place) }
    }

    fn misfit(&self, problem: String, remedy: &str) -> Misfit {
        Misfit { file: self.file, place: self.place.clone(), problem, remedy: remedy.to_owned() }
    }

    fn fault<T>(&self, problem: String, remedy: &str) -> Result<T, Misfit> {
        Err(self.misfit(problem, remedy))
    }

    fn missing(&self, name: &str, example: &str) -> Misfit {
        self.below(name).misfit("is missing".to_owned(), &format!("write for example {example}"))
    }

    /// Refuses members that mean nothing: a characteristic that is misspelled would be lost.
    fn only(&self, members: &Map<String, Value>, known: &[&str]) -> Result<(), Misfit> {
        match members.keys().find(|name| !known.contains(&name.as_str())) {
            None => Ok(()),
            Some(name) => self
                .below(name)
                .fault("nothing has this name".to_owned(), &format!("known: {}", known.join(", "))),
        }
    }

    /// A string that is not empty; `null` is absent.
    fn text(&self, members: &Map<String, Value>, name: &str) -> Result<Option<String>, Misfit> {
        match members.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if text.is_empty() => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(other) => self
                .below(name)
                .fault(format!("is {} where a string is expected", found(other)), "write a string"),
        }
    }

    fn flag(&self, members: &Map<String, Value>, name: &str) -> Result<bool, Misfit> {
        match members.get(name) {
            None | Some(Value::Null) => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(other) => self.below(name).fault(
                format!("is {} where a boolean is expected", found(other)),
                "write true or false",
            ),
        }
    }

    fn list<'a>(
        &self,
        members: &'a Map<String, Value>,
        name: &str,
    ) -> Result<Option<&'a [Value]>, Misfit> {
        match members.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Array(values)) => Ok(Some(values)),
            Some(other) => self
                .below(name)
                .fault(format!("is {} where a list is expected", found(other)), "write a list"),
        }
    }

    fn texts(&self, members: &Map<String, Value>, name: &str) -> Result<Vec<String>, Misfit> {
        let list = self.below(name);
        let values = self.list(members, name)?.unwrap_or_default().iter().enumerate();
        values
            .map(|(index, value)| match value {
                Value::String(text) => Ok(text.clone()),
                other => list.index(index).fault(
                    format!("is {} where a string is expected", found(other)),
                    "write a list of strings",
                ),
            })
            .collect()
    }

    /// One of the words that the RFC has for a characteristic.
    fn word<T: DeserializeOwned>(
        &self,
        members: &Map<String, Value>,
        name: &str,
        known: &[&str],
    ) -> Result<Option<T>, Misfit> {
        let Some(word) = self.text(members, name)? else { return Ok(None) };
        match serde_json::from_value(Value::String(word.clone())) {
            Ok(value) => Ok(Some(value)),
            Err(_) => self.below(name).fault(
                format!("\"{word}\" is no such word"),
                &format!("write one of {}", known.join(", ")),
            ),
        }
    }
}
