//! A search as asked for: query parameters or a SearchRequest body (RFC 7644 sections 3.4.2, 3.4.3).

use std::borrow::Cow;

use serde_json::Value;

use super::dialect::Manner;
use super::display;
use super::error::{ErrorKind, ScimError};
use super::filter::Filter;
use super::projection::Projection;
use super::schema::standard::USER;
use super::schema::{AttributePath, Kind, ResourceType, Returned};

/// A path list longer than this asks for more attributes than there are.
const MAX_PATHS: usize = 256;
/// Longer cursors are not ours.
const MAX_CURSOR: usize = 4096;

/// A search, parsed and checked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Query {
    pub filter: Option<Filter>,
    pub sort_by: Option<AttributePath>,
    pub descending: bool,
    /// 1-based; below 1 was read as 1, and so is an absent one.
    pub start_index: u64,
    /// How many at most; `None`: as many as the tenant allows. Negative was read as 0.
    pub count: Option<u64>,
    /// The cursor that an earlier answer named; empty: the client asks for the first page of a
    /// cursored walk (RFC 9865 section 2).
    pub cursor: Option<String>,
    pub search_repositories: bool,
    pub projection: Projection,
    /// Whether users are wanted as a bulk request that creates them.
    pub bulk_import_format: bool,
}

/// The parameters as they stand in the request, each under its own name; none is looked at before
/// all are there.
#[derive(Default)]
struct Written<'a> {
    filter: Option<Cow<'a, str>>,
    start_index: Option<Cow<'a, str>>,
    count: Option<Cow<'a, str>>,
    cursor: Option<Cow<'a, str>>,
    sort_by: Option<Cow<'a, str>>,
    sort_order: Option<Cow<'a, str>>,
    attributes: Option<Cow<'a, str>>,
    excluded_attributes: Option<Cow<'a, str>>,
    search_repositories: Option<Cow<'a, str>>,
    bulk_import_format: Option<Cow<'a, str>>,
}

impl Query {
    /// Reads the query string's pairs, decoded; names in any case. Unknown names are ignored, and of
    /// a name that stands twice the first counts.
    ///
    /// # Errors
    ///
    /// `invalidFilter` for the filter, `invalidPath` for `sortBy`, `invalidCount` for a count beside
    /// a cursor (RFC 9865 section 2.1), else `invalidValue`; each names the parameter.
    pub fn from_parameters<'a>(
        pairs: impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)>,
        resource: &ResourceType,
        manner: &Manner,
    ) -> Result<Self, ScimError> {
        let mut written = Written::default();
        for (name, value) in pairs {
            if let Some(slot) = written.slot(&name) {
                slot.get_or_insert(value);
            }
        }
        written.check(resource, manner)
    }

    /// Reads a SearchRequest (RFC 7644 section 3.4.3), member names in any case; numbers and
    /// booleans may stand as strings, lists as one comma-separated string, and `schemas` is not
    /// looked at. Unknown members and `null` are ignored.
    ///
    /// # Errors
    ///
    /// As [`Query::from_parameters`]; `invalidSyntax` where the body is not an object.
    pub fn from_body(
        body: &Value,
        resource: &ResourceType,
        manner: &Manner,
    ) -> Result<Self, ScimError> {
        let Value::Object(members) = body else {
            return Err(ScimError::new(
                ErrorKind::InvalidSyntax,
                "a search request is a JSON object, such as {\"filter\": \"userName eq \\\"x\\\"\"}",
            ));
        };
        let mut written = Written::default();
        for (name, value) in members {
            let Some(slot) = written.slot(name) else { continue };
            if let Some(text) = member_text(name, value)? {
                slot.get_or_insert(text);
            }
        }
        written.check(resource, manner)
    }
}

