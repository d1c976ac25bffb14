//! A resource's attributes as one JSON object under canonical names.

/// Canonical attribute names to values; extensions stand under their URN as in the message.
pub type Attributes = serde_json::Map<String, serde_json::Value>;
