//! From a repository's settings to a repository behind federation.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;

use crate::clock::Clock;
use crate::config::RepositorySettings;
use crate::federation::{Freshness, RepositoryPart};
use crate::repository::ldap::mapping::Mapping;
use crate::repository::ldap::wire;
use crate::repository::ldap::{LdapRepository, LdapSettings};
use crate::scim::ResourceType;
use crate::telemetry::metrics::RepositoryMetrics;

/// The repository with its cache policy and its limits.
pub fn part(
    settings: &RepositorySettings,
    resource_type: &Arc<ResourceType>,
    metrics: Arc<RepositoryMetrics>,
) -> anyhow::Result<RepositoryPart> {
    Ok(RepositoryPart {
        metrics,
        repository: Arc::new(open(settings, resource_type)?),
        former_id: settings.rename_from.clone(),
        rules: settings.rules.clone(),
        freshness: Freshness {
            fresh: settings.cache.fresh,
            negative: settings.cache.negative,
            stale: settings.cache.stale,
        },
        size_limit: settings.size_limit,
        timeout: settings.operation_timeout,
        verify: settings.verify,
    })
}

/// The repository alone. Nothing is connected yet: a directory may be down when the bridge starts.
pub fn open(
    settings: &RepositorySettings,
    resource_type: &Arc<ResourceType>,
) -> anyhow::Result<LdapRepository> {
    let mapping = Mapping::new(&settings.mapping, &settings.attributes, resource_type)?;
    let wire = wire::Settings {
        urls: settings.urls.clone(),
        starttls: settings.starttls,
        insecure: settings.insecure,
        follow_referrals: settings.follow_referrals.clone(),
        ca: settings.ca.as_deref().map(read).transpose()?,
        client_certificate: match &settings.client_certificate {
            Some((certificate, key)) => Some((read(certificate)?, read(key)?)),
            None => None,
        },
        bind_dn: settings.bind_dn.clone(),
        bind_password: settings.bind_password.clone(),
        connect_timeout: settings.connect_timeout,
        operation_timeout: settings.operation_timeout,
        max_message: settings.max_message,
        lookup: settings.lookup,
        scan: settings.scan,
        idle: settings.idle,
        max_age: settings.max_age,
    };
    Ok(LdapRepository::new(LdapSettings {
        id: Arc::clone(&settings.id),
        base: settings.base.clone(),
        filter: settings.filter.clone(),
        mapping,
        wire,
        changes: settings.changes,
        rules: settings.rules.clone(),
        clock: Clock::system(),
    })?)
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}
