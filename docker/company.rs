//! A sample company as LDIF, the same on every run: `company N [--suffix dc=example,dc=org]`.
//!
//! Both a program (the demonstration loads its output into slapd) and a module (the tests include it
//! and know from [`person`] what the directory must answer). Knows nothing of the bridge.
//!
//! ```text
//! <suffix>
//! |- ou=people      ou=staff, ou=contractors, ou=interns, ou=Außendienst: the people
//! |- ou=groups      departments in divisions in cn=company, a cycle, an awkward name
//! `- ou=services    cn=reader (password "secret"), the password policy
//! ```

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;

/// One person of the company; the same for the same number, however many people there are.
#[derive(Clone, Debug)]
pub struct Person {
    /// From 1.
    pub number: usize,
    /// Unique; `u0000042` for even numbers, `amelie.dubois` for odd ones.
    pub uid: String,
    /// One person in six has a `cn` that needs escaping in a DN or in a filter.
    pub cn: String,
    pub sn: String,
    /// Absent where people bear one name only.
    pub given_name: Option<String>,
    pub display_name: String,
    /// None to three, the first one unique to this person.
    pub mails: Vec<String>,
    pub phone: String,
    pub mobile: Option<String>,
    pub title: Option<String>,
    /// Number into [`DEPARTMENTS`].
    pub department: usize,
    pub employee_number: String,
    /// `staff`, `contractors`, `interns` or `Außendienst`: the unit below `ou=people`.
    pub unit: &'static str,
    pub city: &'static str,
    pub language: &'static str,
    /// The number of the person who leads this one.
    pub manager: Option<usize>,
    pub description: Option<String>,
    /// A valid picture, for one person in ten.
    pub photo: Option<Vec<u8>>,
    /// Whether the directory's administrator has locked the account.
    pub locked: bool,
    pub entry_uuid: String,
    /// Generalized time, UTC.
    pub created: String,
    pub modified: String,
    rdn: &'static str,
}

impl Person {
    pub fn password(&self) -> String {
        format!("Passw0rd-{}", self.uid)
    }

    /// The distinguished name, escaped as RFC 4514 wants.
    pub fn dn(&self, suffix: &str) -> String {
        let value = if self.rdn == "cn" { &self.cn } else { &self.uid };
        format!("{}={},ou={},ou=people,{suffix}", self.rdn, escaped(value), self.unit)
    }
}

/// A `groupOfNames` below `ou=groups`.
#[derive(Clone, Debug)]
pub struct Group {
    pub cn: String,
    /// Distinguished names, of people and of groups.
    pub members: Vec<String>,
}

impl Group {
    pub fn dn(&self, suffix: &str) -> String {
        group_dn(&self.cn, suffix)
    }
}

/// The departments; every one is a group, and every four of them are a division.
pub const DEPARTMENTS: [&str; 12] = [
    "Research & Development",
    "Quality",
    "Production",
    "Purchasing",
    "Sales",
    "Marketing",
    "Finance, Control & Tax",
    "Legal (EMEA)",
    "Human Resources",
    "Information Technology",
    "Facility \"Green\"",
    "Forschung Größe",
];

const DIVISIONS: [&str; 3] = ["Operations", "Commerce", "Corporate"];

/// Where people come from: their names (as written, and in ASCII for logins), city, language, dial code.
struct Culture {
    given: &'static [(&'static str, &'static str)],
    family: &'static [(&'static str, &'static str)],
    family_first: bool,
    city: &'static str,
    language: &'static str,
    dial: &'static str,
}

