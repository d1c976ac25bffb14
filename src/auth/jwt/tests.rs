//! Tokens of an issuer with a key of each sort, and what must not pass for one.

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
};
use futures_util::FutureExt as _;
use serde_json::json;

use super::*;
use crate::caller::Permission;
use crate::config::Config;

const NOW: i64 = 1_800_000_000;

/// An issuer with a key of each sort.
struct Signer {
    rsa: RsaKeyPair,
    p256: EcdsaKeyPair,
    ed25519: Ed25519KeyPair,
}

fn base64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Signer {
    fn new() -> Self {
        Self {
            rsa: RsaKeyPair::generate(KeySize::Rsa2048).unwrap(),
            p256: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap(),
            ed25519: Ed25519KeyPair::generate().unwrap(),
        }
    }

    /// Of an `RSAPublicKey` (RFC 8017 appendix A.1.1) of 2,048 bits, before the exponent 65,537.
    fn modulus(&self) -> Vec<u8> {
        let public = self.rsa.public_key().as_ref();
        let end = public.len() - 5;
        public[end - 256..end].to_vec()
    }

    fn jwks(&self) -> Value {
        let point = self.p256.public_key().as_ref();
        json!({ "keys": [
            { "kty": "oct", "kid": "o", "k": base64(b"secret") },
            { "kty": "RSA", "kid": "e", "use": "enc", "n": base64(&self.modulus()), "e": "AQAB" },
            { "kty": "RSA", "kid": "r", "use": "sig", "alg": "RS256", "n": base64(&self.modulus()),
              "e": "AQAB" },
            { "kty": "EC", "crv": "P-256", "kid": "p", "x": base64(&point[1..33]),
              "y": base64(&point[33..]) },
            { "kty": "OKP", "crv": "Ed25519", "kid": "d", "key_ops": ["verify"],
              "x": base64(self.ed25519.public_key().as_ref()) },
        ]})
    }

    fn issuers(&self) -> Issuers {
        issuers(&self.jwks().to_string()).unwrap()
    }

    /// A token signed as the header says.
    fn sign(&self, header: &Value, claims: &Value) -> String {
        let signed = format!(
            "{}.{}",
            base64(header.to_string().as_bytes()),
            base64(claims.to_string().as_bytes())
        );
        let signature = match header["alg"].as_str().unwrap() {
            "RS256" => {
                let mut signature = vec![0; self.rsa.public_modulus_len()];
                let random = SystemRandom::new();
                self.rsa
                    .sign(&RSA_PKCS1_SHA256, &random, signed.as_bytes(), &mut signature)
                    .unwrap();
                signature
            }
            "ES256" => {
                self.p256.sign(&SystemRandom::new(), signed.as_bytes()).unwrap().as_ref().to_vec()
            }
            "EdDSA" => self.ed25519.sign(signed.as_bytes()).as_ref().to_vec(),
            // With what everybody knows as the secret.
            "HS256" => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, &self.modulus());
                hmac::sign(&key, signed.as_bytes()).as_ref().to_vec()
            }
            _ => Vec::new(),
        };
        format!("{signed}.{}", base64(&signature))
    }
}

fn issuers(jwks: &str) -> Result<Issuers, IssuerFault> {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("jwks.json"), jwks).unwrap();
    let text = r#"
        [[tenant]]
        name = "acme"
        [[tenant.issuer]]
        issuer = "https://login.example"
        audience = "scim"
        jwks = { file = "jwks.json" }
        permissions = ["users:*", "groups:read"]
    "#;
    let config = Config::parse(text, directory.path(), &|_| None).unwrap();
    Issuers::new(&config.tenants[0].issuers, &mut Places::default(), Instant::now())
}

