//! Walks by cursor (RFC 9865): everybody once and in order, whatever happens in between.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::bridge::{Settings, TestBridge};
use crate::support::client::Client;
use crate::support::company;
use crate::support::slapd::{Options, SUFFIX, Slapd};

const REPORT: &str = "urn:scimbridge:api:messages:2.0:Repositories";
const SOURCE: &str = "urn:scimbridge:schemas:2.0:Source";

/// People who are nowhere else: `<prefix>00001` and so on; a third of them has no title.
fn crowd(prefix: &str, people: std::ops::RangeInclusive<usize>) -> String {
    people.fold(String::new(), |mut ldif, number| {
        write!(
            ldif,
            "\ndn: uid={prefix}{number:05},ou=staff,ou=people,{SUFFIX}\nobjectClass: inetOrgPerson\n\
             uid: {prefix}{number:05}\ncn: {prefix} {number}\nsn: Number {}\n",
            number % 97
        )
        .unwrap();
        if number % 3 > 0 {
            writeln!(ldif, "title: Title {}", number % 11).unwrap();
        }
        ldif
    })
}

fn ids(list: &Value) -> Vec<String> {
    let resources = list["Resources"].as_array().unwrap();
    resources.iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect()
}

fn text<'a>(list: &'a Value, member: &str) -> Option<&'a str> {
    list.get(member).map(|cursor| cursor.as_str().unwrap())
}

/// A query, to be asked page by page.
#[derive(Clone, Copy)]
struct Walk<'a>(&'a str, &'a [(&'a str, &'a str)]);

impl Walk<'_> {
    fn ask(self, client: &mut Client, cursor: &str) -> crate::support::client::Answer {
        client.query(self.0, &[self.1, &[("cursor", cursor)]].concat())
    }

    fn page(self, client: &mut Client, cursor: &str) -> Value {
        self.ask(client, cursor).expect(200)
    }

    /// All pages from the first on.
    fn whole(self, client: &mut Client) -> Vec<Value> {
        let mut pages = vec![self.page(client, "")];
        while let Some(next) = text(pages.last().unwrap(), "nextCursor").map(str::to_owned) {
            pages.push(self.page(client, &next));
        }
        pages
    }
}

fn all_ids(pages: &[Value]) -> Vec<String> {
    pages.iter().flat_map(ids).collect()
}

fn all(pages: &[Value]) -> Vec<Value> {
    pages.iter().flat_map(|page| page["Resources"].as_array().unwrap().clone()).collect()
}

#[track_caller]
fn each_once(ids: &[String]) {
    let mut seen = HashSet::new();
    let twice: Vec<_> = ids.iter().filter(|id| !seen.insert(*id)).collect();
    assert!(twice.is_empty(), "more than once: {twice:?}");
}

fn bind(client: &mut Client, id: &str) -> Value {
    let operation = json!({ "op": "add", "path": "nickName", "value": "Bound" });
    client.patch(&format!("/Users/{id}"), &json!({ "Operations": [operation] })).expect(200)
}

/// What a list is ordered by, with who has nothing at the end.
fn by_name(user: &Value) -> String {
    user["userName"].as_str().unwrap().to_lowercase()
}

