//! Public keys of an issuer of tokens (RFC 7517), each for one algorithm: a key never verifies what
//! says that it is signed in another way.
//!
//! Knows nothing of tokens.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
    UnparsedPublicKey,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

/// A set with more keys is none.
const MOST: usize = 64;

/// How a token is signed. What is not here is not accepted, `none` and `HS256` among it: whoever has
/// a public key could make tokens of the latter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    Rs256,
    Es256,
    EdDsa,
}

impl Algorithm {
    /// By its name in a token or a key (RFC 7518 section 3.1, RFC 8037 section 3.1).
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "RS256" => Some(Self::Rs256),
            "ES256" => Some(Self::Es256),
            "EdDSA" => Some(Self::EdDsa),
            _ => None,
        }
    }
}

/// The keys of one issuer.
#[derive(Debug, Default)]
pub struct Keys(Vec<Key>);

#[derive(Debug)]
struct Key {
    id: Option<String>,
    material: Material,
}

#[derive(Debug)]
enum Material {
    Rsa(RsaPublicKeyComponents<Vec<u8>>),
    P256(UnparsedPublicKey<Vec<u8>>),
    Ed25519(UnparsedPublicKey<Vec<u8>>),
}

/// Why a set of keys is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeysFault {
    #[error("it is no JSON object with a list \"keys\" (RFC 7517 section 5)")]
    Shape,
    #[error("it holds more than {MOST} keys")]
    TooMany,
    #[error("it holds a private key, which is its owner's alone; take the public keys")]
    Private,
    #[error("none of its keys is one for RS256, ES256 or EdDSA signatures")]
    NoKey,
}

impl Keys {
    /// Reads a JWK Set. Keys for other uses or algorithms are passed over.
    pub fn parse(text: &str) -> Result<Self, KeysFault> {
        let set: Value = serde_json::from_str(text).map_err(|_| KeysFault::Shape)?;
        let listed = set.get("keys").and_then(Value::as_array).ok_or(KeysFault::Shape)?;
        if listed.len() > MOST {
            return Err(KeysFault::TooMany);
        }
        if listed.iter().any(|key| key.get("d").is_some()) {
            return Err(KeysFault::Private);
        }
        let keys: Vec<Key> = listed.iter().filter_map(Key::read).collect();
        if keys.is_empty() { Err(KeysFault::NoKey) } else { Ok(Self(keys)) }
    }

    /// Whether a key for the algorithm has this id, or there is any for it where none is named.
    pub fn has(&self, id: Option<&str>, algorithm: Algorithm) -> bool {
        self.meant(id, algorithm).next().is_some()
    }

    /// Whether one of these keys made the signature.
    pub fn verify(
        &self,
        id: Option<&str>,
        algorithm: Algorithm,
        message: &[u8],
        signature: &[u8],
    ) -> bool {
        self.meant(id, algorithm).any(|key| key.verify(message, signature))
    }

    fn meant<'a>(
        &'a self,
        id: Option<&'a str>,
        algorithm: Algorithm,
    ) -> impl Iterator<Item = &'a Key> {
        self.0.iter().filter(move |key| {
            key.algorithm() == algorithm && id.is_none_or(|id| key.id.as_deref() == Some(id))
        })
    }
}

impl Key {
    fn read(key: &Value) -> Option<Self> {
        let text = |name: &str| key.get(name).and_then(Value::as_str);
        let bytes = |name: &str| URL_SAFE_NO_PAD.decode(text(name)?).ok();
        if text("use").is_some_and(|purpose| purpose != "sig") {
            return None;
        }
        let verifies = |uses: &Vec<Value>| uses.iter().any(|one| one == "verify");
        if !key.get("key_ops").and_then(Value::as_array).is_none_or(verifies) {
            return None;
        }
        let material = match (text("kty")?, text("crv")) {
            ("RSA", _) => Material::Rsa(RsaPublicKeyComponents { n: bytes("n")?, e: bytes("e")? }),
            ("EC", Some("P-256")) => {
                let (x, y) = (bytes("x")?, bytes("y")?);
                // An uncompressed point (SEC 1 section 2.3.3).
                let point = [&[4], &x[..], &y[..]].concat();
                Material::P256(UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point))
            }
            ("OKP", Some("Ed25519")) => {
                Material::Ed25519(UnparsedPublicKey::new(&ED25519, bytes("x")?))
            }
            _ => return None,
        };
        let key = Self { id: text("kid").map(str::to_owned), material };
        let said = text("alg").map(Algorithm::named);
        said.is_none_or(|said| said == Some(key.algorithm())).then_some(key)
    }

    fn algorithm(&self) -> Algorithm {
        match self.material {
            Material::Rsa(_) => Algorithm::Rs256,
            Material::P256(_) => Algorithm::Es256,
            Material::Ed25519(_) => Algorithm::EdDsa,
        }
    }

    fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.material {
            Material::Rsa(key) => key.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature),
            Material::P256(key) | Material::Ed25519(key) => key.verify(message, signature),
        }
        .is_ok()
    }
}
