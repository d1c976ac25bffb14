//! Every form of path with every operation, on three users: one of ours, one of whom the directory
//! owns what it maps, and one of whom it lends that to us.

use serde_json::{Value, json};

use crate::support::bridge::{Settings, TestBridge};
use crate::support::client::{Answer, Client};
use crate::support::company;
use crate::support::slapd::Slapd;

const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

/// What becomes of a request.
#[derive(Clone, Debug)]
enum Outcome {
    /// 200, and the value at the pointer is this.
    Is(Value),
    /// 200, and the value is what it was before.
    Kept,
    /// 200, and the value is gone.
    Gone,
    /// 400 with this `scimType`.
    Refused(&'static str),
}

use Outcome::{Gone, Is, Kept, Refused};

/// One row: an operation, where to look, and what becomes of it for the local user, the bound user
/// whose values the directory owns, and the bound user to whom they are lent.
struct Row {
    operation: Value,
    pointer: &'static str,
    outcomes: [Outcome; 3],
}

fn row(operation: Value, pointer: &'static str, outcomes: [Outcome; 3]) -> Row {
    Row { operation, pointer, outcomes }
}

/// The same for all.
fn all(outcome: &Outcome) -> [Outcome; 3] {
    [outcome.clone(), outcome.clone(), outcome.clone()]
}

/// What changes what the directory maps: refused where it owns that.
fn theirs(outcome: &Outcome) -> [Outcome; 3] {
    [outcome.clone(), Refused("mutability"), outcome.clone()]
}

/// What takes a lent value away gives the directory's back.
fn taken() -> [Outcome; 3] {
    [Gone, Refused("mutability"), Kept]
}

fn rows() -> Vec<Row> {
    let op = |op: &str, path: &str, value: Value| json!({ "op": op, "path": path, "value": value });
    let remove = |path: &str| json!({ "op": "remove", "path": path });
    let bare = |op: &str, value: Value| json!({ "op": op, "value": value });
    let department = format!("{ENTERPRISE}:department");
    let cost_center = format!("{ENTERPRISE}:costCenter");
    let extension = "/urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
    let dep = "/urn:ietf:params:scim:schemas:extension:enterprise:2.0:User/department";
    let cost = "/urn:ietf:params:scim:schemas:extension:enterprise:2.0:User/costCenter";
    let work = "emails[type eq \"work\"]";
    let other = json!([{ "value": "x@other.example", "type": "other" }]);
    vec![
        // A simple attribute, mapped and not.
        row(op("replace", "title", "New".into()), "/title", theirs(&Is("New".into()))),
        row(op("add", "title", "New".into()), "/title", theirs(&Is("New".into()))),
        // What says the same is no write to what the directory has.
        row(op("replace", "title", "SAME".into()), "/title", [Is("SAME".into()), Kept, Kept]),
        row(op("replace", "title", Value::Null), "/title", taken()),
        row(remove("title"), "/title", taken()),
        row(op("add", "nickName", "N".into()), "/nickName", all(&Is("N".into()))),
        row(remove("nickName"), "/nickName", all(&Gone)),
        row(op("replace", "active", false.into()), "/active", all(&Is(false.into()))),
        row(remove("userName"), "/userName", all(&Refused("mutability"))),
        row(op("replace", "id", "x".into()), "/id", all(&Refused("mutability"))),
        row(op("replace", "shoeSize", 3.into()), "/shoeSize", all(&Gone)),
        // A complex one: as a whole, and a sub-attribute.
        row(
            op("replace", "name", json!({ "givenName": "New" })),
            "/name/givenName",
            theirs(&Is("New".into())),
        ),
        row(
            op("add", "name", json!({ "middleName": "M" })),
            "/name/middleName",
            all(&Is("M".into())),
        ),
        row(op("replace", "name", json!({ "middleName": "M" })), "/name/givenName", all(&Kept)),
        row(remove("name.middleName"), "/name/middleName", all(&Gone)),
        row(
            op("replace", "name.givenName", "New".into()),
            "/name/givenName",
            theirs(&Is("New".into())),
        ),
        row(remove("name.givenName"), "/name/givenName", taken()),
        row(op("replace", "name", "text".into()), "/name", all(&Refused("invalidValue"))),
        // A list: as a whole, by a filter, and a sub-attribute of what a filter finds.
        row(op("add", "emails", other.clone()), "/emails/1", all(&Is(other[0].clone()))),
        row(op("remove", "emails", other), "/emails/1", all(&Gone)),
        row(remove("emails[type eq \"other\"]"), "/emails/1", all(&Gone)),
        row(
            op("replace", &format!("{work}.value"), "new@example.com".into()),
            "/emails/0/value",
            theirs(&Is("new@example.com".into())),
        ),
        row(
            op("replace", work, json!({ "value": "new@example.com" })),
            "/emails/0/value",
            theirs(&Is("new@example.com".into())),
        ),
        row(
            op("replace", "emails", json!([{ "value": "h@example.com", "type": "home" }])),
            "/emails/0/type",
            theirs(&Is("home".into())),
        ),
        row(remove(work), "/emails", taken()),
        row(remove("emails"), "/emails", taken()),
        row(
            op("replace", "emails[type eq \"none\"].value", "x".into()),
            "/emails",
            all(&Refused("noTarget")),
        ),
        // Without a path; with dots; with a URN.
        row(bare("replace", json!({ "title": "New" })), "/title", theirs(&Is("New".into()))),
        row(bare("add", json!({ "nickName": "N" })), "/nickName", all(&Is("N".into()))),
        row(bare("remove", json!({ "title": "x" })), "/title", all(&Refused("noTarget"))),
        row(
            bare("replace", json!({ "name.givenName": "New" })),
            "/name/givenName",
            theirs(&Is("New".into())),
        ),
        row(op("replace", &department, "New".into()), dep, theirs(&Is("New".into()))),
        row(op("add", &cost_center, "4130".into()), cost, all(&Is("4130".into()))),
        row(remove(&cost_center), cost, all(&Gone)),
        row(remove(&department), dep, taken()),
        row(bare("replace", json!({ (cost_center): "4130" })), cost, all(&Is("4130".into()))),
        // A whole extension.
        row(
            op("replace", ENTERPRISE, json!({ "costCenter": "4130" })),
            cost,
            all(&Is("4130".into())),
        ),
        row(op("add", ENTERPRISE, json!({ "department": "New" })), dep, theirs(&Is("New".into()))),
        row(
            bare("replace", json!({ (ENTERPRISE): { "department": "New" } })),
            dep,
            theirs(&Is("New".into())),
        ),
        row(remove(ENTERPRISE), extension, [Gone, Refused("mutability"), Kept]),
    ]
}

/// The bound users' values, as the local user has them, too.
fn body(number: usize, user_name: &str) -> Value {
    let person = company::person(number);
    json!({
        "userName": user_name, "title": "Same",
        "name": { "givenName": person.given_name, "familyName": person.sn },
        "emails": [{ "value": person.mails[0], "type": "work", "primary": true }],
        (ENTERPRISE): { "department": "D" },
    })
}

/// Tries `row` on the user at `path`, and sees to it that a refusal changes nothing.
fn tried(client: &mut Client, path: &str, row: &Row, outcome: &Outcome) -> Result<(), String> {
    let body = json!({ "Operations": [row.operation] });
    let send = |client: &mut Client, _: &Value| client.patch(path, &body);
    judged(client, path, row.pointer, outcome, send)
        .map_err(|fault| format!("{}: {fault}", row.operation))
}

/// Sends something about the user at `path`, and holds what becomes of the value at `pointer` against
/// what should.
fn judged(
    client: &mut Client,
    path: &str,
    pointer: &str,
    outcome: &Outcome,
    send: impl Fn(&mut Client, &Value) -> Answer,
) -> Result<(), String> {
    let shown = |client: &mut Client| {
        let mut shown = client.get(path).expect(200);
        // When the entry was read is nothing of the user's.
        shown.as_object_mut().unwrap().remove("urn:scimbridge:schemas:2.0:Source");
        shown
    };
    let before = shown(client);
    let answer = send(client, &before);
    let shown = shown(client);
    let (was, is) = (before.pointer(pointer), shown.pointer(pointer));
    let status = if matches!(outcome, Refused(_)) { 400 } else { 200 };
    let text = answer.text();
    let good = answer.status == status
        && match outcome {
            Is(value) => is == Some(value),
            Kept => is == was && is.is_some(),
            Gone => is.is_none(),
            Refused(kind) => shown == before && text.contains(&format!("\"{kind}\"")),
        };
    if good {
        return Ok(());
    }
    Err(format!("{path}: not {outcome:?} but {}, {is:?}, {text}", answer.status))
}

/// A directory whose values are its own in one repository and lent in another.
fn settings(slapd: &Slapd) -> Settings {
    Settings::default().repository("own", &slapd.url()).repository("lent", &slapd.url()).with(
        &format!(
            "[tenant.repository.attributes]\n\
             title = {{ authority = \"local\" }}\n\
             \"name.givenName\" = {{ authority = \"local\" }}\n\
             'emails[type eq \"work\"].value' = {{ authority = \"local\" }}\n\
             \"{ENTERPRISE}:department\" = {{ authority = \"local\" }}\n\
             \"{ENTERPRISE}:employeeNumber\" = {{ authority = \"local\" }}\n\
             \"{ENTERPRISE}:organization\" = {{ authority = \"local\" }}"
        ),
    )
}

/// Somebody of the directory with the values of [`body`].
fn somebody(slapd: &Slapd) -> usize {
    let fits = |number: &usize| {
        let person = company::person(*number);
        person.mails.len() == 1 && person.given_name.is_some()
    };
    let number = (40..90).find(fits).unwrap();
    slapd.modify(&format!(
        "dn: {}\nchangetype: modify\nreplace: title\ntitle: Same\n-\n\
         replace: departmentNumber\ndepartmentNumber: D\n",
        company::person(number).dn(crate::support::slapd::SUFFIX)
    ));
    number
}

/// Tries one row on a user of each kind, and leaves none of it: each row has a local user of its own, and
/// a bound one is bound anew.
fn on_each_kind(
    client: &mut Client,
    number: usize,
    row: &str,
    outcomes: &[Outcome; 3],
    mut tried: impl FnMut(&mut Client, &str, &Outcome) -> Result<(), String>,
) -> Vec<String> {
    let person = company::person(number);
    let local = client.post("/Users", &body(number, &format!("local-{row}"))).expect(201);
    let bound = ["own", "lent"].map(|id| (id, format!("/Users/{id}.{}", person.entry_uuid)));
    let local = format!("/Users/{}", local["id"].as_str().unwrap());
    let paths = [&local, &bound[0].1, &bound[1].1];
    let faults =
        paths.iter().zip(outcomes).filter_map(|(path, outcome)| tried(client, path, outcome).err());
    let faults = faults.collect();
    for (repository, path) in &bound {
        if client.get(path).expect(200)["userType"] == "FTRESS_LDAP" {
            client.delete(path);
            let bind = json!({ "userName": person.uid, "externalId": person.uid,
                "userRepositoryId": repository });
            client.post("/Users", &bind).expect(201);
        }
    }
    faults
}

#[test]
fn each_path_with_each_operation_on_each_kind_of_user() {
    let slapd = Slapd::company(100);
    let bridge = TestBridge::start(&settings(&slapd));
    let (mut client, number) = (bridge.client(), somebody(&slapd));
    let mut faults = Vec::new();
    for (index, row) in rows().iter().enumerate() {
        let try_row =
            |client: &mut Client, path: &str, outcome: &Outcome| tried(client, path, row, outcome);
        faults.extend(on_each_kind(
            &mut client,
            number,
            &index.to_string(),
            &row.outcomes,
            try_row,
        ));
    }
    assert!(faults.is_empty(), "{} of {}:\n{}", faults.len(), rows().len() * 3, faults.join("\n"));
}

/// What a PUT changes of what was read, where to look, and what becomes of it.
type Put = (&'static str, fn(&mut Value), &'static str, [Outcome; 3]);

fn leave_out(user: &mut Value, name: &str) {
    user.as_object_mut().unwrap().remove(name);
}

/// What a PUT leaves out is none of the directory's business, and what was lent comes back.
fn left_out() -> [Outcome; 3] {
    [Gone, Kept, Kept]
}

fn puts() -> Vec<Put> {
    let dep = "/urn:ietf:params:scim:schemas:extension:enterprise:2.0:User/department";
    let cost = "/urn:ietf:params:scim:schemas:extension:enterprise:2.0:User/costCenter";
    vec![
        ("what was read", |_| {}, "/meta/version", all(&Kept)),
        (
            "a simple value",
            |user| user["title"] = "New".into(),
            "/title",
            theirs(&Is("New".into())),
        ),
        ("no simple value", |user| leave_out(user, "title"), "/title", left_out()),
        ("null", |user| user["title"] = Value::Null, "/title", left_out()),
        (
            "what is not mapped",
            |user| user["nickName"] = "N".into(),
            "/nickName",
            all(&Is("N".into())),
        ),
        (
            "a sub-attribute",
            |user| user["name"]["givenName"] = "New".into(),
            "/name/givenName",
            theirs(&Is("New".into())),
        ),
        (
            "a new sub-attribute",
            |user| user["name"]["middleName"] = "M".into(),
            "/name/middleName",
            all(&Is("M".into())),
        ),
        ("no complex value", |user| leave_out(user, "name"), "/name/givenName", left_out()),
        (
            "another element",
            |user| {
                let emails = user["emails"].as_array_mut().unwrap();
                emails.push(json!({ "value": "h@example.com", "type": "home" }));
            },
            "/emails/1/type",
            all(&Is("home".into())),
        ),
        (
            "an element",
            |user| user["emails"][0]["value"] = "new@example.com".into(),
            "/emails/0/value",
            theirs(&Is("new@example.com".into())),
        ),
        ("no list", |user| leave_out(user, "emails"), "/emails", left_out()),
        ("an empty list", |user| user["emails"] = json!([]), "/emails", left_out()),
        (
            "a value of an extension",
            |user| user[ENTERPRISE]["department"] = "New".into(),
            dep,
            theirs(&Is("New".into())),
        ),
        (
            "a new value of an extension",
            |user| user[ENTERPRISE]["costCenter"] = "4130".into(),
            cost,
            all(&Is("4130".into())),
        ),
        ("no extension", |user| leave_out(user, ENTERPRISE), dep, left_out()),
        ("active", |user| user["active"] = false.into(), "/active", all(&Is(false.into()))),
        (
            "active as a text",
            |user| user["active"] = "False".into(),
            "/active",
            all(&Is(false.into())),
        ),
        ("what is readOnly", |user| user["id"] = "x".into(), "/id", all(&Kept)),
        ("what nobody knows", |user| user["shoeSize"] = 3.into(), "/shoeSize", all(&Gone)),
        (
            "no required value",
            |user| leave_out(user, "userName"),
            "/userName",
            [Refused("invalidValue"), Kept, Kept],
        ),
        (
            "a value of another type",
            |user| user["name"] = "text".into(),
            "/name",
            all(&Refused("invalidValue")),
        ),
    ]
}

#[test]
fn each_change_that_a_put_makes_on_each_kind_of_user() {
    let slapd = Slapd::company(100);
    let bridge = TestBridge::start(&settings(&slapd));
    let (mut client, number) = (bridge.client(), somebody(&slapd));
    let mut faults = Vec::new();
    for (index, (what, change, pointer, outcomes)) in puts().iter().enumerate() {
        let try_put = |client: &mut Client, path: &str, outcome: &Outcome| {
            let put = |client: &mut Client, read: &Value| {
                let mut user = read.clone();
                change(&mut user);
                client.put(path, &user)
            };
            judged(client, path, pointer, outcome, put).map_err(|fault| format!("{what}: {fault}"))
        };
        faults.extend(on_each_kind(&mut client, number, &index.to_string(), outcomes, try_put));
    }
    assert!(faults.is_empty(), "{} of {}:\n{}", faults.len(), puts().len() * 3, faults.join("\n"));
}