#[test]
fn five_thousand_people_of_three_sources_come_once_and_in_order() {
    let corp = Slapd::company(2500);
    let labs = Slapd::start(Options { ldif: crowd("lab", 1..=2100), ..Options::default() });
    let settings = Settings::over(&corp)
        .repository("labs", &labs.url())
        .with("size_limit = 50")
        .tenant("max_results = 500");
    let mut bridge = TestBridge::start(&settings);
    let mut client = bridge.client();
    for number in 0..400 {
        let user = json!({ "userName": format!("local.{number:03}"), "title": "Here" });
        client.post("/Users", &user).expect(201);
    }
    let walk = Walk("/Users", &[("searchRepositories", "true"), ("count", "250")]);
    let lab = |number: usize| format!("userName eq \"lab{number:05}\"");
    let id_of = |client: &mut Client, filter: &str| {
        let parameters = [("filter", filter), ("searchRepositories", "true")];
        let list = client.query("/Users", &parameters).expect(200);
        ids(&list).pop().unwrap()
    };
    let mut pages = vec![walk.page(&mut client, "")];
    assert_eq!(text(&pages[0], "previousCursor"), None);
    assert_eq!(pages[0].get("startIndex"), None);
    assert_eq!(pages[0]["itemsPerPage"], 250);
    let mut bound = Vec::new();
    while let Some(next) = text(pages.last().unwrap(), "nextCursor").map(str::to_owned) {
        let turn = pages.len();
        // Somebody who was shown and somebody who was not are bound; somebody comes in front.
        for number in [turn * 7, 2100 - turn * 11] {
            let id = id_of(&mut client, &lab(number));
            assert_eq!(bind(&mut client, &id)["userType"], "FTRESS_LDAP");
            bound.push(id);
        }
        client.post("/Users", &json!({ "userName": format!("aaa.{turn}") })).expect(201);
        if turn == 9 {
            bridge.restart();
            client = bridge.client();
        }
        pages.push(walk.page(&mut client, &next));
    }
    let people = all(&pages);
    let ids = all_ids(&pages);
    each_once(&ids);
    let here = |prefix: &str| ids.iter().filter(|id| id.starts_with(prefix)).count();
    let stood = people.iter().filter(|one| one["userName"].as_str().unwrap().starts_with("local."));
    assert_eq!((here("corp."), here("labs."), stood.count()), (2500, 2100, 400));
    assert!(people.is_sorted_by_key(by_name), "in order");
    for page in &pages {
        assert_eq!(page[REPORT][0]["found"], 2500);
        assert_eq!(page[REPORT][1]["found"], 2100);
        let states = [&page[REPORT][0]["state"], &page[REPORT][1]["state"]];
        assert!(states.iter().all(|state| *state == "ok" || *state == "cached"), "{states:?}");
    }
    let shown = |id: &String| people.iter().position(|one| one["id"] == **id).unwrap();
    let late = bound.iter().filter(|id| people[shown(id)]["userType"] == "FTRESS_LDAP").count();
    assert!(late >= 5, "who was bound before being shown is shown bound: {late}");
    // And all the way back.
    let last = pages.last().unwrap().clone();
    let mut back = vec![last];
    while let Some(previous) = text(back.last().unwrap(), "previousCursor").map(str::to_owned) {
        back.push(walk.page(&mut client, &previous));
    }
    back.reverse();
    let backwards = all_ids(&back);
    each_once(&backwards);
    let newcomers = |id: &&String| !ids.contains(id);
    assert!(backwards.iter().filter(newcomers).count() <= 20);
    let stood: HashSet<_> = backwards.iter().collect();
    assert!(ids.iter().all(|id| stood.contains(id)), "everybody on the way back as well");
    assert!(all(&back).is_sorted_by_key(by_name));
}

