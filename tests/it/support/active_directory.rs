//! An Active Directory of a test's own making, with the traits that no free server has: attributes in
//! parts (`MaxValRange`), answers and pages of so many entries (`MaxPageSize`), a bind without a password
//! that succeeds, references to other partitions, one paged search at a time.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use lber::structure::{PL, StructureTag};

use super::hostile::{
    Hostile, Operation, PAGED_RESULTS, Reply, Request, Verdict, octets, primitive,
};

pub const DOMAIN: &str = "DC=ad,DC=example,DC=org";
pub const READER: &str = "reader@ad.example.org";
pub const PASSWORD: &str = "Passw0rd-Reader";

const SHOW_DELETED: &str = "1.2.840.113556.1.4.417";
const BITS: &str = "1.2.840.113556.1.4.803";
const IN_CHAIN: &str = "1.2.840.113556.1.4.1941";
const SERVICE: &str = "CN=NTDS Settings,CN=DC1,CN=Configuration,DC=ad,DC=example,DC=org";
const SCHEMA: &str = "CN=Aggregate,CN=Schema,CN=Configuration,DC=ad,DC=example,DC=org";

/// How this one differs from others.
#[derive(Clone, Copy, Debug)]
pub struct Traits {
    /// `MaxPageSize`: entries in one answer, and in one page.
    pub page: usize,
    /// `MaxValRange`: values of one attribute in one answer.
    pub values: usize,
    /// Whether it says that it is a domain; a Lightweight Directory Service does not.
    pub domain: bool,
    /// Whether the cookie of a full page is given out although nobody follows.
    pub empty_last_page: bool,
    /// Paged searches that may be open on all connections together.
    pub paged: usize,
    /// Attributes that the schema lists before the ones of people.
    pub further_attributes: usize,
}

impl Default for Traits {
    fn default() -> Self {
        Self {
            page: 1000,
            values: 1500,
            domain: true,
            empty_last_page: false,
            paged: 10,
            further_attributes: 1600,
        }
    }
}

type Attributes = BTreeMap<String, Vec<Vec<u8>>>;

#[derive(Debug)]
struct Entry {
    dn: String,
    /// By names as they are written.
    attributes: Attributes,
}

/// What it was asked.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    pub anonymous_binds: usize,
    /// Binds of people, by DN.
    pub binds: Vec<String>,
    /// Searches below the domain, by what was asked for.
    pub searches: Vec<Asked>,
    /// Paged searches that it was not willing to begin.
    pub unwilling: usize,
}

/// A search.
#[derive(Clone, Debug)]
pub struct Asked {
    pub attributes: Vec<String>,
    pub paged: bool,
    pub size_limit: u64,
    /// Entries that were answered.
    pub entries: usize,
}

#[derive(Debug, Default)]
struct State {
    entries: Vec<Entry>,
    /// By DN.
    places: HashMap<String, usize>,
    usn: u64,
    bound: HashSet<usize>,
    /// By connection and cookie: who is still to be answered.
    open: HashMap<(usize, Vec<u8>), Vec<usize>>,
    cookies: u64,
    /// By DN: password, and the number that is told whoever brings it; zero lets in.
    accounts: HashMap<String, (String, u32)>,
    seen: Seen,
}

/// The running server.
pub struct ActiveDirectory {
    server: Hostile,
    state: Arc<Mutex<State>>,
}

impl ActiveDirectory {
    /// With people of numbers below `people`, and groups with members by DN.
    pub fn start(traits: Traits, people: usize, groups: &[(&str, Vec<String>)]) -> Self {
        let mut state = State::default();
        for Entry { dn, attributes } in schema(traits) {
            state.put(&dn, attributes);
        }
        state.add(DOMAIN, &[("objectClass", "domainDNS")]);
        state.add(&format!("OU=People,{DOMAIN}"), &[("objectClass", "organizationalUnit")]);
        for number in 0..people {
            let login = login(number);
            state.add(
                &person(number),
                &[
                    ("objectClass", "top"),
                    ("objectClass", "user"),
                    ("objectCategory", "person"),
                    ("cn", &format!("Person {number}")),
                    ("sn", "Person"),
                    ("sAMAccountName", &login),
                    ("mail", &format!("{login}@example.org")),
                    ("userAccountControl", "512"),
                    ("primaryGroupID", "513"),
                    ("whenCreated", "20240102030405.0Z"),
                ],
            );
        }
        for (name, members) in groups {
            let dn = group(name);
            let values = members.iter().map(|member| ("member", member.as_str()));
            let class = [("objectClass", "top"), ("objectClass", "group"), ("cn", name)];
            state.add(&dn, &class.into_iter().chain(values).collect::<Vec<_>>());
        }
        state.tell_members();
        let state = Arc::new(Mutex::new(state));
        let shared = Arc::clone(&state);
        let server = Hostile::start(move |request: &Request, reply| {
            let mut state = shared.lock().unwrap_or_else(PoisonError::into_inner);
            state.answer(traits, request, reply)
        });
        Self { server, state }
    }

