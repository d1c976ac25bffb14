//! The URLs by which a server says who else is to be asked (RFC 4511 sections 4.1.10 and 4.5.3,
//! RFC 4516). Knows nothing of who may be.

use percent_encoding::percent_decode_str;

use super::entry::{Scope, SearchRequest};
use crate::config::ServerUrl;
use crate::repository::ldap::filter::LdapFilter;

/// A longer beginning names no server.
const LONGEST_NAME: usize = 512;
/// A longer URL is taken for none.
const LONGEST: usize = 8 << 10;

/// What is to be asked, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub server: ServerUrl,
    base: Option<String>,
    scope: Option<Scope>,
    /// Who is meant of those there, beside what is asked.
    pub filter: Option<String>,
}

impl Target {
    /// Who is to be asked, whatever else stands in the URL.
    pub(super) fn server(url: &str) -> Option<ServerUrl> {
        let end = end_of_server(url)?;
        ServerUrl::parse(&url[..end]).ok().filter(|_| end <= LONGEST_NAME)
    }

    /// `None` where it is no LDAP URL that names a server, or wants what is not known here.
    pub(super) fn parse(url: &str) -> Option<Self> {
        if url.len() > LONGEST || url.contains(char::is_control) {
            return None;
        }
        let server = Self::server(url)?;
        let end = end_of_server(url)?;
        let rest = url[end..].strip_prefix('/').unwrap_or(&url[end..]);
        let mut parts = rest.split('?');
        let mut part = || parts.next().unwrap_or_default();
        let (base, _attributes, scope, filter, extensions) =
            (part(), part(), part(), part(), part());
        // RFC 4516 section 2: a critical extension that is not known makes the URL useless.
        let critical = extensions.split(',').any(|extension| extension.starts_with('!'));
        if critical || parts.next().is_some() {
            return None;
        }
        let scope = match scope.to_ascii_lowercase().as_str() {
            "" => None,
            "base" => Some(Scope::Base),
            "one" => Some(Scope::One),
            "sub" => Some(Scope::Subtree),
            _ => return None,
        };
        let given = |text: String| Some(text).filter(|text| !text.is_empty());
        let filter = match given(text(filter)?) {
            Some(filter) => Some(LdapFilter::configured(&filter).ok()?.to_string()),
            None => None,
        };
        Some(Self { server, base: given(text(base)?), scope, filter })
    }

    /// Whether it leads to a partition in which Active Directory keeps names of machines and its own
    /// settings, and nobody else.
    pub(super) fn is_technical(&self) -> bool {
        let base = self.base.as_deref().unwrap_or_default().to_ascii_lowercase();
        ["dc=domaindnszones,", "dc=forestdnszones,", "cn=configuration,"]
            .iter()
            .any(|start| base.starts_with(start))
    }

    /// What is asked there; of `asked` stays what the URL does not say, and its filter in any case.
    pub(super) fn request(self, asked: &SearchRequest) -> (ServerUrl, SearchRequest) {
        let request = SearchRequest {
            base: self.base.unwrap_or_else(|| asked.base.clone()),
            scope: self.scope.unwrap_or(asked.scope),
            // Both are whole filters: nothing in one can reach into the other.
            filter: match self.filter {
                Some(filter) => format!("(&{}{filter})", asked.filter),
                None => asked.filter.clone(),
            },
            ..asked.clone()
        };
        (self.server, request)
    }
}

fn end_of_server(url: &str) -> Option<usize> {
    let at = url.find("://")? + 3;
    Some(url[at..].find(['/', '?']).map_or(url.len(), |length| at + length))
}

fn text(encoded: &str) -> Option<String> {
    let decoded = percent_decode_str(encoded).decode_utf8().ok()?;
    (!decoded.contains('\0')).then(|| decoded.into_owned())
}

#[cfg(test)]
mod tests {
    use super::super::entry::Paging;
    use super::*;

    fn asked() -> SearchRequest {
        SearchRequest {
            base: "dc=a".to_owned(),
            scope: Scope::Subtree,
            filter: "(uid=x)".to_owned(),
            attributes: vec!["cn".to_owned()].into(),
            size_limit: 7,
            paging: Paging::Never,
        }
    }

    #[test]
    fn what_a_url_does_not_say_stays_as_it_was() {
        let own = "(uid=x)";
        for (url, server, base, scope, filter) in [
            ("ldap://b", "ldap://b:389", "dc=a", Scope::Subtree, own),
            ("LDAP://b.example:3890/", "ldap://b.example:3890", "dc=a", Scope::Subtree, own),
            ("ldaps://[::1]/dc=b??sub", "ldaps://[::1]:636", "dc=b", Scope::Subtree, own),
            ("ldap://b/ou=a%20b%2cc,dc=b", "ldap://b:389", "ou=a b,c,dc=b", Scope::Subtree, own),
            ("ldap://b/ou=%C3%B8??base", "ldap://b:389", "ou=ø", Scope::Base, own),
            (
                "ldap://b/dc=b?cn?ONE?(sn=%3f)",
                "ldap://b:389",
                "dc=b",
                Scope::One,
                "(&(uid=x)(sn=?))",
            ),
            ("ldap://b??base", "ldap://b:389", "dc=a", Scope::Base, own),
            ("ldap://b/dc=b????bindname=cn=x", "ldap://b:389", "dc=b", Scope::Subtree, own),
        ] {
            let target = Target::parse(url).unwrap_or_else(|| panic!("{url}"));
            let (at, request) = target.request(&asked());
            assert_eq!(at.to_string(), server, "{url}");
            assert_eq!((&*request.base, request.scope, &*request.filter), (base, scope, filter));
            assert_eq!((request.size_limit, &*request.attributes[0]), (7, "cn"));
        }
    }

    #[test]
    fn what_leads_nowhere_is_no_target() {
        for url in [
            "",
            "ldap",
            "ldap://",
            "ldap:///dc=b",
            "ldapi://%2frun%2fldapi",
            "http://b/",
            "ldap://user@b/",
            "ldap://b:0/",
            "ldap://b:99999/",
            "ldap://b/dc=b??subordinates",
            "ldap://b/dc=b??sub?(uid=",
            "ldap://b/dc=b??sub?uid=x",
            "ldap://b/%ff",
            "ldap://b/%00",
            "ldap://b/dc=b\n",
            "ldap://b/dc=b????!x=y",
            "ldap://b/dc=b?????",
            "ldap://é/",
        ] {
            assert_eq!(Target::parse(url), None, "{url}");
        }
        let nested = format!("ldap://b/??sub?{}(a=b){}", "(!".repeat(2_000), ")".repeat(2_000));
        assert_eq!(Target::parse(&nested), None);
        assert_eq!(Target::parse(&format!("ldap://b/{}", "x".repeat(LONGEST))), None);
    }
}