#[test]
fn lists_go_by_any_attribute_up_and_down_with_the_absent_at_the_right_end() {
    let labs = Slapd::start(Options { ldif: crowd("lab", 1..=700), ..Options::default() });
    let bridge = TestBridge::start(&Settings::over(&labs).with("size_limit = 10"));
    let mut client = bridge.client();
    for number in 0..50 {
        let title = if number % 2 == 0 { json!(format!("title {number}")) } else { Value::Null };
        let user = json!({ "userName": format!("local.{number:02}"), "title": title });
        client.post("/Users", &user).expect(201);
    }
    for (order, absent_first) in [("ascending", false), ("descending", true)] {
        let walk = Walk(
            "/Users",
            &[
                ("searchRepositories", "true"),
                ("sortBy", "title"),
                ("sortOrder", order),
                ("count", "64"),
            ],
        );
        let pages = walk.whole(&mut client);
        assert_eq!(pages.len(), 750_usize.div_ceil(64));
        let people = all(&pages);
        assert_eq!(people.len(), 750);
        each_once(&all_ids(&pages));
        let key = |one: &Value| {
            let title = one["title"].as_str().map(str::to_lowercase);
            (title.is_none() != absent_first, title)
        };
        let id = |one: &Value| one["id"].as_str().unwrap().to_owned();
        let ordered = people.windows(2).all(|two| {
            let (one, other) = (key(&two[0]), key(&two[1]));
            let by_title = if one.0 != other.0 {
                one.0.cmp(&other.0)
            } else if absent_first {
                other.1.cmp(&one.1)
            } else {
                one.1.cmp(&other.1)
            };
            by_title.then_with(|| id(&two[0]).cmp(&id(&two[1]))).is_lt()
        });
        assert!(ordered, "{order}");
        // The page size is the client's to change in the middle; so is what is shown.
        let first = walk.page(&mut client, "");
        let next = text(&first, "nextCursor").unwrap();
        let changed = [
            ("searchRepositories", "true"),
            ("sortBy", "title"),
            ("sortOrder", order),
            ("count", "7"),
            ("attributes", "title"),
        ];
        let page = Walk("/Users", &changed).page(&mut client, next);
        assert_eq!(ids(&page), all_ids(&pages)[64..71]);
        assert_eq!(page["Resources"][0].get("userName"), None);
    }
}

#[test]
fn a_filter_is_judged_on_people_as_they_are_when_shown() {
    let labs = Slapd::start(Options { ldif: crowd("lab", 1..=300), ..Options::default() });
    let bridge = TestBridge::start(&Settings::over(&labs).with("cache = { fresh = \"0s\" }"));
    let mut client = bridge.client();
    let filter = [("filter", "title pr"), ("searchRepositories", "true"), ("count", "40")];
    let walk = Walk("/Users", &filter);
    let whole = walk.whole(&mut client);
    assert_eq!(all_ids(&whole).len(), 200);
    assert!(whole.iter().all(|page| page["totalResults"] == 200));
    let first = walk.page(&mut client, "");
    let place = |number: usize| format!("uid=lab{number:05},ou=staff,ou=people,{SUFFIX}");
    // Of the people behind the first page one goes, one loses the title, one moves in the order.
    labs.modify(&format!("dn: {}\nchangetype: delete\n", place(299)));
    labs.modify(&format!("dn: {}\nchangetype: modify\ndelete: title\n", place(298)));
    labs.modify(&format!("dn: {}\nchangetype: modify\nreplace: title\ntitle: New\n", place(296)));
    // Nobody who would be on the second page is there any more.
    for number in (62..=121).filter(|number| number % 3 > 0) {
        labs.modify(&format!("dn: {}\nchangetype: delete\n", place(number)));
    }
    let mut pages = vec![first];
    while let Some(next) = text(pages.last().unwrap(), "nextCursor").map(str::to_owned) {
        pages.push(walk.page(&mut client, &next));
        assert!(!ids(pages.last().unwrap()).is_empty(), "no page is empty while others follow");
    }
    let people = all(&pages);
    assert_eq!(people.len(), 200 - 2 - (62..=121).filter(|number| number % 3 > 0).count());
    let named = |name: &str| people.iter().find(|one| one["userName"] == name);
    assert!(named("lab00299").is_none() && named("lab00298").is_none());
    assert_eq!(named("lab00296").unwrap()["title"], "New");
    each_once(&all_ids(&pages));
}

