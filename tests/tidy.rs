//! The house stays as `src/lib.rs` draws it: what a module may name, how a file looks.
//!
//! Reads the sources as text, without comments, strings and test code, so that it needs no compiler.

#![expect(clippy::unwrap_used, reason = "an unreadable source tree fails the test")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// The floors of `src/lib.rs`, and whether the modules of a floor may name each other. Every module
/// names what stands below it.
const FLOORS: [(&[&str], bool); 6] = [
    (&["clock", "secret", "scim", "caller", "audit"], true),
    (&["config", "telemetry"], false),
    (&["store", "repository", "cache"], false),
    (&["federation", "auth"], false),
    (&["http", "import"], false),
    (&["app", "cli", "main"], true),
];

/// Drivers ask federation and auth; they never reach for what those hold.
const DRIVERS: [&str; 2] = ["http", "import"];
const HOLDINGS: [&str; 3] = ["store", "repository", "cache"];

/// Crates and the only modules that may name them.
const FENCES: [(&[&str], &[&str]); 8] = [
    (&["rusqlite", "tokio_postgres"], &["store"]),
    (&["ldap3", "lber"], &["repository::ldap::wire"]),
    (&["moka"], &["cache"]),
    (&["axum", "tower", "tower_http"], &["http"]),
    (&["hyper", "hyper_util", "http_body_util"], &["http", "auth::fetch"]),
    (&["toml"], &["config", "repository::ldap::mapping"]),
    (&["tracing_subscriber"], &["telemetry", "config"]),
    (&["clap"], &["cli", "main"]),
];

/// The only file that may escape a value into an LDAP filter, or write one around a value.
const FILTERS: &str = "repository::ldap::filter";

const LONGEST: usize = 600;

/// Spelled in two halves, so that this file does not name them.
const UNFINISHED: [&str; 6] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("X", "XX"),
    concat!("todo", "!("),
    concat!("unimplemented", "!("),
    concat!("#[ign", "ore"),
];

#[test]
fn every_source_keeps_to_its_floor() {
    let mut complaints = String::new();
    assert!(sources("src").len() > 20, "the sources are not where they were");
    for (name, text) in sources("src") {
        for (line, rule) in floors(&name, &text).into_iter().chain(looks(&text)) {
            let _ = writeln!(complaints, "{name}:{line}: {rule}");
        }
    }
    for directory in ["tests", "benches", "docker", "fuzz/targets"] {
        for (name, text) in sources(directory) {
            for (line, rule) in looks(&text) {
                let _ = writeln!(complaints, "{name}:{line}: {rule}");
            }
        }
    }
    assert!(complaints.is_empty(), "\n{complaints}");
}

/// Every Rust file below `directory`, by its path in the repository.
fn sources(directory: &str) -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut waiting = vec![root.join(directory)];
    let mut found = Vec::new();
    while let Some(directory) = waiting.pop() {
        let Ok(entries) = std::fs::read_dir(&directory) else { continue };
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        for path in paths {
            if path.is_dir() {
                waiting.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                found.push((path.strip_prefix(root).unwrap().display().to_string(), text));
            }
        }
    }
    found
}

/// How a file looks, whatever it holds.
fn looks(text: &str) -> Vec<(usize, String)> {
    let mut broken = Vec::new();
    if !text.starts_with("//!") {
        broken.push((1, "a file begins with a //! sentence that says what it knows".to_owned()));
    }
    if text.lines().count() > LONGEST {
        broken
            .push((LONGEST, format!("no file is longer than {LONGEST} lines; this is two rooms")));
    }
    for (index, line) in text.lines().enumerate() {
        for mark in UNFINISHED.iter().filter(|mark| line.contains(**mark)) {
            broken.push((index + 1, format!("{mark} marks what is not finished")));
        }
    }
    broken
}

