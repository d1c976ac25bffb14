//! From a filter's text to its tree, in one pass: `or` over `and` over single terms.

use serde_json::Value;

use super::evaluate::satisfies;
use super::lexer::{Lexer, Token};
use super::{ANY, Filter, Literal, Operator, Text, wildcard};
use crate::scim::dialect::Language;
use crate::scim::error::{ErrorKind, ScimError};
use crate::scim::schema::standard::USER_ATTRIBUTE;
use crate::scim::schema::{AttributePath, Kind, ResourceType, Returned};
use crate::scim::text::instant;

const MAX_LENGTH: usize = 8 * 1024;
const MAX_DEPTH: usize = 32;
const MAX_NODES: usize = 512;
/// How much of what was found an error repeats, in characters.
const MAX_SHOWN: usize = 40;

const OPERATORS: &str = "an operator (eq, ne, co, sw, ew, gt, ge, lt, le, pr)";

pub(super) fn parse(
    text: &str,
    resource: &ResourceType,
    language: Language,
) -> Result<Filter, ScimError> {
    if text.len() > MAX_LENGTH {
        return Err(ScimError::new(
            ErrorKind::InvalidFilter,
            format!("the filter is {} bytes long; {MAX_LENGTH} are allowed", text.len()),
        ));
    }
    if let Some(filter) = look_up(text, resource, language) {
        return Ok(filter);
    }
    whole(text, resource, language)
}

/// `userName eq "x"`, as clients ask before each write: read without a stack of rules. `None` for
/// whatever takes more than a glance.
pub(super) fn look_up(text: &str, resource: &ResourceType, language: Language) -> Option<Filter> {
    let (name, rest) = text.split_once(' ')?;
    let value = rest.strip_prefix("eq \"")?.strip_suffix('"')?;
    if memchr::memchr3(b'"', b'\\', b'\0', value.as_bytes()).is_some() {
        return None;
    }
    if language.wildcards && value.contains(ANY) {
        return None;
    }
    let path = resource.known(name)?;
    if path.kind != Kind::String || path.returned == Returned::Never || is_schemas(path) {
        return None;
    }
    let value = Literal::String(Text::new(value, path));
    Some(Filter::Compare { path: path.clone(), operator: Operator::Eq, value })
}

/// Any filter.
pub(super) fn whole(
    text: &str,
    resource: &ResourceType,
    language: Language,
) -> Result<Filter, ScimError> {
    let lexer = Lexer::new(text);
    let mut parser =
        Parser { lexer, token: Token::End, at: 0, resource, language, depth: 0, nodes: 0 };
    if let Some(at) = text.find('\0') {
        return Err(parser.lexer.error(at, "the character U+0000 is not allowed"));
    }
    parser.advance()?;
    let filter = parser.any(None)?;
    if parser.token != Token::End {
        return Err(parser.unexpected("`and`, `or` or the end"));
    }
    Ok(filter)
}

/// Two tokens are never needed at once.
struct Parser<'a> {
    lexer: Lexer<'a>,
    token: Token<'a>,
    /// Where `token` begins, in bytes.
    at: usize,
    resource: &'a ResourceType,
    language: Language,
    depth: usize,
    nodes: usize,
}

