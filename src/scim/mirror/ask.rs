//! Filters over codes: what is asked of a mirrored code is asked of its core attribute, so that every
//! reader of filters answers it as it answers any other.

use serde_json::json;

use super::{LIST, MIRRORS, Mirror};
use crate::scim::filter::{Filter, Literal, Operator, Text};
use crate::scim::schema::standard::USER_ATTRIBUTE;
use crate::scim::schema::{AttributePath, ResourceType};

/// A filter that selects the same by what resources hold; the filter itself where it asks for no
/// code.
///
/// `ATR_EMAIL`, `ATR_MOBILE` and the addresses are asked of all elements of their list. Whether a
/// mirrored code is `readOnly` cannot be asked: it counts as false.
#[must_use]
pub fn asked(filter: Filter, kind: &ResourceType) -> Filter {
    if filter_paths(&filter).all(|path| !is_code(path)) {
        return filter;
    }
    filter.rewrite(&mut |leaf| everywhere(leaf, kind)).simplify()
}

/// Also the lists of elements, of which nothing may be compared.
fn filter_paths(filter: &Filter) -> impl Iterator<Item = &AttributePath> {
    let mut waiting = vec![filter];
    std::iter::from_fn(move || {
        loop {
            match waiting.pop()? {
                Filter::And(parts) | Filter::Or(parts) => waiting.extend(parts),
                Filter::Not(inner) => waiting.push(inner),
                Filter::Compare { path, .. }
                | Filter::Present(path)
                | Filter::Element { path, .. } => return Some(path),
                Filter::Constant(_) => {}
            }
        }
    })
}

fn is_code(path: &AttributePath) -> bool {
    path.known
        && path.extension.as_deref() == Some(USER_ATTRIBUTE)
        && (path.attribute.is_empty() || path.attribute == LIST)
}

/// The leaf of what is held, or the same of one of the mirrored codes.
fn everywhere(leaf: &Filter, kind: &ResourceType) -> Option<Filter> {
    match leaf {
        Filter::Element { path, filter } if is_code(path) => {
            let code = filter.equality(&format!("{path}.name"));
            if let Some(mirror) = code.and_then(|code| Mirror::of(&code.written)) {
                return Some(of_mirror(filter, mirror, kind));
            }
            let mirrored = MIRRORS.iter().map(|mirror| of_mirror(filter, mirror, kind));
            Some(Filter::or([leaf.clone()].into_iter().chain(mirrored)))
        }
        Filter::Present(path) if is_code(path) => Some(present(path, kind)),
        Filter::Compare { path, operator, value: Literal::Null } if is_code(path) => {
            let present = present(path, kind);
            Some(if *operator == Operator::Eq { present.negate() } else { present })
        }
        // True where one differs, and where there is none.
        Filter::Compare { path, operator: Operator::Ne, .. } if is_code(path) => {
            let held = Filter::and([Filter::Present(path.clone()), leaf.clone()]);
            let mirrored = MIRRORS.iter().map(|mirror| of_mirror(leaf, mirror, kind));
            let differs = [held].into_iter().chain(mirrored);
            Some(Filter::or(differs.chain([present(path, kind).negate()])))
        }
        Filter::Compare { path, .. } if is_code(path) => {
            let mirrored = MIRRORS.iter().map(|mirror| of_mirror(leaf, mirror, kind));
            Some(Filter::or([leaf.clone()].into_iter().chain(mirrored)))
        }
        _ => None,
    }
}

fn present(path: &AttributePath, kind: &ResourceType) -> Filter {
    let held = Filter::Present(path.clone());
    if path.sub.as_deref() == Some("multiValued") {
        return held;
    }
    let mirrored = MIRRORS.iter().map(|mirror| Filter::Present(kind.resolve(&mirror.path())));
    Filter::or([held].into_iter().chain(mirrored))
}

/// Whether the mirrored code is there and such.
fn of_mirror(filter: &Filter, mirror: &Mirror, kind: &ResourceType) -> Filter {
    let core = kind.resolve(&mirror.path());
    let element = json!({ "name": mirror.code, "type": "string", "readOnly": false });
    let such = filter.rewrite(&mut |leaf| {
        let of_value = |path: &AttributePath| path.sub.as_deref() == Some("value");
        Some(match leaf {
            Filter::Compare { value: Literal::Null, path, operator } if of_value(path) => {
                Filter::Constant(*operator == Operator::Ne)
            }
            Filter::Compare { path, operator, value: Literal::String(text) } if of_value(path) => {
                let value = Literal::String(Text::new(text.written.as_str(), &core));
                Filter::Compare { path: core.clone(), operator: *operator, value }
            }
            Filter::Present(path) if of_value(path) => Filter::Constant(true),
            other => Filter::Constant(other.matches_element(&element)),
        })
    });
    match such.simplify() {
        Filter::Constant(false) => Filter::Constant(false),
        such if implies_presence(&such) => such,
        such => Filter::and([such, Filter::Present(core)]).simplify(),
    }
}

