//! `scimbridge explain`: why the bridge answers as it does, for a reader.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{ArgAction, ArgGroup, Args};
use serde::Serialize;
use serde_json::Value;

use crate::app::explain::{self, AskedFilter};
use crate::config::Config;
use crate::federation::{
    Belonging, ExplainedFilter, ExplainedPerson, ExplainedRepository, ExplainedStore,
    ExplainedValue, HeldRule, Origin, Sent,
};
use crate::scim::dialect::Dialect;

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").required(true))]
pub struct Explain {
    /// The configuration file (TOML)
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The tenant
    #[arg(long, value_name = "NAME")]
    tenant: String,
    /// A SCIM filter over users: what each source would be asked for it
    #[arg(long, value_name = "FILTER", group = "what")]
    filter: Option<String>,
    /// A user, by id, number, <repository>.<entry key>, userName or externalId: which source gave each
    /// value
    #[arg(long, value_name = "ID", group = "what")]
    user: Option<String>,
    /// Whether directories are part of the question
    #[arg(long, value_name = "BOOLEAN", default_value_t = true, action = ArgAction::Set,
          conflicts_with = "user")]
    search_repositories: bool,
    /// The dialect in which the filter is written: rfc or activid; where it is left out, the tenant's
    #[arg(long, value_name = "NAME", value_parser = dialect, conflicts_with = "user")]
    dialect: Option<Dialect>,
    /// As one JSON object in place of text
    #[arg(long)]
    json: bool,
}

impl Explain {
    pub fn run(&self) -> anyhow::Result<()> {
        let config = Config::load(&self.config)?;
        let text = if let Some(id) = &self.user {
            self.shown(&explain::person(&config, &self.tenant, id)?, of_person)?
        } else {
            let asked = AskedFilter {
                filter: self.filter.as_deref().unwrap_or_default(),
                search_repositories: self.search_repositories,
                dialect: self.dialect,
            };
            self.shown(&explain::filter(&config, &self.tenant, asked)?, of_filter)?
        };
        std::io::stdout().write_all(text.as_bytes()).context("cannot print it")
    }

    fn shown<T: Serialize>(&self, value: &T, text: fn(&T) -> String) -> anyhow::Result<String> {
        if self.json { Ok(serde_json::to_string_pretty(value)? + "\n") } else { Ok(text(value)) }
    }
}

fn dialect(name: &str) -> Result<Dialect, String> {
    let named = Dialect::NAMED.iter().find(|(known, _)| *known == name);
    named.map(|(_, dialect)| *dialect).ok_or_else(|| "write rfc or activid".to_owned())
}

/// A text that grows line by line; writing to a String does not fail.
macro_rules! line {
    ($text:ident, $($part:tt)*) => {{ let _ = writeln!($text, $($part)*); }};
}

fn of_filter(explained: &ExplainedFilter) -> String {
    let mut text = String::new();
    line!(text, "filter\n  {}", explained.filter);
    if let Some(refused) = &explained.refused {
        line!(text, "\nrefused (tooMany): {refused}");
    }
    if !explained.search_repositories {
        line!(text, "\nrepositories\n  not asked: searchRepositories is false");
    }
    for repository in &explained.repositories {
        of_repository(&mut text, repository);
    }
    of_store(&mut text, &explained.store);
    line!(text, "\nmemory\n  the whole filter, on every user that was found, both halves merged");
    text
}

fn of_repository(text: &mut String, explained: &ExplainedRepository) {
    line!(text, "\nrepository {}", explained.id);
    if let Some(why) = &explained.unprepared {
        line!(text, "  the directory does not answer: {why}");
        line!(text, "  planned by the standard schema; its own may let more or less be sent");
    }
    for folded in &explained.folded {
        line!(text, "  {}: {}", folded.path, folded.why);
    }
    let Some(Sent { filter, bases, exact, scan, residual, .. }) = &explained.sent else {
        let why = if explained.folded.is_empty() {
            ": nobody there can match (another repository's id, an attribute that the directory lacks)"
        } else {
            ""
        };
        return line!(text, "  asks nobody{why}");
    };
    line!(text, "  sends    {filter}");
    for base in bases {
        line!(text, "  under    {base}");
    }
    line!(
        text,
        "  selects  {}",
        match (exact, scan) {
            (true, false) => "exactly whom the filter selects",
            (true, true) =>
                "everybody, and the filter wants everybody: all entries are read (scan)",
            (false, false) => "whom the filter selects, and perhaps more",
            (false, true) =>
                "everybody: nothing of the filter can be sent, all entries are read (scan)",
        }
    );
    if let Some(residual) = residual {
        line!(text, "  memory   {residual}");
    }
    let sent = explained.sent.as_ref();
    if sent.is_some_and(|sent| sent.decides_bound) {
        line!(text, "  bound    who is missing from the answer is left out");
    } else {
        line!(text, "  bound    whom the store finds and the answer lacks is read by key");
    }
    if sent.is_some_and(|sent| sent.reads_deleted) {
        line!(text, "  deleted  whose user was deleted here is read by key");
    }
    if explained.rules > 0 {
        line!(text, "  rules    {}, asked by key of whom the answer brings", explained.rules);
    }
}

