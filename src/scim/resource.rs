//! A resource's attributes as one JSON object under canonical names.

/// Canonical attribute names to values; extensions stand under their URN as in the message.
pub type Attributes = serde_json::Map<String, serde_json::Value>;

/// A 64-bit hash of attributes, the same on every machine and after every restart: FNV-1a over a
/// walk of the values in which member order does not count.
pub fn digest(attributes: &Attributes) -> u64 {
    digest_object(attributes)
}

/// [`digest`] of a text.
pub fn digest_text(text: &str) -> u64 {
    digest_bytes(text.as_bytes())
}

/// [`digest`] of a message.
pub fn digest_bytes(bytes: &[u8]) -> u64 {
    fnv(FNV_OFFSET, bytes)
}

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;

fn fnv(seed: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(seed, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

fn digest_object(object: &Attributes) -> u64 {
    object.iter().fold(1, |sum, (name, value)| {
        let member = fnv(fnv(FNV_OFFSET, name.as_bytes()), &digest_value(value).to_le_bytes());
        sum.wrapping_add(member)
    })
}

fn digest_value(value: &serde_json::Value) -> u64 {
    use serde_json::Value;
    match value {
        Value::Null => 3,
        Value::Bool(flag) => 5 + u64::from(*flag),
        Value::Number(number) => fnv(7, number.to_string().as_bytes()),
        Value::String(text) => fnv(FNV_OFFSET, text.as_bytes()),
        Value::Array(values) => {
            values.iter().fold(11, |hash, value| fnv(hash, &digest_value(value).to_le_bytes()))
        }
        Value::Object(object) => digest_object(object),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(value: serde_json::Value) -> u64 {
        match value {
            serde_json::Value::Object(attributes) => digest(&attributes),
            other => panic!("{other} is no object"),
        }
    }

    #[test]
    fn the_digest_tells_values_and_not_their_order() {
        let base = of(json!({ "userName": "a", "name": { "familyName": "b", "givenName": "c" } }));
        assert_eq!(base, 8_867_408_548_481_105_599, "the same after every restart");
        assert_eq!(
            base,
            of(json!({ "name": { "givenName": "c", "familyName": "b" }, "userName": "a" }))
        );
        assert_ne!(
            base,
            of(json!({ "userName": "A", "name": { "familyName": "b", "givenName": "c" } }))
        );
        assert_ne!(
            base,
            of(json!({ "userName": "a", "name": { "familyName": "c", "givenName": "b" } }))
        );
        assert_ne!(
            of(json!({ "l": ["a", "b"] })),
            of(json!({ "l": ["ab"] })),
            "neighbours are apart"
        );
        assert_ne!(of(json!({ "l": ["a", "b"] })), of(json!({ "l": ["b", "a"] })));
        assert_ne!(of(json!({ "l": true })), of(json!({ "l": "true" })));
    }
}
