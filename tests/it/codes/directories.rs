//! Codes of people whom a directory has, bound or not.

use serde_json::{Value, json};

use super::{CODES, RFC, activid, code, codes, found, operation};
use crate::support::bridge::{Settings, TestBridge};
use crate::support::company::{self, Person};
use crate::support::slapd::Slapd;

/// Two codes are mapped, one of them lent.
fn settings() -> Settings {
    activid(Settings::over(Slapd::shared()).with(&format!(
        "[tenant.repository.attributes]\n\
         \"{CODES}:NR\" = {{ attribute = \"employeeNumber\", type = \"string\" }}\n\
         \"{CODES}:MAILS\" = {{ attribute = \"mail\", multi_valued = true }}\n\
         \"{CODES}:TOWN\" = {{ attribute = \"l\", authority = \"local\" }}"
    )))
}

fn path(person: &Person) -> String {
    format!("/Users/corp.{}", person.entry_uuid)
}

/// People with both names, a number and several mail addresses.
fn whole(count: usize) -> Vec<Person> {
    let whole =
        |person: &Person| person.given_name.is_some() && person.mails.len() > 1 && !person.locked;
    (1..=1000).map(company::person).filter(whole).take(count).collect()
}

#[test]
fn an_unbound_person_shows_what_the_directory_says() {
    let bridge = TestBridge::start(&settings());
    let person = &whole(1)[0];
    let shown = bridge.client().get(&path(person)).expect(200);
    let element = |name: &str, value: Value, read_only: bool| json!({ "name": name, "type": "string", "value": value, "readOnly": read_only });
    let given = person.given_name.as_deref().unwrap();
    assert_eq!(code(&shown, "FIRSTNAME"), element("FIRSTNAME", given.into(), true));
    assert_eq!(code(&shown, "LASTNAME"), element("LASTNAME", person.sn.as_str().into(), true));
    assert_eq!(code(&shown, "NR"), element("NR", person.employee_number.as_str().into(), true));
    assert_eq!(code(&shown, "TOWN"), element("TOWN", person.city.into(), false));
    let mails = code(&shown, "MAILS");
    assert_eq!((&mails["value"], &mails["multiValued"]), (&json!(person.mails), &json!(true)));
    assert_eq!(code(&shown, "ATR_EMAIL")["value"], shown["emails"][0]["value"]);
    assert_eq!(code(&shown, "ATR_EMAIL")["readOnly"], true);
    assert_eq!(shown["displayName"], format!("{given} {}", person.sn));
    // In the other dialect what mirrors nothing is shown.
    let plain = bridge.client_as(RFC).get(&path(person)).expect(200);
    assert_eq!(plain[CODES]["attributes"].as_array().unwrap().len(), 3, "{plain}");
    assert_eq!(plain["displayName"], person.display_name.as_str());
}

#[test]
fn what_the_directory_owns_is_refused_by_name_and_repeated_in_peace() {
    let bridge = TestBridge::start(&settings());
    let mut client = bridge.client();
    let person = &whole(2)[1];
    let path = path(person);
    let set = |name: &str, value: &str| {
        operation("replace", &format!("{CODES}:attributes[name eq \"{name}\"].value"), value)
    };
    let given = person.given_name.as_deref().unwrap();
    for (name, attribute) in
        [("FIRSTNAME", "name.givenName"), ("NR", "attributes"), ("ATR_EMAIL", "emails")]
    {
        let refused = client.patch(&path, &set(name, "other")).expect(400);
        assert_eq!(refused["scimType"], "mutability", "{refused}");
        let detail = refused["detail"].as_str().unwrap();
        assert!(detail.contains(attribute) && detail.contains("\"corp\""), "{detail}");
    }
    // Repeating binds nobody, and what is given back binds by what is new in it.
    let repeated = client.patch(&path, &set("FIRSTNAME", given)).expect(200);
    assert_eq!(repeated["userType"], "LDAP");
    let mut body = client.get(&path).expect(200);
    body["groups"] = json!([]);
    assert_eq!(client.put(&path, &body).expect(200)["userType"], "LDAP");
    let list = body[CODES]["attributes"].as_array_mut().unwrap();
    list.push(json!({ "name": "DOB", "value": "1980-08-01" }));
    for element in list {
        if element["name"] == "TOWN" {
            element["value"] = "Elsewhere".into();
        }
    }
    let bound = client.put(&path, &body).expect(200);
    assert_eq!(bound["userType"], "FTRESS_LDAP");
    assert_eq!(code(&bound, "DOB")["type"], "date");
    assert_eq!(code(&bound, "TOWN")["value"], "Elsewhere");
    assert_eq!(code(&bound, "NR")["readOnly"], true);
    assert_eq!(code(&bound, "FIRSTNAME")["readOnly"], true);

    // So it is with who is bound.
    let refused = client.patch(&path, &set("LASTNAME", "Other")).expect(400);
    assert_eq!(refused["scimType"], "mutability");
    client.patch(&path, &set("LASTNAME", &person.sn)).expect(200);
    let back = client.patch(
        &path,
        &json!({ "Operations": [
        { "op": "remove", "path": format!("{CODES}:attributes[name eq \"TOWN\"]") }] }),
    );
    assert_eq!(code(&back.expect(200), "TOWN")["value"], person.city, "ours goes, theirs is there");
    // A section that is left out stands, be it whose it may.
    let left = json!({ "externalId": person.uid, "groups": [] });
    let after = client.put(&path, &left).expect(200);
    assert_eq!(
        (code(&after, "DOB")["value"].clone(), code(&after, "NR")["value"].clone()),
        (json!("1980-08-01"), json!(person.employee_number))
    );
    // There may be one address only, and the directory has it.
    let mut other = left;
    other["emails"] = json!([{ "value": "other@example.com" }]);
    let refused = client.put(&path, &other).expect(400);
    assert_eq!(refused["scimType"], "mutability", "{refused}");
    assert!(refused["detail"].as_str().unwrap().contains("\"emails\""), "{refused}");
}

