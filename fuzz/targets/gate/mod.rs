//! A gate that knows one static token and one issuer.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use scimbridge::auth::Gate;
use scimbridge::caller::Caller;
use scimbridge::clock::Clock;
use scimbridge::config::Config;
use scimbridge::store::Store;
use tokio::runtime::{Builder, Runtime};

pub const TOKEN: &str = "open-sesame";

/// The issuer's key, whose id is `k`.
pub static KEY: LazyLock<Ed25519KeyPair> = LazyLock::new(|| {
    Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("32 bytes are a seed")
});

static GATE: LazyLock<Gate> = LazyLock::new(|| {
    let directory = std::env::temp_dir().join(format!("scimbridge-fuzz-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a folder for the key set");
    let x = URL_SAFE_NO_PAD.encode(KEY.public_key().as_ref());
    let jwks = format!(r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","kid":"k","x":"{x}"}}]}}"#);
    std::fs::write(directory.join("jwks.json"), jwks).expect("a place for the key set");
    let text = r#"
        [[tenant]]
        name = "acme"
        [[tenant.token]]
        name = "one"
        sha256 = "d7ecdf25eaf3deba0f2628771dbdd22d4138ab6cf38f91ed02a2ca0dec7c8ab7"
        permissions = ["users:read"]
        [[tenant.issuer]]
        issuer = "https://login.example"
        audience = "scim"
        jwks = { file = "jwks.json" }
        permissions = ["users:read"]
    "#;
    let config = Config::parse(text, &directory, &|_| None).expect("a configuration");
    let clock = Clock::system();
    let store = Store::open("sqlite::memory:", &[], clock.clone()).expect("a store");
    let gate = Gate::new(&config, &Arc::new(store), &clock, 1 << 20).expect("a gate");
    std::fs::remove_dir_all(&directory).expect("the key set has been read");
    gate
});

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_current_thread().enable_time().build().expect("a runtime"));

/// Whom the header lets in. Only with the static token anybody is waited for: the store, once in a
/// while.
pub fn admit(header: &[u8]) -> Option<Arc<Caller>> {
    let from = IpAddr::V4(Ipv4Addr::LOCALHOST);
    RUNTIME.block_on(GATE.admit(Some(header), "acme", from, Instant::now())).ok()
}