#[test]
fn deleted_people_and_twins_are_in_a_walk_as_in_any_list() {
    let corp = Slapd::company(300);
    let branch = Slapd::company(60);
    let settings = Settings::over(&corp).repository("branch", &branch.url());
    let bridge = TestBridge::start(&settings.clone().with("size_limit = 1000"));
    let mut client = bridge.client();
    let buried = format!("corp.{}", company::person(7).entry_uuid);
    bind(&mut client, &buried);
    client.delete(&format!("/Users/{buried}")).expect(204);
    bind(&mut client, &format!("corp.{}", company::person(9).entry_uuid));
    for filter in ["userName pr", "active eq false", "nickName pr", "userType eq \"LDAP\""] {
        let whole = [("filter", filter), ("searchRepositories", "true"), ("count", "1000")];
        let plain = bridge.client().query("/Users", &whole);
        let walk = [("filter", filter), ("searchRepositories", "true"), ("count", "30")];
        let pages = Walk("/Users", &walk).whole(&mut client);
        let mut listed = Vec::new();
        let mut start = 1;
        loop {
            let index = start.to_string();
            let page = [&whole[..2], &[("startIndex", index.as_str())]].concat();
            let page = client.query("/Users", &page).expect(200);
            if ids(&page).is_empty() {
                break;
            }
            start += ids(&page).len();
            listed.push(page);
        }
        assert_eq!(plain.status, 200);
        assert_eq!(all_ids(&pages), all_ids(&listed), "{filter}");
        for (walked, listed) in all(&pages).iter().zip(all(&listed)) {
            for member in ["userType", "active", "userName", "nickName"] {
                assert_eq!(walked[member], listed[member], "{filter}: {member}");
            }
            let twins = |user: &Value| {
                let mut twins = user[SOURCE]["conflict"].as_array().cloned().unwrap_or_default();
                twins.sort_by_key(Value::to_string);
                twins
            };
            assert_eq!(twins(walked), twins(&listed), "{filter}");
        }
    }
    let first = TestBridge::start(&settings.tenant("on_conflict = \"first\""));
    let walk = Walk("/Users", &[("searchRepositories", "true"), ("count", "50")]);
    let ids = all_ids(&walk.whole(&mut first.client()));
    assert_eq!(ids.len(), 300);
    assert!(ids.iter().all(|id| id.starts_with("corp.")));
}

/// The table of a tenant `other` with `token`, which may do everything there.
fn other_tenant(token: &str, lines: &str) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, token.as_bytes());
    let hex = digest.as_ref().iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    });
    format!(
        "[[tenant]]\nname = \"other\"\n{lines}\n[[tenant.token]]\nname = \"other\"\n\
         sha256 = \"{hex}\"\npermissions = [\"*\"]\n"
    )
}

#[test]
fn a_cursor_is_good_for_its_tenant_its_query_and_its_time() {
    let settings = Settings::over(Slapd::shared()).tenant("cursor_timeout = \"2s\"");
    let bridge = TestBridge::start(&settings.rest(&other_tenant("other", "")));
    let mut client = bridge.client();
    let own = [("searchRepositories", "true"), ("count", "10")];
    let walk = Walk("/Users", &own);
    let first = walk.page(&mut client, "");
    let cursor = text(&first, "nextCursor").unwrap().to_owned();
    let refused = |client: &mut Client, parameters: &[(&str, &str)], kind: &str| {
        let answer = client.query("/Users", parameters).expect(400);
        assert_eq!(answer["scimType"], kind, "{parameters:?}: {answer}");
        answer["detail"].as_str().unwrap().to_owned()
    };
    let with = |name, value| [&own[..], &[(name, value), ("cursor", cursor.as_str())]].concat();
    for (name, value) in
        [("filter", "userName sw \"a\""), ("sortBy", "title"), ("sortOrder", "descending")]
    {
        let detail = refused(&mut client, &with(name, value), "invalidCursor");
        assert!(detail.contains("another query"), "{detail}");
    }
    // Of a list without repositories.
    refused(&mut client, &[("cursor", &cursor)], "invalidCursor");
    let mut tampered = cursor.clone().into_bytes();
    tampered[20] = if tampered[20] == b'A' { b'B' } else { b'A' };
    for text in ["nonsense", std::str::from_utf8(&tampered).unwrap()] {
        refused(&mut client, &[own[0], ("cursor", text)], "invalidCursor");
    }
    let mut elsewhere = Client::new(bridge.address(), "/scim/other/v2", Some("other"));
    refused(&mut elsewhere, &[own[0], ("cursor", &cursor)], "invalidCursor");
    for count in ["0", "-1", "ten"] {
        refused(&mut client, &[("count", count), ("cursor", "")], "invalidCount");
    }
    refused(&mut client, &[("startIndex", "1"), ("cursor", "")], "invalidValue");
    // By POST as well, with more than a page may hold asked for.
    let body = json!({ "searchRepositories": true, "count": 100_000, "cursor": cursor });
    let page = client.post("/Users/.search", &body).expect(200);
    assert_eq!(page["itemsPerPage"], 100);
    assert_eq!(page["totalResults"], first["totalResults"]);
    assert!(!ids(&first).contains(&ids(&page)[0]));
    std::thread::sleep(Duration::from_millis(2100));
    refused(&mut client, &[&own[..], &[("cursor", &cursor)]].concat(), "expiredCursor");
    let config = client.get("/ServiceProviderConfig").expect(200);
    assert_eq!(config["pagination"]["cursor"], true);
    assert_eq!(config["pagination"]["cursorTimeout"], 2);
}