fn implies_presence(filter: &Filter) -> bool {
    match filter {
        Filter::Compare { operator, .. } => *operator != Operator::Ne,
        Filter::And(parts) => parts.iter().any(implies_presence),
        Filter::Or(parts) => parts.iter().all(implies_presence),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::{Which, shown};
    use super::*;
    use crate::scim::Attributes;

    const PREFIX: &str = "urn:hid:scim:api:idp:2.0:UserAttribute:attributes";

    fn read(text: &str) -> Filter {
        let kind = ResourceType::user(&[]);
        asked(Filter::parse(text, &kind).unwrap(), &kind)
    }

    #[test]
    fn a_mirrored_code_is_its_core_attribute() {
        for (code, core) in [
            ("FIRSTNAME", "name.givenName"),
            ("lastname", "name.familyName"),
            ("TITLE", "title"),
            ("ATR_EMAIL", "emails.value"),
            ("ATR_MOBILE", "phoneNumbers.value"),
        ] {
            let filter = read(&format!("{PREFIX}[name eq \"{code}\" and value sw \"x\"]"));
            assert_eq!(filter.to_string(), format!("{core} sw \"x\""));
        }
        assert_eq!(read("userName eq \"x\"").to_string(), "userName eq \"x\"");
        let own = format!("{PREFIX}[name eq \"DOB\" and value eq \"1980-08-01\"]");
        assert_eq!(read(&own).to_string(), own, "no mirror has that code");
    }

    fn alone(element: &Value) -> Vec<Value> {
        let Value::Array(values) = &element["value"] else { return vec![element.clone()] };
        let one = |value: &Value| {
            let mut one = element.clone();
            one["value"] = value.clone();
            one
        };
        values.iter().map(one).collect()
    }

    /// What is asked of what is held selects as the filter does of what is shown.
    #[test]
    fn it_selects_by_what_is_shown() {
        let kind = ResourceType::user(&[]);
        let people = [
            json!({}),
            json!({ "name": { "givenName": "John" } }),
            json!({ "name": { "givenName": "Jane", "familyName": "John" }, "title": "x" }),
            json!({ (USER_ATTRIBUTE): { "attributes": [
                { "name": "DOB", "type": "date", "value": "1980-08-01" }] } }),
            json!({ "emails": [{ "value": "john@example.com" }], (USER_ATTRIBUTE): { "attributes": [
                { "name": "DOB", "type": "date", "value": "1990-01-01" },
                { "name": "CAR", "type": "string", "value": "John", "multiValued": true },
                { "name": "CAR", "type": "string", "value": "b", "multiValued": true }] } }),
            json!({ "addresses": [{ "formatted": "John" }] }),
        ];
        let leaves = [
            "name eq \"FIRSTNAME\"",
            "name eq \"dob\"",
            "name ne \"FIRSTNAME\"",
            "name sw \"ADDRESS\"",
            "name pr",
            "value eq \"john\"",
            "value ne \"John\"",
            "value co \"19\"",
            "value eq null",
            "value ne null",
            "value pr",
            "type eq \"string\"",
            "type ne \"string\"",
            "type eq \"date\"",
            "multiValued eq true",
            "multiValued pr",
            "value gt \"K\"",
        ];
        let mut filters: Vec<String> = vec![
            format!("{PREFIX} pr"),
            format!("not ({PREFIX} pr)"),
            USER_ATTRIBUTE.to_owned() + " pr",
        ];
        for leaf in leaves {
            filters.push(format!("{PREFIX}.{leaf}"));
            filters.push(format!("not ({PREFIX}.{leaf})"));
            for other in leaves {
                filters.push(format!("{PREFIX}[{leaf} and {other}]"));
                filters.push(format!("{PREFIX}[{leaf} or not ({other})]"));
            }
        }
        let mut selected = 0;
        for text in &filters {
            let plain = Filter::parse(text, &kind).unwrap();
            let asked = asked(plain.clone(), &kind);
            for person in &people {
                let Value::Object(held) = person else { panic!() };
                let elements = shown(held, Which::All, &|_, _| false);
                // Each value of a list is asked for itself.
                let elements: Vec<Value> = elements.iter().flat_map(alone).collect();
                let mut shown = Attributes::new();
                if !elements.is_empty() {
                    shown.insert(USER_ATTRIBUTE.into(), json!({ "attributes": elements }));
                }
                let wanted = plain.matches(&shown);
                assert_eq!(asked.matches(held), wanted, "{text} of {person}: {asked}");
                selected += usize::from(wanted);
            }
        }
        assert!(selected > filters.len(), "the people tell filters apart");
    }
}