fn of_store(text: &mut String, store: &ExplainedStore) {
    line!(text, "\nstore");
    if store.statements.is_empty() {
        line!(text, "  asks nothing: the filter concerns nobody who has a row");
    }
    for statement in &store.statements {
        line!(text, "  {}", statement.sql);
        for (place, value) in statement.values.iter().enumerate() {
            line!(text, "    ${} = {value}", place + 1);
        }
    }
    if let Some(residual) = &store.residual {
        line!(text, "  memory   {residual}");
    }
}

fn of_person(explained: &ExplainedPerson) -> String {
    let mut text = String::new();
    let number = explained.number.map(|number| format!(", number {number}")).unwrap_or_default();
    line!(text, "user {}{number}\n  {}", explained.id, explained.user_type);
    if let Some(source) = &explained.source {
        let state = match source.state {
            "ok" => "read now".to_owned(),
            "gone" => format!("the directory has no such entry; shown as seen {:.0}", source.seen),
            "unconfigured" => {
                format!("there is no such repository any more; shown as seen {:.0}", source.seen)
            }
            how => {
                format!("the directory does not answer ({how}); shown as seen {:.0}", source.seen)
            }
        };
        line!(text, "\nrepository {}\n  {}", source.repository, source.dn);
        line!(text, "  entry key {}\n  {state}", source.entry_key);
        for rule in &explained.rules {
            line!(text, "  {}", of_rule(rule));
        }
    }
    line!(text, "\nvalues");
    for value in &explained.values {
        of_value(&mut text, value);
    }
    for (name, list) in [("groups", &explained.groups), ("roles", &explained.roles)] {
        if !list.is_empty() {
            line!(text, "\n{name}");
        }
        for Belonging { id, display, because } in list {
            let display = display.as_deref().map(|name| format!(" ({name})")).unwrap_or_default();
            line!(text, "  {id}{display}: {}", because.join("; "));
        }
    }
    line!(text, "\nothers with this userName");
    for id in &explained.conflicts {
        line!(text, "  {id}");
    }
    for silent in &explained.silent {
        line!(text, "  not known: {silent}");
    }
    if explained.conflicts.is_empty() && explained.silent.is_empty() {
        line!(text, "  nobody");
    }
    text
}

fn of_rule(rule: &HeldRule) -> String {
    let asked = [("base", &rule.base), ("filter", &rule.filter), ("member_of", &rule.member_of)];
    let asked =
        asked.iter().filter_map(|(name, value)| Some(format!("{name} {}", value.as_ref()?)));
    let group = rule.group.iter().map(|group| format!("group {group}"));
    let gives = group.chain(rule.roles.iter().map(|role| format!("role {role}")));
    let (asked, gives): (Vec<String>, Vec<String>) = (asked.collect(), gives.collect());
    format!("rule {} holds ({}): gives {}", rule.number, asked.join(", "), gives.join(", "))
}

fn of_value(text: &mut String, value: &ExplainedValue) {
    let shown = value.value.as_ref().map_or_else(|| "(not shown)".to_owned(), short);
    let origin = match &value.origin {
        Origin::Store => "written here".to_owned(),
        Origin::Directory { repository, attributes } => {
            format!("{} of {repository}", attributes.join(" or "))
        }
        Origin::Shadow { repository, attributes, seen } => {
            format!("{} of {repository}, as seen {seen:.0}", attributes.join(" or "))
        }
        Origin::Default => "nobody says otherwise".to_owned(),
        Origin::Made => "made of other values".to_owned(),
    };
    let hides = value.hides.as_ref();
    let hides = hides.map(|hidden| format!(", in place of {}", short(hidden))).unwrap_or_default();
    let authority = value.authority;
    line!(text, "  {} = {shown}\n    {}{hides}; authority: {authority}", value.path, origin.trim());
}