#[test]
fn who_does_not_answer_is_told_on_every_page_and_never_taken_for_gone() {
    let corp = Slapd::company(120);
    let labs = Slapd::start(Options { ldif: crowd("lab", 1..=90), ..Options::default() });
    let settings = Settings::over(&corp).repository("labs", &labs.url());
    let short =
        "timeouts = { connect = \"500ms\", operation = \"1s\" }\ncache = { fresh = \"0s\" }";
    let settings = settings.with(short);
    let bridge = TestBridge::start(&settings);
    let mut client = bridge.client();
    let walk = Walk("/Users", &[("searchRepositories", "true"), ("count", "50")]);
    let bound = ids(&client
        .query("/Users", &[("filter", "userName eq \"lab00090\""), ("searchRepositories", "true")])
        .expect(200));
    bind(&mut client, &bound[0]);
    let begun = walk.page(&mut client, "");
    let next = text(&begun, "nextCursor").unwrap().to_owned();
    labs.kill();
    // The rest of the walk holds people of whom nothing is known now.
    let mut cursor = next.clone();
    let mut seen = ids(&begun);
    let stopped = loop {
        let answer = walk.ask(&mut client, &cursor);
        if answer.status != 200 {
            break answer;
        }
        let page = answer.json();
        seen.extend(ids(&page));
        cursor = text(&page, "nextCursor").expect("the walk does not end early").to_owned();
    };
    assert_eq!(stopped.status, 503);
    assert!(stopped.header("retry-after").is_some());
    assert!(stopped.json()["detail"].as_str().unwrap().contains("same cursor"));
    // Who begins now gets what there is, with the report on every page, the bound one as last seen.
    let pages = walk.whole(&mut client);
    assert_eq!(all_ids(&pages).len(), 121);
    for page in &pages {
        assert_eq!(page[REPORT][1]["state"], "unavailable", "{page}");
        assert_eq!(page[REPORT][1]["found"], 1);
    }
    assert!(all_ids(&pages).contains(&bound[0]));
    // An empty list is no answer then.
    let nobody = [("filter", "userName eq \"nobody\""), ("searchRepositories", "true")];
    assert_eq!(Walk("/Users", &nobody).ask(&mut client, "").status, 503);
    labs.restart();
    let healed = crate::support::eventually(Duration::from_secs(20), || {
        walk.ask(&mut client, &cursor).status == 200
    });
    assert!(healed, "the same cursor goes on");
    loop {
        let page = walk.page(&mut client, &cursor);
        seen.extend(ids(&page));
        match text(&page, "nextCursor") {
            Some(next) => cursor = next.to_owned(),
            None => break,
        }
    }
    each_once(&seen);
    assert_eq!(seen.len(), 210);
    let strict = TestBridge::start(&settings.tenant("on_failure = \"fail\""));
    labs.kill();
    assert_eq!(walk.ask(&mut strict.client(), "").status, 503);
}