/// A member's value as the query string would carry it.
fn member_text<'a>(name: &str, value: &'a Value) -> Result<Option<Cow<'a, str>>, ScimError> {
    let list = matches!(name.to_ascii_lowercase().as_str(), "attributes" | "excludedattributes");
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(Cow::Borrowed(text))),
        Value::Number(number) if !list => Ok(Some(Cow::Owned(number.to_string()))),
        Value::Bool(value) if !list => {
            Ok(Some(Cow::Borrowed(if *value { "true" } else { "false" })))
        }
        Value::Array(items) if list => {
            let names: Option<Vec<&str>> = items.iter().map(Value::as_str).collect();
            let names = names.ok_or_else(|| invalid(format!("{name}: every item is a string")))?;
            Ok(Some(Cow::Owned(names.join(","))))
        }
        _ if list => Err(invalid(format!("{name} is a list of strings"))),
        _ => Err(invalid(format!("{name} is a single value, not an object or a list"))),
    }
}

impl<'a> Written<'a> {
    fn slot(&mut self, name: &str) -> Option<&mut Option<Cow<'a, str>>> {
        Some(match name.to_ascii_lowercase().as_str() {
            "filter" => &mut self.filter,
            "startindex" => &mut self.start_index,
            "count" => &mut self.count,
            "cursor" => &mut self.cursor,
            "sortby" => &mut self.sort_by,
            "sortorder" => &mut self.sort_order,
            "attributes" => &mut self.attributes,
            "excludedattributes" => &mut self.excluded_attributes,
            "searchrepositories" => &mut self.search_repositories,
            "bulkimportformat" => &mut self.bulk_import_format,
            _ => return None,
        })
    }

    fn check(mut self, resource: &ResourceType, manner: &Manner) -> Result<Query, ScimError> {
        let text = |value: &Option<Cow<'a, str>>| -> Option<String> {
            value.as_deref().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned)
        };
        if !manner.sorts {
            (self.sort_by, self.sort_order) = (None, None);
        }
        if manner.prefer_attributes && text(&self.attributes).is_some() {
            self.excluded_attributes = None;
        }
        let start_index = whole_number("startIndex", text(&self.start_index).as_deref())?;
        if self.cursor.is_some() && start_index.is_some() {
            return Err(invalid("cursor and startIndex cannot stand together; send one of them"));
        }
        let cursor = match self.cursor {
            Some(cursor) if cursor.len() > MAX_CURSOR => {
                let detail = format!("cursor is {} bytes long; ours are shorter", cursor.len());
                return Err(ScimError::new(ErrorKind::InvalidCursor, detail));
            }
            cursor => cursor.map(Cow::into_owned),
        };
        let count = whole_number("count", text(&self.count).as_deref()).map_err(|error| {
            let kind = if cursor.is_some() { ErrorKind::InvalidCount } else { error.kind };
            ScimError { kind, ..error }
        })?;
        // RFC 9865 section 2: of a walk "a positive integer".
        if cursor.is_some() && count.is_some_and(|count| count < 1) {
            let detail = "count is at least 1 beside a cursor; leave it out for the longest pages";
            return Err(ScimError::new(ErrorKind::InvalidCount, detail));
        }
        let filter = text(&self.filter);
        let read = |text: String| Filter::read(&text, resource, manner.language);
        let mut filter = filter.map(read).transpose()?;
        let mut sort_by = text(&self.sort_by).map(|text| sort_by(&text, resource)).transpose()?;
        if manner.derives_display_name && resource.schema.id == USER {
            filter = filter.map(|filter| display::asked(filter, resource)).transpose()?;
            sort_by = sort_by.map(|path| display::sorted(path, resource));
        }
        let search_repositories =
            boolean("searchRepositories", text(&self.search_repositories).as_deref())?;
        if search_repositories {
            if !manner.pages_repositories && start_index.is_some_and(|index| index > 0) {
                return Err(invalid(
                    "startIndex: a list over repositories has no further pages; leave it out or send \
                     0, and narrow the filter or walk the list with cursor",
                ));
            }
        } else if !manner.stored_user_types && filter.as_ref().is_some_and(asks_for_user_type) {
            return Err(ScimError::new(
                ErrorKind::InvalidFilter,
                "filter: userType tells where a user is kept; send searchRepositories=true with it, so \
                 that the repositories are asked, too",
            ));
        }
        Ok(Query {
            filter,
            sort_by,
            descending: descending(text(&self.sort_order).as_deref())?,
            start_index: start_index.unwrap_or(1).max(1).unsigned_abs(),
            count: count.map(|count| count.max(0).unsigned_abs()),
            cursor,
            search_repositories,
            projection: projection(
                text(&self.attributes).as_deref(),
                text(&self.excluded_attributes).as_deref(),
                resource,
            )?,
            bulk_import_format: boolean(
                "bulkImportFormat",
                text(&self.bulk_import_format).as_deref(),
            )?,
        })
    }
}

