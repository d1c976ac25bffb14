//! How the outcome of one load reaches everybody who waits for it.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::future::{FutureExt, Shared};
use tokio::sync::oneshot;

use super::policy::Loaded;

/// The load ended without an outcome: it panicked, or the program is ending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the look-up ended without an answer")]
pub struct Lost;

pub(super) type Sender<V, E> = oneshot::Sender<Result<V, E>>;
/// Completes with the outcome; every clone does.
pub(super) type Receiver<V, E> = Shared<Arrival<V, E>>;

#[derive(Debug)]
pub(super) struct Arrival<V, E>(oneshot::Receiver<Result<V, E>>);

pub(super) fn channel<V: Clone, E: Clone + From<Lost>>() -> (Sender<V, E>, Receiver<V, E>) {
    let (sender, receiver) = oneshot::channel();
    (sender, Arrival(receiver).shared())
}

/// Nobody need be waiting any more.
pub(super) fn send<V, E>(sender: Sender<V, E>, outcome: Result<Loaded<V>, E>) {
    let _ = sender.send(outcome.map(|loaded| loaded.value));
}

impl<V, E: From<Lost>> Future for Arrival<V, E> {
    type Output = Result<V, E>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<V, E>> {
        self.0.poll_unpin(context).map(|outcome| outcome.unwrap_or_else(|_| Err(Lost.into())))
    }
}