#[rustfmt::skip]
const CULTURES: [Culture; 11] = [
    Culture {
        given: &[("Amélie", "amelie"), ("Jérôme", "jerome"), ("Chloé", "chloe"), ("Zoé", "zoe"), ("Luc", "luc"), ("Anaïs", "anais"), ("Jean-Luc", "jeanluc"), ("Élodie", "elodie"), ("François", "francois"), ("Hélène", "helene"), ("Maël", "mael"), ("Inès", "ines")],
        family: &[("Dubois", "dubois"), ("Lefèvre", "lefevre"), ("D'Arcy", "darcy"), ("Moreau", "moreau"), ("de la Croix", "delacroix"), ("Bézier", "bezier"), ("Fontaine", "fontaine"), ("Gauthier", "gauthier"), ("Hachée", "hachee"), ("L'Écuyer", "lecuyer"), ("Noël", "noel"), ("Œuvrard", "oeuvrard")],
        family_first: false, city: "Lyon", language: "fr-FR", dial: "+33 4 72",
    },
    Culture {
        given: &[("Olivia", "olivia"), ("Noah", "noah"), ("Emily", "emily"), ("Jack", "jack"), ("Siobhán", "siobhan"), ("Mary-Jane", "maryjane"), ("Thomas", "thomas"), ("Grace", "grace"), ("Henry", "henry"), ("Ruby", "ruby"), ("Aoife", "aoife"), ("Daniel", "daniel"), ("Ivy", "ivy"), ("Samuel", "samuel")],
        family: &[("Smith", "smith"), ("O'Connor", "oconnor"), ("O’Brien", "obrien"), ("McDonald", "mcdonald"), ("St. John", "stjohn"), ("Taylor-Wood", "taylorwood"), ("Hill", "hill"), ("Walker", "walker"), ("Hughes", "hughes"), ("Green", "green"), ("Clarke", "clarke"), ("Young", "young"), ("Baker", "baker"), ("Ward", "ward")],
        family_first: false, city: "Dublin", language: "en-GB", dial: "+353 1",
    },
    Culture {
        given: &[("Jürgen", "juergen"), ("Björn", "bjoern"), ("Sören", "soeren"), ("Käthe", "kaethe"), ("Anna", "anna"), ("Uwe", "uwe"), ("Änne", "aenne"), ("Karl-Heinz", "karlheinz"), ("Ursula", "ursula"), ("Dörte", "doerte"), ("Lukas", "lukas")],
        family: &[("Weiß", "weiss"), ("Groß", "gross"), ("Müller", "mueller"), ("Schröder", "schroeder"), ("von der Heide", "vonderheide"), ("Straßburger", "strassburger"), ("Koch", "koch"), ("Übelacker", "uebelacker"), ("Richter", "richter"), ("Böhm", "boehm"), ("Schmidt", "schmidt")],
        family_first: false, city: "München", language: "de-DE", dial: "+49 89",
    },
    Culture {
        given: &[("İsmail", "ismail"), ("Işıl", "isil"), ("Çağla", "cagla"), ("Ömer", "omer"), ("Şule", "sule"), ("Gökhan", "gokhan"), ("İpek", "ipek")],
        family: &[("Yılmaz", "yilmaz"), ("İnönü", "inonu"), ("Öztürk", "ozturk"), ("Işık", "isik"), ("Çelik", "celik"), ("Şahin", "sahin"), ("Güneş", "gunes")],
        family_first: false, city: "İstanbul", language: "tr-TR", dial: "+90 212",
    },
    Culture {
        given: &[("Γιώργος", "giorgos"), ("Ελένη", "eleni"), ("Νίκος", "nikos"), ("Σοφία", "sofia"), ("Δημήτρης", "dimitris")],
        family: &[("Παπαδόπουλος", "papadopoulos"), ("Νικολάου", "nikolaou"), ("Γεωργίου", "georgiou"), ("Οικονόμου", "oikonomou"), ("Ιωαννίδης", "ioannidis")],
        family_first: false, city: "Αθήνα", language: "el-GR", dial: "+30 21",
    },
    Culture {
        given: &[("Иван", "ivan"), ("Мария", "mariya"), ("Ольга", "olga"), ("Дмитрий", "dmitriy"), ("Фёдор", "fyodor"), ("Юлия", "yuliya")],
        family: &[("Иванов", "ivanov"), ("Петрова", "petrova"), ("Щербаков", "shcherbakov"), ("Королёв", "korolyov"), ("Чехова", "chekhova"), ("Жуков", "zhukov")],
        family_first: false, city: "Бишкек", language: "ru-KG", dial: "+996 312",
    },
    Culture {
        given: &[("太郎", "taro"), ("花子", "hanako"), ("健", "ken"), ("さくら", "sakura"), ("ケンジ", "kenji")],
        family: &[("山田", "yamada"), ("佐藤", "sato"), ("渡邉", "watanabe"), ("髙橋", "takahashi"), ("鈴木", "suzuki")],
        family_first: true, city: "東京", language: "ja-JP", dial: "+81 3",
    },
    Culture {
        given: &[("伟", "wei"), ("娜", "na"), ("敏", "min"), ("秀英", "xiuying"), ("强", "qiang")],
        family: &[("王", "wang"), ("李", "li"), ("欧阳", "ouyang"), ("刘", "liu"), ("司马", "sima")],
        family_first: true, city: "上海", language: "zh-CN", dial: "+86 21",
    },
    Culture {
        given: &[("Łukasz", "lukasz"), ("Małgorzata", "malgorzata"), ("Zażółcia", "zazolcia"), ("Jan", "jan"), ("Ewa", "ewa")],
        family: &[("Wiśniewska", "wisniewska"), ("Żółć", "zolc"), ("Kowalski", "kowalski"), ("Dąbrowska", "dabrowska"), ("Nowak", "nowak")],
        family_first: false, city: "Kraków", language: "pl-PL", dial: "+48 12",
    },
    Culture {
        given: &[("José", "jose"), ("María", "maria"), ("Íñigo", "inigo"), ("Lucía", "lucia"), ("Ramón", "ramon")],
        family: &[("Sánchez-Robles", "sanchezrobles"), ("Núñez", "nunez"), ("García Márquez", "garciamarquez"), ("Peña", "pena"), ("Ibáñez", "ibanez")],
        family_first: false, city: "Málaga", language: "es-ES", dial: "+34 952",
    },
    // One name only, as many people have it.
    Culture {
        given: &[("", "")],
        family: &[("Suharto", "suharto"), ("Sukarno", "sukarno"), ("Wulandari", "wulandari"), ("Kartini", "kartini")],
        family_first: false, city: "Jakarta", language: "id-ID", dial: "+62 21",
    },
];

