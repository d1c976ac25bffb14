//! Where directory servers are, as URLs name them.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// Where one directory server is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServerUrl {
    /// A name or an address; an IPv6 address without brackets.
    pub host: String,
    pub port: u16,
    /// Whether TLS starts with the first byte.
    pub ldaps: bool,
}

/// A host that referrals may lead to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ReferralHost {
    /// In lower case; an IPv6 address without brackets.
    pub host: String,
    /// Where absent, any.
    pub port: Option<u16>,
}

impl ServerUrl {
    /// `ldap://host[:port]` or `ldaps://host[:port]`, and what is wrong with anything else.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
        let (ldaps, default_port) = match scheme.to_ascii_lowercase().as_str() {
            "ldap" => (false, 389),
            "ldaps" => (true, 636),
            _ => return Err("this is not the URL of an LDAP server"),
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.contains('@') {
            return Err("the URL of an LDAP server holds no credentials");
        }
        if authority.contains(['/', '?', '#']) {
            return Err("there is more than a server in this URL");
        }
        let (host, port) = host_and_port(authority)?;
        Ok(Self { host: host.to_owned(), port: port.unwrap_or(default_port), ldaps })
    }

    /// Whether the host is this machine, as far as its spelling tells.
    pub fn is_loopback(&self) -> bool {
        self.host.eq_ignore_ascii_case("localhost")
            || self.host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.ldaps { "ldaps" } else { "ldap" };
        if self.host.contains(':') {
            write!(f, "{scheme}://[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{scheme}://{}:{}", self.host, self.port)
        }
    }
}

impl ReferralHost {
    /// `host` or `host:port`, and what is wrong with anything else.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text.contains("://") {
            return Err("this is a URL, and referrals are told by their host");
        }
        // An IPv6 address cannot be mistaken where it stands alone.
        let (host, port) =
            if text.parse::<Ipv6Addr>().is_ok() { (text, None) } else { host_and_port(text)? };
        Ok(Self { host: host.to_ascii_lowercase(), port })
    }

    /// Whether it is this host, on this port.
    pub fn allows(&self, server: &ServerUrl) -> bool {
        let address = |host: &str| host.parse::<IpAddr>().ok();
        let same = self.host.eq_ignore_ascii_case(&server.host)
            || address(&self.host).is_some_and(|own| address(&server.host) == Some(own));
        same && self.port.is_none_or(|port| port == server.port)
    }
}

impl fmt::Display for ReferralHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            None => f.write_str(&self.host),
            Some(port) if self.host.contains(':') => write!(f, "[{}]:{port}", self.host),
            Some(port) => write!(f, "{}:{port}", self.host),
        }
    }
}

fn host_and_port(text: &str) -> Result<(&str, Option<u16>), &'static str> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, port) =
                rest.split_once(']').ok_or("the bracket of the IPv6 address is not closed")?;
            if host.parse::<Ipv6Addr>().is_err() {
                return Err("there is no IPv6 address in the brackets");
            }
            (host, port)
        }
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let port = match port.strip_prefix(':') {
        Some(digits) => digits.parse::<u16>().ok().filter(|port| *port != 0).map(Some),
        None => port.is_empty().then_some(None),
    };
    let port = port.ok_or("the port is not one of 1 to 65535")?;
    let is_name = |host: &str| {
        !host.is_empty()
            && host.len() <= 253
            && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
    };
    if !host.contains(':') && !is_name(host) {
        return Err("this is not the name or address of a host");
    }
    Ok((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_of_the_list_is_told_from_its_neighbours() {
        for (written, url, allowed) in [
            ("dc2.corp.example", "ldap://DC2.corp.EXAMPLE", true),
            ("DC2.corp.example", "ldaps://dc2.corp.example:3269", true),
            ("dc2.corp.example:389", "ldap://dc2.corp.example", true),
            ("dc2.corp.example:389", "ldaps://dc2.corp.example", false),
            ("dc2.corp.example", "ldap://dc2.corp.example.evil.example", false),
            ("dc2.corp.example", "ldap://xdc2.corp.example", false),
            ("corp.example", "ldap://dc2.corp.example", false),
            ("::1", "ldap://[0:0:0:0:0:0:0:1]:3890", true),
            ("[::1]:3890", "ldap://[::1]:389", false),
            ("127.0.0.1", "ldap://localhost", false),
        ] {
            let host = ReferralHost::parse(written).unwrap();
            let server = ServerUrl::parse(url).unwrap();
            assert_eq!(host.allows(&server), allowed, "{written} {url}");
        }
        assert_eq!(ReferralHost::parse("[::1]:3890").unwrap().to_string(), "[::1]:3890");
    }

    #[test]
    fn what_names_no_host_is_refused() {
        for text in
            ["", "ldap://dc2", "dc2/x", "dc 2", "dc2:0", "dc2:x", "*", "*.corp.example", "[::1"]
        {
            assert!(ReferralHost::parse(text).is_err(), "{text}");
        }
    }
}