#[test]
fn a_walk_is_bounded_and_says_so() {
    let shared = Slapd::shared();
    let walk = Walk("/Users", &[("searchRepositories", "true"), ("count", "10")]);
    let bridge = TestBridge::start(&Settings::over(shared).tenant("walk_limit = 900"));
    let refused = walk.ask(&mut bridge.client(), "").expect(400);
    assert_eq!(refused["scimType"], "tooMany");
    assert!(refused["detail"].as_str().unwrap().contains("narrow the filter"));
    let narrow = [("searchRepositories", "true"), ("filter", "userName sw \"a\"")];
    assert!(!all_ids(&Walk("/Users", &narrow).whole(&mut bridge.client())).is_empty());
    // What the directory itself cuts is told, and the people who came are shown.
    let limits =
        format!("limits dn.exact=\"{}\" size.prtotal=100\n", crate::support::slapd::READER);
    let cut = Slapd::start(Options { people: 300, configuration: limits, ..Options::default() });
    let bridge = TestBridge::start(&Settings::over(&cut));
    let pages = walk.whole(&mut bridge.client());
    assert!(pages.iter().all(|page| page[REPORT][0]["state"] == "truncated"), "{}", pages[0]);
    assert_eq!(all_ids(&pages).len(), 100);
    // A filter of which nothing can be sent is one that needs leave.
    let strict = TestBridge::start(&Settings::over(shared).tenant("allow_scan = false"));
    let scan = [("searchRepositories", "true"), ("filter", "not (nickName pr)")];
    let refused = Walk("/Users", &scan).ask(&mut strict.client(), "").expect(400);
    assert_eq!(refused["scimType"], "tooMany");
    // By startIndex one goes no further than one search; the way on is named.
    let small = TestBridge::start(&Settings::over(shared).with("size_limit = 50"));
    let further = [("searchRepositories", "true"), ("startIndex", "11")];
    let refused = small.client().query("/Users", &further).expect(400);
    assert_eq!(refused["scimType"], "tooMany");
    assert!(refused["detail"].as_str().unwrap().contains("cursor"), "{refused}");
    let pages = Walk("/Users", &[("searchRepositories", "true")]).whole(&mut small.client());
    assert_eq!(all_ids(&pages).len(), 1000);
}

#[test]
fn equal_walks_at_once_are_each_their_own_and_weigh_what_they_hold() {
    let shared = Slapd::shared();
    let bridge = TestBridge::start(&Settings::over(shared).tenant("cursor_timeout = \"3s\""));
    let walk = Walk("/Users", &[("searchRepositories", "true"), ("count", "100")]);
    let walks: Vec<Vec<Value>> = std::thread::scope(|scope| {
        let walkers: Vec<_> =
            (0..6).map(|_| scope.spawn(|| walk.whole(&mut bridge.client()))).collect();
        walkers.into_iter().map(|walker| walker.join().unwrap()).collect()
    });
    for pages in &walks {
        assert_eq!(all_ids(pages), all_ids(&walks[0]));
        each_once(&all_ids(pages));
    }
    let held = |name: &str| {
        let metrics = bridge.stranger().get("/metrics").text();
        let line = format!("{name}{{cache=\"walk\"}} ");
        let line = metrics.lines().find_map(|one| one.strip_prefix(&line).map(str::to_owned));
        line.unwrap_or_else(|| panic!("{metrics}")).parse::<u64>().unwrap()
    };
    assert_eq!(held("scimbridge_cache_entries"), 6);
    let bytes = held("scimbridge_cache_bytes");
    assert!(
        (60_000 * 6..120_000 * 6).contains(&bytes),
        "{bytes} bytes for 6 walks of 1,000 people"
    );
    let gone =
        crate::support::eventually(Duration::from_secs(10), || held("scimbridge_cache_bytes") == 0);
    assert!(gone, "what nobody goes on with is let go");
}

