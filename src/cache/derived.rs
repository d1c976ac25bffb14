//! Values made from other values: keyed by everything they were made from, so never out of date.

use std::borrow::Borrow;
use std::hash::Hash;

/// A bounded map of derived values. A key names the versions of all that the value was made from.
#[derive(Debug)]
pub struct Derived<K: Hash + Eq + Send + Sync + 'static, V: Clone + Send + Sync + 'static> {
    kept: moka::sync::Cache<K, V, foldhash::fast::RandomState>,
}

impl<K: Hash + Eq + Send + Sync + 'static, V: Clone + Send + Sync + 'static> Derived<K, V> {
    pub fn new(capacity_bytes: u64, weigh: fn(&K, &V) -> u32) -> Self {
        let kept = moka::sync::Cache::builder()
            .max_capacity(capacity_bytes)
            .weigher(weigh)
            .build_with_hasher(foldhash::fast::RandomState::default());
        Self { kept }
    }

    pub fn get<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.kept.get(key)
    }

    pub fn insert(&self, key: K, value: V) {
        self.kept.insert(key, value);
    }

    /// Forgets the values of keys that `concerns` names. Goes through all there are.
    pub fn invalidate_where(&self, concerns: impl Fn(&K) -> bool) {
        for (key, _) in &self.kept {
            if concerns(&key) {
                self.kept.invalidate(&*key);
            }
        }
    }
}
