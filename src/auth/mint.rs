//! New tokens and secrets out of random bits, and the digests by which they are known.

use std::fmt::Write as _;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::secret::Secret;

/// What every token and secret begins with, so that whoever scans for leaked ones finds it.
pub const PREFIX: &str = "scimbridge_";
/// What tokens of the token endpoint begin with; static ones have no such letter before a mark.
pub const ISSUED: &str = "scimbridge_t.";

/// The system gives no random numbers.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the system gives no random numbers")]
pub struct NoRandom;

/// The prefix and 256 random bits.
pub fn fresh(prefix: &str) -> Result<Secret<String>, NoRandom> {
    let mut bits = Secret::new([0_u8; 32]);
    SystemRandom::new().fill(bits.expose_mut()).map_err(|_| NoRandom)?;
    let mut token = String::with_capacity(64);
    token.push_str(prefix);
    URL_SAFE_NO_PAD.encode_string(bits.expose(), &mut token);
    Ok(Secret::new(token))
}

pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut array = [0; 32];
    array.copy_from_slice(digest(&SHA256, bytes).as_ref());
    array
}

/// As digests are written.
pub fn hex(digest: &[u8; 32]) -> String {
    digest.iter().fold(String::with_capacity(64), |mut hex, byte| {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