fn claims() -> Value {
    json!({ "iss": "https://login.example", "aud": "scim", "sub": "u1", "exp": NOW + 60 })
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

/// With keys of a file, for which nobody waits.
fn verify(issuers: &Issuers, token: &str) -> Result<(Known, Timestamp), Rejected> {
    let now = Timestamp::from_second(NOW).unwrap();
    let outcome = issuers.verify(token.as_bytes(), now).now_or_never().unwrap();
    outcome.map_err(|why| match why {
        Unverified::Rejected(rejected) => rejected,
        Unverified::Unavailable(keys) => panic!("{keys}"),
    })
}

#[test]
fn each_algorithm_is_verified_with_its_own_key() {
    let signer = Signer::new();
    let issuers = signer.issuers();
    for (algorithm, id) in [("RS256", "r"), ("ES256", "p"), ("EdDSA", "d")] {
        for header in [json!({ "alg": algorithm, "kid": id }), json!({ "alg": algorithm })] {
            let token = signer.sign(&header, &claims());
            let (known, expires) = verify(&issuers, &token).unwrap();
            assert_eq!(known.caller.user.as_deref(), Some("u1"));
            assert_eq!(&*known.caller.name, "https://login.example");
            assert!(known.caller.permissions.contains(Permission::UsersDelete));
            assert_eq!(expires.as_second(), NOW + 60);
            // One bit of another token.
            let (front, signature) = token.rsplit_once('.').unwrap();
            let other = signer.sign(&header, &with("sub", json!("u2")));
            let (other, _) = other.rsplit_once('.').unwrap();
            let forged = format!("{other}.{signature}");
            assert_eq!(verify(&issuers, &forged).unwrap_err(), Rejected::Signature);
            assert_eq!(verify(&issuers, &format!("{front}.")).unwrap_err(), Rejected::Signature);
        }
    }
}

#[test]
fn no_key_serves_for_another_algorithm() {
    let signer = Signer::new();
    let issuers = signer.issuers();
    for (header, rejected) in [
        (json!({ "alg": "none" }), Rejected::Algorithm),
        (json!({ "alg": "None", "kid": "r" }), Rejected::Algorithm),
        (json!({ "alg": "HS256", "kid": "r" }), Rejected::Algorithm),
        (json!({ "alg": "HS256", "kid": "o" }), Rejected::Algorithm),
        (json!({ "alg": "RS256", "kid": "p" }), Rejected::Key),
        (json!({ "alg": "ES256", "kid": "r" }), Rejected::Key),
        (json!({ "alg": "RS256", "kid": "e" }), Rejected::Key),
        (json!({ "alg": "EdDSA", "kid": "unknown" }), Rejected::Key),
        (json!({ "alg": "EdDSA", "kid": 7 }), Rejected::Malformed),
        (json!({ "alg": "EdDSA", "kid": "d", "crit": ["b64"] }), Rejected::Critical),
    ] {
        let token = signer.sign(&header, &claims());
        assert_eq!(verify(&issuers, &token).unwrap_err(), rejected, "{header}");
    }
    // Another issuer's keys under the same ids.
    let header = json!({ "alg": "ES256", "kid": "p" });
    let token = Signer::new().sign(&header, &claims());
    assert_eq!(verify(&issuers, &token).unwrap_err(), Rejected::Signature);
}

#[test]
fn a_token_is_for_us_of_our_issuer_and_of_now() {
    let signer = Signer::new();
    let issuers = signer.issuers();
    let header = json!({ "alg": "EdDSA" });
    for (claims, rejected) in [
        (with("iss", json!("https://login.example/")), Rejected::Issuer),
        (with("iss", Value::Null), Rejected::Issuer),
        (with("aud", json!("SCIM")), Rejected::Audience),
        (with("aud", json!(["other", 7])), Rejected::Audience),
        (with("aud", Value::Null), Rejected::Audience),
        (with("exp", json!(NOW - 30)), Rejected::Expired),
        (with("exp", json!("2999")), Rejected::Expired),
        (with("exp", Value::Null), Rejected::Expired),
        (with("exp", json!(1e300)), Rejected::Expired),
        (with("nbf", json!(NOW + 31)), Rejected::NotYet),
        (with("nbf", json!("now")), Rejected::NotYet),
    ] {
        let token = signer.sign(&header, &claims);
        assert_eq!(verify(&issuers, &token).unwrap_err(), rejected, "{claims}");
    }
    for claims in [
        with("aud", json!(["other", "scim"])),
        with("exp", json!(NOW - 29)),
        with("exp", json!(1_800_000_060.5)),
        with("nbf", json!(NOW + 30)),
        with("nbf", json!(NOW)),
    ] {
        assert!(verify(&issuers, &signer.sign(&header, &claims)).is_ok(), "{claims}");
    }
    for token in
        ["", "a", "a.b", "a.b.c", "..", "e30.e30.", "e30.e30.e30.e30", "W10.W10.AA", "ü.ü.ü"]
    {
        let rejected = verify(&issuers, token).unwrap_err();
        assert!(matches!(rejected, Rejected::Malformed | Rejected::Algorithm), "{token}");
    }
}

#[test]
fn claims_may_ask_for_less_and_never_for_more() {
    let signer = Signer::new();
    let issuers = signer.issuers();
    let allowed = |name: &str, value: Value| {
        let token = signer.sign(&json!({ "alg": "EdDSA" }), &with(name, value));
        let permissions = verify(&issuers, &token).unwrap().0.caller.permissions;
        [
            Permission::UsersRead,
            Permission::UsersDelete,
            Permission::GroupsRead,
            Permission::GroupsWrite,
        ]
        .map(|permission| permissions.contains(permission))
    };
    assert_eq!(allowed("scope", json!("openid profile")), [true, true, true, false]);
    assert_eq!(allowed("scope", json!("openid users:read")), [true, false, false, false]);
    assert_eq!(allowed("scp", json!(["users:read", "groups:*"])), [true, false, true, false]);
    assert_eq!(allowed("roles", json!(["groups:write"])), [false; 4]);
    assert_eq!(allowed("scope", json!("admin")), [true, true, true, false]);
    assert_eq!(allowed("scope", json!(7)), [true, true, true, false]);
}

#[test]
fn keys_that_are_none_are_refused_at_the_start() {
    let signer = Signer::new();
    let fault = |jwks: &str| issuers(jwks).unwrap_err().to_string();
    assert!(fault("[]").contains("no JSON object"));
    assert!(fault(r#"{"keys":[]}"#).contains("none of its keys"));
    assert!(fault(r#"{"keys":[{"kty":"oct","k":"AA"}]}"#).contains("none of its keys"));
    let mut private = signer.jwks();
    private["keys"][2]["d"] = json!("AA");
    assert!(fault(&private.to_string()).contains("private key"));
    let many = vec![json!({ "kty": "oct" }); 65];
    assert!(fault(&json!({ "keys": many }).to_string()).contains("more than 64"));
    let text = fault("[]");
    assert!(text.contains("https://login.example") && text.contains("acme"), "{text}");
}