/// Which rules about names a file of `src` breaks.
fn floors(name: &str, text: &str) -> Vec<(usize, String)> {
    let inside = name.trim_start_matches("src/").trim_end_matches(".rs");
    let module: Vec<&str> = inside.split('/').filter(|part| *part != "mod").collect();
    if module.contains(&"tests") || module == ["lib"] {
        return Vec::new();
    }
    let path = module.join("::");
    let mut broken = Vec::new();
    let Source { code, literals } = Source::read(text);
    for (line, other) in named_modules(&code, module.len()) {
        if let Some(rule) = refuses(module[0], &other) {
            broken.push((line, rule));
        }
    }
    for (at, word, follows) in words(&code) {
        let names_crate = follows.starts_with("::") && !code[..at].ends_with("::")
            || code[..at].ends_with("use ");
        let fence = FENCES.iter().find(|(crates, _)| crates.contains(&word));
        if let Some((_, rooms)) = fence.filter(|_| names_crate)
            && !rooms.iter().any(|room| is_within(&path, room))
        {
            let rule = format!("only {} may name the crate {word}", rooms.join(", "));
            broken.push((line_of(&code, at), rule));
        }
        if matches!(word, "ldap_escape" | "dn_escape") && !is_within(&path, FILTERS) {
            let rule = format!("only {FILTERS} escapes values of LDAP filters");
            broken.push((line_of(&code, at), rule));
        }
    }
    if is_within(&path, "repository") && !is_within(&path, FILTERS) {
        for (at, number, _) in words(&code).filter(|(at, ..)| code[..*at].ends_with('"')) {
            let literal = number.parse().ok().and_then(|number: usize| literals.get(number));
            let around = |text: &String| text.find("={").is_some_and(|at| text[..at].contains('('));
            if literal.is_some_and(around) {
                let rule = format!("only {FILTERS} puts values into LDAP filters");
                broken.push((line_of(&code, at), rule));
            }
        }
    }
    broken
}

/// Why `own` may not name `other`, if so.
fn refuses(own: &str, other: &str) -> Option<String> {
    let floor = |name: &str| FLOORS.iter().position(|(modules, _)| modules.contains(&name));
    let Some(mine) = floor(own) else {
        return Some(format!("the module {own} stands on no floor; give it one in tests/tidy.rs"));
    };
    // What is no module of the first level is a macro or a re-export of the crate.
    let theirs = floor(other)?;
    if own == other || (theirs == mine && FLOORS[mine].1) {
        return None;
    }
    if theirs >= mine {
        return Some(format!("{own} (floor {mine}) may not name {other} (floor {theirs})"));
    }
    let reaches = DRIVERS.contains(&own) && HOLDINGS.contains(&other);
    reaches.then(|| format!("{own} is a driver and may not name {other}, a holding"))
}

fn is_within(path: &str, room: &str) -> bool {
    path == room || path.strip_prefix(room).is_some_and(|rest| rest.starts_with("::"))
}

/// The modules of the first level that `code` names, by `crate::x`, by a group of them, or by
/// enough `super::`; `depth` is how deep the file's own module is.
fn named_modules(code: &str, depth: usize) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (at, word, follows) in words(code) {
        let begins = !code[..at].ends_with("::");
        let mut rest = follows;
        let mut climbs = 1;
        while let Some(higher) = rest.strip_prefix("::super") {
            (rest, climbs) = (higher, climbs + 1);
        }
        let from_root = match word {
            "crate" | "scimbridge" => begins,
            "super" => begins && climbs >= depth,
            _ => false,
        };
        let rest = rest.strip_prefix("::").filter(|_| from_root);
        let Some(rest) = rest else { continue };
        let line = line_of(code, at);
        if let Some(group) = rest.trim_start().strip_prefix('{') {
            let start = code.len() - group.len();
            let mut level = 0;
            let mut first = true;
            for (offset, c) in group.char_indices() {
                match c {
                    '{' => level += 1,
                    '}' if level == 0 => break,
                    '}' => level -= 1,
                    ',' if level == 0 => first = true,
                    _ if first && !c.is_whitespace() => {
                        first = false;
                        found.push((line_of(code, start + offset), identifier(&group[offset..])));
                    }
                    _ => {}
                }
            }
        } else {
            found.push((line, identifier(rest.trim_start())));
        }
    }
    found
}

