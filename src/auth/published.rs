//! The keys of an issuer that publishes them under an address: asked for ahead of need, and kept
//! while the address does not answer.
//!
//! One task for each address asks, for all issuers whose keys are there; callers look at what it found,
//! and wait only where that does not do. So there is never more than one question under way, and
//! nobody's end stops it.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use rustls::RootCertStore;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout_at};
use url::Url;

use super::fetch::{Address, FetchError, Fetched};
use super::jwk::{Keys, KeysFault};

/// From the end of one question to the next, whoever wants it: tokens with invented key ids make
/// nobody ask more often.
const REST: Duration = Duration::from_secs(5);
/// From a question without an answer to the next, where no caller wants it earlier.
const RETRY: Duration = Duration::from_secs(30);
/// How long keys are fresh: what the answer says (`Cache-Control`), within these bounds. They are
/// asked for anew when half of that is over.
const FRESH: [Duration; 2] = [Duration::from_mins(1), Duration::from_hours(12)];
/// The same where the answer says nothing.
const USUAL: Duration = Duration::from_hours(1);
/// How long keys are used at most without having been had again.
const KEPT: Duration = Duration::from_hours(24);

/// Keys that somebody else keeps.
#[derive(Debug)]
pub struct Published {
    state: watch::Receiver<State>,
    /// The number of the question that somebody waits for.
    wanted: watch::Sender<u64>,
}

/// What the task knows.
#[derive(Clone, Debug, Default)]
struct State {
    /// With the time of the answer.
    keys: Option<(Arc<Keys>, Instant)>,
    /// Questions that have ended.
    asked: u64,
    /// Whether there is one under way.
    asking: bool,
    /// Whether the last of them failed.
    down: bool,
    /// Until when there is no other.
    rest: Option<Instant>,
}

/// The keys cannot be had, or not yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unavailable {
    /// Until they are asked for again.
    pub wait: Duration,
    /// Whether the last question failed; else the keys are known, but maybe no longer all.
    pub down: bool,
}

/// The addresses at which keys are, before anybody asks there.
#[derive(Debug, Default)]
pub struct Places(Vec<Place>);

#[derive(Debug)]
struct Place {
    url: Url,
    roots: Option<Arc<RootCertStore>>,
    keys: Arc<Published>,
    asking: Asking,
}

/// What the task is made of.
#[derive(Debug)]
struct Asking {
    address: Address,
    askers: Vec<Asker>,
    state: watch::Sender<State>,
    wanted: watch::Receiver<u64>,
}

/// For whom is asked, for the log.
#[derive(Debug)]
pub struct Asker {
    pub tenant: String,
    pub issuer: String,
}

/// Why an answer is of no use.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error("the answer is no set of keys that can be used")]
    Keys(#[from] KeysFault),
}

impl Places {
    /// The keys at an address; those of all issuers that name it, and trust it for the same reason, are
    /// one.
    pub fn keys(
        &mut self,
        url: &Url,
        roots: Option<&Arc<RootCertStore>>,
        who: Asker,
    ) -> Result<Arc<Published>, FetchError> {
        let anchors = |roots: Option<&Arc<RootCertStore>>| roots.map(|roots| roots.roots.clone());
        let same =
            |one: &&mut Place| one.url == *url && anchors(one.roots.as_ref()) == anchors(roots);
        if let Some(place) = self.0.iter_mut().find(same) {
            place.asking.askers.push(who);
            return Ok(Arc::clone(&place.keys));
        }
        let address = Address::new(url, roots.map(AsRef::as_ref))?;
        let (sender, state) = watch::channel(State::default());
        let (wanted, wishes) = watch::channel(0);
        let keys = Arc::new(Published { state, wanted });
        let asking = Asking { address, askers: vec![who], state: sender, wanted: wishes };
        let (url, roots) = (url.clone(), roots.cloned());
        self.0.push(Place { url, roots, keys: Arc::clone(&keys), asking });
        Ok(keys)
    }

    /// Begins to ask; that ends with those who have the keys.
    ///
    /// # Panics
    /// Outside a Tokio runtime, where there is any place.
    pub fn follow(self) {
        for place in self.0 {
            tokio::spawn(place.asking.follow());
        }
    }
}

