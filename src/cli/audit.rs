//! `scimbridge audit`: what was changed and by whom, and whether the record of it is whole.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context, bail, ensure};
use clap::{Args, Subcommand, ValueEnum};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::app;
use crate::app::trail::Verdict;
use crate::audit::AuditEntry;
use crate::audit::chain::{self, Break, Flaw, Head};
use crate::clock::Clock;
use crate::config::Config;
use crate::store::AuditFilter;

/// A bridge that runs chains sooner than this.
const CHAINED_WITHIN: SignedDuration = SignedDuration::from_mins(1);

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List changes, the newest last
    ///
    /// People stand in the audit trail as random tokens. Who a token is, is shown until the user is
    /// forgotten.
    List(List),
    /// Compute the chain of hashes anew and name the first record that does not fit
    ///
    /// Exits with 1 when a record was changed, removed or put in, or the end was cut off. Records that
    /// no bridge has chained yet are named and are no fault. Prints where each chain stands: whoever
    /// notes that elsewhere can hold the trail against it by --anchor later, which also finds a chain
    /// that was cut or computed anew as a whole.
    Verify(Verify),
}

#[derive(Debug, Args)]
pub struct List {
    /// The configuration file (TOML)
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The tenant; may be left out where there is one
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
    /// Changes from then on: 2026-01-31, 2026-01-31T08:30:00Z, or so long ago: 90m, 24h, 7d
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<Since>,
    /// Changes of this user or group, or by this user: id, number or token
    #[arg(long, value_name = "ID")]
    person: Option<String>,
    /// Changes by this caller: the name of a token or client
    #[arg(long, value_name = "NAME")]
    caller: Option<String>,
    /// Changes of this sort: user.create, createUser
    #[arg(long, value_name = "WORD")]
    action: Option<String>,
    /// How many at most
    #[arg(long, value_name = "NUMBER", default_value_t = 100,
          value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    limit: u64,
    /// A table, or one JSON object a line
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Debug, Args)]
pub struct Verify {
    /// The configuration file (TOML)
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The tenant; all where it is left out
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
    /// Where the chain stood at an earlier time, as this command or the log (audit.head) said
    #[arg(long, value_name = "PLACE:HASH", value_parser = anchor, requires = "tenant")]
    anchor: Option<Head>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Since {
    At(Timestamp),
    Ago(SignedDuration),
}

pub fn run(command: &Command) -> anyhow::Result<()> {
    match command {
        Command::List(list) => list.run(),
        Command::Verify(verify) => verify.run(),
    }
}

impl List {
    fn run(&self) -> anyhow::Result<()> {
        let config = Config::load(&self.config)?;
        let tenant = match (&self.tenant, &config.tenants[..]) {
            (Some(tenant), _) => tenant.as_str(),
            (None, [tenant]) => &*tenant.name,
            (None, _) => bail!("there are several tenants; name one by --tenant"),
        };
        let since = self.since.map(|since| match since {
            Since::At(at) => at,
            Since::Ago(ago) => Clock::system().now().checked_sub(ago).unwrap_or(Timestamp::MIN),
        });
        let filter = AuditFilter {
            tenant,
            person: self.person.as_deref(),
            caller: self.caller.as_deref(),
            action: self.action.as_deref(),
            since,
            limit: self.limit,
        };
        let entries = app::trail::audit_list(&config, &filter)?;
        let text = match self.format {
            Format::Text => table(&entries),
            Format::Json => {
                let lines: Vec<String> =
                    entries.iter().map(|entry| format!("{}\n", line(tenant, entry))).collect();
                lines.concat()
            }
        };
        print(&text)
    }
}

impl Verify {
    fn run(&self) -> anyhow::Result<()> {
        let config = Config::load(&self.config)?;
        let tenants = match &self.tenant {
            Some(tenant) => vec![tenant.clone()],
            None => config.tenants.iter().map(|tenant| tenant.name.to_string()).collect(),
        };
        let verdicts = app::trail::audit_verify(&config, &tenants, self.anchor)?;
        let now = Clock::system().now();
        let told: Vec<String> = verdicts.iter().map(|verdict| told(verdict, now)).collect();
        print(&told.concat())?;
        let broken: Vec<&str> = verdicts
            .iter()
            .filter(|verdict| verdict.chain.is_err())
            .map(|verdict| verdict.tenant.as_str())
            .collect();
        ensure!(broken.is_empty(), "the audit trail is broken: {}", broken.join(", "));
        Ok(())
    }
}

fn print(text: &str) -> anyhow::Result<()> {
    std::io::stdout().write_all(text.as_bytes()).context("cannot print it")
}

/// A tenant's verdict, in one or two lines.
fn told(verdict: &Verdict, now: Timestamp) -> String {
    let tenant = &verdict.tenant;
    let chain = match &verdict.chain {
        Ok(head) if head.sequence == 0 => format!("{tenant}: nothing is chained\n"),
        Ok(head) => format!("{tenant}: chained and whole: {}, up to {head}\n", head.sequence),
        Err(broken) => format!("{tenant}: BROKEN at record {}: {}\n", broken.sequence, why(broken)),
    };
    let Some(oldest) = verdict.tail.oldest else { return chain };
    let late = now.duration_since(oldest) > CHAINED_WITHIN;
    let remark = if late { "; a bridge that runs chains them within a second" } else { "" };
    let records = verdict.tail.records;
    format!("{chain}{tenant}: not chained yet: {records}, since {oldest:.0}{remark}\n")
}

fn why(broken: &Break) -> &'static str {
    match broken.flaw {
        Flaw::Changed => "it is not the record that was chained",
        Flaw::Removed => "it is gone, and later ones are there",
        Flaw::Inserted => "it was put in",
        Flaw::CutOff => "it is gone, and so is all that followed",
        Flaw::Head => "it fits, and what is kept of the chain's head does not",
        Flaw::Anchor => "it is another one than the anchor says: the chain was computed anew",
    }
}