/// A value as written, before it is known what it is compared with.
enum Raw<'a> {
    Quoted(String),
    Word(&'a str),
    /// As it is written, and the number.
    Number(&'a str, f64),
    Boolean(bool),
    Null,
}

impl<'a> Parser<'a> {
    /// `a or b or …`; `element`: the attribute in whose brackets this stands.
    fn any(&mut self, element: Option<&AttributePath>) -> Result<Filter, ScimError> {
        let first = self.all(element)?;
        if !self.keyword("or") {
            return Ok(first);
        }
        self.node()?;
        let mut parts = vec![first];
        while self.keyword("or") {
            self.advance()?;
            parts.push(self.all(element)?);
        }
        Ok(Filter::or(parts))
    }

    /// `a and b and …`
    fn all(&mut self, element: Option<&AttributePath>) -> Result<Filter, ScimError> {
        let first = self.term(element)?;
        if !self.keyword("and") {
            return Ok(first);
        }
        self.node()?;
        let mut parts = vec![first];
        while self.keyword("and") {
            self.advance()?;
            parts.push(self.term(element)?);
        }
        if self.language.aliases && element.is_none() {
            parts = self.paired(parts);
        }
        Ok(Filter::and(parts))
    }

    fn term(&mut self, element: Option<&AttributePath>) -> Result<Filter, ScimError> {
        match self.token {
            Token::Open => self.group(element),
            Token::Word(word) if word.eq_ignore_ascii_case("not") => {
                self.node()?;
                self.advance()?;
                if self.token != Token::Open {
                    return Err(self.unexpected("`(` after `not`"));
                }
                Ok(Filter::Not(Box::new(self.group(element)?)))
            }
            Token::Word(word) => self.expression(word, element),
            _ => Err(self.unexpected("an attribute, `not` or `(`")),
        }
    }

    fn group(&mut self, element: Option<&AttributePath>) -> Result<Filter, ScimError> {
        self.enter()?;
        self.advance()?;
        let inner = self.any(element)?;
        if self.token != Token::Close {
            return Err(self.unexpected("`and`, `or` or `)`"));
        }
        self.depth -= 1;
        self.advance()?;
        Ok(inner)
    }

    /// What begins with an attribute: `a pr`, `a eq "x"`, `a[…]`.
    fn expression(
        &mut self,
        name: &str,
        element: Option<&AttributePath>,
    ) -> Result<Filter, ScimError> {
        self.node()?;
        let at = self.at;
        let path = self.path(name, element)?;
        self.advance()?;
        if self.token == Token::OpenBracket {
            if element.is_some() {
                return Err(self.unexpected(OPERATORS));
            }
            return self.element(path, at);
        }
        self.condition(path, at)
    }

    /// `a[…]`, and Entra's `a[…].b eq "x"`, which means the same element.
    fn element(&mut self, path: AttributePath, at: usize) -> Result<Filter, ScimError> {
        let complex = path.kind == Kind::Complex && !path.attribute.is_empty();
        if path.sub.is_some() || (path.known && !complex) {
            return Err(self.lexer.error(
                at,
                &format!("`{path}` has no sub-attributes, so that no brackets can follow it"),
            ));
        }
        self.enter()?;
        self.advance()?;
        let mut inner = self.any(Some(&path))?;
        if self.token != Token::CloseBracket {
            return Err(self.unexpected("`and`, `or` or `]`"));
        }
        self.depth -= 1;
        self.advance()?;
        if let Token::Word(word) = self.token
            && let Some(name) = word.strip_prefix('.')
        {
            self.node()?;
            let at = self.at;
            let sub = self.path(name, Some(&path))?;
            self.advance()?;
            inner = Filter::and([inner, self.condition(sub, at)?]);
        }
        Ok(Filter::Element { path, filter: Box::new(inner) })
    }

    /// The operator and the value that follow `path`, which stands at the byte `at`.
    fn condition(&mut self, path: AttributePath, at: usize) -> Result<Filter, ScimError> {
        if path.returned == Returned::Never {
            let what = format!("`{path}` is never shown, so that nobody can search by it");
            return Err(self.lexer.error(at, &what));
        }
        let Token::Word(word) = self.token else { return Err(self.unexpected(OPERATORS)) };
        if word.eq_ignore_ascii_case("pr") {
            self.advance()?;
            return Ok(if is_schemas(&path) {
                Filter::Constant(true)
            } else {
                Filter::Present(path)
            });
        }
        let Some(operator) = Operator::parse(word) else {
            return Err(self.unexpected(OPERATORS));
        };
        let operator_at = self.at;
        self.advance()?;
        let value_at = self.at;
        let raw = self.value()?;
        let (path, value) = if matches!(raw, Raw::Null) {
            if !matches!(operator, Operator::Eq | Operator::Ne) {
                let what = format!("`{}` cannot compare with null", operator.name());
                return Err(self.lexer.error(operator_at, &what));
            }
            (path, Literal::Null)
        } else {
            let path = self.comparable(path, at)?;
            if let Some(what) = impossible(&path, operator) {
                return Err(self.lexer.error(operator_at, &what));
            }
            let value = literal(&path, raw, self.language);
            let value = value.map_err(|what| self.lexer.error(value_at, &what))?;
            (path, value)
        };
        self.advance()?;
        if is_schemas(&path) {
            return Ok(self.about_schemas(&path, operator, &value));
        }
        if let (true, Literal::String(text)) = (self.language.wildcards, &value)
            && path.kind != Kind::Binary
            && let Some(filter) = wildcard::compare(&path, operator, &text.written)
        {
            return Ok(filter);
        }
        Ok(Filter::Compare { path, operator, value })
    }

    /// A name with the value beside it, of `UserAttribute`, as one and the same element.
    fn paired(&self, parts: Vec<Filter>) -> Vec<Filter> {
        let list = self.resource.resolve(&format!("{USER_ATTRIBUTE}:attributes"));
        let is = |filter: &Filter, name: &str| {
            matches!(filter, Filter::Compare { path, .. }
                if path.known && path.extension == list.extension
                    && path.attribute == list.attribute && path.sub.as_deref() == Some(name))
        };
        let mut paired: Vec<Filter> = Vec::with_capacity(parts.len());
        for part in parts {
            match paired.pop() {
                Some(before)
                    if is(&before, "name") && is(&part, "value")
                        || is(&before, "value") && is(&part, "name") =>
                {
                    let filter = Box::new(Filter::and([before, part]));
                    paired.push(Filter::Element { path: list.clone(), filter });
                }
                before => paired.extend(before.into_iter().chain([part])),
            }
        }
        paired
    }

    /// RFC 7643 section 3: `schemas` names the schemas of the attributes that are there. Nobody
    /// keeps it, so what is asked of it is asked of the attributes: the core schema's are always
    /// there, those of an extension may be.
    fn about_schemas(&self, path: &AttributePath, operator: Operator, value: &Literal) -> Filter {
        if *value == Literal::Null {
            return Filter::Constant(operator == Operator::Ne);
        }
        let selects = |urn: &str| {
            let urn = Value::from(urn);
            match operator {
                Operator::Ne => !satisfies(path, Operator::Eq, value, &urn),
                operator => satisfies(path, operator, value, &urn),
            }
        };
        if selects(&self.resource.schema.id) {
            return Filter::Constant(true);
        }
        let extensions = self.resource.extensions.iter().map(|(schema, _)| schema.id.as_str());
        let selected = extensions.filter(|urn| selects(urn));
        Filter::or(selected.map(|urn| Filter::Present(self.resource.resolve(urn))))
    }

    /// The value that stands here, which stays the current token.
    fn value(&mut self) -> Result<Raw<'a>, ScimError> {
        let word = match &mut self.token {
            Token::Quoted(text) => return Ok(Raw::Quoted(std::mem::take(text))),
            Token::Word(word) => *word,
            _ => return Err(self.unexpected("a value")),
        };
        if ["and", "or", "not"].iter().any(|keyword| word.eq_ignore_ascii_case(keyword)) {
            return Err(self.unexpected("a value"));
        }
        if word.starts_with('\'') {
            return Err(self.unexpected("a value; strings stand in double quotes"));
        }
        Ok(match word {
            "null" => Raw::Null,
            "true" => Raw::Boolean(true),
            "false" => Raw::Boolean(false),
            _ => number(word).map_or(Raw::Word(word), |number| Raw::Number(word, number)),
        })
    }

    /// RFC 7644 section 3.4.2.2: a filter on a complex attribute without a sub-attribute means the
    /// `value` sub-attribute.
    fn comparable(&self, path: AttributePath, at: usize) -> Result<AttributePath, ScimError> {
        if !path.known || path.kind != Kind::Complex {
            return Ok(path);
        }
        let attribute = self.resource.attribute(&path);
        let subs = attribute.map_or(&[][..], |attribute| &attribute.sub_attributes);
        if subs.iter().any(|sub| sub.name == "value") {
            return Ok(self.resource.resolve(&format!("{path}.value")));
        }
        let example = subs.first().map_or_else(String::new, |sub| {
            format!("; name one of its sub-attributes, such as `{path}.{}`", sub.name)
        });
        let what = format!("`{path}` is complex and has no value of its own{example}");
        Err(self.lexer.error(at, &what))
    }

    /// The path written as `name`, which is the current token or stands in it.
    fn path(
        &self,
        name: &str,
        element: Option<&AttributePath>,
    ) -> Result<AttributePath, ScimError> {
        let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric())
            && name.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic());
        if !plain {
            self.spelled(name, element.is_some())?;
        }
        Ok(match element {
            None if self.language.aliases && name.eq_ignore_ascii_case("role") => {
                self.resource.resolve("roles")
            }
            None => self.resource.resolve_loosely(name),
            Some(outer) => self.resource.resolve(&format!("{outer}.{name}")),
        })
    }

    /// Whether a name may be spelled so, in brackets or outside.
    fn spelled(&self, name: &str, inside: bool) -> Result<(), ScimError> {
        let urn = !inside && name.contains(':');
        let allowed = |character: char| {
            character.is_ascii_alphanumeric()
                || matches!(character, '_' | '-' | '$')
                || (character == '.' && !inside)
                || (urn && character.is_ascii_graphic())
        };
        if let Some(character) = name.chars().find(|&character| !allowed(character)) {
            let place = if inside {
                " (in brackets a sub-attribute stands by its own name)"
            } else {
                " (operators are words between spaces, strings stand in double quotes)"
            };
            return Err(self.unexpected(&format!(
                "an attribute, in whose name `{character}` cannot stand{place}"
            )));
        }
        if !name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '$') {
            return Err(self.unexpected("an attribute, whose name begins with a letter"));
        }
        Ok(())
    }

    fn keyword(&self, keyword: &str) -> bool {
        matches!(self.token, Token::Word(word) if word.eq_ignore_ascii_case(keyword))
    }

    fn advance(&mut self) -> Result<(), ScimError> {
        (self.at, self.token) = self.lexer.next()?;
        Ok(())
    }

    fn enter(&mut self) -> Result<(), ScimError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            let what = format!("brackets are nested deeper than {MAX_DEPTH}");
            return Err(self.lexer.error(self.at, &what));
        }
        Ok(())
    }

    fn node(&mut self) -> Result<(), ScimError> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            let what = format!("the filter has more than {MAX_NODES} parts");
            return Err(self.lexer.error(self.at, &what));
        }
        Ok(())
    }

    fn unexpected(&self, expected: &str) -> ScimError {
        let found = match &self.token {
            Token::Open => "`(`".to_owned(),
            Token::Close => "`)`".to_owned(),
            Token::OpenBracket => "`[`".to_owned(),
            Token::CloseBracket => "`]`".to_owned(),
            Token::Word(word) => format!("`{}`", shown(word)),
            Token::Quoted(text) => format!("the string \"{}\"", shown(text)),
            Token::End => "the end".to_owned(),
        };
        self.lexer.error(self.at, &format!("found {found}, expected {expected}"))
    }
}

fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(MAX_SHOWN).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}

fn is_schemas(path: &AttributePath) -> bool {
    path.known && path.extension.is_none() && path.attribute == "schemas"
}

/// Why `operator` cannot apply to `path`.
fn impossible(path: &AttributePath, operator: Operator) -> Option<String> {
    if !path.known || matches!(operator, Operator::Eq | Operator::Ne) {
        return None;
    }
    let substring = matches!(operator, Operator::Co | Operator::Sw | Operator::Ew | Operator::Like);
    let possible = match path.kind {
        Kind::String | Kind::Reference => true,
        Kind::Decimal | Kind::Integer | Kind::DateTime => !substring,
        Kind::Boolean | Kind::Binary | Kind::Complex => false,
    };
    let (operator, kind) = (operator.name(), kind_name(path.kind));
    (!possible).then(|| format!("`{operator}` cannot apply to `{path}`, which is {kind}"))
}

/// The value as one of the type of `path`, or why it can be none.
fn literal(path: &AttributePath, raw: Raw<'_>, language: Language) -> Result<Literal, String> {
    let kind = if path.known { path.kind } else { unknown_kind(&raw) };
    match (kind, &raw) {
        (Kind::String | Kind::Reference | Kind::Binary, Raw::Quoted(_)) => {}
        (Kind::String | Kind::Reference | Kind::Binary, Raw::Word(_)) if language.unquoted => {}
        (Kind::String | Kind::Reference, Raw::Number(..) | Raw::Boolean(_))
            if language.unquoted && language.aliases => {}
        (Kind::Boolean, Raw::Boolean(value)) => return Ok(Literal::Boolean(*value)),
        (Kind::Decimal | Kind::Integer, Raw::Number(_, value)) => {
            return Ok(Literal::Number(*value));
        }
        // Clients that know no types send every value as a string.
        (Kind::Boolean, _) if is(&raw, "true") => return Ok(Literal::Boolean(true)),
        (Kind::Boolean, _) if is(&raw, "false") => return Ok(Literal::Boolean(false)),
        (Kind::Decimal | Kind::Integer | Kind::DateTime, Raw::Quoted(_) | Raw::Word(_)) => {
            let value = if kind == Kind::DateTime {
                instant(raw.text()).map(Literal::DateTime)
            } else {
                number(raw.text()).map(Literal::Number)
            };
            return value.ok_or_else(|| mismatch(path, &raw));
        }
        _ => return Err(mismatch(path, &raw)),
    }
    let written = match raw {
        Raw::Quoted(text) => text,
        other => other.text().to_owned(),
    };
    Ok(Literal::String(Text::new(written, path)))
}

