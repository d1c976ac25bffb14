//! Attributes at rest: as text, which takes a fraction of the memory of the values themselves.

use std::sync::{Arc, Mutex, PoisonError};

use crate::scim::Attributes;

/// Attributes that are kept for long and looked at rarely.
#[derive(Debug)]
pub(super) enum Packed {
    /// As they are, where nothing is kept for long.
    Open(Arc<Attributes>),
    Text {
        json: Box<str>,
        /// For the first who asks, which mostly is who caused the reading.
        first: Mutex<Option<Arc<Attributes>>>,
    },
}

impl Packed {
    pub(super) fn open_ended(attributes: Attributes) -> Self {
        Self::Open(Arc::new(attributes))
    }

    pub(super) fn at_rest(attributes: Attributes) -> Self {
        match serde_json::to_string(&attributes) {
            Ok(json) => Self::Text {
                json: json.into_boxed_str(),
                first: Mutex::new(Some(Arc::new(attributes))),
            },
            // JSON values have a text; but if they had none, nothing would be lost.
            Err(_) => Self::open_ended(attributes),
        }
    }

    pub(super) fn open(&self) -> Arc<Attributes> {
        match self {
            Self::Open(attributes) => Arc::clone(attributes),
            Self::Text { json, first } => {
                let first = first.lock().unwrap_or_else(PoisonError::into_inner).take();
                first.unwrap_or_else(|| Arc::new(serde_json::from_str(json).unwrap_or_default()))
            }
        }
    }

    /// In bytes, of what is kept.
    pub(super) fn weight(&self) -> u32 {
        match self {
            // Not kept, so not weighed.
            Self::Open(_) => 0,
            Self::Text { json, .. } => u32::try_from(json.len()).unwrap_or(u32::MAX / 4),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_packed_comes_out_as_it_was() {
        let serde_json::Value::Object(attributes) = json!({
            "userName": "jösé \"x\"", "active": true, "n": 1.5, "emails": [{ "value": "a@b" }]
        }) else {
            panic!("an object");
        };
        for packed in [Packed::at_rest(attributes.clone()), Packed::open_ended(attributes.clone())]
        {
            for _ in 0..3 {
                assert_eq!(*packed.open(), attributes);
            }
        }
    }
}
