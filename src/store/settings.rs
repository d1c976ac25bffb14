//! What the store keeps for the program itself, the same for all who have the database open.

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use super::engine::{Change, Expect, Query};
use super::{Store, StoreError};
use crate::secret::Secret;

impl Store {
    /// The random key of this name, made by whoever asks first and never changed: 32 bytes.
    pub async fn key(&self, name: &'static str) -> Result<Secret<Vec<u8>>, StoreError> {
        let select = || Query::new("SELECT value FROM settings WHERE name = $1", [name.into()]);
        if self.engine.query(select()).await?.is_empty() {
            let mut fresh = Secret::new(vec![0; 32]);
            rand::fill(fresh.expose_mut())
                .map_err(|_| StoreError::Database("there is no randomness to be had".to_owned()))?;
            let text = STANDARD_NO_PAD.encode(fresh.expose());
            let mut change = Change::default();
            let sql = "INSERT INTO settings (name, value) VALUES ($1, $2) \
                       ON CONFLICT (name) DO NOTHING";
            change.push(sql, [name.into(), text.into()], Expect::Any);
            self.engine.execute(change).await?;
        }
        let mut rows = self.engine.query(select()).await?;
        let text = rows.first_mut().map(super::engine::Row::text).transpose()?.unwrap_or_default();
        match STANDARD_NO_PAD.decode(text) {
            Ok(key) if key.len() == 32 => Ok(Secret::new(key)),
            _ => Err(StoreError::Database(format!("the setting {name} holds no key"))),
        }
    }
}