impl Published {
    /// The keys, asked for anew where those at hand do not suffice.
    ///
    /// # Errors
    /// When there are none, or when it cannot be told whether others would suffice: since they cannot be
    /// had, or since they were had a moment ago and may have changed in it. Nobody waits for the end of
    /// that moment.
    pub async fn get(&self, suffice: impl Fn(&Keys) -> bool) -> Result<Arc<Keys>, Unavailable> {
        let before = self.state.borrow().clone();
        let now = Instant::now();
        if let Some(keys) = before.usable(now).filter(|keys| suffice(keys)) {
            return Ok(keys);
        }
        let waits = before.wait(now).is_zero();
        // What was asked earlier may be answered with the keys of earlier.
        let asks = waits && !before.asking;
        if waits {
            let next = before.asked + 1;
            self.wanted.send_if_modified(|number| {
                let later = *number < next;
                *number = (*number).max(next);
                later
            });
            // The task outlives this, and each of its questions ends in time.
            let _ = self.state.clone().wait_for(|state| state.asked >= next).await;
        }
        let after = self.state.borrow().clone();
        let now = Instant::now();
        after
            .usable(now)
            .filter(|keys| asks && !after.down || suffice(keys))
            .ok_or_else(|| Unavailable { wait: after.wait(now), down: after.down })
    }

    /// Whether the last question was answered; `None` before the first one was.
    pub fn healthy(&self) -> Option<bool> {
        let state = self.state.borrow();
        (state.asked > 0).then_some(!state.down)
    }
}

impl State {
    fn usable(&self, now: Instant) -> Option<Arc<Keys>> {
        let (keys, at) = self.keys.as_ref()?;
        (now.saturating_duration_since(*at) < KEPT).then(|| Arc::clone(keys))
    }

    /// Until there may be another question.
    fn wait(&self, now: Instant) -> Duration {
        self.rest.map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
    }
}

impl Asking {
    /// Asks when it is time, and when somebody wants it; ends when nobody can any more.
    async fn follow(mut self) {
        let mut asked = 0;
        let mut down = false;
        loop {
            self.state.send_modify(|state| state.asking = true);
            let outcome = self.ask().await;
            asked += 1;
            let now = Instant::now();
            let rest = now + REST;
            let (keys, due) = match outcome {
                Ok((keys, fresh)) => {
                    if down {
                        self.say_back();
                    }
                    down = false;
                    (Some((Arc::new(keys), now)), now + fresh / 2)
                }
                Err(fault) => {
                    // Once for each outage.
                    if !down {
                        self.say_down(&fault);
                    }
                    down = true;
                    (None, now + RETRY)
                }
            };
            self.state.send_modify(|state| {
                let keys = keys.or_else(|| state.keys.take());
                *state = State { keys, asked, asking: false, down, rest: Some(rest) };
            });
            sleep(REST).await;
            let wish = self.wanted.wait_for(|number| *number > asked);
            if let Ok(Err(_)) = timeout_at(due, wish).await {
                return;
            }
        }
    }

    async fn ask(&self) -> Result<(Keys, Duration), Fault> {
        match self.address.get().await.map_err(Fault::from).and_then(|fetched| read(&fetched)) {
            // Its keys were withdrawn: those that were had before are no longer good.
            Err(Fault::Keys(KeysFault::NoKey)) if self.state.borrow().keys.is_some() => {
                Ok((Keys::default(), FRESH[0]))
            }
            outcome => outcome,
        }
    }

    fn say_back(&self) {
        for Asker { tenant, issuer } in &self.askers {
            tracing::info!(tenant, issuer, "issuer.keys.back");
        }
    }