    pub fn url(&self) -> String {
        self.server.url()
    }

    /// The lines of a repository.
    pub fn lines(&self) -> String {
        format!(
            "urls = [{:?}]\nbind_dn = {READER:?}\nbind_password = {PASSWORD:?}\n\
             base = {DOMAIN:?}\nmapping = \"active-directory\"\n",
            self.url()
        )
    }

    /// What was asked since the last time.
    pub fn seen(&self) -> Seen {
        std::mem::take(&mut self.state().seen)
    }

    /// Gives somebody a password, and an account in the state that this number of Windows tells; with
    /// zero it is open.
    pub fn admit(&self, number: usize, password: &str, state: u32) {
        self.state().accounts.insert(person(number), (password.to_owned(), state));
    }

    /// Gives these people this value.
    pub fn set(&self, people: impl Iterator<Item = usize>, attribute: &str, value: &str) {
        let mut state = self.state();
        let changed: HashSet<String> = people.map(person).collect();
        let mut usn = state.usn;
        for entry in state.entries.iter_mut().filter(|entry| changed.contains(&entry.dn)) {
            usn += 1;
            entry.attributes.insert("uSNChanged".into(), vec![usn.to_string().into_bytes()]);
            entry.attributes.insert(attribute.to_owned(), vec![value.as_bytes().to_vec()]);
        }
        state.usn = usn;
    }

    /// Gives a person these values.
    pub fn give(&self, number: usize, attribute: &str, values: &[String]) {
        let mut state = self.state();
        let place = state.places[&person(number)];
        let values = values.iter().map(|value| value.as_bytes().to_vec()).collect();
        state.entries[place].attributes.insert(attribute.to_owned(), values);
    }

