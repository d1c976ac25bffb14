//! From a PATCH body to operations, and what clients really send in one: any case of names, dotted
//! and URN-qualified names in a value without a path, objects under an extension's URN.

use serde_json::{Map, Value};

use super::{Operation, Patch, Tolerance, Verb, located};
use crate::scim::error::{ErrorKind, ScimError};
use crate::scim::filter::Filter;
use crate::scim::schema::value::found;
use crate::scim::schema::{AttributePath, Mutability, ResourceType};

/// How many operations one body holds at most, and how many attributes they change altogether.
const MAX_OPERATIONS: usize = 1_000;
/// How much of a path an error repeats, in characters.
const MAX_SHOWN: usize = 200;

impl Patch {
    /// Reads a PATCH body. `schemas` may be missing; no operations change nothing.
    ///
    /// # Errors
    /// `invalidSyntax` for a body that is none, `invalidPath` and `invalidFilter` for a path,
    /// `noTarget` for a `remove` without one, `mutability` for one that leads to what is readOnly,
    /// `invalidValue` for a value that is missing; each names the operation by its index from 0.
    /// An operation on an attribute that no schema knows changes nothing, as such a member of a PUT
    /// does. Without a path, what is readOnly is passed over too: clients repeat `id` and `meta`.
    /// [`Tolerance::strict`] refuses both, with `invalidPath`, and unknown sub-attributes.
    pub fn parse(
        body: &Value,
        kind: &ResourceType,
        tolerance: Tolerance,
    ) -> Result<Self, ScimError> {
        let Value::Object(body) = body else {
            return Err(syntax(format!("the body is {}, not a PatchOp object", found(body))));
        };
        if let Some(schemas) = member(body, "schemas")
            && !(schemas.is_null() || schemas.is_array())
        {
            return Err(syntax(format!("schemas is {}, not a list", found(schemas))));
        }
        let operations = match member(body, "Operations") {
            Some(Value::Array(operations)) => operations,
            Some(other) => {
                return Err(syntax(format!("Operations is {}, not a list", found(other))));
            }
            None => return Err(syntax("Operations is missing: give a list of operations".into())),
        };
        if operations.len() > MAX_OPERATIONS {
            let count = operations.len();
            return Err(syntax(format!(
                "Operations holds {count} operations: at most {MAX_OPERATIONS} are accepted; \
                 send more than one PATCH"
            )));
        }
        let mut parser =
            Parser { kind, tolerance, index: 0, operations: Vec::with_capacity(operations.len()) };
        for (index, operation) in operations.iter().enumerate() {
            parser.index = index;
            parser.operation(operation)?;
        }
        Ok(Self { operations: parser.operations })
    }
}

struct Parser<'a> {
    kind: &'a ResourceType,
    tolerance: Tolerance,
    index: usize,
    operations: Vec<Operation>,
}