fn table(entries: &[AuditEntry]) -> String {
    let head = format!(
        "{:>8} {:20} {:20} {:18} {:8} {:36} REQUEST\n",
        "RECORD", "AT", "CALLER", "EVENT", "OUTCOME", "PERSON"
    );
    let lines = entries.iter().map(|entry| {
        let place = entry.sequence.map_or_else(|| "-".to_owned(), |place| place.to_string());
        let at = format!("{:.0}", entry.at);
        let event = if entry.event.is_empty() { &entry.action } else { &entry.event };
        let person = entry.person.as_ref().unwrap_or(&entry.token);
        let job = entry.correlation_id.as_deref().map(|job| format!(" {job}")).unwrap_or_default();
        let detail = entry.detail.as_deref().map(|told| format!(" {told}")).unwrap_or_default();
        let AuditEntry { caller, outcome, request_id, .. } = entry;
        format!(
            "{place:>8} {at:20} {caller:20} {event:18} {outcome:8} {person:36} {request_id}{job}{detail}\n"
        )
    });
    std::iter::once(head).chain(lines).collect()
}

fn line(tenant: &str, entry: &AuditEntry) -> Value {
    json!({
        "record": entry.sequence,
        "at": entry.at.to_string(),
        "tenant": tenant,
        "caller": entry.caller,
        "actor": entry.actor,
        "action": entry.action,
        "event": entry.event,
        "outcome": entry.outcome,
        "token": entry.token,
        "person": entry.person,
        "requestId": entry.request_id,
        "correlationId": entry.correlation_id,
        "detail": entry.detail,
        "hash": entry.hash,
    })
}

fn since(text: &str) -> Result<Since, String> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(Since::At(at));
    }
    if let Ok(date) = text.parse::<Date>()
        && let Ok(start) = date.to_zoned(TimeZone::UTC)
    {
        return Ok(Since::At(start.timestamp()));
    }
    let units = [("s", 1), ("m", 60), ("h", 3_600), ("d", 86_400)];
    let ago = units.iter().find_map(|(unit, seconds)| {
        let count: i64 = text.strip_suffix(unit)?.parse().ok().filter(|count| *count >= 0)?;
        Some(SignedDuration::from_secs(count.checked_mul(*seconds)?))
    });
    ago.map(Since::Ago).ok_or_else(|| {
        "write an instant (2026-01-31T08:30:00Z), a day (2026-01-31) or so long ago (90m, 24h, 7d)"
            .to_owned()
    })
}

fn anchor(text: &str) -> Result<Head, String> {
    let parsed = text.split_once(':').and_then(|(sequence, hash)| {
        let sequence = sequence.parse().ok().filter(|sequence: &i64| *sequence > 0)?;
        Some(Head { sequence, hash: chain::parse(hash)? })
    });
    parsed.ok_or_else(|| {
        "write a record's number, a colon and its hash, as `audit verify` prints them".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Tail;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_time_is_an_instant_a_day_or_so_long_ago() {
        assert_eq!(since("2026-01-31"), Ok(Since::At(at("2026-01-31T00:00:00Z"))));
        let instant = "2026-01-31T08:30:00+01:00";
        assert_eq!(since(instant), Ok(Since::At(at("2026-01-31T07:30:00Z"))));
        assert_eq!(since("90m"), Ok(Since::Ago(SignedDuration::from_mins(90))));
        assert_eq!(since("7d"), Ok(Since::Ago(SignedDuration::from_hours(168))));
        for wrong in ["", "x", "-1h", "1w", "9999999999999999999h", "999999999999999999d"] {
            assert!(since(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_anchor_is_what_a_verdict_says() {
        let head = Head { sequence: 7, hash: [0xab; 32] };
        let (chain, tail) = (Ok(head), Tail::default());
        let text = told(&Verdict { tenant: "acme".to_owned(), chain, tail }, Timestamp::MAX);
        let shown = text.trim().rsplit(' ').next().unwrap();
        assert_eq!(anchor(shown), Ok(head));
        for wrong in ["", "7", "7:ab", "0:".to_owned().as_str(), &format!("x:{}", "0".repeat(64))] {
            assert!(anchor(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_tail_is_named_with_its_age() {
        let tail = Tail { records: 3, oldest: Some(at("2026-01-31T08:30:00Z")) };
        let broken = Break { sequence: 5, flaw: Flaw::Removed };
        let verdict = Verdict { tenant: "acme".to_owned(), chain: Err(broken), tail };
        let text = told(&verdict, at("2026-01-31T08:30:01Z"));
        assert_eq!(
            text,
            "acme: BROKEN at record 5: it is gone, and later ones are there\n\
             acme: not chained yet: 3, since 2026-01-31T08:30:00Z\n"
        );
        assert!(told(&verdict, at("2026-01-31T08:40:01Z")).contains("a bridge that runs"));
    }
}
