//! Rules as parts of filters: whoever makes a repository gives it rules, and asks for those for whom
//! one of them holds by its place among them.

use std::sync::LazyLock;

use crate::scim::Filter;
use crate::scim::filter::{Literal, Operator, Text};
use crate::scim::schema::{AttributePath, Definition, Kind, Mutability, Returned};

/// No schema names it, so that no client's filter holds it.
static HELD: LazyLock<AttributePath> = LazyLock::new(|| {
    AttributePath::from(Definition {
        text: "urn:scimbridge:rules:held".to_owned(),
        extension: Some("urn:scimbridge:rules".to_owned()),
        attribute: "held".to_owned(),
        sub: None,
        kind: Kind::String,
        case_exact: true,
        multi_valued: true,
        mutability: Mutability::ReadOnly,
        returned: Returned::Never,
        required: false,
        known: true,
    })
});

/// Holds for the entries for which the rule at this place holds.
pub fn held(place: usize) -> Filter {
    let value = Literal::String(Text::new(place.to_string(), &HELD));
    Filter::Compare { path: HELD.clone(), operator: Operator::Eq, value }
}

/// The place of no rule.
const NONE: usize = usize::MAX;

/// Holds or does not, for anybody: of what rules cannot tell.
pub fn open() -> Filter {
    held(NONE)
}

/// Whether [`open`] stands anywhere in the filter.
pub fn is_open(filter: &Filter) -> bool {
    match filter {
        Filter::And(parts) | Filter::Or(parts) => parts.iter().any(is_open),
        Filter::Not(filter) | Filter::Element { filter, .. } => is_open(filter),
        leaf => asked(leaf) == Some(NONE),
    }
}

/// The rule that a filter of [`held`] asks for.
pub fn asked(filter: &Filter) -> Option<usize> {
    match filter {
        Filter::Compare { path, value: Literal::String(text), .. } if *path == *HELD => {
            text.written.parse().ok()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scim::ResourceType;

    #[test]
    fn a_rule_is_asked_for_by_its_place_and_by_nobody_else() {
        assert_eq!(asked(&held(17)), Some(17));
        assert_ne!(held(1).canonical(), held(2).canonical());
        assert!(is_open(&Filter::Not(Box::new(open()))) && !is_open(&held(0)));
        let user = ResourceType::user(&[]);
        for text in ["urn:scimbridge:rules:held eq \"1\"", "userName eq \"1\""] {
            assert_eq!(asked(&Filter::parse(text, &user).unwrap()), None, "{text}");
        }
    }
}