impl Parser<'_> {
    fn operation(&mut self, operation: &Value) -> Result<(), ScimError> {
        let Value::Object(operation) = operation else {
            return Err(self.error(syntax(format!("is {}, not an object", found(operation)))));
        };
        let verb = match member(operation, "op") {
            Some(Value::String(op)) => match op.to_ascii_lowercase().as_str() {
                "add" => Verb::Add,
                "replace" => Verb::Replace,
                "remove" => Verb::Remove,
                _ => {
                    return Err(self.error(syntax(format!(
                        "op is {:?}: it must be add, replace or remove",
                        shown(op)
                    ))));
                }
            },
            Some(other) => {
                return Err(self.error(syntax(format!("op is {}, not a string", found(other)))));
            }
            None => return Err(self.error(syntax("op is missing".into()))),
        };
        let given = member(operation, "value");
        let path = match member(operation, "path") {
            None | Some(Value::Null) => "",
            Some(Value::String(path)) => path.trim(),
            Some(other) => {
                let detail = format!("path is {}, not a string", found(other));
                return Err(self.error(ScimError::new(ErrorKind::InvalidPath, detail)));
            }
        };
        if verb != Verb::Remove && given.is_none() {
            let detail = "value is missing: give the value to set, or null to remove";
            return Err(self.error(ScimError::new(ErrorKind::InvalidValue, detail)));
        }
        if path.is_empty() { self.pathless(verb, given) } else { self.with_path(verb, path, given) }
    }

    fn with_path(
        &mut self,
        verb: Verb,
        text: &str,
        given: Option<&Value>,
    ) -> Result<(), ScimError> {
        let fail = |error| located(self.index, Some(&shown(text)), error);
        let Some((path, filter)) = self.target(text).map_err(fail)? else {
            return if self.tolerance.strict {
                Err(fail(invalid_path("no schema knows this attribute; see /Schemas".to_owned())))
            } else {
                Ok(())
            };
        };
        if let (true, Some(given)) = (self.tolerance.strict, given) {
            self.kind.only_known_below(&path.text, given).map_err(fail)?;
        }
        if path.extension.is_some() && path.attribute.is_empty() && verb != Verb::Remove {
            return match given {
                None | Some(Value::Null) => self.push(Verb::Remove, text, path, None, None),
                Some(Value::Object(members)) => {
                    self.members(verb, path.extension.as_deref(), members)
                }
                Some(other) => Err(fail(ScimError::new(
                    ErrorKind::InvalidValue,
                    format!("value is {} where an object is expected", found(other)),
                ))),
            };
        }
        if is_schemas(&path) {
            return Ok(());
        }
        if self.is_read_only(&path) {
            if self.tolerance.pass_over_read_only {
                return Ok(());
            }
            return Err(fail(ScimError::new(
                ErrorKind::Mutability,
                format!("{path} is readOnly: leave it out"),
            )));
        }
        self.push(verb, text, path, filter, given)
    }

    /// RFC 7644 section 3.5.2.1: without a path "the target location is assumed to be the resource
    /// itself. The "value" parameter contains a set of attributes".
    fn pathless(&mut self, verb: Verb, given: Option<&Value>) -> Result<(), ScimError> {
        match given {
            // RFC 7644 section 3.5.2.2: "If "path" is unspecified, the operation fails".
            _ if verb == Verb::Remove => {
                let detail = "remove needs a path: name the attribute to remove";
                Err(self.error(ScimError::new(ErrorKind::NoTarget, detail)))
            }
            _ if self.tolerance.strict => {
                let detail = "path is missing: this client is held to name what it changes";
                Err(self.error(invalid_path(detail.to_owned())))
            }
            Some(Value::Object(members)) => self.members(verb, None, members),
            other => {
                let found = other.map_or("missing", found);
                let detail = format!("value is {found}: without a path it must be an object");
                Err(self.error(ScimError::new(ErrorKind::InvalidValue, detail)))
            }
        }
    }

    /// The attributes of the resource (`urn`: of that extension) that an object names.
    fn members(
        &mut self,
        verb: Verb,
        urn: Option<&str>,
        members: &Map<String, Value>,
    ) -> Result<(), ScimError> {
        for (name, given) in members {
            let text = match urn {
                None => name.clone(),
                Some(urn) => format!("{urn}:{name}"),
            };
            let core = name.eq_ignore_ascii_case(&self.kind.schema.id);
            if let (true, None, Value::Object(members)) = (core, urn, given) {
                for (name, given) in members {
                    self.member(verb, name, given)?;
                }
            } else {
                self.member(verb, &text, given)?;
            }
        }
        Ok(())
    }

    fn member(&mut self, verb: Verb, text: &str, given: &Value) -> Result<(), ScimError> {
        if text.contains('[') {
            let fail = |error| located(self.index, Some(&shown(text)), error);
            return match self.target(text).map_err(fail)? {
                Some((path, filter)) if !self.is_read_only(&path) => {
                    self.push(verb, text, path, filter, Some(given))
                }
                _ => Ok(()),
            };
        }
        let path = self.resolve(text);
        if !path.known || is_schemas(&path) {
            return Ok(());
        }
        if path.attribute.is_empty() {
            return self.with_path(verb, text, Some(given));
        }
        if self.is_read_only(&path) {
            return Ok(());
        }
        self.push(verb, text, path, None, Some(given))
    }

    fn push(
        &mut self,
        verb: Verb,
        text: &str,
        path: AttributePath,
        filter: Option<Filter>,
        given: Option<&Value>,
    ) -> Result<(), ScimError> {
        if self.operations.len() == MAX_OPERATIONS {
            return Err(self.error(syntax(format!(
                "with this one, the operations change more than {MAX_OPERATIONS} attributes; send \
                 more than one PATCH"
            ))));
        }
        let given = self.unlisted(&path, given);
        self.operations.push(Operation {
            index: self.index,
            text: shown(text),
            verb,
            path,
            filter,
            value: given.filter(|given| !given.is_null()).cloned(),
        });
        Ok(())
    }

    fn resolve(&self, text: &str) -> AttributePath {
        if self.tolerance.loose_forms {
            self.kind.resolve_loosely(text)
        } else {
            self.kind.resolve(text)
        }
    }

    /// What stands alone in a list, where the path has one value.
    fn unlisted<'v>(&self, path: &AttributePath, given: Option<&'v Value>) -> Option<&'v Value> {
        match given {
            Some(Value::Array(listed)) if self.tolerance.loose_forms && listed.len() < 2 => {
                let single = self.kind.attribute(path).is_some_and(|one| !one.multi_valued);
                if single { listed.first() } else { given }
            }
            _ => given,
        }
    }

    /// RFC 7644 section 3.5.2: `PATH = attrPath / valuePath [subAttr]`. `None`: the path is one,
    /// and leads to what no schema knows.
    fn target(&self, text: &str) -> Result<Option<(AttributePath, Option<Filter>)>, ScimError> {
        let known = |path: AttributePath, filter| path.known.then_some((path, filter));
        if !text.contains('[') {
            let path = self.resolve(text);
            if !path.known && !is_attribute_path(text) {
                let shown = shown(text);
                return Err(invalid_path(format!("{shown:?} is no path to an attribute")));
            }
            return Ok(known(path, None));
        }
        let end = end_of_filter(text)
            .ok_or_else(|| invalid_path("the [ is not closed by a ]".to_owned()))?;
        let (element, rest) = text.split_at(end);
        let Filter::Element { path, filter } = Filter::parse(element, self.kind)? else {
            return Err(invalid_path("give one filter in brackets after one attribute".to_owned()));
        };
        if path.known && !path.multi_valued {
            return Err(invalid_path(format!(
                "{path} has one value: write its sub-attributes without a filter"
            )));
        }
        let path = match rest.strip_prefix('.') {
            None if rest.is_empty() => path,
            Some(sub) if is_name(sub) => self.kind.resolve(&format!("{}.{sub}", path.text)),
            _ => {
                let detail = format!("{:?} stands behind the ]", shown(rest));
                return Err(invalid_path(detail));
            }
        };
        Ok(known(path, Some(*filter)))
    }

    /// Whether the attribute, or the sub-attribute of it, is.
    fn is_read_only(&self, path: &AttributePath) -> bool {
        path.mutability == Mutability::ReadOnly
            || self
                .kind
                .holder(path)
                .is_some_and(|holder| holder.mutability == Mutability::ReadOnly)
    }

    fn error(&self, error: ScimError) -> ScimError {
        located(self.index, None, error)
    }
}

