//! People whose values two sides may well see differently.

use super::slapd::Person;

/// Values that two sides may well see differently.
pub const NASTY: &[&str] = &[
    "Jensen",
    "JENSEN",
    "jensen",
    "Smith",
    "ſmith",
    "Kelvin",
    "\u{212a}elvin",
    "straße",
    "STRASSE",
    "Straẞe",
    "strasse",
    "σοφός",
    "ΣΟΦΌΣ",
    "σοφόσ",
    "İstanbul",
    "istanbul",
    "I\u{307}stanbul",
    "ıstanbul",
    "José",
    "Jose\u{301}",
    "JOSÉ",
    "Jose",
    "Ångström",
    "\u{212b}ngström",
    "A\u{30a}ngström",
    "a b",
    "a  b",
    " a b",
    "a b ",
    "a\u{a0}b",
    "a\tb",
    "  ",
    " ",
    "ab",
    "a-b",
    "*",
    "(",
    ")",
    "\\",
    "*()\\ % _ ,+\"<>;=#",
    "a*b",
    "a(b)c",
    "%",
    "_",
    "100%",
    "#1",
    "\\2a",
    "*)(uid=*",
    "x=y,z+w",
    "Ａｂ",
    "ﬁn",
    "fin",
    "µm",
    "μm",
    "が",
    "か\u{3099}",
    "かﾞ",
    "가",
    "ㄱㅏ",
    "각",
    "金",
    "\u{f90a}",
    "q\u{301}x",
    "e\u{323}\u{301}",
    "ệ",
    "Nguyễn",
    "NGUYỄN",
    "Петров",
    "ПЕТРОВ",
    "ё",
    "е\u{308}",
    "\u{1f600}",
    "0",
    "00",
    "1",
    "true",
    "null",
    "Παπαδόπουλος",
    "ΠΑΠΑΔΌΠΟΥΛΟΣ",
    "ﬀ",
    "ǆ",
    "ǅ",
];
pub const MAILS: &[&str] = &[
    "ella@example.org",
    "ELLA@EXAMPLE.ORG",
    "e.hill@corp.example.com",
    " ella@example.org",
    "o'neil+tag@sub.example.net",
    "a  b@example.org",
    "*@example.org",
    "(x)@example.org",
    "s@k",
];
pub const PHONES: &[&str] =
    &["+47 22 33 44", "+47223344", "+47-22-33-44", "22 33", "Ext. 12", "EXT. 12", "2233-", "-22"];
const TIMES: &[&str] = &["20240229120000Z", "20240229120001Z", "20250101000000Z"];

/// Deterministic, so that a failure comes again.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((self.0 >> 33) % sides as u64).unwrap()
    }

    fn pick<'a>(&mut self, values: &[&'a str]) -> &'a str {
        values[self.roll(values.len())]
    }
}

pub fn long() -> String {
    "Ella ".repeat(60)
}

pub fn population() -> Vec<Person> {
    let mut dice = Dice(7);
    let long = long();
    let mut people: Vec<Person> = (0..140)
        .map(|number| {
            let mut person = Person::new(number);
            let text = ["cn", "sn"];
            for name in text {
                let value = if dice.roll(30) == 0 { &long } else { dice.pick(NASTY) };
                person.add(name, value);
            }
            for name in [
                "givenName",
                "displayName",
                "title",
                "employeeNumber",
                "departmentNumber",
                "ou",
                "o",
                "l",
                "labeledURI",
                "employeeType",
                "preferredLanguage",
            ] {
                if dice.roll(3) > 0 {
                    person.add(name, dice.pick(NASTY));
                }
            }
            for (name, values) in [
                ("mail", MAILS),
                ("telephoneNumber", PHONES),
                ("mobile", PHONES),
                ("loginShell", MAILS),
                ("pwdAccountLockedTime", TIMES),
                ("carLicense", &["19800229", "19991231120000Z", "soon"]),
                ("uidNumber", &["7", "-7", "4294967296"]),
                ("postalAddress", &["1 Main St.$London", "5C\\5C$a\\24b"]),
            ] {
                if dice.roll(3) == 0 {
                    person.add(name, dice.pick(values));
                }
            }
            let second = dice.pick(MAILS);
            if dice.roll(3) == 0 && !person.attributes.iter().any(|(name, _)| name == "mail") {
                person.add("mail", "first@example.org").add("mail", second);
            }
            if dice.roll(8) == 0 {
                person.add("title;lang-de", dice.pick(NASTY));
            }
            if dice.roll(10) == 0 {
                person.add_bytes("description", b"\xff");
            }
            person.add("createTimestamp", dice.pick(TIMES));
            person.add("modifyTimestamp", dice.pick(TIMES));
            person
        })
        .collect();
    // A login of each kind too.
    for (index, login) in ["straße", "İda", "a  b", "ſam", "x*y"].iter().enumerate() {
        let mut person = Person::new(200 + index);
        person.add("uid", login).add("cn", login).add("sn", login);
        people.push(person);
    }
    let mut nul = Person::new(300);
    nul.add("cn", "x").add_bytes("sn", b"a\0b").add_bytes("title", b"a\0b");
    people.push(nul);
    for person in &mut people {
        person.attributes.retain(|(name, value)| name != "description" || value != b"\xff");
    }
    people
}