/// An element of a list by its value and what tells it from others, where that is all it has.
fn short(value: &Value) -> String {
    let Some(members) = value.as_object() else { return value.to_string() };
    let told = ["value", "type", "name", "primary"];
    let (Some(plain), true) =
        (members.get("value"), members.keys().all(|name| told.contains(&name.as_str())))
    else {
        return value.to_string();
    };
    let kind = members.get("type").or_else(|| members.get("name")).and_then(Value::as_str);
    kind.map_or_else(|| plain.to_string(), |kind| format!("{plain} ({kind})"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::federation::Folded;
    use crate::store::Statement;

    fn repository(id: &str, sent: Option<Sent>) -> ExplainedRepository {
        let (unprepared, folded) = (None, Vec::new());
        ExplainedRepository { id: id.to_owned(), unprepared, folded, sent, rules: 0 }
    }

    fn sent(exact: bool, scan: bool) -> Sent {
        Sent {
            filter: "(uid=a*)".to_owned(),
            bases: vec!["ou=a".to_owned(), "ou=b".to_owned()],
            exact,
            scan,
            residual: (!exact).then(|| "title pr".to_owned()),
            decides_bound: exact,
            reads_deleted: scan,
        }
    }

    #[test]
    fn a_filter_is_told_source_by_source() {
        let mut nobody = repository("lab", None);
        nobody.folded = vec![Folded { path: "title".to_owned(), why: "none has it".to_owned() }];
        let statement =
            Statement { sql: "SELECT $1, $2".to_owned(), values: vec![json!("o'k"), json!(3)] };
        let explained = ExplainedFilter {
            filter: "userName sw \"a\"".to_owned(),
            search_repositories: true,
            repositories: vec![repository("corp", Some(sent(false, false))), nobody],
            store: ExplainedStore { statements: vec![statement], exact: true, residual: None },
            refused: None,
        };
        let told = "filter\n  userName sw \"a\"\n\
            \nrepository corp\n  sends    (uid=a*)\n  under    ou=a\n  under    ou=b\n  \
            selects  whom the filter selects, and perhaps more\n  memory   title pr\n  \
            bound    whom the store finds and the answer lacks is read by key\n\
            \nrepository lab\n  title: none has it\n  asks nobody\n\
            \nstore\n  SELECT $1, $2\n    $1 = \"o'k\"\n    $2 = 3\n\
            \nmemory\n  the whole filter, on every user that was found, both halves merged\n";
        assert_eq!(of_filter(&explained), told);
    }

    #[test]
    fn what_is_not_asked_is_told_with_its_reason() {
        let mut down = repository("corp", Some(sent(true, true)));
        down.unprepared = Some("refused".to_owned());
        down.rules = 2;
        let store = ExplainedStore { statements: Vec::new(), exact: true, residual: None };
        let refused = Some("too much".to_owned());
        let repositories = vec![down, repository("lab", None)];
        let (filter, search_repositories) = (String::new(), true);
        let mut explained =
            ExplainedFilter { filter, search_repositories, repositories, store, refused };
        let told = of_filter(&explained);
        for part in [
            "refused (tooMany): too much",
            "does not answer: refused",
            "standard schema",
            "all entries are read (scan)",
            "asks nobody: nobody there can match",
            "deleted  whose user",
            "rules    2, asked",
            "asks nothing",
        ] {
            assert!(told.contains(part), "{part} is not in {told}");
        }
        explained.search_repositories = false;
        assert!(of_filter(&explained).contains("searchRepositories is false"));
    }

    #[test]
    fn a_value_is_told_with_its_source_and_authority() {
        let value = |path: &str, value, origin, authority, hides| {
            let mut text = String::new();
            let path = path.to_owned();
            of_value(&mut text, &ExplainedValue { path, value, origin, authority, hides });
            text
        };
        let attributes = vec!["displayName".to_owned(), "cn".to_owned()];
        let repository = "corp".to_owned();
        let seen = "2026-01-31T08:30:00Z".parse().unwrap();
        let live = Origin::Directory { repository: repository.clone(), attributes };
        let attributes = vec!["mail".to_owned()];
        let shadow = Origin::Shadow { repository, attributes, seen };
        let mail = json!({ "value": "a@b", "type": "work", "primary": true });
        let address = json!({ "locality": "Ulm", "type": "work" });
        for (told, expected) in [
            (
                value("displayName", Some(json!("A")), live, "directory", None),
                "  displayName = \"A\"\n    displayName or cn of corp; authority: directory\n",
            ),
            (
                value("emails", Some(mail), shadow, "directory", None),
                "  emails = \"a@b\" (work)\n    mail of corp, as seen 2026-01-31T08:30:00Z; \
                 authority: directory\n",
            ),
            (
                value("title", Some(json!("B")), Origin::Store, "local", Some(json!("C"))),
                "  title = \"B\"\n    written here, in place of \"C\"; authority: local\n",
            ),
            (
                value("photos", None, Origin::Default, "store", None),
                "  photos = (not shown)\n    nobody says otherwise; authority: store\n",
            ),
            (
                value("addresses", Some(address), Origin::Made, "store", None),
                "  addresses = {\"locality\":\"Ulm\",\"type\":\"work\"}\n    made of other values; \
                 authority: store\n",
            ),
        ] {
            assert_eq!(told, expected);
        }
    }
}
