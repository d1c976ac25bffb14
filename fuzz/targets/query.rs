//! Any query string and any JSON as a search: it is read or refused.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use scimbridge::scim::dialect::{Dialect, Manners, Settings};
use scimbridge::scim::query::Query;
use scimbridge::scim::schema::ResourceType;

static USER: LazyLock<ResourceType> = LazyLock::new(|| ResourceType::user(&[]));
static MANNERS: LazyLock<Manners> = LazyLock::new(|| Manners::new(&Settings::default(), []));

fuzz_target!(|input: &[u8]| {
    for (_, dialect) in Dialect::NAMED {
        let manner = MANNERS.of(dialect, || Some(7));
        if let Ok(query) = Query::from_parameters(form_urlencoded::parse(input), &USER, manner) {
            assert!(query.start_index >= 1, "a page begins at 1: {query:?}");
        }
        if let Ok(body) = serde_json::from_slice(input) {
            let _ = Query::from_body(&body, &USER, manner);
        }
    }
});
