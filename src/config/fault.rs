//! What is wrong with a configuration: said once, with file, line, key, value and remedy.
//!
//! Knows nothing of what any key means. Never shows what may be a secret.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::later;

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read the configuration file {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{0}")]
    Wrong(Box<Report>),
}

/// One fault with the place where it stands, ready to be printed over several lines.
#[derive(Debug)]
pub struct Report {
    file: Option<PathBuf>,
    headline: String,
    excerpt: Option<Excerpt>,
    remedy: String,
}

#[derive(Debug)]
struct Excerpt {
    /// From 1.
    line: usize,
    text: String,
    /// Characters before the mark, and of it; nothing is marked where the value is hidden.
    mark: Option<(usize, usize)>,
}

impl Report {
    /// The line that is meant, from 1; absent where the fault is that something is not there.
    pub fn line(&self) -> Option<usize> {
        self.excerpt.as_ref().map(|excerpt| excerpt.line)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.file {
            Some(file) => write!(f, "{}", file.display())?,
            None => f.write_str("configuration")?,
        }
        if let Some(line) = self.line() {
            write!(f, ":{line}")?;
        }
        write!(f, ": {}", self.headline)?;
        let margin = match &self.excerpt {
            Some(Excerpt { line, text, mark }) => {
                let margin = line.to_string().len() + 1;
                write!(f, "\n{:margin$}|\n{line} | {text}", "")?;
                if let Some((before, length)) = mark {
                    write!(f, "\n{:margin$}| {:before$}{:^<length$}", "", "", "")?;
                }
                margin
            }
            None => 2,
        };
        if !self.remedy.is_empty() {
            write!(f, "\n{:margin$}= {}", "", self.remedy)?;
        }
        Ok(())
    }
}

/// One fault, before file and line are looked up.
#[derive(Debug)]
pub struct Fault {
    span: Option<Range<usize>>,
    problem: Problem,
    remedy: String,
    /// Whether the line is shown up to its `=` only.
    hidden: bool,
}

#[derive(Debug)]
enum Problem {
    /// Said of the key that stands at the span.
    OfKey(String),
    /// Said as it is.
    Whole(String),
}

impl Fault {
    /// Says `problem` of the key whose value stands at `place`.
    pub fn at<T>(
        place: &Spanned<T>,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            span: Some(place.span()),
            problem: Problem::OfKey(problem.into()),
            remedy: remedy.into(),
            hidden: false,
        }
    }

    /// The same where the value must not be shown.
    pub fn at_secret<T>(
        place: &Spanned<T>,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { hidden: true, ..Self::at(place, problem, remedy) }
    }

    /// Says that something is missing of which no line tells.
    pub fn absent(problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            span: None,
            problem: Problem::Whole(problem.into()),
            remedy: remedy.into(),
            hidden: false,
        }
    }

    /// Says that `word` is none of `known`.
    pub fn choice<T>(place: &Spanned<T>, word: Option<&str>, known: &[&str]) -> Self {
        let known_list = listed(known.iter().copied());
        match word {
            Some(word) => {
                let remedy = match nearest(word, known.iter().copied()) {
                    Some(near) => format!("did you mean \"{near}\"? Known: {known_list}"),
                    None => format!("write one of {known_list}"),
                };
                Self::at(place, format!("no such choice: \"{word}\""), remedy)
            }
            None => Self::at(place, "takes a word in quotes", format!("write one of {known_list}")),
        }
    }

    /// Says that a key is known and its feature is not there.
    pub fn not_yet<T>(place: &Spanned<T>, key: &str) -> Self {
        Self {
            span: Some(place.span()),
            problem: Problem::Whole(format!("\"{key}\" is not yet supported; remove it")),
            remedy: "this version has nothing for it".to_owned(),
            hidden: true,
        }
    }

    /// Says that the text is no TOML.
    pub fn syntax(error: &toml::de::Error) -> Self {
        Self {
            span: error.span(),
            problem: Problem::Whole(format!("this is not TOML: {}", error.message())),
            remedy: "strings stand in quotes, every key once, as in key = \"value\"".to_owned(),
            hidden: false,
        }
    }

    /// Says what kept the document from being read as the keys that are known.
    pub fn reading(error: &toml::de::Error, document: &DeTable<'_>) -> Self {
        let message = error.message();
        let span = error.span();
        let table = span.as_ref().and_then(|span| key_at(document, span)).unwrap_or_default();
        let mut quoted = message.split('`').skip(1).step_by(2);
        if message.starts_with("unknown field") {
            let name = quoted.next().unwrap_or_default();
            let parent = table.rsplit_once('.').map_or("", |(parent, _)| parent);
            let mut known: Vec<&str> = quoted.collect();
            later::names_in(parent).for_each(|name| known.push(name));
            let remedy = match nearest(name, known.iter().copied()) {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => format!("known here: {}", known.join(", ")),
            };
            return Self {
                span,
                problem: Problem::OfKey("no such key".to_owned()),
                remedy,
                hidden: true,
            };
        }
        if message.starts_with("missing field") {
            let name = quoted.next().unwrap_or_default();
            let key = if table.is_empty() { name.to_owned() } else { format!("{table}.{name}") };
            return Self {
                span,
                problem: Problem::Whole(format!("{key} is missing")),
                remedy: format!("write for example {}", example_of(name)),
                hidden: true,
            };
        }
        let (problem, remedy) = match message.split_once(", expected ") {
            Some((found, expected)) if !is_sensitive(&table) => {
                let found = found.split_once(": ").map_or(found, |(_, found)| found);
                (format!("{found} does not belong here"), wanted(expected))
            }
            Some((_, expected)) => ("the value has the wrong type".to_owned(), wanted(expected)),
            None => (message.to_owned(), String::new()),
        };
        Self { span, problem: Problem::OfKey(problem), remedy, hidden: false }
    }

    /// Looks up file, line and key.
    pub fn locate(self, text: &str, file: Option<&Path>) -> ConfigError {
        let document = DeTable::parse(text).ok();
        let key = self
            .span
            .as_ref()
            .and_then(|span| key_at(document.as_ref()?.get_ref(), span))
            .unwrap_or_default();
        let headline = match self.problem {
            Problem::OfKey(problem) if key.is_empty() => problem,
            Problem::OfKey(problem) => format!("{key}: {problem}"),
            Problem::Whole(problem) => problem,
        };
        let hidden = self.hidden || is_sensitive(&key);
        let excerpt = self.span.map(|span| Excerpt::of(text, &span, hidden));
        ConfigError::Wrong(Box::new(Report {
            file: file.map(Path::to_owned),
            headline,
            excerpt,
            remedy: self.remedy,
        }))
    }
}