fn identifier(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// Every word with its place and what follows it.
fn words(code: &str) -> impl Iterator<Item = (usize, &str, &str)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let part = |c: char| c.is_alphanumeric() || c == '_';
        let start = at + code[at..].find(part)?;
        let end = code[start..].find(|c| !part(c)).map_or(code.len(), |length| start + length);
        at = end;
        Some((start, &code[start..end], &code[end..]))
    })
}

fn line_of(code: &str, at: usize) -> usize {
    code[..at].matches('\n').count() + 1
}

/// A source without what the rules do not read: comments are gone, and so is every item under
/// `#[cfg(test)]`; a literal is its number between quotes. Every line is where it was.
struct Source {
    code: String,
    literals: Vec<String>,
}

impl Source {
    fn read(text: &str) -> Self {
        let mut source = Self { code: String::with_capacity(text.len()), literals: Vec::new() };
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            let length = source.token(rest).unwrap_or_else(|| {
                source.code.push(c);
                c.len_utf8()
            });
            rest = &rest[length..];
        }
        source.drop_tests();
        source
    }

    /// Takes the comment or literal that `rest` begins with; its length, if there is one.
    fn token(&mut self, rest: &str) -> Option<usize> {
        if rest.starts_with("//") {
            return Some(rest.find('\n').unwrap_or(rest.len()));
        }
        if rest.starts_with("/*") {
            let mut level = 0;
            let end = rest.char_indices().find(|(at, _)| {
                level += i32::from(rest[*at..].starts_with("/*"));
                level -= i32::from(rest[..*at].ends_with("*/"));
                level == 0
            });
            let length = end.map_or(rest.len(), |(at, _)| at);
            self.lines_of(&rest[..length]);
            return Some(length);
        }
        if let Some(inner) = rest.strip_prefix('\'') {
            // A lifetime has no quote after its first character.
            let mut chars = inner.chars();
            let length = match chars.next()? {
                '\\' => 2 + inner[2..].find('\'')? + 2,
                c if chars.next() == Some('\'') => c.len_utf8() + 2,
                _ => return None,
            };
            self.code.push_str("' '");
            return Some(length);
        }
        let raw = rest.starts_with("r\"") || rest.starts_with("r#");
        let after_word = self.code.ends_with(|c: char| c.is_alphanumeric() && c != 'b' || c == '_');
        if raw && !after_word {
            let fence = rest[1..].find('"').filter(|at| rest[1..=*at].chars().all(|c| c == '#'))?;
            let start = fence + 2;
            let length = rest[start..].find(&format!("\"{}", "#".repeat(fence)))?;
            self.literal(&rest[start..start + length]);
            return Some(start + length + 1 + fence);
        }
        let inner = rest.strip_prefix('"')?;
        let mut escaped = false;
        let length = inner.find(|c| {
            let ends = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        })?;
        self.literal(&inner[..length]);
        Some(length + 2)
    }

    fn literal(&mut self, text: &str) {
        let _ = write!(self.code, "\"{}\"", self.literals.len());
        self.lines_of(text);
        self.literals.push(text.to_owned());
    }

    fn lines_of(&mut self, text: &str) {
        self.code.extend(text.chars().filter(|c| *c == '\n'));
    }

    fn drop_tests(&mut self) {
        while let Some(start) = self.code.find("#[cfg(test)]") {
            // The item ends with the bracket that closes its first one, or with a semicolon before.
            let mut level = 0;
            let end = self.code[start..].char_indices().find(|(_, c)| {
                level += i32::from(*c == '{') - i32::from(*c == '}');
                level == 0 && matches!(c, '}' | ';')
            });
            let end = end.map_or(self.code.len(), |(offset, _)| start + offset + 1);
            let lines: String = self.code[start..end].chars().filter(|c| *c == '\n').collect();
            self.code.replace_range(start..end, &lines);
        }
    }
}