    /// Nothing is left of this person.
    pub fn remove(&self, number: usize) {
        let mut state = self.state();
        let place = state.places.remove(&person(number)).unwrap();
        state.entries[place] = Entry { dn: String::new(), attributes: Attributes::new() };
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub fn login(number: usize) -> String {
    format!("p{number:05}")
}

pub fn person(number: usize) -> String {
    format!("CN=Person {number},OU=People,{DOMAIN}")
}

pub fn group(name: &str) -> String {
    format!("CN={name},{DOMAIN}")
}

fn schema(traits: Traits) -> Vec<Entry> {
    let text = "1.3.6.1.4.1.1466.115.121.1.15";
    let further = (0..traits.further_attributes).map(|n| (format!("further{n}"), text, true));
    let strings = ["cn", "sn", "sAMAccountName", "mail", "userPrincipalName", "displayName"];
    let strings = strings.map(|name| (name.to_owned(), text, true));
    let number = "1.3.6.1.4.1.1466.115.121.1.27";
    let numbers = ["userAccountControl", "primaryGroupID", "uSNChanged"];
    let numbers = numbers.map(|name| (name.to_owned(), number, true));
    let name = "1.3.6.1.4.1.1466.115.121.1.12";
    let names = ["member", "memberOf", "objectCategory"].map(|one| (one.to_owned(), name, false));
    let others = [
        ("objectClass".to_owned(), "1.3.6.1.4.1.1466.115.121.1.38", false),
        ("objectGUID".to_owned(), "1.3.6.1.4.1.1466.115.121.1.40", true),
    ];
    let all = further.chain(strings).chain(numbers).chain(names).chain(others).enumerate();
    let described = all.map(|(place, (name, syntax, single))| {
        let single = if single { "SINGLE-VALUE " } else { "" };
        format!("( 1.2.3.{place} NAME '{name}' SYNTAX '{syntax}' {single})").into_bytes()
    });
    let types = ("attributeTypes".to_owned(), described.collect());
    let class = ("objectClass".to_owned(), vec![b"subSchema".to_vec()]);
    let life = ("invocationId".to_owned(), vec![b"0123456789abcdef".to_vec()]);
    let service = ("objectClass".to_owned(), vec![b"nTDSDSA".to_vec()]);
    vec![
        Entry { dn: SCHEMA.to_owned(), attributes: [types, class].into() },
        Entry { dn: SERVICE.to_owned(), attributes: [life, service].into() },
    ]
}

impl State {
    fn add(&mut self, dn: &str, values: &[(&str, &str)]) {
        self.usn += 1;
        let mut attributes = Attributes::new();
        for (name, value) in values {
            attributes.entry((*name).to_owned()).or_default().push(value.as_bytes().to_vec());
        }
        let mut guid = [0; 16];
        guid[8..].copy_from_slice(&self.usn.to_be_bytes());
        attributes.insert("objectGUID".into(), vec![guid.to_vec()]);
        attributes.insert("uSNChanged".into(), vec![self.usn.to_string().into_bytes()]);
        if values.contains(&("objectClass", "group")) {
            // The last four bytes are the number that primaryGroupID names.
            let number = u32::try_from(self.usn).unwrap() + 10_000;
            attributes.insert("objectSid".into(), vec![number.to_le_bytes().to_vec()]);
        }
        self.put(dn, attributes);
    }

    fn put(&mut self, dn: &str, attributes: Attributes) {
        self.places.insert(dn.to_owned(), self.entries.len());
        self.entries.push(Entry { dn: dn.to_owned(), attributes });
    }

    /// Each entry names the groups that name it.
    fn tell_members(&mut self) {
        let mut groups: HashMap<Vec<u8>, Vec<Vec<u8>>> = HashMap::new();
        for entry in &self.entries {
            for member in entry.attributes.get("member").into_iter().flatten() {
                groups.entry(member.clone()).or_default().push(entry.dn.as_bytes().to_vec());
            }
        }
        for entry in &mut self.entries {
            if let Some(own) = groups.remove(entry.dn.as_bytes()) {
                entry.attributes.insert("memberOf".into(), own);
            }
        }
    }

    fn answer(&mut self, traits: Traits, request: &Request, reply: &Reply) -> io::Result<Verdict> {
        match &request.operation {
            Operation::Bind(name, password) => {
                let nobody = name.is_empty() || password.as_ref().is_none_or(Vec::is_empty);
                let known = name == READER && password.as_deref() == Some(PASSWORD.as_bytes());
                self.seen.anonymous_binds += usize::from(nobody);
                if !nobody && name != READER {
                    self.seen.binds.push(name.clone());
                    let account = self.accounts.get(name);
                    let right =
                        account.filter(|(own, _)| Some(own.as_bytes()) == password.as_deref());
                    let data = right.map_or(0x52E, |(_, state)| *state);
                    let text = format!(
                        "80090308: LdapErr: DSID-0C090439, comment: AcceptSecurityContext error, data {data:x}, v4563"
                    );
                    let (code, text) = if data == 0 { (0, "") } else { (49, text.as_str()) };
                    reply.result(1, code, text)?;
                    return Ok(Verdict::Done);
                }
                if known {
                    self.bound.insert(request.connection);
                }
                let code = if nobody || known { 0 } else { 49 };
                reply.result(
                    1,
                    code,
                    if code == 49 { "AcceptSecurityContext, data 52e" } else { "" },
                )?;
            }
            Operation::Search { base, .. } if base.is_empty() => root(traits, self.usn, reply)?,
            Operation::Search { .. } if !self.bound.contains(&request.connection) => {
                reply.result(5, 1, "a successful bind must be completed on the connection")?;
            }
            Operation::Search { .. } => self.search(traits, request, reply)?,
            _ => return Ok(Verdict::Pass),
        }
        Ok(Verdict::Done)
    }

    fn search(&mut self, traits: Traits, request: &Request, reply: &Reply) -> io::Result<()> {
        let Operation::Search { base, scope, size_limit, filter, attributes } = &request.operation
        else {
            return Ok(());
        };
        let known = |name: &str| matches!(name, PAGED_RESULTS | SHOW_DELETED);
        if request.controls.iter().any(|(name, _)| !known(name)) {
            return reply.done(12);
        }
        let lower = base.to_ascii_lowercase();
        if !self.places.keys().any(|dn| dn.eq_ignore_ascii_case(base)) {
            return reply.done(32);
        }
        let paged = request.controls.iter().find(|(name, _)| name == PAGED_RESULTS);
        let paged = paged.map(|(_, value)| page(value).expect("a page"));
        let matching = || {
            let found = self.entries.iter().enumerate().filter(|(_, entry)| {
                let dn = entry.dn.to_ascii_lowercase();
                let within = if *scope == 0 { dn == lower } else { dn.ends_with(&lower) };
                within && self.matches(filter, entry) == Some(true)
            });
            found.map(|(place, _)| place).collect::<Vec<usize>>()
        };
        let mut left = match &paged {
            Some((_, cookie)) if !cookie.is_empty() => {
                match self.open.remove(&(request.connection, cookie.clone())) {
                    Some(left) => left,
                    // unavailableCriticalExtension: another connection's, or nobody's.
                    None => return reply.done(12),
                }
            }
            Some(_) if self.open.len() >= traits.paged => {
                self.seen.unwilling += 1;
                return reply.done(53);
            }
            _ => matching(),
        };
        let wanted = paged.as_ref().map(|(size, _)| *size);
        let asked =
            if *size_limit == 0 { usize::MAX } else { usize::try_from(*size_limit).unwrap() };
        let most = wanted.unwrap_or(usize::MAX).min(traits.page).min(asked);
        let now: Vec<usize> = left.drain(..left.len().min(most)).collect();
        self.seen.searches.push(Asked {
            attributes: attributes.clone(),
            paged: paged.is_some(),
            size_limit: *size_limit,
            entries: now.len(),
        });
        for place in &now {
            let entry = &self.entries[*place];
            let shown = shown(entry, attributes, traits.values);
            let values = |values: Vec<&Vec<u8>>| {
                values.into_iter().map(|value| primitive(4, value.clone())).collect()
            };
            reply.entry_of(
                &entry.dn,
                shown.iter().map(|(name, list)| (name.as_str(), values(list.clone()))),
            )?;
        }
        if *scope == 2 && lower == DOMAIN.to_ascii_lowercase() {
            for partition in ["CN=Configuration", "DC=DomainDnsZones"] {
                reply.reference(&format!("ldap://127.0.0.1:9/{partition},{DOMAIN}"))?;
            }
        }
        if paged.is_none() {
            return reply.done(if left.is_empty() { 0 } else { 4 });
        }
        let full = traits.empty_last_page && now.len() == most;
        if left.is_empty() && !full {
            return reply.page_done(0, b"");
        }
        self.cookies += 1;
        let cookie = self.cookies.to_string().into_bytes();
        self.open.insert((request.connection, cookie.clone()), left);
        reply.page_done(0, &cookie)
    }

    /// By RFC 4511, section 4.5.1.7; `None` is undefined.
    fn matches(&self, filter: &StructureTag, entry: &Entry) -> Option<bool> {
        let parts = parts(filter);
        match filter.id {
            0 => self.all(parts, true, entry),
            1 => self.all(parts, false, entry).map(|none| !none),
            2 => self.matches(parts.first()?, entry).map(|one| !one),
            7 => Some(entry.attributes.contains_key(text(filter))),
            9 => self.extended(parts, entry),
            how => compared(how, text(parts.first()?), parts.get(1)?, entry),
        }
    }

    /// Whether each part comes out as wanted.
    fn all(&self, parts: &[StructureTag], wanted: bool, entry: &Entry) -> Option<bool> {
        let mut sum = Some(true);
        for part in parts {
            match self.matches(part, entry) {
                Some(one) if one == wanted => {}
                Some(_) => return Some(false),
                None => sum = None,
            }
        }
        sum
    }

    fn extended(&self, parts: &[StructureTag], entry: &Entry) -> Option<bool> {
        let part = |id| parts.iter().find(|part| part.id == id).map(text);
        let (rule, name, value) = (part(1)?, part(2)?, part(3)?);
        if rule == BITS {
            let own = number(entry.attributes.get(name)?.first()?)?;
            let bits: i64 = value.parse().ok()?;
            return Some(own & bits == bits);
        }
        assert_eq!((rule, name), (IN_CHAIN, "memberOf"));
        let mut seen = HashSet::new();
        let mut waiting = vec![entry];
        while let Some(entry) = waiting.pop() {
            for group in entry.attributes.get("memberOf").into_iter().flatten() {
                let group = std::str::from_utf8(group).ok()?;
                if group.eq_ignore_ascii_case(value) {
                    return Some(true);
                }
                if let Some(place) = self.places.get(group)
                    && seen.insert(*place)
                {
                    waiting.push(&self.entries[*place]);
                }
            }
        }
        Some(false)
    }
}

/// Equality, substrings and order.
fn compared(how: u64, name: &str, value: &StructureTag, entry: &Entry) -> Option<bool> {
    let Some(values) = entry.attributes.get(name) else { return Some(false) };
    if how == 4 {
        return Some(values.iter().any(|own| {
            let own = String::from_utf8_lossy(own).to_lowercase();
            parts(value).iter().all(|piece| {
                let wanted = text(piece).to_lowercase();
                match piece.id {
                    0 => own.starts_with(&wanted),
                    1 => own.contains(&wanted),
                    _ => own.ends_with(&wanted),
                }
            })
        }));
    }
    let value = bytes(value);
    match how {
        3 if name == "objectGUID" => Some(values.iter().any(|own| own == value)),
        3 => Some(values.iter().any(|own| own.eq_ignore_ascii_case(value))),
        5 => Some(values.iter().any(|own| number(own) >= number(value))),
        6 => Some(values.iter().any(|own| number(own) <= number(value))),
        _ => None,
    }
}

fn parts(tag: &StructureTag) -> &[StructureTag] {
    if let PL::C(parts) = &tag.payload { parts } else { &[] }
}

fn bytes(tag: &StructureTag) -> &[u8] {
    if let PL::P(bytes) = &tag.payload { bytes } else { &[] }
}

fn text(tag: &StructureTag) -> &str {
    std::str::from_utf8(bytes(tag)).unwrap_or_default()
}

fn number(bytes: &[u8]) -> Option<i64> {
    std::str::from_utf8(bytes).ok()?.parse().ok()
}

/// Size and cookie of a page.
fn page(value: &[u8]) -> Option<(usize, Vec<u8>)> {
    let (_, tag) = lber::parse::Parser::new().parse(value).ok()?;
    let [size, cookie] = parts(&tag) else { return None };
    let size = bytes(size).iter().fold(0, |sum, &byte| sum << 8 | usize::from(byte));
    Some((size, bytes(cookie).to_vec()))
}

/// What is answered of an entry: of long attributes a part, and an empty one under the bare name.
fn shown<'a>(entry: &'a Entry, wanted: &[String], most: usize) -> Vec<(String, Vec<&'a Vec<u8>>)> {
    let mut all = Vec::new();
    for wanted in wanted {
        let (base, range) = wanted.split_once(";range=").unwrap_or((wanted, ""));
        let found = entry.attributes.iter().find(|(name, _)| name.eq_ignore_ascii_case(base));
        let Some((name, values)) = found else { continue };
        if range.is_empty() && values.len() <= most {
            all.push((name.clone(), values.iter().collect()));
            continue;
        }
        if range.is_empty() {
            all.push((name.clone(), Vec::new()));
        }
        let (from, to) = range.split_once('-').unwrap_or(("0", "*"));
        let from: usize = from.parse().unwrap();
        let to = to.parse().map_or(values.len(), |to: usize| to + 1);
        let end = to.min(from + most).min(values.len());
        let last = if end == values.len() { "*".to_owned() } else { (end - 1).to_string() };
        let part = values.get(from..end).unwrap_or_default();
        all.push((format!("{name};range={from}-{last}"), part.iter().collect()));
    }
    all
}

fn root(traits: Traits, usn: u64, reply: &Reply) -> io::Result<()> {
    let kind = if traits.domain { "1.2.840.113556.1.4.800" } else { "1.2.840.113556.1.4.1851" };
    let usn = usn.to_string();
    let values: [(&str, &str); 8] = [
        ("supportedCapabilities", kind),
        ("supportedControl", PAGED_RESULTS),
        ("supportedLDAPVersion", "3"),
        ("namingContexts", DOMAIN),
        ("defaultNamingContext", DOMAIN),
        ("subschemaSubentry", SCHEMA),
        ("dsServiceName", SERVICE),
        ("highestCommittedUSN", &usn),
    ];
    reply.entry_of("", values.iter().map(|(name, value)| (*name, vec![octets(value)])))?;
    reply.done(0)
}
