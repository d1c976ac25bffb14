//! Keys of the configuration whose features do not exist yet: the one list of them.
//!
//! Such a key is never ignored, but refused. When a feature arrives, its line goes and the key moves to [`super::written`].

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::fault::Fault;

/// One key, from the top of the file; `*` is any key.
struct Later {
    key: &'static str,
}

const fn later(key: &'static str) -> Later {
    Later { key }
}

const LATER: &[Later] = &[later("telemetry.otlp")];

/// Refuses what is to come, so that [`super::written`] sees none of it.
pub fn refuse(document: &mut DeTable<'_>) -> Result<(), Fault> {
    LATER.iter().try_for_each(|entry| refuse_in(document, entry, entry.key))
}

/// Names of such keys in the table at `path`, for whoever mistyped one.
pub fn names_in(path: &str) -> impl Iterator<Item = &'static str> {
    LATER.iter().filter_map(move |entry| match entry.key.rsplit_once('.') {
        Some((table, name)) if table == path => Some(name),
        _ => None,
    })
}

fn refuse_in(table: &mut DeTable<'_>, entry: &Later, rest: &str) -> Result<(), Fault> {
    let Some((head, rest)) = rest.split_once('.') else { return refuse_here(table, entry, rest) };
    if head == "*" {
        return table.iter_mut().try_for_each(|(_, value)| refuse_below(value, entry, rest));
    }
    table.get_mut(head).map_or(Ok(()), |value| refuse_below(value, entry, rest))
}

fn refuse_below(value: &mut Spanned<DeValue<'_>>, entry: &Later, rest: &str) -> Result<(), Fault> {
    match value.get_mut() {
        DeValue::Table(table) => refuse_in(table, entry, rest),
        DeValue::Array(list) => {
            list.iter_mut().try_for_each(|value| refuse_below(value, entry, rest))
        }
        _ => Ok(()),
    }
}

fn refuse_here(table: &mut DeTable<'_>, entry: &Later, name: &str) -> Result<(), Fault> {
    let Some((key, _)) = table.get_key_value(name) else { return Ok(()) };
    Err(Fault::not_yet(key, entry.key))
}
