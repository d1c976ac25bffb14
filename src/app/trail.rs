//! What is asked of the audit trail by the command line.

use super::on_store;
use crate::audit::AuditEntry;
use crate::audit::chain::{Break, Head, Verifier};
use crate::config::Config;
use crate::store::{AuditFilter, Store, StoreError, Tail};

/// How many records are verified in one go.
const PAGE: u64 = 5_000;

/// What a look at a tenant's trail found.
#[derive(Clone, Debug)]
pub struct Verdict {
    pub tenant: String,
    /// Where its chain stands, or where it is broken.
    pub chain: Result<Head, Break>,
    /// What was written and is not chained yet.
    pub tail: Tail,
}

/// The records that the filter names, in the order in which they were written.
pub fn audit_list(config: &Config, filter: &AuditFilter<'_>) -> anyhow::Result<Vec<AuditEntry>> {
    on_store(config, async |store, _| store.audit_list(filter).await)
}

/// Computes the chains of these tenants anew; `anchor` is what was noted elsewhere of each.
pub fn audit_verify(
    config: &Config,
    tenants: &[String],
    anchor: Option<Head>,
) -> anyhow::Result<Vec<Verdict>> {
    on_store(config, async |store, _| {
        let mut verdicts = Vec::with_capacity(tenants.len());
        for tenant in tenants {
            let chain = verify(store, tenant, anchor).await?;
            let tail = store.audit_tail(tenant).await?;
            verdicts.push(Verdict { tenant: tenant.clone(), chain, tail });
        }
        Ok(verdicts)
    })
}

/// The trail may grow meanwhile: its head is read when no record is left, and what it knows beyond
/// the last one is read before it counts as missing.
async fn verify(
    store: &Store,
    tenant: &str,
    anchor: Option<Head>,
) -> Result<Result<Head, Break>, StoreError> {
    let mut verifier = Verifier::new(tenant, anchor);
    let mut after = (i64::MIN, i64::MIN);
    let mut head = None;
    loop {
        let page = store.audit_chained(tenant, after, PAGE).await?;
        if page.is_empty() {
            let now = store.audit_head(tenant).await?;
            if now == head || now.is_some_and(|now| now.sequence <= verifier.last().sequence) {
                return Ok(verifier.end(now));
            }
            head = now;
        }
        for (key, entry) in page {
            after = (entry.sequence.unwrap_or_default(), key);
            if let Err(broken) = verifier.next(&entry) {
                return Ok(Err(broken));
            }
        }
    }
}
