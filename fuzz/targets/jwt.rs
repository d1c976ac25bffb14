//! Any header and claims of a token, with a tab between them, that the issuer signed: it lets in who it is
//! for, from its time on and until its end, and with another signature nobody.

#![no_main]

mod gate;

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use libfuzzer_sys::fuzz_target;
use scimbridge::caller::Permission;
use serde_json::Value;

/// How far clocks may differ, and how long a verified token is kept.
const SLACK: f64 = 120.0;

fuzz_target!(|text: &str| {
    let Some((header, claims)) = text.split_once('\t') else { return };
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let mut signature = gate::KEY.sign(signed.as_bytes()).as_ref().to_vec();
    let admitted = gate::admit(&bearer(&signed, &signature));
    signature[9] ^= 1;
    assert!(gate::admit(&bearer(&signed, &signature)).is_none(), "a forged signature: {text:?}");
    let Some(caller) = admitted else { return };
    assert!(!caller.permissions.contains(Permission::UsersDelete), "{text:?}");
    let header: Value = serde_json::from_str(header).expect("a header that was read");
    let claims: Value = serde_json::from_str(claims).expect("claims that were read");
    assert_eq!(header["alg"], "EdDSA", "{text:?}");
    assert!(header.get("crit").is_none(), "{text:?}");
    assert!(header.get("kid").is_none_or(|id| id == "k"), "{text:?}");
    assert_eq!(claims["iss"], "https://login.example", "{text:?}");
    let listed = claims["aud"].as_array().is_some_and(|list| list.iter().any(|one| one == "scim"));
    assert!(listed || claims["aud"] == "scim", "{text:?}");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time").as_secs_f64();
    let end = claims["exp"].as_f64().expect("an end");
    assert!(end > now - SLACK, "{text:?}");
    let begin = claims.get("nbf").map(|begin| begin.as_f64().expect("a beginning"));
    assert!(begin.is_none_or(|begin| begin < now + SLACK), "{text:?}");
});

fn bearer(signed: &str, signature: &[u8]) -> Vec<u8> {
    format!("Bearer {signed}.{}", URL_SAFE_NO_PAD.encode(signature)).into_bytes()
}