    fn say_down(&self, fault: &Fault) {
        let error: &(dyn Error + 'static) = fault;
        for Asker { tenant, issuer } in &self.askers {
            tracing::warn!(tenant, issuer, error, "issuer.keys.unavailable");
        }
    }
}

/// The keys of an answer, and for how long they are fresh.
fn read(fetched: &Fetched) -> Result<(Keys, Duration), Fault> {
    let text = std::str::from_utf8(&fetched.text).map_err(|_| KeysFault::Shape)?;
    let [least, most] = FRESH;
    Ok((Keys::parse(text)?, fetched.max_age.unwrap_or(USUAL).clamp(least, most)))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use rustls_pki_types::TrustAnchor;

    use super::*;

    const SET: &str = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"AA"}]}"#;

    #[test]
    fn keys_are_fresh_within_bounds() {
        for (told, fresh) in [
            (None, USUAL),
            (Some(0), FRESH[0]),
            (Some(7_200), Duration::from_hours(2)),
            (Some(u64::MAX), FRESH[1]),
        ] {
            let max_age = told.map(Duration::from_secs);
            let fetched = Fetched { text: Bytes::from_static(SET.as_bytes()), max_age };
            assert_eq!(read(&fetched).unwrap().1, fresh);
        }
        for text in ["", "\u{fffd}", "<html>", "{}", "{\"keys\":[]}"] {
            let fetched = Fetched { text: Bytes::from(text), max_age: None };
            assert!(matches!(read(&fetched), Err(Fault::Keys(_))), "{text}");
        }
        let fetched = Fetched { text: Bytes::from_static(b"\xff"), max_age: None };
        assert!(read(&fetched).is_err());
    }

    /// What comes of asking while a question is under way or not, which is answered with the same keys.
    async fn asked_while(asking: bool) -> Result<Arc<Keys>, Unavailable> {
        let keys = Some((Arc::new(Keys::parse(SET).unwrap()), Instant::now()));
        let state = State { keys, asking, ..State::default() };
        let (sender, state) = watch::channel(state);
        let (wanted, mut wishes) = watch::channel(0);
        let answer = async move {
            wishes.wait_for(|number| *number == 1).await.unwrap();
            sender.send_modify(|state| (state.asked, state.asking) = (1, false));
            sender
        };
        let published = Published { state, wanted };
        tokio::join!(published.get(|_| false), answer).0
    }

    #[tokio::test]
    async fn keys_that_were_asked_for_earlier_refuse_nobody() {
        assert_eq!(
            asked_while(true).await.unwrap_err(),
            Unavailable { wait: Duration::ZERO, down: false }
        );
        assert!(asked_while(false).await.is_ok(), "asked for now, they are all there are");
    }

    #[test]
    fn issuers_of_one_address_share_its_keys() {
        let mut places = Places::default();
        let roots = |number: u8| {
            let mut roots = RootCertStore::empty();
            let subject = vec![number].into();
            let (subject_public_key_info, name_constraints) = (vec![].into(), None);
            roots.roots.push(TrustAnchor { subject, subject_public_key_info, name_constraints });
            Arc::new(roots)
        };
        let mut keys = |url: &str, roots: Option<Arc<RootCertStore>>| {
            let who = Asker { tenant: "acme".to_owned(), issuer: url.to_owned() };
            places.keys(&url.parse().unwrap(), roots.as_ref(), who).unwrap()
        };
        let first = keys("https://login.example/keys", None);
        assert!(Arc::ptr_eq(&first, &keys("https://LOGIN.example:443/keys", None)));
        let own = keys("https://login.example/keys", Some(roots(1)));
        assert!(Arc::ptr_eq(&own, &keys("https://login.example/keys", Some(roots(1)))));
        for other in [
            keys("https://login.example/keys?app=1", None),
            keys("https://login.example/keys", Some(roots(2))),
            own,
        ] {
            assert!(!Arc::ptr_eq(&first, &other));
        }
        assert_eq!(places.0.iter().map(|place| place.asking.askers.len()).sum::<usize>(), 6);
        assert_eq!(places.0.len(), 4);
    }

    #[test]
    fn keys_that_were_not_had_again_are_used_for_a_day() {
        let at = Instant::now();
        let keys = Arc::new(Keys::parse(SET).unwrap());
        let state = State {
            keys: Some((keys, at)),
            asked: 9,
            asking: false,
            down: true,
            rest: Some(at + REST),
        };
        assert!(state.usable(at + KEPT - Duration::from_secs(1)).is_some());
        assert!(state.usable(at + KEPT).is_none());
        assert_eq!(state.wait(at), REST);
        assert_eq!(state.wait(at + REST), Duration::ZERO);
    }
}
