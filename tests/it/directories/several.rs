//! One tenant over OpenLDAP, Active Directory and 389 Directory Server at once.

use std::sync::mpsc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::servers;
use crate::support::bridge::{Settings, TestBridge};
use crate::support::client::Client;
use crate::support::slapd::{PASSWORD, READER, SUFFIX, Slapd};
use crate::support::way::{Mode, Way};
use crate::support::{company, eventually};

const REPORT: &str = "urn:scimbridge:api:messages:2.0:Repositories";
const FRESH: &str = "cache = { fresh = \"0s\", negative = \"0s\", stale = \"0s\" }\n\
                     timeouts = { connect = \"5s\", operation = \"30s\" }\n";
/// Whom this alone changes, in the shared directories.
const CHANGED: usize = 59;

/// A repository's table, for the directory at `url`.
fn table(id: &str, lines: &str) -> String {
    format!("[[tenant.repository]]\nid = {id:?}\n{lines}{FRESH}")
}

fn openldap(url: &str) -> String {
    format!(
        "urls = [{url:?}]\nbind_dn = {READER:?}\nbind_password = {PASSWORD:?}\n\
         base = \"ou=people,{SUFFIX}\"\nmapping = \"openldap\"\n"
    )
}

/// The directories, each behind a way of its own, and their tables.
fn all(slapd: &Slapd) -> (Vec<(&'static str, Way)>, String) {
    let way = Way::to(format!("127.0.0.1:{}", slapd.port()), Mode::Pass);
    let mut tables = table("open", &openldap(&way.url()));
    let mut ways = vec![("open", way)];
    for server in servers::all() {
        let id = if server.is_samba() { "ad" } else { "ds" };
        let way = Way::to(server.address(), Mode::Pass);
        tables += &table(id, &server.lines(&way.url()));
        ways.push((id, way));
    }
    (ways, tables)
}

fn find(client: &mut Client, filter: &str) -> Value {
    let query = [("searchRepositories", "true"), ("filter", filter), ("count", "100")];
    client.query("/Users", &query).expect(200)
}

fn people(found: &Value) -> &[Value] {
    found["Resources"].as_array().map_or(&[], Vec::as_slice)
}

/// All are asked at once: each has its question while none has answered, and the answer comes with the
/// last of theirs.
#[test]
fn the_slowest_directory_decides_and_conflicts_are_shown() {
    let (ways, tables) = all(Slapd::shared());
    let bridge = TestBridge::start(&Settings::local().rest(&tables));
    let name = servers::uid(6);
    let filter = format!("userName eq \"{name}\"");
    // The first answer waits for connections and schemas.
    find(&mut bridge.client(), &filter);
    let before: Vec<usize> = ways.iter().map(|(_, way)| way.asked()).collect();
    for (_, way) in &ways {
        way.set(Mode::Hold);
    }
    let (send, receive) = mpsc::channel();
    let mut client = bridge.client();
    std::thread::scope(|scope| {
        scope.spawn(move || send.send(find(&mut client, &filter)).unwrap());
        let asked = || ways.iter().zip(&before).all(|((_, way), before)| way.asked() > *before);
        assert!(eventually(Duration::from_secs(20), asked), "one waits for another");
        for (_, way) in &ways[1..] {
            way.set(Mode::Pass);
        }
        assert!(receive.recv_timeout(Duration::from_millis(300)).is_err(), "one is left out");
        ways[0].1.set(Mode::Pass);
    });
    let found = receive.recv().unwrap();
    assert_eq!(found["totalResults"], ways.len(), "{found}");
    let reports = found[REPORT].as_array().unwrap();
    assert_eq!(reports.len(), ways.len());
    assert!(reports.iter().all(|report| report["state"] == "ok"), "{reports:?}");
    for user in people(&found) {
        let text = user.to_string();
        let others = ways.iter().filter(|(id, _)| text.contains(&format!("{id}."))).count();
        assert!(text.contains("conflict") && others == ways.len(), "{text}");
    }
}

/// The order in the file is the priority; whoever comes later is not shown in place of somebody who
/// cannot be asked.
#[test]
fn the_first_directory_has_the_name_also_while_it_is_silent() {
    let (ways, tables) = all(Slapd::shared());
    let settings = Settings::local().tenant("on_conflict = \"first\"").rest(&tables);
    let bridge = TestBridge::start(&settings);
    let mut client = bridge.client();
    let filter = format!("userName eq \"{}\"", servers::uid(6));
    let id = |found: &Value| people(found)[0]["id"].as_str().unwrap().to_owned();
    let found = find(&mut client, &filter);
    assert_eq!(found["totalResults"], 1, "{found}");
    assert!(id(&found).starts_with("open."), "{found}");
    ways[0].1.set(Mode::Refuse);
    let query = [("searchRepositories", "true"), ("filter", filter.as_str())];
    let silent = client.query("/Users", &query);
    assert_eq!(silent.status, 503, "{}", silent.text());
    ways[0].1.set(Mode::Pass);
    let back = || bridge.client().query("/Users", &query).status == 200;
    assert!(eventually(Duration::from_secs(30), back), "{}", bridge.log());
    ways.last().unwrap().1.set(Mode::Refuse);
    let found = find(&mut client, &filter);
    assert!(id(&found).starts_with("open."), "a later one is not waited for: {found}");
}

/// One directory of the three, as its administrator changes it.
struct Directory<'a> {
    id: &'static str,
    /// Further arguments of `ldapmodify`, and change records.
    modify: &'a dyn Fn(&[&str], &str),
    dn: String,
    /// Where the person goes, by relative name and parent.
    moved: (&'static str, String),
    /// The attribute with the login.
    login: &'static str,
    /// The class of a person, with what it must have.
    made: &'static str,
    /// Arguments and change records that bring a deleted person back as the same, by DN and entry key.
    restore: Option<Restore>,
}

type Restore = fn(&str, &str) -> (&'static [&'static str], String);

