//! The keys of an issuer that publishes them under an address: asked for ahead of need, and kept
//! while the address does not answer.
//!
//! One task for each address asks; callers look at what it found, and wait only where that does not
//! do. So there is never more than one question under way, and nobody's end stops it.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout_at};

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
    /// Whether the last of them failed.
    down: bool,
    /// Until when there is no other.
    rest: Option<Instant>,
}

/// The keys cannot be had; with the time until they are asked for again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unavailable(pub Duration);

/// Who asks, for the log.
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

impl Published {
    /// Begins to ask; that ends with this.
    pub fn follow(address: Address, who: Asker) -> Self {
        let (sender, state) = watch::channel(State::default());
        let (wanted, wishes) = watch::channel(0);
        tokio::spawn(follow(address, who, sender, wishes));
        Self { state, wanted }
    }

    /// The keys, asked for anew where those at hand do not suffice.
    ///
    /// # Errors
    /// When there are none, or when it cannot be told whether others would suffice.
    pub async fn get(&self, suffice: impl Fn(&Keys) -> bool) -> Result<Arc<Keys>, Unavailable> {
        let before = self.state.borrow().clone();
        let now = Instant::now();
        if let Some(keys) = before.usable(now).filter(|keys| suffice(keys)) {
            return Ok(keys);
        }
        if before.wait(now).is_zero() {
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
            .filter(|keys| !after.down || suffice(keys))
            .ok_or_else(|| Unavailable(after.wait(now)))
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

/// Asks when it is time, and when somebody wants it; ends when nobody can any more.
async fn follow(
    address: Address,
    who: Asker,
    state: watch::Sender<State>,
    mut wanted: watch::Receiver<u64>,
) {
    let Asker { tenant, issuer } = &who;
    let mut asked = 0;
    let mut down = false;
    loop {
        let outcome = address.get().await.map_err(Fault::from).and_then(|fetched| read(&fetched));
        let outcome = match outcome {
            // Its keys were withdrawn: those that were had before are no longer good.
            Err(Fault::Keys(KeysFault::NoKey)) if state.borrow().keys.is_some() => {
                Ok((Keys::default(), FRESH[0]))
            }
            outcome => outcome,
        };
        asked += 1;
        let now = Instant::now();
        let rest = now + REST;
        let (keys, due) = match outcome {
            Ok((keys, fresh)) => {
                if down {
                    tracing::info!(tenant, issuer, "issuer.keys.back");
                }
                down = false;
                (Some((Arc::new(keys), now)), now + fresh / 2)
            }
            Err(fault) => {
                // Once for each outage.
                if !down {
                    let error: &(dyn Error + 'static) = &fault;
                    tracing::warn!(tenant, issuer, error, "issuer.keys.unavailable");
                }
                down = true;
                (None, now + RETRY)
            }
        };
        state.send_modify(|state| {
            let keys = keys.or_else(|| state.keys.take());
            *state = State { keys, asked, down, rest: Some(rest) };
        });
        sleep(REST).await;
        if let Ok(Err(_)) = timeout_at(due, wanted.wait_for(|number| *number > asked)).await {
            return;
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

    #[test]
    fn keys_that_were_not_had_again_are_used_for_a_day() {
        let at = Instant::now();
        let keys = Arc::new(Keys::parse(SET).unwrap());
        let state = State { keys: Some((keys, at)), asked: 9, down: true, rest: Some(at + REST) };
        assert!(state.usable(at + KEPT - Duration::from_secs(1)).is_some());
        assert!(state.usable(at + KEPT).is_none());
        assert_eq!(state.wait(at), REST);
        assert_eq!(state.wait(at + REST), Duration::ZERO);
    }
}