/// Who is hired in what order: number `n` comes from `CULTURES[TURNS[(n - 1) % TURNS.len()]]`.
const TURNS: [usize; 20] = [0, 1, 2, 1, 3, 0, 1, 4, 2, 5, 1, 6, 0, 7, 1, 8, 2, 9, 1, 10];

const TITLES: [&str; 12] = [
    "Engineer",
    "Senior Engineer",
    "Manager, Sales",
    "Director (EMEA)",
    "Straßenplaner/in",
    "R&D <Lead>",
    "VP \"Growth\"",
    "100 % remote_worker*",
    "Chef d'équipe",
    "Accountant",
    "C:\\Builds operator",
    "Nurse",
];

/// The person with this number; numbers begin with 1.
pub fn person(number: usize) -> Person {
    let turn = number.saturating_sub(1) % TURNS.len();
    let culture = &CULTURES[TURNS[turn]];
    let peers = TURNS.iter().filter(|&&other| other == TURNS[turn]).count();
    let before = TURNS[..turn].iter().filter(|&&other| other == TURNS[turn]).count();
    // The how-many-eth of this culture: every pair of names once, then all pairs again.
    let nth = number.saturating_sub(1) / TURNS.len() * peers + before;
    let (givens, families) = (culture.given.len(), culture.family.len());
    let round = nth / (givens * families);
    let pair = nth % (givens * families);
    let (given, given_ascii) = culture.given[pair % givens];
    let (family, family_ascii) = culture.family[(pair / givens + pair % givens * 5) % families];

    let again = if round == 0 { String::new() } else { (round + 1).to_string() };
    let dot = if given.is_empty() { "" } else { "." };
    let login = format!("{given_ascii}{dot}{family_ascii}{again}");
    let uid = if number % 2 == 1 { login.clone() } else { format!("u{number:07}") };
    let plain = match (given, culture.family_first) {
        ("", _) => family.to_owned(),
        (_, true) => format!("{family} {given}"),
        (_, false) => format!("{given} {family}"),
    };
    let department = number % DEPARTMENTS.len();
    let awkward = awkward_cn(number, given, family, DEPARTMENTS[department]);
    let rdn = if awkward.is_some() { "cn" } else { "uid" };
    let cn = match awkward {
        // As an RDN the cn must be unique.
        Some(cn) if round > 0 => format!("{cn} {again}"),
        Some(cn) => cn,
        None => plain.clone(),
    };

    let mut mails = Vec::new();
    if number % 40 != 39 {
        mails.push(format!("{login}@example.org"));
        if number.is_multiple_of(3) {
            mails.push(format!("{family_ascii}.{number}@mail.example.com"));
        }
        if number.is_multiple_of(10) {
            mails.push(format!("O'Neil+tag{number}@sub.example.net"));
        }
    }
    Person {
        number,
        uid,
        cn,
        sn: family.to_owned(),
        given_name: (!given.is_empty()).then(|| given.to_owned()),
        display_name: if number % 100 == 29 { decomposed(&plain) } else { plain },
        mails,
        phone: format!("{} {:03} {:04}", culture.dial, number / 10_000, number % 10_000),
        mobile: number.is_multiple_of(2).then(|| format!("+49 170 {number:07}")),
        title: match number {
            _ if number % 100 == 37 => Some("Head of  Sales".to_owned()),
            _ if number % 25 == 24 => None,
            _ => Some(TITLES[number / 2 % TITLES.len()].to_owned()),
        },
        department,
        employee_number: (100_000 + number).to_string(),
        unit: match number % 10 {
            0 => "contractors",
            5 => "interns",
            7 => "Außendienst",
            _ => "staff",
        },
        city: culture.city,
        language: culture.language,
        manager: (number > 10).then_some(number / 10),
        description: match number % 100 {
            51 => Some("first line\nsecond line".to_owned()),
            59 => Some("long ".repeat(60).trim_end().to_owned()),
            83 => Some("*)(uid=*))(|(uid=*\\2a %_".to_owned()),
            _ => None,
        },
        photo: (number % 10 == 5).then(|| photo(number)),
        locked: number.is_multiple_of(97),
        entry_uuid: uuid(&format!("person {number}")),
        created: timestamp(2015 + number % 9, number),
        modified: timestamp(2025, number * 7),
        rdn,
    }
}