fn asks_for_user_type(filter: &Filter) -> bool {
    filter.paths().any(|path| path.extension.is_none() && path.attribute == "userType")
}

/// RFC 7644 section 3.4.2.3; a complex attribute is sorted by its `value`.
fn sort_by(text: &str, resource: &ResourceType) -> Result<AttributePath, ScimError> {
    let path = resource.resolve(text);
    let wrong =
        |why: &str| Err(ScimError::new(ErrorKind::InvalidPath, format!("sortBy: `{text}` {why}")));
    if !path.known {
        return wrong("is no attribute of this resource type");
    }
    if path.returned == Returned::Never {
        return wrong("is never shown, so that nobody can sort by it");
    }
    if path.kind != Kind::Complex {
        return Ok(path);
    }
    let value = resource.resolve(&format!("{path}.value"));
    if value.known { Ok(value) } else { wrong("is complex; name one of its sub-attributes") }
}

fn descending(text: Option<&str>) -> Result<bool, ScimError> {
    match text {
        None => Ok(false),
        Some(order) if order.eq_ignore_ascii_case("ascending") => Ok(false),
        Some(order) if order.eq_ignore_ascii_case("descending") => Ok(true),
        Some(order) => Err(invalid(format!(
            "sortOrder is `ascending` or `descending`, not `{}`",
            shown(order)
        ))),
    }
}

/// A number beyond what 64 bits hold counts as the greatest or least.
fn whole_number(name: &str, text: Option<&str>) -> Result<Option<i64>, ScimError> {
    let Some(text) = text else { return Ok(None) };
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    // SearchRequest bodies may write 10 as 10.0.
    let digits = digits.strip_suffix(".0").unwrap_or(digits);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(invalid(format!("{name} is a whole number, not `{}`", shown(text))));
    }
    let magnitude = digits.parse().unwrap_or(i64::MAX);
    Ok(Some(if negative { -magnitude } else { magnitude }))
}

fn boolean(name: &str, text: Option<&str>) -> Result<bool, ScimError> {
    match text {
        None => Ok(false),
        Some(value) if value.eq_ignore_ascii_case("true") => Ok(true),
        Some(value) if value.eq_ignore_ascii_case("false") => Ok(false),
        Some(value) => Err(invalid(format!("{name} is `true` or `false`, not `{}`", shown(value)))),
    }
}

fn projection(
    attributes: Option<&str>,
    excluded: Option<&str>,
    resource: &ResourceType,
) -> Result<Projection, ScimError> {
    match (attributes, excluded) {
        (None, None) => Ok(Projection::Default),
        (Some(list), None) => paths("attributes", list, resource).map(Projection::Only),
        (None, Some(list)) => paths("excludedAttributes", list, resource).map(Projection::Without),
        (Some(_), Some(_)) => Err(invalid(
            "attributes and excludedAttributes cannot stand together; send one of them",
        )),
    }
}

fn paths(name: &str, list: &str, resource: &ResourceType) -> Result<Vec<AttributePath>, ScimError> {
    let mut paths: Vec<AttributePath> = Vec::new();
    for text in list.split(',').map(str::trim).filter(|text| !text.is_empty()) {
        if paths.len() == MAX_PATHS {
            return Err(invalid(format!("{name} lists more than {MAX_PATHS} attributes")));
        }
        let path = resource.resolve(text);
        if !paths.contains(&path) {
            paths.push(path);
        }
    }
    Ok(paths)
}

