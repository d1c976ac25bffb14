//! Active Directory and 389 Directory Server are written, without the control that slapd knows.

use serde_json::json;

use super::people::FIRST_CHANGED;
use super::servers;
use crate::support::bridge::{Settings, TestBridge};

const WRITTEN: &str = r#"
[tenant.repository.attributes]
title = { attribute = "title", authority = "write_back" }
'phoneNumbers[type eq "pager"].value' = { attribute = "otherPager", authority = "write_back" }
"#;

#[test]
fn a_title_and_several_numbers_are_written() {
    for server in servers::all() {
        // Whose password alone others change.
        let number = FIRST_CHANGED + 13;
        let (dn, password) = server.admin();
        let several = if server.is_samba() { "otherPager" } else { "pager" };
        let lines = server
            .lines(server.url())
            .replace(server.reader, dn)
            .replace(server.password, password);
        let written = WRITTEN.replace("otherPager", several);
        let bridge = TestBridge::start(
            &Settings::local()
                .rest(&format!("[[tenant.repository]]\nid = \"corp\"\n{lines}{written}")),
        );
        let mut client = bridge.client();
        let attribute = if server.is_samba() { "sAMAccountName" } else { "uid" };
        let login = server.values(&server.dn(number), attribute).remove(0);
        let found = client.query(
            "/Users",
            &[("filter", &format!("userName eq \"{login}\"")), ("searchRepositories", "true")],
        );
        let path = format!("/Users/{}", found.expect(200)["Resources"][0]["id"].as_str().unwrap());
        for (title, numbers) in [("\"A\" \\ (b)*", &["1", "2"][..]), ("B", &["2", "3"])] {
            let numbers: Vec<_> =
                numbers.iter().map(|one| json!({ "type": "pager", "value": one })).collect();
            let change = json!({ "Operations": [
                { "op": "replace", "path": "title", "value": title },
                { "op": "remove", "path": "phoneNumbers[type eq \"pager\"]" },
                { "op": "add", "path": "phoneNumbers", "value": numbers }] });
            let mut change = change;
            if title.starts_with('"') {
                change["Operations"].as_array_mut().unwrap().remove(1);
            }
            let user = client.patch(&path, &change).expect(200);
            assert_eq!(user["title"], title);
            assert_eq!(server.values(&server.dn(number), "title"), [title]);
            assert_eq!(server.values(&server.dn(number), several).len(), 2, "{user}");
        }
    }
}