/// A `cn` with characters that mean something in a DN or in a filter, for some people.
fn awkward_cn(number: usize, given: &str, family: &str, department: &str) -> Option<String> {
    let nick: String = given.chars().take(3).collect();
    Some(match number % 50 {
        3 => format!("{family}, {given} ({department})"),
        7 => format!("{given} \"{nick}\" {family}"),
        12 => format!("{family}; {given} + Assistant"),
        17 => format!("#{number} {given} {family}"),
        23 => format!("{given} {family} <extern>"),
        31 => format!("ACME\\{given} {family} *"),
        41 => format!("{family}, {given}, Jr."),
        46 => format!("{given} {family} = 50 %"),
        _ => return None,
    })
}

/// The groups of a company with this many people.
pub fn groups(people: usize, suffix: &str) -> Vec<Group> {
    if people == 0 {
        return Vec::new();
    }
    let dns: Vec<String> = (1..=people).map(|number| person(number).dn(suffix)).collect();
    let mut groups = Vec::new();
    let mut divisions = DIVISIONS.map(|_| Vec::new());
    for (department, name) in DEPARTMENTS.iter().enumerate() {
        let first = if department == 0 { DEPARTMENTS.len() } else { department };
        let members: Vec<String> =
            dns.iter().skip(first - 1).step_by(DEPARTMENTS.len()).cloned().collect();
        if !members.is_empty() {
            let division = department * DIVISIONS.len() / DEPARTMENTS.len();
            divisions[division].push(group_dn(name, suffix));
            groups.push(Group { cn: (*name).to_owned(), members });
        }
    }
    let mut company = Vec::new();
    for (name, members) in DIVISIONS.into_iter().zip(divisions) {
        if !members.is_empty() {
            company.push(group_dn(name, suffix));
            groups.push(Group { cn: name.to_owned(), members });
        }
    }
    let first = |count: usize| dns.iter().take(count).cloned().collect::<Vec<String>>();
    let others = [
        ("company", company),
        ("everybody", first(5000)),
        ("helpdesk", first(3)),
        ("Café (fans), \"ß\" + more", first(1)),
        ("cycle-a", vec![group_dn("cycle-b", suffix), dns[0].clone()]),
        ("cycle-b", vec![group_dn("cycle-a", suffix)]),
    ];
    groups.extend(others.map(|(cn, members)| Group { cn: cn.to_owned(), members }));
    groups
}

