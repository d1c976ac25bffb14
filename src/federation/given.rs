//! What a directory gives a person beside values: the groups and roles that rules derive of the entry.
//!
//! Knows nothing of how rules are read or asked; of what is given, shown and stored together with it
//! [`super::resource`] makes one list.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The groups and roles that a directory gives a person, by the ids that the configuration has for
/// them. Each list is sorted and has everybody once, so that equal ones are the same.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Given {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<Arc<str>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<Arc<str>>,
}

impl Given {
    /// The same in whatever order and however often the rules name it.
    pub fn new(
        groups: impl IntoIterator<Item = Arc<str>>,
        roles: impl IntoIterator<Item = Arc<str>>,
    ) -> Self {
        Self { groups: each_once(groups), roles: each_once(roles) }
    }

    pub fn is_empty(&self) -> bool {
        self.groups.is_empty() && self.roles.is_empty()
    }
}

fn each_once(ids: impl IntoIterator<Item = Arc<str>>) -> Vec<Arc<str>> {
    let mut ids: Vec<Arc<str>> = ids.into_iter().collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_repetition_make_no_difference() {
        let ids = |ids: &[&str]| ids.iter().map(|id| Arc::from(*id)).collect::<Vec<Arc<str>>>();
        let given = Given::new(ids(&["b", "a", "b"]), ids(&["r"]));
        assert_eq!(given, Given { groups: ids(&["a", "b"]), roles: ids(&["r"]) });
        assert!(!given.is_empty() && Given::default().is_empty());
        let text = serde_json::to_string(&given).unwrap();
        assert_eq!(text, r#"{"groups":["a","b"],"roles":["r"]}"#);
        assert_eq!(serde_json::from_str::<Given>("{}").unwrap(), Given::default());
    }
}
