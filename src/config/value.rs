//! Single values: durations, sizes, addresses, names, distinguished names, filters, digests.
//!
//! Each function takes one written value and gives one that cannot be wrong, or says what is.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use toml::Spanned;
use tracing_subscriber::filter::{LevelFilter, Targets};

use super::fault::Fault;
use super::resolve::Surroundings;
use super::server::{ReferralHost, ServerUrl};
use super::written::SecretText;
use crate::scim::dialect::Dialect;
use crate::secret::Secret;

type Outcome<T> = Result<T, Fault>;

/// `"500ms"`, `"30s"`, `"5m"`, `"1h"`, `"2d"`, within bounds.
pub fn duration(
    key: Option<&Spanned<String>>,
    default: Duration,
    bounds: RangeInclusive<Duration>,
) -> Outcome<Duration> {
    let Some(place) = key else { return Ok(default) };
    let text = place.get_ref().trim();
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let scale = match unit {
        "ms" => Some(1),
        "s" => Some(1_000),
        "m" => Some(60_000),
        "h" => Some(3_600_000),
        "d" => Some(86_400_000),
        _ => None,
    };
    let milliseconds = scale.and_then(|scale: u64| number.parse::<u64>().ok()?.checked_mul(scale));
    let Some(milliseconds) = milliseconds else {
        return Err(Fault::at(
            place,
            format!("\"{text}\" is no duration"),
            "write a whole number and its unit: \"500ms\", \"30s\", \"5m\", \"1h\", \"2d\"",
        ));
    };
    let duration = Duration::from_millis(milliseconds);
    if bounds.contains(&duration) {
        return Ok(duration);
    }
    Err(Fault::at(
        place,
        format!("\"{text}\" is out of bounds"),
        format!("write \"{}\" to \"{}\"", spelled(*bounds.start()), spelled(*bounds.end())),
    ))
}