/// The whole company in LDIF, ready for `slapadd`, which runs no overlay: so `memberOf` is written out.
pub fn ldif(people: usize, suffix: &str) -> String {
    let mut out = Ldif { text: String::with_capacity(people * 1600 + 4096) };
    base(&mut out, suffix);
    let groups = groups(people, suffix);
    let mut member_of = HashMap::<&str, Vec<String>>::new();
    for group in &groups {
        for member in &group.members {
            member_of.entry(member).or_default().push(group.dn(suffix));
        }
    }
    for person in (1..=people).map(person) {
        entry(&mut out, &person, suffix, &member_of);
    }
    for group in &groups {
        let dn = group.dn(suffix);
        out.begin(&dn, &["groupOfNames"], &uuid(&format!("group {}", group.cn)));
        out.line("cn", &group.cn);
        out.lines("member", &group.members);
        out.lines("memberOf", member_of.get(dn.as_str()).into_iter().flatten());
        out.end();
    }
    out.text
}

/// The entries that everything else hangs below.
fn base(out: &mut Ldif, suffix: &str) {
    let first = suffix.split(',').next().unwrap_or(suffix);
    let (attribute, value) = first.split_once('=').unwrap_or(("dc", first));
    let classes: &[&str] = match attribute {
        "dc" => &["dcObject", "organization"],
        "ou" => &["organizationalUnit"],
        _ => &["organization"],
    };
    out.begin(suffix, classes, &uuid("suffix"));
    out.line(attribute, value);
    if attribute == "dc" {
        out.line("o", "Example, Inc. \"Ltd\"");
    }
    out.end();
    let below = ["people", "groups", "services"].map(|unit| (unit, suffix.to_owned()));
    let units = ["staff", "contractors", "interns", "Außendienst"];
    let below_people = units.map(|unit| (unit, format!("ou=people,{suffix}")));
    for (unit, parent) in below.into_iter().chain(below_people) {
        out.begin(
            &format!("ou={unit},{parent}"),
            &["organizationalUnit"],
            &uuid(&format!("unit {unit}")),
        );
        out.line("ou", unit);
        out.end();
    }
    let services = format!("ou=services,{suffix}");
    let reader = ["organizationalRole", "simpleSecurityObject"];
    out.begin(&format!("cn=reader,{services}"), &reader, &uuid("reader"));
    out.line("cn", "reader");
    out.line("userPassword", "secret");
    out.end();
    // Without a default policy slapd ignores pwdAccountLockedTime; this one locks nobody by itself.
    out.begin(&format!("cn=ppolicy,{services}"), &["device", "pwdPolicy"], &uuid("ppolicy"));
    out.line("cn", "ppolicy");
    out.line("pwdAttribute", "userPassword");
    out.line("pwdLockout", "TRUE");
    out.line("pwdMaxFailure", "0");
    out.end();
}