fn invalid(detail: impl Into<String>) -> ScimError {
    ScimError::new(ErrorKind::InvalidValue, detail)
}

fn shown(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn query(text: &str) -> Result<Query, ScimError> {
        query_in(text, &Manner::rfc())
    }

    fn query_in(text: &str, manner: &Manner) -> Result<Query, ScimError> {
        let pairs = form_urlencoded::parse(text.as_bytes());
        Query::from_parameters(pairs, &ResourceType::user(&[]), manner)
    }

    fn body(value: &Value) -> Result<Query, ScimError> {
        Query::from_body(value, &ResourceType::user(&[]), &Manner::rfc())
    }

    #[track_caller]
    fn refused(text: &str, kind: ErrorKind, part: &str) {
        let error = query(text).expect_err(text);
        assert_eq!(error.kind, kind, "{error}");
        assert!(error.detail.contains(part), "{error}");
    }

    #[test]
    fn nothing_asked_is_the_default() {
        let plain = query("").unwrap();
        assert_eq!(plain.start_index, 1);
        assert_eq!((plain.count, plain.cursor, plain.filter), (None, None, None));
        assert_eq!(plain.projection, Projection::Default);
        assert!(!plain.search_repositories && !plain.descending);
        assert_eq!(query("filter=&count=&attributes=&sortBy=&&").unwrap(), query("").unwrap());
    }

    #[test]
    fn parameters_in_any_case() {
        let query = query(
            "FILTER=userName+eq+%22x%22&StartIndex=0&COUNT=5&sortby=name.familyName\
             &sortOrder=Descending&searchRepositories=TRUE&api-version=7&aadOptscim062020\
             &excludedattributes=emails,+name.GIVENNAME,emails",
        )
        .unwrap();
        assert_eq!(query.filter.unwrap().to_string(), "userName eq \"x\"");
        assert_eq!((query.start_index, query.count), (1, Some(5)));
        assert_eq!(query.sort_by.unwrap().text, "name.familyName");
        assert!(query.descending && query.search_repositories);
        let Projection::Without(paths) = query.projection else { panic!() };
        let paths: Vec<_> = paths.iter().map(|path| path.text.as_str()).collect();
        assert_eq!(paths, ["emails", "name.givenName"]);
    }

    #[test]
    fn numbers_at_their_edges() {
        assert_eq!(query("count=-3").unwrap().count, Some(0));
        assert_eq!(query("count=0").unwrap().count, Some(0));
        assert_eq!(query("startIndex=-3").unwrap().start_index, 1);
        let far = query("startIndex=99999999999999999999999").unwrap();
        assert_eq!(far.start_index, i64::MAX.unsigned_abs());
        assert_eq!(query("count=5&count=6").unwrap().count, Some(5), "the first counts");
        refused("startIndex=x", ErrorKind::InvalidValue, "startIndex is a whole number, not `x`");
        refused("startIndex=1.5", ErrorKind::InvalidValue, "startIndex");
        refused("count=-", ErrorKind::InvalidValue, "count");
        refused("count=ten", ErrorKind::InvalidValue, "count");
        refused("count=ten&cursor=abc", ErrorKind::InvalidCount, "count");
        refused("count=0&cursor", ErrorKind::InvalidCount, "at least 1");
        refused("count=-1&cursor=abc", ErrorKind::InvalidCount, "at least 1");
    }

    #[test]
    fn what_cannot_stand_together_or_is_unknown() {
        refused("attributes=id&excludedAttributes=emails", ErrorKind::InvalidValue, "together");
        refused("cursor=x&startIndex=1", ErrorKind::InvalidValue, "cursor and startIndex");
        assert_eq!(query("cursor&count=10").unwrap().cursor.as_deref(), Some(""));
        refused("sortOrder=up", ErrorKind::InvalidValue, "sortOrder");
        refused("sortBy=shoe", ErrorKind::InvalidPath, "shoe");
        refused("sortBy=password", ErrorKind::InvalidPath, "never shown");
        refused("sortBy=name", ErrorKind::InvalidPath, "complex");
        assert_eq!(query("sortBy=emails").unwrap().sort_by.unwrap().text, "emails.value");
        refused("searchRepositories=yes", ErrorKind::InvalidValue, "searchRepositories");
        refused("filter=nonsense", ErrorKind::InvalidFilter, "character 9");
        refused(&format!("cursor={}", "x".repeat(5000)), ErrorKind::InvalidCursor, "5000");
        let many = (0..300).map(|n| format!("a{n}")).collect::<Vec<_>>().join(",");
        refused(&format!("attributes={many}"), ErrorKind::InvalidValue, "256");
    }

    #[test]
    fn a_manner_passes_over_what_it_does_not_know() {
        let manner = Manner { sorts: false, prefer_attributes: true, ..Manner::rfc() };
        let read = query_in(
            "sortBy=shoe&sortOrder=up&attributes=title&excludedAttributes=emails",
            &manner,
        )
        .unwrap();
        assert_eq!((read.sort_by, read.descending), (None, false));
        let Projection::Only(paths) = read.projection else { panic!() };
        assert_eq!(paths[0].text, "title");
        let read = query_in("attributes=&excludedAttributes=emails", &manner).unwrap();
        assert!(matches!(read.projection, Projection::Without(_)));
    }

    #[test]
    fn a_manner_refuses_what_it_cannot_answer() {
        let manner =
            Manner { pages_repositories: false, stored_user_types: false, ..Manner::rfc() };
        let refused = |text: &str| query_in(text, &manner).expect_err(text);
        let error = refused("searchRepositories=true&startIndex=1");
        assert_eq!(error.kind, ErrorKind::InvalidValue);
        assert!(error.detail.contains("send 0"), "{error}");
        let error = refused("filter=title pr or not (UserType eq \"LDAP\")");
        assert_eq!(error.kind, ErrorKind::InvalidFilter);
        assert!(error.detail.contains("searchRepositories=true"), "{error}");
        for text in [
            "searchRepositories=true&startIndex=0",
            "searchRepositories=true&startIndex=-1",
            "searchRepositories=false&startIndex=7",
            "searchRepositories=true&filter=userType eq \"LDAP\"",
        ] {
            assert!(query_in(text, &manner).is_ok(), "{text}");
        }
    }

    #[test]
    fn search_requests() {
        let read = body(&json!({
            "schemas": ["urn:of:somebody:else"],
            "Attributes": ["userName", "emails.type, id"],
            "FILTER": "title pr",
            "startindex": "3",
            "count": 10.0,
            "sortBy": "userName",
            "sortOrder": "ascending",
            "searchRepositories": true,
            "cursor": null,
            "whatever": {},
        }))
        .unwrap();
        assert_eq!((read.start_index, read.count), (3, Some(10)));
        assert!(read.search_repositories && read.cursor.is_none());
        let Projection::Only(paths) = read.projection else { panic!() };
        assert_eq!(paths.len(), 3);
        let kind = |value: &Value| body(value).unwrap_err().kind;
        assert_eq!(kind(&json!([])), ErrorKind::InvalidSyntax);
        assert_eq!(kind(&json!({ "attributes": [1] })), ErrorKind::InvalidValue);
        assert_eq!(kind(&json!({ "attributes": true })), ErrorKind::InvalidValue);
        assert_eq!(kind(&json!({ "filter": {} })), ErrorKind::InvalidValue);
        assert_eq!(kind(&json!({ "filter": 5 })), ErrorKind::InvalidFilter);
        assert_eq!(kind(&json!({ "count": 1.5 })), ErrorKind::InvalidValue);
    }
}