#[test]
fn a_post_that_binds_needs_no_name() {
    let bridge = TestBridge::start(&settings());
    let mut client = bridge.client();
    let person = &whole(3)[2];
    let body =
        json!({ "externalId": person.uid, "groups": [], (CODES): codes(&[("DOB", "1980-08-01")]) });
    let bound = client.post("/Users", &body).expect(200);
    assert_eq!(bound["userType"], "FTRESS_LDAP");
    assert_eq!(bound["userName"], person.uid.as_str());
    assert_eq!(code(&bound, "DOB")["value"], "1980-08-01");
    assert_eq!(code(&bound, "LASTNAME")["value"], person.sn.as_str());
}

#[test]
fn codes_are_asked_of_directories_too() {
    let bridge = TestBridge::start(&settings());
    let mut client = bridge.client();
    let people = whole(6);
    let (bound, unbound) = (&people[4], &people[5]);
    let body = json!({ "externalId": bound.uid, (CODES): codes(&[("DOB", "1980-08-01")]) });
    client.post("/Users", &body).expect(200);
    let prefix = format!("{CODES}:attributes");
    let all: Vec<Person> = (1..=1000).map(company::person).collect();
    let named = |wanted: &dyn Fn(&Person) -> bool| -> Vec<String> {
        let mut names: Vec<String> =
            all.iter().filter(|person| wanted(person)).map(|person| person.uid.clone()).collect();
        names.sort();
        names
    };
    let mut rfc = bridge.client_as(RFC);
    for person in [bound, unbound] {
        let given = person.given_name.as_deref().unwrap();
        for (filter, names) in [
            (
                format!("{prefix}[name eq \"NR\" and value eq \"{}\"]", person.employee_number),
                vec![person.uid.clone()],
            ),
            (
                format!("{prefix}[name eq \"MAILS\" and value eq \"{}\"]", person.mails[1]),
                named(&|other| other.mails.contains(&person.mails[1])),
            ),
            (
                format!(
                    "{prefix}[name eq \"LASTNAME\" and value eq \"{}\"] and \
                      {prefix}[name eq \"FIRSTNAME\" and value eq \"{given}\"]",
                    person.sn
                ),
                named(&|other| other.sn == person.sn && other.given_name == person.given_name),
            ),
            (
                format!("{prefix}[name eq \"ATR_EMAIL\" and value eq \"{}\"]", person.mails[0]),
                vec![person.uid.clone()],
            ),
        ] {
            for client in [&mut client, &mut rfc] {
                assert_eq!(found(client, &filter, true), names, "{filter}");
            }
        }
    }
    let born = format!("{prefix}[name eq \"DOB\" and value eq \"1980-08-01\"]");
    assert_eq!(found(&mut client, &born, true), [bound.uid.as_str()]);
    assert_eq!(found(&mut client, &born, false), [bound.uid.as_str()]);
}
