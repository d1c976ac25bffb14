//! Tokens of the token endpoint: kept, found, bounded, forgotten; and what is noted of those of the
//! configuration.

use super::{ACME, Stores, at};
use crate::store::{IssuedToken, StaticToken};

fn token(client: &str, issued: i64) -> IssuedToken {
    IssuedToken {
        tenant: ACME.to_owned(),
        client: client.to_owned(),
        scope: (client == "narrow").then(|| "users:read".to_owned()),
        issued: at(issued),
        expires: at(issued + 1000),
    }
}

#[tokio::test]
async fn a_token_is_found_by_its_digest_until_it_is_taken_back() {
    for store in &Stores::new().stores {
        assert_eq!(store.issued_token("aa").await.unwrap(), None);
        for (digest, client) in [("aa", "narrow"), ("bb", "spl")] {
            store.issue_token(digest, &token(client, 0), 10).await.unwrap();
            let kept = store.issued_token(digest).await.unwrap().unwrap();
            assert_eq!(kept.token, token(client, 0));
            assert_eq!(kept.last_used, None);
        }
        let kept = store.issued_token("aa").await.unwrap().unwrap();
        store.token_used(kept.number, at(5)).await.unwrap();
        let listed = store.issued_tokens(at(999)).await.unwrap();
        assert_eq!(listed.len(), 2);
        assert_eq!((listed[0].last_used, listed[1].last_used), (Some(at(5)), None));
        assert!(
            store.issued_tokens(at(1000)).await.unwrap().is_empty(),
            "expired ones are not told"
        );
        assert!(store.revoke_token(kept.number).await.unwrap());
        assert!(!store.revoke_token(kept.number).await.unwrap());
        assert_eq!(store.issued_token("aa").await.unwrap(), None);
        assert!(store.issued_token("bb").await.unwrap().is_some());
    }
}

#[tokio::test]
async fn the_table_does_not_grow_without_end() {
    for store in &Stores::new().stores {
        store.issue_token("other", &token("other", 0), 3).await.unwrap();
        for number in 0..5 {
            store.issue_token(&format!("t{number}"), &token("spl", number), 3).await.unwrap();
        }
        let kept = |digest: &'static str| async move {
            store.issued_token(digest).await.unwrap().is_some()
        };
        assert!(!kept("t1").await && kept("t2").await && kept("t4").await);
        assert!(kept("other").await, "another client's");
        store.issue_token("late", &token("late", 1004), 3).await.unwrap();
        assert!(!kept("t4").await && !kept("other").await, "expired ones go");
        assert!(kept("late").await);
    }
}

#[tokio::test]
async fn a_token_of_the_configuration_is_taken_back_once_and_for_all() {
    for store in &Stores::new().stores {
        let told = async |digest| store.static_token(digest).await.unwrap();
        assert_eq!(told("aa").await, StaticToken::default());
        store.static_token_used("aa", at(5)).await.unwrap();
        store.static_token_used("aa", at(7)).await.unwrap();
        assert_eq!(told("aa").await, StaticToken { last_used: Some(at(7)), revoked: None });
        for (digest, later) in [("aa", 9), ("aa", 11), ("bb", 13)] {
            store.revoke_static_token(digest, at(later)).await.unwrap();
        }
        store.static_token_used("bb", at(15)).await.unwrap();
        let first = StaticToken { last_used: Some(at(7)), revoked: Some(at(9)) };
        let second = StaticToken { last_used: Some(at(15)), revoked: Some(at(13)) };
        assert_eq!((told("aa").await, told("bb").await), (first, second));
        let mut digests: Vec<String> = (0..600).map(|number| number.to_string()).collect();
        digests.insert(3, "bb".to_owned());
        digests.push("aa".to_owned());
        let all = store.static_tokens(&digests).await.unwrap();
        assert_eq!(all, [("aa".to_owned(), first), ("bb".to_owned(), second)].into());
        assert!(store.static_tokens(&[]).await.unwrap().is_empty());
    }
}