/// What no schema knows takes a value of any type.
fn unknown_kind(raw: &Raw<'_>) -> Kind {
    match raw {
        Raw::Number(..) => Kind::Decimal,
        Raw::Boolean(_) => Kind::Boolean,
        Raw::Quoted(_) | Raw::Word(_) | Raw::Null => Kind::String,
    }
}

fn is(raw: &Raw<'_>, word: &str) -> bool {
    raw.text().eq_ignore_ascii_case(word)
}

fn mismatch(path: &AttributePath, raw: &Raw<'_>) -> String {
    let found = match raw {
        Raw::Quoted(text) => format!("the string \"{}\"", shown(text)),
        Raw::Word(word) => format!("`{}`", shown(word)),
        Raw::Number(_, value) => format!("the number {value}"),
        Raw::Boolean(value) => format!("the boolean {value}"),
        Raw::Null => "null".to_owned(),
    };
    let example = match path.kind {
        Kind::DateTime => ", such as \"2011-05-13T04:42:34Z\"",
        Kind::Boolean => ": true or false",
        Kind::String | Kind::Reference | Kind::Binary => ", in double quotes",
        Kind::Decimal | Kind::Integer | Kind::Complex => "",
    };
    let kind = kind_name(path.kind);
    format!("found {found}, expected {kind} to compare with `{path}`{example}")
}

/// With its article, as errors name it.
fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::String => "a string",
        Kind::Boolean => "a boolean",
        Kind::Decimal => "a decimal number",
        Kind::Integer => "an integer",
        Kind::DateTime => "a dateTime",
        Kind::Reference => "a reference",
        Kind::Binary => "a binary value",
        Kind::Complex => "a complex attribute",
    }
}

/// A finite JSON number (RFC 8259 section 6), read exactly.
fn number(word: &str) -> Option<f64> {
    serde_json::from_str::<serde_json::Number>(word).ok()?;
    word.trim().parse().ok().filter(|number: &f64| number.is_finite())
}

impl Raw<'_> {
    fn text(&self) -> &str {
        match self {
            Self::Quoted(text) => text,
            Self::Word(word) | Self::Number(word, _) => word,
            Self::Boolean(true) => "true",
            Self::Boolean(false) => "false",
            Self::Null => "",
        }
    }
}
