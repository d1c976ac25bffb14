//! The tokens that the store knows of, for the command line; and what is said of them at the start.

use jiff::Timestamp;

use super::on_store;
use crate::auth::mint::hex;
use crate::config::{Config, Token};
use crate::store::{KeptToken, StaticToken, Store, StoreError};

/// All tokens that there are.
#[derive(Debug)]
pub struct Tokens<'a> {
    /// Those of the configuration, in its order.
    pub fixed: Vec<(&'a Token, StaticToken)>,
    /// Those of the token endpoint that are good now, the newest last.
    pub issued: Vec<KeptToken>,
}

pub fn tokens(config: &Config) -> anyhow::Result<Tokens<'_>> {
    on_store(config, async |store, clock| {
        let fixed = noted(config, store).await?;
        Ok(Tokens { fixed, issued: store.issued_tokens(clock.now()).await? })
    })
}

/// Takes back the token of the token endpoint that has this number; whether there was one.
pub fn revoke_issued(config: &Config, number: i64) -> anyhow::Result<bool> {
    on_store(config, async |store, _| store.revoke_token(number).await)
}

/// Takes back a token of the configuration; since when it was revoked before, if it was.
pub fn revoke_fixed(config: &Config, token: &Token) -> anyhow::Result<Option<Timestamp>> {
    let digest = hex(&token.sha256);
    on_store(config, async |store, clock| {
        let before = store.static_token(&digest).await?;
        store.revoke_static_token(&digest, clock.now()).await?;
        Ok(before.revoked)
    })
}

/// Says which tokens stand in the file and let nobody in.
pub(super) async fn say_revoked(config: &Config, store: &Store) -> Result<(), StoreError> {
    for (token, noted) in noted(config, store).await? {
        if let Some(since) = noted.revoked {
            tracing::warn!(
                tenant = &*token.rights.caller.tenant,
                token = token.name,
                %since,
                remedy = "take its table [[tenant.token]] out of the file",
                "token.revoked"
            );
        }
    }
    Ok(())
}

async fn noted<'a>(
    config: &'a Config,
    store: &Store,
) -> Result<Vec<(&'a Token, StaticToken)>, StoreError> {
    let tokens = || config.tenants.iter().flat_map(|tenant| &tenant.tokens);
    let digests: Vec<_> = tokens().map(|token| hex(&token.sha256)).collect();
    let noted = store.static_tokens(&digests).await?;
    let of = |digest| noted.get(digest).copied().unwrap_or_default();
    Ok(tokens().zip(digests.iter().map(of)).collect())
}