/// With the `entryUUID` that it had, as a copy is loaded.
fn as_it_was(dn: &str, key: &str) -> (&'static [&'static str], String) {
    let entry = "objectClass: inetOrgPerson\nuid: moved.here\ncn: N\nsn: N\n";
    (&["-e", "!relax"], format!("dn: {dn}\nchangetype: add\n{entry}entryUUID: {key}\n"))
}

/// Out of the container of deleted objects, which a control has to show.
fn out_of_the_deleted(dn: &str, key: &str) -> (&'static [&'static str], String) {
    let (rdn, _) = dn.split_once(',').unwrap();
    let change = format!(
        "dn: {rdn}\\0ADEL:{key},CN=Deleted Objects,DC=ad,DC=example,DC=org\nchangetype: modify\n\
         delete: isDeleted\n-\nreplace: distinguishedName\ndistinguishedName:: {}\n-\n",
        STANDARD.encode(dn)
    );
    (&["-e", "!1.2.840.113556.1.4.417"], change)
}

/// In `id`, who has the login.
fn named(client: &mut Client, id: &str, login: &str) -> Vec<Value> {
    let found = find(client, &format!("userName eq \"{login}\" and userRepositoryId eq \"{id}\""));
    people(&found).to_vec()
}

fn path(user: &Value) -> String {
    format!("/Users/{}", user["id"].as_str().unwrap())
}

/// Moved, renamed, deleted, made anew under the same login, restored: each is who they are.
fn stays(client: &mut Client, directory: &Directory<'_>) {
    let Directory { id, modify, dn, moved, login, made, restore } = directory;
    let first = named(client, id, &servers::uid(CHANGED)).pop().unwrap();
    let own = path(&first);
    let nick = json!({ "Operations": [{ "op": "add", "path": "nickName", "value": id }] });
    client.patch(&own, &nick).expect(200);
    let is_the_same = |client: &mut Client, name: &str| {
        let user = client.get(&own).expect(200);
        assert_eq!((&user["nickName"], &user["userType"]), (&json!(id), &json!("FTRESS_LDAP")));
        assert_eq!((&user["userName"], &user["active"]), (&json!(name), &first["active"]));
        let found = named(client, id, name);
        assert_eq!((found.len(), &found[0]["id"]), (1, &first["id"]), "{found:?}");
    };
    let (rdn, parent) = moved;
    modify(
        &[],
        &format!(
            "dn:: {}\nchangetype: modrdn\nnewrdn: {rdn}\ndeleteoldrdn: 1\nnewsuperior:: {}\n",
            STANDARD.encode(dn),
            STANDARD.encode(parent)
        ),
    );
    let dn = format!("{rdn},{parent}");
    let record = format!("dn:: {}\nchangetype:", STANDARD.encode(&dn));
    if !rdn.starts_with(login) {
        is_the_same(client, first["userName"].as_str().unwrap());
        modify(&[], &format!("{record} modify\nreplace: {login}\n{login}: moved.here\n"));
    }
    is_the_same(client, "moved.here");
    assert_eq!(named(client, id, first["userName"].as_str().unwrap()), Vec::<Value>::new(), "{id}");

    modify(&[], &format!("{record} delete\n"));
    modify(&[], &format!("{record} add\n{made}{login}: moved.here\n"));
    let namesakes = named(client, id, "moved.here");
    let new = namesakes.iter().find(|user| user["id"] != first["id"]);
    let new = new.unwrap_or_else(|| panic!("{id}: {namesakes:?}"));
    assert_eq!((&new["userType"], new.get("nickName")), (&json!("LDAP"), None), "{new}");

    let Some(restore) = restore else { return };
    modify(&[], &format!("{record} delete\n"));
    let key = first["id"].as_str().unwrap().split_once('.').unwrap().1;
    let (arguments, change) = restore(&dn, key);
    modify(arguments, &change);
    is_the_same(client, "moved.here");
    assert_eq!(client.get(&path(new)).status, 404, "{id}");
}

#[test]
fn everybody_stays_who_they_are_in_each_directory() {
    let slapd = Slapd::company(60);
    let (_ways, tables) = all(&slapd);
    let bridge = TestBridge::start(&Settings::local().rest(&tables));
    let mut client = bridge.client();
    let made = "objectClass: inetOrgPerson\ncn: N\nsn: New\n";
    let open = Directory {
        id: "open",
        modify: &|arguments, text| slapd.modify_with(arguments, text),
        dn: company::person(CHANGED).dn(SUFFIX),
        moved: ("uid=moved.here", format!("ou=interns,ou=people,{SUFFIX}")),
        login: "uid",
        made,
        restore: Some(as_it_was),
    };
    stays(&mut client, &open);
    for server in servers::all() {
        let (base, samba) = (server.base, server.is_samba());
        let shared = Directory {
            id: if samba { "ad" } else { "ds" },
            modify: &|arguments, text| server.modify_with(arguments, text),
            dn: server.dn(CHANGED),
            moved: if samba {
                ("CN=Moved Here", format!("OU=Außendienst,{base}"))
            } else {
                ("uid=moved.here", format!("ou=field,{base}"))
            },
            login: if samba { "sAMAccountName" } else { "uid" },
            made: if samba {
                "objectClass: user\nuserAccountControl: 544\nsn: New\n"
            } else {
                made
            },
            // Of 389 Directory Server nobody gives an entry its nsUniqueId.
            restore: samba.then_some(out_of_the_deleted),
        };
        stays(&mut client, &shared);
    }
}