/// A duration as it is written.
pub fn spelled(duration: Duration) -> String {
    let milliseconds = duration.as_millis();
    [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")]
        .into_iter()
        .find(|(scale, _)| milliseconds > 0 && milliseconds.is_multiple_of(*scale))
        .map_or_else(
            || format!("{milliseconds}ms"),
            |(scale, unit)| format!("{}{unit}", milliseconds / scale),
        )
}

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// `"512B"`, `"64KiB"`, `"128MiB"`, `"1GiB"`, within bounds.
pub fn size(
    key: Option<&Spanned<String>>,
    default: u64,
    bounds: RangeInclusive<u64>,
) -> Outcome<u64> {
    let Some(place) = key else { return Ok(default) };
    let text = place.get_ref().trim();
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let scale = match unit {
        "B" => Some(1),
        "KiB" => Some(KIB),
        "MiB" => Some(MIB),
        "GiB" => Some(GIB),
        _ => None,
    };
    let bytes = scale.and_then(|scale| number.parse::<u64>().ok()?.checked_mul(scale));
    let Some(bytes) = bytes else {
        return Err(Fault::at(
            place,
            format!("\"{text}\" is no size"),
            "write a whole number and its unit: \"512B\", \"64KiB\", \"128MiB\", \"1GiB\"",
        ));
    };
    if bounds.contains(&bytes) {
        return Ok(bytes);
    }
    Err(Fault::at(
        place,
        format!("\"{text}\" is out of bounds"),
        format!(
            "write \"{}\" to \"{}\"",
            spelled_size(*bounds.start()),
            spelled_size(*bounds.end())
        ),
    ))
}

fn spelled_size(bytes: u64) -> String {
    [(GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")]
        .into_iter()
        .find(|(scale, _)| bytes > 0 && bytes.is_multiple_of(*scale))
        .map_or_else(|| format!("{bytes}B"), |(scale, unit)| format!("{}{unit}", bytes / scale))
}

pub fn number<T>(key: Option<&Spanned<u64>>, default: T, bounds: RangeInclusive<u64>) -> Outcome<T>
where
    T: TryFrom<u64>,
{
    let Some(place) = key else { return Ok(default) };
    let number = *place.get_ref();
    match T::try_from(number) {
        Ok(value) if bounds.contains(&number) => Ok(value),
        _ => Err(Fault::at(
            place,
            format!("{number} is out of bounds"),
            format!("write {} to {}", bounds.start(), bounds.end()),
        )),
    }
}

/// One of a few words; the first is the default.
pub fn choice<T: Copy>(
    key: Option<&Spanned<String>>,
    choices: &[(&str, T)],
    default: T,
) -> Outcome<T> {
    let Some(place) = key else { return Ok(default) };
    let word = place.get_ref().as_str();
    choices.iter().find(|(name, _)| *name == word).map(|(_, value)| *value).ok_or_else(|| {
        let known: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        Fault::choice(place, Some(word), &known)
    })
}

/// The name of a dialect.
pub fn dialect(place: &Spanned<String>) -> Outcome<Dialect> {
    choice(Some(place), &Dialect::NAMED, Dialect::default())
}

/// `[a-z0-9-]+`, at most 63 characters: it becomes part of paths and ids.
pub fn label(place: &Spanned<String>, what: &str) -> Outcome<()> {
    let text = place.get_ref();
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if (1..=63).contains(&text.len()) && text.bytes().all(fits) {
        return Ok(());
    }
    Err(Fault::at(
        place,
        format!("\"{text}\" cannot name a {what}"),
        "write 1 to 63 of the characters a-z, 0-9 and -",
    ))
}

/// What a group or a role is known by, in ids and paths: it cannot be taken for a number.
pub fn code(place: &Spanned<String>, what: &str) -> Outcome<()> {
    if crate::scim::text::is_code(place.get_ref()) {
        return Ok(());
    }
    Err(Fault::at(
        place,
        format!("\"{}\" cannot be the id of a {what}", place.get_ref()),
        "write 1 to 64 of the characters A-Z, a-z, 0-9, _, - and ., not all of them digits",
    ))
}

/// A name for people and logs: not empty, no control characters, at most 128 bytes.
pub fn name(place: &Spanned<String>) -> Outcome<()> {
    let text = place.get_ref();
    if (1..=128).contains(&text.len()) && !text.chars().any(char::is_control) && text.trim() == text
    {
        return Ok(());
    }
    Err(Fault::at(
        place,
        "this cannot be a name",
        "write 1 to 128 bytes without control characters and without spaces at the ends",
    ))
}

pub fn address(place: &Spanned<String>) -> Outcome<SocketAddr> {
    let text = place.get_ref();
    text.parse().map_err(|_| {
        Fault::at(
            place,
            format!("\"{text}\" is no address to listen on"),
            "write an IP address and a port: \"127.0.0.1:8080\", \"[::1]:8080\"; port 0 picks a free one",
        )
    })
}

/// An `http` or `https` URL without query, fragment or credentials; loses its last slash.
pub fn public_url(place: &Spanned<String>) -> Outcome<String> {
    let text = place.get_ref();
    let fits = url::Url::parse(text).is_ok_and(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none()
    });
    if fits {
        return Ok(text.trim_end_matches('/').to_owned());
    }
    Err(Fault::at(
        place,
        "this cannot be the base of every location",
        "write http:// or https://, a host and perhaps a port and a path: \"https://scim.example.org\"",
    ))
}

/// The `https` URL of a JWK Set; `http` where nothing leaves the machine.
pub fn key_url<T>(place: &Spanned<T>, text: &str) -> Outcome<url::Url> {
    let remedy = "write https://, a host and a path, as the issuer's metadata has it in jwks_uri; \
                  http:// is for 127.0.0.1 and [::1] alone";
    let wrong = |problem: &str| Fault::at(place, problem, remedy);
    let url = url::Url::parse(text).map_err(|_| wrong("this is no URL"))?;
    let own = match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        _ => false,
    };
    match url.scheme() {
        "https" => {}
        "http" if own => {}
        "http" => {
            return Err(wrong("anybody on the way could put keys of his own into the answer"));
        }
        _ => return Err(wrong("keys are fetched over https")),
    }
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return Err(wrong("the address of public keys has neither credentials nor a fragment"));
    }
    Ok(url)
}

