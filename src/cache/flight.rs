//! How the outcome of one load reaches everybody who waits for it.

use tokio::sync::watch;

use super::policy::Loaded;

/// The load ended without an outcome: it panicked, or the program is ending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the look-up ended without an answer")]
pub struct Lost;

pub(super) type Sender<V, E> = watch::Sender<Option<Result<V, E>>>;
pub(super) type Receiver<V, E> = watch::Receiver<Option<Result<V, E>>>;

pub(super) fn channel<V, E>() -> (Sender<V, E>, Receiver<V, E>) {
    watch::channel(None)
}

/// Nobody need be waiting any more.
pub(super) fn send<V, E>(sender: &Sender<V, E>, outcome: Result<Loaded<V>, E>) {
    sender.send_replace(Some(outcome.map(|loaded| loaded.value)));
}

pub(super) async fn arrival<V: Clone, E: Clone + From<Lost>>(
    mut receiver: Receiver<V, E>,
) -> Result<V, E> {
    match receiver.wait_for(Option::is_some).await {
        Ok(outcome) => outcome.clone().unwrap_or_else(|| Err(Lost.into())),
        Err(_) => Err(Lost.into()),
    }
}