fn entry(out: &mut Ldif, person: &Person, suffix: &str, member_of: &HashMap<&str, Vec<String>>) {
    let dn = person.dn(suffix);
    let classes = ["top", "person", "organizationalPerson", "inetOrgPerson"];
    out.begin(&dn, &classes, &person.entry_uuid);
    out.line("uid", &person.uid);
    out.line("cn", &person.cn);
    out.line("sn", &person.sn);
    out.line("displayName", &person.display_name);
    out.lines("mail", &person.mails);
    out.line("telephoneNumber", &person.phone);
    let optional = [
        ("givenName", &person.given_name),
        ("mobile", &person.mobile),
        ("title", &person.title),
        ("description", &person.description),
        ("manager", &person.manager.map(|number| self::person(number).dn(suffix))),
    ];
    for (attribute, value) in optional {
        out.lines(attribute, value);
    }
    out.line("employeeNumber", &person.employee_number);
    out.line("employeeType", person.unit.trim_end_matches('s'));
    out.line("departmentNumber", DEPARTMENTS[person.department]);
    out.line("o", "Example, Inc.");
    out.line("ou", DEPARTMENTS[person.department]);
    out.line("l", person.city);
    out.line("street", &format!("{} Main St.", person.number % 200));
    out.line("postalCode", &format!("{:05}", person.number % 100_000));
    out.line("preferredLanguage", person.language);
    out.line("userPassword", &person.password());
    if let Some(photo) = &person.photo {
        out.bytes("jpegPhoto", photo);
    }
    if person.locked {
        out.line("pwdAccountLockedTime", "000001010000Z");
    }
    out.line("creatorsName", &format!("cn=admin,{suffix}"));
    out.line("createTimestamp", &person.created);
    out.line("modifiersName", &format!("cn=admin,{suffix}"));
    out.line("modifyTimestamp", &person.modified);
    out.lines("memberOf", member_of.get(dn.as_str()).into_iter().flatten());
    out.end();
}

/// LDIF in the making (RFC 2849).
struct Ldif {
    text: String,
}

impl Ldif {
    fn begin(&mut self, dn: &str, classes: &[&str], uuid: &str) {
        self.line("dn", dn);
        for class in classes {
            self.line("objectClass", class);
        }
        self.line("entryUUID", uuid);
    }

    /// One value; in base64 where RFC 2849 does not call it a SAFE-STRING.
    fn line(&mut self, attribute: &str, value: &str) {
        let bytes = value.as_bytes();
        let safe = bytes.iter().all(|&byte| byte.is_ascii() && !matches!(byte, 0 | b'\n' | b'\r'))
            && !bytes.first().is_some_and(|first| b" :<".contains(first))
            && !bytes.ends_with(b" ");
        if safe {
            let _ = writeln!(self.text, "{attribute}: {value}");
        } else {
            self.bytes(attribute, bytes);
        }
    }

    fn lines<'a>(&mut self, attribute: &str, values: impl IntoIterator<Item = &'a String>) {
        for value in values {
            self.line(attribute, value);
        }
    }

    fn bytes(&mut self, attribute: &str, value: &[u8]) {
        let _ = writeln!(self.text, "{attribute}:: {}", base64(value));
    }

    fn end(&mut self) {
        self.text.push('\n');
    }
}

fn group_dn(cn: &str, suffix: &str) -> String {
    format!("cn={},ou=groups,{suffix}", escaped(cn))
}