/// `ldap://host[:port]` or `ldaps://host[:port]`.
pub fn server_url(place: &Spanned<String>) -> Outcome<ServerUrl> {
    ServerUrl::parse(place.get_ref().trim()).map_err(|problem| {
        let remedy = "write ldap://host:port or ldaps://host:port and nothing behind it; base, filter \
                      and bind_dn are keys of their own";
        Fault::at(place, problem, remedy)
    })
}

/// `host` or `host:port`.
pub fn referral_host(place: &Spanned<String>) -> Outcome<ReferralHost> {
    ReferralHost::parse(place.get_ref().trim()).map_err(|problem| {
        let remedy = "write the name or address of a host, as referrals spell it, and a port where no \
                      other shall do: \"dc2.corp.example\", \"dc2.corp.example:389\"";
        Fault::at(place, problem, remedy)
    })
}

/// What to log: a level, or `module=level` with commas between.
pub fn log_filter(key: Option<&Spanned<String>>) -> Outcome<Targets> {
    let default = || Targets::new().with_default(LevelFilter::INFO);
    let Some(place) = key else { return Ok(default()) };
    let text = place.get_ref();
    let is_level = |word: &str| LevelFilter::from_str(word.trim()).is_ok();
    let is_part = |part: &str| match part.split_once('=') {
        Some((target, level)) => !target.trim().is_empty() && is_level(level),
        None => !part.trim().is_empty() && is_level(part),
    };
    if text.split(',').all(is_part)
        && let Ok(targets) = text.parse()
    {
        return Ok(targets);
    }
    Err(Fault::at(
        place,
        format!("\"{text}\" does not say what to log"),
        "write off, error, warn, info, debug or trace, and with commas module=level: \"info,scimbridge::repository=debug\"",
    ))
}

/// A distinguished name, as far as its syntax goes (RFC 4514); never empty.
pub fn dn(place: &Spanned<String>) -> Outcome<String> {
    let text = place.get_ref().trim();
    if text.len() <= 2048 && rdns(text).all(is_rdn) {
        return Ok(text.to_owned());
    }
    Err(Fault::at(
        place,
        format!("\"{text}\" is no distinguished name"),
        "write type=value pairs with commas between, as in \"ou=people,dc=example,dc=org\"; a comma in a value is \\,",
    ))
}

/// The parts of a DN, split at commas and plus signs that are neither escaped nor quoted.
fn rdns(text: &str) -> impl Iterator<Item = &str> {
    let mut escaped = false;
    let mut quoted = false;
    text.split(move |c| {
        let separates = !escaped && !quoted && matches!(c, ',' | ';' | '+');
        if c == '"' && !escaped {
            quoted = !quoted;
        }
        escaped = c == '\\' && !escaped;
        separates
    })
}

fn is_rdn(part: &str) -> bool {
    let Some((kind, value)) = part.split_once('=') else { return false };
    let kind = kind.trim();
    !kind.is_empty()
        && kind.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'))
        && !value.trim().is_empty()
        && !value.contains('\0')
}

/// An LDAP filter, as far as its parentheses go (RFC 4515).
pub fn filter(place: &Spanned<String>) -> Outcome<String> {
    let text = place.get_ref().trim();
    let remedy = "write it in parentheses, as in \"(objectClass=inetOrgPerson)\" or \"(&(objectClass=person)(!(ou=robots)))\"; \
                  in a value ( ) * \\ are \\28 \\29 \\2a \\5c";
    if text.len() <= 8192 && text.contains('=') && is_one_parenthesis(text) {
        return Ok(text.to_owned());
    }
    Err(Fault::at(place, format!("\"{text}\" is no LDAP filter"), remedy))
}

fn is_one_parenthesis(text: &str) -> bool {
    let mut depth = 0_usize;
    let stays_inside = text.bytes().enumerate().all(|(at, byte)| {
        match byte {
            b'(' => depth += 1,
            b')' if depth == 0 => return false,
            b')' => depth -= 1,
            _ => {}
        }
        depth > 0 || at + 1 == text.len()
    });
    stays_inside && depth == 0
}