/// The table of threats names tests by their places, and a row without one says nothing.
#[test]
fn every_test_that_the_table_of_threats_names_is_there() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/auth/threats.md");
    let table = std::fs::read_to_string(path).unwrap();
    let sources: Vec<_> = sources("src").into_iter().chain(sources("tests")).collect();
    let rows: Vec<&str> = table.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
    assert!(rows.len() > 20, "the table is not where it was");
    for row in rows {
        let named: Vec<&str> =
            row.split('`').skip(1).step_by(2).filter(|word| word.contains("::")).collect();
        assert!(!named.is_empty(), "no test shows this: {row}");
        for test in named {
            assert!(is_test(test, &sources), "there is no test {test}");
        }
    }
    assert!(!is_test("auth::bearer::token", &sources), "a function is no test");
    assert!(!is_test("auth::jwt::a_token_is_of_one_tenant", &sources), "it is elsewhere");
}

/// Whether a test of this name is in that room: `it::x` is below `tests`, everything else below `src`.
fn is_test(named: &str, sources: &[(String, String)]) -> bool {
    let (room, test) = named.rsplit_once("::").unwrap();
    let below = if room == "it" || room.starts_with("it::") { "tests" } else { "src" };
    let place = format!("{below}/{}", room.replace("::", "/"));
    let head = format!("fn {test}(");
    let is_in_room =
        |name: &str| name.strip_prefix(&place).is_some_and(|rest| rest.starts_with(['.', '/']));
    sources.iter().filter(|(name, _)| is_in_room(name)).any(|(_, text)| {
        let before = text.split_once(&head).map_or("", |(before, _)| before);
        // The attribute, and of an asynchronous one the word before `fn`.
        let mut last = before.lines().rev().take(2);
        last.any(|line| line.contains("#[test]") || line.contains("#[tokio::test"))
    })
}

#[test]
fn what_breaks_a_floor_is_found() {
    for (name, text, line, rule) in [
        (
            "src/scim/query.rs",
            "//! x\nuse crate::store::ResourceRow;",
            2,
            "floor 0) may not name store",
        ),
        ("src/store/user.rs", "use crate::{scim::{A, B}, cache::C};", 1, "may not name cache"),
        ("src/store/user.rs", "fn f() {\n  crate::federation::x() }", 2, "may not name federation"),
        ("src/federation/read.rs", "use super::super::http::x;", 1, "may not name http"),
        ("src/federation/mod.rs", "use super::auth;", 1, "may not name auth"),
        ("src/http/users.rs", "use crate::repository::Found;", 1, "a driver"),
        ("src/http/users.rs", "use toml::Value;", 1, "the crate toml"),
        ("src/federation/read.rs", "let c = moka::sync::Cache::new(1);", 1, "only cache may name"),
        ("src/repository/ldap/mod.rs", "use ldap3;", 1, "repository::ldap::wire"),
        ("src/repository/ldap/dn.rs", "ldap_escape(x)", 1, "escapes"),
        ("src/repository/ldap/dn.rs", "format!(\"(uid={uid})\")", 1, "puts values into"),
        ("src/attic/mod.rs", "use crate::scim::X;", 1, "stands on no floor"),
    ] {
        let told = floors(name, text);
        assert!(
            told.iter().any(|(at, told)| *at == line && told.contains(rule)),
            "{name}: {text}: {told:?}"
        );
    }
}

#[test]
fn what_keeps_to_its_floor_is_left_alone() {
    for (name, text) in [
        ("src/store/user.rs", "use crate::{audit::A, scim::{store, B}}; use super::engine;"),
        ("src/scim/text.rs", "/* crate::store::X /* nested */ */ // crate::http\nlet c = '\"';"),
        ("src/scim/text.rs", "let a = \"crate::store \\\" moka::x\"; let b = r#\"rusqlite::\"#;"),
        ("src/scim/text.rs", "#[cfg(test)]\nmod tests {\n fn f() { crate::http::x(\"}\"); }\n}"),
        ("src/http/users.rs", "use axum::Router; use http::StatusCode; fn f<'a>(x: &'a str) {}"),
        ("src/repository/ldap/filter.rs", "ldap_escape(x); format!(\"({a}={v})\")"),
        ("src/repository/ldap/wire/codec.rs", "use lber::Parser; use ldap3::Ldap;"),
        ("src/app.rs", "use crate::{cli::A, http::B, store::C};"),
        ("src/config/tests.rs", "use crate::http::x;"),
    ] {
        assert_eq!(floors(name, text), [], "{name}: {text}");
    }
}