/// `schemas` follows from the attributes that are there: nobody sets it, and clients that try mean
/// no harm.
fn is_schemas(path: &AttributePath) -> bool {
    path.extension.is_none() && path.attribute == "schemas"
}

/// RFC 7644 figure 1: `attrPath = [URI ":"] ATTRNAME *1subAttr`. Of a URI that nobody knows, its
/// own last part may pass for the attribute's name, since a whole extension is a path too.
fn is_attribute_path(text: &str) -> bool {
    let uri = |text: &str| {
        text.starts_with(|first: char| first.is_ascii_alphabetic())
            && text.bytes().all(|byte| byte.is_ascii_graphic() && !b"[]\"\\".contains(&byte))
    };
    if let Some((urn, rest)) = text.rsplit_once(':') {
        return uri(urn) && uri(rest.trim_start_matches('/'));
    }
    match text.split_once('.') {
        Some((name, sub)) => is_name(name) && is_name(sub),
        None => is_name(text),
    }
}

/// RFC 7643 section 2.1: `ATTRNAME = ALPHA *(nameChar)`; `$ref` is one too.
fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '$')
        && text[1..].bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

/// The byte behind the `]` that closes the first `[`; brackets in strings do not count.
fn end_of_filter(text: &str) -> Option<usize> {
    let mut quoted = false;
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b']' if !quoted => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// A member by its name in any case.
fn member<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    object.get(name).or_else(|| {
        object.iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    })
}

fn shown(text: &str) -> String {
    match text.char_indices().nth(MAX_SHOWN) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
    }
}

fn syntax(detail: String) -> ScimError {
    ScimError::new(ErrorKind::InvalidSyntax, detail)
}

fn invalid_path(detail: String) -> ScimError {
    ScimError::new(ErrorKind::InvalidPath, detail)
}