/// Makes local users with these names, several at a time.
fn local_users(bridge: &TestBridge, names: impl Iterator<Item = String>) {
    let names: Vec<String> = names.collect();
    std::thread::scope(|scope| {
        for part in names.chunks(names.len().div_ceil(8).max(1)) {
            let mut client = bridge.client();
            scope.spawn(move || {
                for name in part {
                    let title = (name.len() % 2 == 0).then(|| format!("Title {name}"));
                    let user = json!({ "userName": name, "title": title, "nickName": name });
                    client.post("/Users", &user).expect(201);
                }
            });
        }
    });
}

#[test]
fn a_list_of_the_store_holds_everybody_who_stood_throughout_once() {
    let mut bridge = TestBridge::start(&Settings::local().tenant("max_results = 200"));
    let mut client = bridge.client();
    local_users(&bridge, (0..3000).map(|number| format!("user.{number}")));
    for parameters in [
        &[("count", "150")][..],
        &[("count", "150"), ("sortBy", "title"), ("sortOrder", "descending")],
        &[("count", "150"), ("sortBy", "meta.created"), ("filter", "title pr")],
        // The store's index knows nothing of nickName: SQL can neither decide nor order this.
        &[("count", "150"), ("sortBy", "nickName"), ("filter", "nickName sw \"user.1\"")],
    ] {
        let walk = Walk("/Users", parameters);
        let before = all_ids(&walk.whole(&mut client));
        each_once(&before);
        let mut gone = HashSet::new();
        let mut pages = vec![walk.page(&mut client, "")];
        assert_eq!(pages[0]["totalResults"], before.len());
        assert_eq!(pages[0].get(REPORT), None);
        while let Some(next) = text(pages.last().unwrap(), "nextCursor").map(str::to_owned) {
            // The last one shown, who holds the place, and one far behind are deleted; others come.
            let turn = pages.len();
            let shown = ids(pages.last().unwrap()).pop().unwrap();
            for id in [&shown, &before[before.len() - turn * 3]] {
                if gone.insert(id.clone()) {
                    client.delete(&format!("/Users/{id}")).expect(204);
                }
            }
            for name in ["aaa", "user.1500", "zzz"] {
                let name = format!("{name}.{turn}.{}", parameters.len() + before.len());
                client.post("/Users", &json!({ "userName": name, "nickName": name })).expect(201);
            }
            if turn == 4 {
                bridge.restart();
                client = bridge.client();
            }
            pages.push(walk.page(&mut client, &next));
            assert!(pages.last().unwrap()["itemsPerPage"].as_u64().unwrap() <= 150);
        }
        let walked = all_ids(&pages);
        each_once(&walked);
        let walked: HashSet<_> = walked.iter().collect();
        let missed = before.iter().filter(|id| !gone.contains(*id) && !walked.contains(id));
        assert_eq!(missed.count(), 0, "{parameters:?}");
        // All the way back the same holds.
        let mut back = vec![pages.pop().unwrap()];
        while let Some(previous) = text(back.last().unwrap(), "previousCursor").map(str::to_owned) {
            back.push(walk.page(&mut client, &previous));
        }
        back.reverse();
        let back = all_ids(&back);
        each_once(&back);
        let stood = before.iter().filter(|id| !gone.contains(*id));
        assert!(stood.clone().all(|id| back.contains(id)), "{parameters:?}");
        let order = |ids: &[String]| -> Vec<String> {
            ids.iter().filter(|id| before.contains(id) && !gone.contains(*id)).cloned().collect()
        };
        assert_eq!(order(&back), stood.cloned().collect::<Vec<_>>(), "in the same order");
    }
}
