//! Who may sign in with the password of a directory.

use super::*;

#[test]
fn operators_are_a_group_of_a_directory() {
    let name = "name = \"acme\"";
    let with = |line: &str| parse(&ENOUGH.replace(name, &format!("{name}\n{line}")));
    let tenant = |line: &str| with(line).unwrap().tenants.remove(0).operators;
    let desk = Operators { repository: "corp".into(), group: "cn=desk,dc=y".to_owned() };
    assert_eq!(tenant("operators = \"cn=desk,dc=y\""), Some(desk.clone()));
    let of = "operators = { repository = \"corp\", group = \"cn=desk,dc=y\" }";
    assert_eq!(tenant(of), Some(desk.clone()));
    assert_eq!(tenant(""), None);
    // Of several directories one is named.
    let second =
        "\n[[tenant.repository]]\nid = \"partner\"\nurls = [\"ldaps://y\"]\nbase = \"dc=y\"\n";
    let several = |line: &str| parse(&(ENOUGH.replace(name, &format!("{name}\n{line}")) + second));
    assert_eq!(several(of).unwrap().tenants[0].operators, Some(desk));
    let told = several("operators = \"cn=desk,dc=y\"").unwrap_err().to_string();
    let remedy = "write { repository = \"corp\", group = \"cn=desk,dc=y\" }";
    says(&told, &["tenant.operators: this tenant has several directories", remedy]);
    let told = several(&of.replace("corp", "other")).unwrap_err().to_string();
    says(&told, &["tenant.operators.repository: ", "no directory \"other\"", "corp, partner"]);
    let told = refusal(name, &of.replace("cn=desk", "desk"));
    says(&told, &["tenant.operators.group: ", "is no distinguished name"]);
    for text in ["helpdesk", "", "cn=desk,"] {
        let told = refusal(name, &format!("operators = {text:?}"));
        says(&told, &["tenant.operators: ", "is no distinguished name", "write type=value pairs"]);
    }
    let alone = format!("[[tenant]]\n{name}\noperators = \"cn=desk,dc=y\"\n");
    let told = parse(&alone).unwrap_err().to_string();
    let what = "tenant.operators: operators are people of a directory";
    says(&told, &[":3: ", what, "[[tenant.repository]]"]);
}
