//! To whom referrals may lead: the hosts of a list, by the same bind, over TLS wherever the directory
//! itself is spoken to so. Keeps the connections, what was told, and which places were seen to be there.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::referral::Target;
use super::server::{Plan, Server};
use crate::config::{ReferralHost, ServerUrl};

/// Servers to which connections are kept.
const MOST_SERVERS: usize = 32;
/// So many different things are told within [`AGAIN`].
const MOST_TOLD: usize = 64;
/// Where there are more, what was told so long ago makes room.
const AGAIN: Duration = Duration::from_hours(1);
/// So many places are known to be there.
const MOST_PROVEN: usize = 1_000;
/// For so long a place that was seen is taken to be there.
const PROOF: Duration = Duration::from_mins(1);

/// A server, and the identity of a DN.
pub(super) type Base = (ServerUrl, Box<[u8]>);

/// Who is asked on a server's word.
#[derive(Debug)]
pub(super) struct Follower {
    pub(super) allowed: Vec<ReferralHost>,
    insecure: bool,
    /// For any server, but for its URL.
    plan: Plan,
    kept: Mutex<Kept>,
    told: Mutex<Told>,
    /// When it was seen.
    proven: Mutex<HashMap<Base, Instant>>,
}

#[derive(Debug, Default)]
struct Told {
    texts: HashMap<String, Instant>,
    /// Who does not answer.
    down: HashSet<ServerUrl>,
}

#[derive(Debug, Default)]
struct Kept {
    servers: HashMap<ServerUrl, (Arc<Server>, Instant)>,
    /// Whether somebody looks after them.
    tended: bool,
}

/// Why a URL is not followed.
#[derive(Debug)]
pub(super) enum Unfollowed {
    /// It is no URL of a server.
    Useless,
    /// The host is in the list, but the URL is none of LDAP, or wants what nobody here can do.
    Unusable(ServerUrl),
    /// The host is not in the list.
    Stranger(ServerUrl),
    /// People's data would cross the network in clear text.
    Plain(ServerUrl),
}

impl Unfollowed {
    /// For an administrator; without what stands behind the server in the URL, which may be a
    /// person's name.
    pub(super) fn words(&self) -> String {
        match self {
            Self::Useless => "a referral is no LDAP URL of a server".to_owned(),
            Self::Unusable(server) => {
                format!("a referral to {server} is no LDAP URL, or asks for what is not known")
            }
            Self::Stranger(server) => format!("{server} is not in follow_referrals"),
            Self::Plain(server) => format!("{server} would be spoken to in plain text"),
        }
    }

    /// Whether people are looked for at this host, who are then not told to be absent.
    pub(super) fn is_listed(&self) -> bool {
        matches!(self, Self::Unusable(_) | Self::Plain(_))
    }
}

impl Follower {
    /// `plan` is that of any server of the directory.
    pub(super) fn new(allowed: Vec<ReferralHost>, insecure: bool, plan: Plan) -> Arc<Self> {
        let plan = Plan { lookup: 1, scan: plan.scan.min(2), ..plan };
        let (kept, told, proven) = (Mutex::default(), Mutex::default(), Mutex::default());
        Arc::new(Self { allowed, insecure, plan, kept, told, proven })
    }

    /// Where a URL leads, if it is followed.
    pub(super) fn judge(&self, url: &str) -> Result<Target, Unfollowed> {
        let server = Target::server(url).ok_or(Unfollowed::Useless)?;
        if !self.allowed.iter().any(|host| host.allows(&server)) {
            return Err(Unfollowed::Stranger(server));
        }
        let Some(target) = Target::parse(url) else { return Err(Unfollowed::Unusable(server)) };
        let plain = !server.ldaps && !self.plan.dial.starttls;
        if plain && !self.insecure && !server.is_loopback() {
            return Err(Unfollowed::Plain(server));
        }
        if !plain && rustls_pki_types::ServerName::try_from(server.host.as_str()).is_err() {
            return Err(Unfollowed::Unusable(server));
        }
        Ok(target)
    }

    /// The server, with the connections that are open to it; `None` where there are too many.
    pub(super) fn server(self: &Arc<Self>, url: &ServerUrl) -> Option<Arc<Server>> {
        let mut kept = self.kept();
        let now = Instant::now();
        if let Some((server, used)) = kept.servers.get_mut(url) {
            *used = now;
            return Some(Arc::clone(server));
        }
        if kept.servers.len() >= MOST_SERVERS {
            return None;
        }
        let mut plan = self.plan.clone();
        plan.dial.url = url.clone();
        let server = Server::new(plan);
        kept.servers.insert(url.clone(), (Arc::clone(&server), now));
        if !kept.tended {
            kept.tended = true;
            tokio::spawn(tend(Arc::downgrade(self), self.plan.idle));
        }
        Some(server)
    }

    #[cfg(test)]
    pub(super) fn servers(&self) -> usize {
        self.kept().servers.len()
    }

    #[cfg(test)]
    pub(super) fn starttls(&self) -> bool {
        self.plan.dial.starttls
    }

    /// Logs it, unless it was. The text names servers and result codes, and nobody.
    pub(super) fn tell(&self, text: String) {
        let mut told = self.told();
        let now = Instant::now();
        if told.texts.contains_key(&text) {
            return;
        }
        if told.texts.len() >= MOST_TOLD {
            told.texts.retain(|_, at| now.saturating_duration_since(*at) < AGAIN);
        }
        if told.texts.len() < MOST_TOLD {
            tracing::warn!(repository = %self.plan.name, reason = text, "a referral is not followed");
            told.texts.insert(text, now);
        }
    }

    /// Logs that a server does not answer, once until it does.
    pub(super) fn tell_down(&self, server: &ServerUrl) {
        let mut told = self.told();
        if told.down.len() < MOST_TOLD && told.down.insert(server.clone()) {
            let reason = format!("{server} does not answer");
            tracing::warn!(repository = %self.plan.name, reason, "a referral is not followed");
        }
    }

    pub(super) fn answers(&self, server: &ServerUrl) {
        self.told().down.remove(server);
    }

    /// Whether the base was seen at the server a short while ago.
    pub(super) fn is_proven(&self, place: &Base) -> bool {
        self.proven().get(place).is_some_and(|at| at.elapsed() < PROOF)
    }

    pub(super) fn prove(&self, place: Base) {
        let mut proven = self.proven();
        if proven.len() >= MOST_PROVEN {
            proven.retain(|_, at| at.elapsed() < PROOF);
        }
        if proven.len() < MOST_PROVEN {
            proven.insert(place, Instant::now());
        }
    }

    #[cfg(test)]
    pub(super) fn texts(&self) -> Vec<String> {
        let told = self.told();
        let down = told.down.iter().map(|server| format!("{server} does not answer"));
        told.texts.keys().cloned().chain(down).collect()
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn proven(&self) -> MutexGuard<'_, HashMap<Base, Instant>> {
        self.proven.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lets go of servers that nobody was led to for a while, and ends with the last of them.
async fn tend(follower: Weak<Follower>, idle: Duration) {
    loop {
        sleep((idle / 2).max(Duration::from_millis(10))).await;
        let Some(follower) = follower.upgrade() else { return };
        let mut kept = follower.kept();
        let now = Instant::now();
        kept.servers.retain(|_, (_, used)| now.saturating_duration_since(*used) < idle);
        if kept.servers.is_empty() {
            kept.tended = false;
            return;
        }
    }
}