impl Excerpt {
    fn of(text: &str, span: &Range<usize>, hidden: bool) -> Self {
        let start = text.floor_char_boundary(span.start.min(text.len()));
        let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |at| start + at);
        let line = text[..line_start].matches('\n').count() + 1;
        let whole = text[line_start..line_end].trim_end_matches('\r');
        let (shown, scrubbed) = scrub(whole, hidden, &text[..line_start]);
        let end = text.floor_char_boundary(span.end.min(line_end).max(start));
        let before = text[line_start..start].chars().count();
        let length = text[start..end].chars().count().max(1);
        let fits = before + length <= shown.chars().count().max(1) || !scrubbed;
        Self { line, text: shown.replace('\t', " "), mark: fits.then_some((before, length)) }
    }
}

/// Words in a line that announce a secret.
const SENSITIVE: [&str; 6] =
    ["password", "passwd", "pasword", "secret", "credential", "scimbridge_"];

fn is_sensitive(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    SENSITIVE.iter().any(|word| text.contains(word))
}

/// The line without what may be a secret, and whether anything was taken out.
fn scrub(line: &str, hidden: bool, earlier: &str) -> (String, bool) {
    let lower = line.to_ascii_lowercase();
    let cut = if hidden {
        line.find('=').map(|at| at + 1)
    } else if let Some(at) = SENSITIVE.iter().filter_map(|word| lower.find(word)).min() {
        Some(line[at..].find('=').map_or(at, |equals| at + equals + 1))
    } else if !line.contains('=')
        && earlier.lines().rev().find(|line| line.contains('=')).is_some_and(is_sensitive)
    {
        // The inside of a text over several lines.
        Some(0)
    } else {
        // `scheme://user:password@host`
        line.find("://").filter(|_| line.contains('@')).map(|at| at + 3)
    };
    match cut {
        Some(at) if at < line.len() => (format!("{} …", &line[..at]), true),
        _ => (line.to_owned(), false),
    }
}

/// The dotted name of the key that stands at `span`, or whose value does.
fn key_at(table: &DeTable<'_>, span: &Range<usize>) -> Option<String> {
    table.iter().find_map(|(key, value)| {
        let name = key.get_ref();
        let name = if name.contains(['.', ':']) { format!("\"{name}\"") } else { name.to_string() };
        if let Some(inner) = key_within(value.get_ref(), span) {
            return Some(if inner.is_empty() { name } else { format!("{name}.{inner}") });
        }
        (key.span() == *span || value.span() == *span).then_some(name)
    })
}

/// The rest of the name below a value; empty where it is an element of a list.
fn key_within(value: &DeValue<'_>, span: &Range<usize>) -> Option<String> {
    match value {
        DeValue::Table(table) => key_at(table, span),
        DeValue::Array(list) => list.iter().find_map(|element| {
            key_within(element.get_ref(), span)
                .or_else(|| (element.span() == *span).then(String::new))
        }),
        _ => None,
    }
}

/// The known word that somebody probably meant.
pub fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_ascii_lowercase();
    known
        .map(|candidate| {
            (strsim::damerau_levenshtein(&word, &candidate.to_ascii_lowercase()), candidate)
        })
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len().min(word.len()) / 3)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

pub fn listed<'a>(words: impl Iterator<Item = &'a str>) -> String {
    words.map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", ")
}

/// What to write where serde's reader wanted something else.
fn wanted(expected: &str) -> String {
    match expected {
        "a string" => "write a text in quotes".to_owned(),
        "a boolean" => "write true or false, without quotes".to_owned(),
        "u64" | "i64" | "u16" | "u32" => "write a whole number, without quotes".to_owned(),
        "a sequence" => "write a list, as in [\"…\"], or [[…]] over its table".to_owned(),
        "a map" => "write a table".to_owned(),
        _ if expected.starts_with("struct ") => "write a table, as in { key = \"…\" }".to_owned(),
        _ => format!("write {expected}"),
    }
}

fn example_of(key: &str) -> &'static str {
    match key {
        "name" => "name = \"acme\"",
        "id" => "id = \"corp\"",
        "urls" => "urls = [\"ldaps://ldap.example.org\"]",
        "base" => "base = \"ou=people,dc=example,dc=org\"",
        "sha256" => "the table that `scimbridge token new --name …` prints",
        "permissions" => "permissions = [\"users:search\", \"users:read\"]",
        "certificate" => "certificate = \"client.pem\"",
        "key" => "key = \"client-key.pem\"",
        "path" => "path = \"/scim/v2\"",
        _ => "it",
    }
}