/// The 64 hex digits of a SHA-256. The value is never shown: a token may stand there by mistake.
pub fn digest(place: &Spanned<String>) -> Outcome<[u8; 32]> {
    let text = place.get_ref().as_bytes();
    let mut digest = [0; 32];
    let (pairs, rest) = text.as_chunks::<2>();
    let fits = pairs.len() == digest.len() && rest.is_empty();
    let nibble = |byte: u8| char::from(byte).to_digit(16).and_then(|n| u8::try_from(n).ok());
    let read = || {
        for (byte, [high, low]) in digest.iter_mut().zip(pairs) {
            *byte = nibble(*high)? << 4 | nibble(*low)?;
        }
        Some(digest)
    };
    fits.then(read).flatten().ok_or_else(|| {
        Fault::at_secret(
            place,
            format!("64 hex digits belong here, not these {} bytes", text.len()),
            "write the SHA-256 of the token's bytes, as `scimbridge token new` prints it; never the token itself",
        )
    })
}

/// A base path: segments of letters, digits and `-._~`, each after a slash. Loses its last slash.
pub fn mount(place: &Spanned<super::written::Mount>) -> Outcome<String> {
    let text = &place.get_ref().path;
    let path = text.strip_suffix('/').unwrap_or(text);
    let is_segment = |segment: &str| {
        !segment.is_empty()
            && segment != "."
            && segment != ".."
            && segment
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~'))
    };
    let segments = path.strip_prefix('/').map(|rest| rest.split('/'));
    if !segments.is_some_and(|mut segments| segments.all(is_segment)) || path.len() > 512 {
        return Err(Fault::at(
            place,
            format!("\"{text}\" is no base path"),
            "write segments of letters, digits, - . _ ~, each after a slash: \"/scim/v2\"",
        ));
    }
    let first = path.split('/').nth(1).unwrap_or_default();
    if RESERVED.iter().any(|reserved| first.eq_ignore_ascii_case(reserved)) {
        return Err(Fault::at(
            place,
            format!("\"/{first}\" is the bridge's own"),
            "mount the tenant elsewhere, as in \"/scim/v2\"",
        ));
    }
    Ok(path.to_owned())
}

/// First segments that no tenant may take.
const RESERVED: [&str; 5] = ["health", "metrics", "console", "docs", "openapi.json"];

/// A SCIM path, as far as its syntax goes: `attr`, `attr.sub`, `attr[type eq "…"].sub`, with or
/// without a schema's URN before it.
pub fn attribute_path(place: &Spanned<String>) -> Outcome<()> {
    let text = place.get_ref();
    let fits = (1..=512).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '$')
        && !text.ends_with(['.', ':'])
        && !text.chars().any(char::is_control);
    if fits {
        return Ok(());
    }
    Err(Fault::at(
        place,
        format!("\"{text}\" is no SCIM path"),
        "write it as in a filter: \"title\", \"name.familyName\", \"urn:…:User:department\"",
    ))
}

/// The secret itself, out of the file, the environment or another file.
pub fn secret(
    place: &Spanned<SecretText>,
    around: &Surroundings<'_>,
) -> Result<Secret<String>, Fault> {
    Ok(match place.get_ref() {
        SecretText::Text(secret) => secret.clone(),
        SecretText::Environment(name) => match (around.environment)(name) {
            Some(text) => Secret::new(text),
            None => {
                return Err(Fault::at_secret(
                    place,
                    format!("the environment variable {name} is not set"),
                    format!("set {name} for this process, or write {{ file = \"path\" }}"),
                ));
            }
        },
        SecretText::File(path) => {
            let path = around.path(path);
            let text = std::fs::read_to_string(&path).map_err(|error| {
                Fault::at_secret(
                    place,
                    format!("cannot read {}: {error}", path.display()),
                    "name a file that this process may read; a relative path is relative to this file",
                )
            })?;
            let whole = Secret::new(text);
            // Editors end a file with a line break that is no part of the secret.
            let line = whole.expose().strip_suffix('\n').unwrap_or(whole.expose());
            Secret::new(line.strip_suffix('\r').unwrap_or(line).to_owned())
        }
    })
}