/// An attribute value inside a DN (RFC 4514, section 2.4).
fn escaped(value: &str) -> String {
    let mut out = String::with_capacity(value.len() + 4);
    for (at, c) in value.char_indices() {
        let edge = (at == 0 && matches!(c, ' ' | '#')) || (at + 1 == value.len() && c == ' ');
        if edge || matches!(c, '"' | '+' | ',' | ';' | '<' | '>' | '\\' | '=') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// Some letters taken apart (normalization form D), as some systems write them.
fn decomposed(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            'é' => out.push_str("e\u{301}"),
            'á' => out.push_str("a\u{301}"),
            'ü' => out.push_str("u\u{308}"),
            'ö' => out.push_str("o\u{308}"),
            'ñ' => out.push_str("n\u{303}"),
            _ => out.push(c),
        }
    }
    out
}

/// Generalized time (RFC 4517, section 3.3.13).
fn timestamp(year: usize, seed: usize) -> String {
    let (month, day) = (seed % 12 + 1, seed / 12 % 28 + 1);
    format!("{year:04}{month:02}{day:02}{:02}{:02}{:02}Z", seed % 24, seed % 60, seed / 60 % 60)
}

/// A UUID that depends on the text alone, marked as version 8 (RFC 9562, section 5.8).
fn uuid(text: &str) -> String {
    // FNV-1a, then the finalizer of SplitMix64 for each half.
    let seed = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let half = |step: u64| {
        let mut z = seed.wrapping_add(step.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    let (high, low) = (half(1), half(2));
    format!(
        "{:08x}-{:04x}-8{:03x}-{:04x}-{:012x}",
        high >> 32,
        high >> 16 & 0xffff,
        high & 0xfff,
        low >> 48 & 0x3fff | 0x8000,
        low & 0xffff_ffff_ffff
    )
}

/// A grey JPEG of 8 by 8 pixels. Its Huffman tables know one code each, so the picture is two bytes:
/// a zero, the brightness in seven bits, the zero that ends the block, and ones to fill up.
#[rustfmt::skip]
fn photo(number: usize) -> Vec<u8> {
    let mut jpeg = vec![0xff, 0xd8, 0xff, 0xe0, 0, 16];
    jpeg.extend(b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0");
    jpeg.extend([0xff, 0xdb, 0, 67, 0]);                            // quantization: 8 throughout
    jpeg.extend([8; 64]);
    jpeg.extend([0xff, 0xc0, 0, 11, 8, 0, 8, 0, 8, 1, 1, 0x11, 0]); // baseline, 8 bits, 8 x 8, grey
    for (table, symbol) in [(0x00, 7), (0x10, 0)] {
        jpeg.extend([0xff, 0xc4, 0, 20, table, 1]);
        jpeg.extend([0; 15]);
        jpeg.push(symbol);
    }
    jpeg.extend([0xff, 0xda, 0, 8, 1, 1, 0, 0, 63, 0]);
    jpeg.extend([u8::try_from(number % 128).unwrap_or(0), 0x7f, 0xff, 0xd9]);
    jpeg
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let at = |index: usize| u32::from(chunk.get(index).copied().unwrap_or(0));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for digit in 0..4 {
            let value = (bits >> (18 - 6 * digit) & 63) as usize;
            out.push(if digit <= chunk.len() { char::from(ALPHABET[value]) } else { '=' });
        }
    }
    out
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (people, suffix) = match words[..] {
        [people] => (people, "dc=example,dc=org"),
        [people, "--suffix", suffix] => (people, suffix),
        _ => ("", ""),
    };
    let Ok(people) = people.parse() else {
        eprintln!(
            "usage: company PEOPLE [--suffix dc=example,dc=org]   (LDIF goes to standard output)"
        );
        return ExitCode::from(2);
    };
    match std::io::stdout().lock().write_all(ldif(people, suffix).as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("company: {error}");
            ExitCode::FAILURE
        }
    }
}
