//! A bounded queue from async callers to threads of our own, with a second lane for what may wait.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use tokio::sync::Semaphore;

/// How many times what stands in the second lane is passed by at most.
const PATIENCE: u32 = 8;

/// Bounded, first in first out in each lane, for many senders and many receiving threads.
#[derive(Debug)]
pub(super) struct Queue<T> {
    state: Mutex<State<T>>,
    filled: Condvar,
    space: Semaphore,
}

#[derive(Debug)]
struct State<T> {
    items: VecDeque<T>,
    /// Handed out one at a time when `items` is empty, or was preferred [`PATIENCE`] times.
    behind: VecDeque<T>,
    preferred: u32,
    closed: bool,
}

/// Nobody takes from the queue any more.
#[derive(Debug)]
pub(super) struct Closed;

impl<T> Queue<T> {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            state: Mutex::new(State {
                items: VecDeque::new(),
                behind: VecDeque::new(),
                preferred: 0,
                closed: false,
            }),
            filled: Condvar::new(),
            space: Semaphore::new(capacity),
        }
    }

    /// Waits for space, then hands `item` over.
    pub(super) async fn push(&self, item: T) -> Result<(), Closed> {
        self.push_to(item, |state| &mut state.items).await
    }

    /// The same, for what others go before.
    pub(super) async fn push_behind(&self, item: T) -> Result<(), Closed> {
        self.push_to(item, |state| &mut state.behind).await
    }

    async fn push_to(
        &self,
        item: T,
        lane: fn(&mut State<T>) -> &mut VecDeque<T>,
    ) -> Result<(), Closed> {
        self.space.acquire().await.map_err(|_| Closed)?.forget();
        let mut state = self.lock();
        if state.closed {
            return Err(Closed);
        }
        lane(&mut state).push_back(item);
        drop(state);
        self.filled.notify_one();
        Ok(())
    }

    /// Waits for items and moves up to `most` of them into `taken`. False when the queue is closed
    /// and empty.
    pub(super) fn take(&self, most: usize, taken: &mut Vec<T>) -> bool {
        let mut state = self.lock();
        while state.items.is_empty() && state.behind.is_empty() {
            if state.closed {
                return false;
            }
            state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let its_turn = state.items.is_empty() || state.preferred >= PATIENCE;
        let behind = if its_turn { state.behind.pop_front() } else { None };
        let count = if let Some(item) = behind {
            state.preferred = 0;
            taken.push(item);
            1
        } else {
            let count = most.min(state.items.len());
            taken.extend(state.items.drain(..count));
            state.preferred += u32::from(!state.behind.is_empty());
            count
        };
        drop(state);
        self.space.add_permits(count);
        true
    }

    /// Lets nothing more in; what is in is still handed out.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.space.close();
        self.filled.notify_all();
    }

    /// Closes the queue and drops what is in it, so that whoever waits for an answer learns that
    /// none will come.
    pub(super) fn abandon(&self) {
        self.close();
        let mut state = self.lock();
        state.items.clear();
        state.behind.clear();
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn what_is_in_is_handed_out_after_closing() {
        let queue = Queue::new(4);
        for item in 0..3 {
            queue.push(item).await.unwrap();
        }
        queue.close();
        assert!(queue.push(3).await.is_err());
        let mut taken = Vec::new();
        assert!(queue.take(2, &mut taken));
        assert!(queue.take(2, &mut taken));
        assert_eq!(taken, [0, 1, 2]);
        assert!(!queue.take(2, &mut taken));
    }

    #[tokio::test]
    async fn a_full_queue_makes_its_senders_wait() {
        let queue = Arc::new(Queue::new(1));
        queue.push(1).await.unwrap();
        let second = tokio::spawn({
            let queue = Arc::clone(&queue);
            async move { queue.push(2).await }
        });
        tokio::task::yield_now().await;
        assert!(!second.is_finished());
        let mut taken = Vec::new();
        assert!(queue.take(8, &mut taken));
        second.await.unwrap().unwrap();
        assert!(queue.take(8, &mut taken));
        assert_eq!(taken, [1, 2]);
    }

    #[tokio::test]
    async fn the_second_lane_waits_but_not_for_ever() {
        let queue = Queue::new(64);
        queue.push_behind(100).await.unwrap();
        queue.push_behind(101).await.unwrap();
        for item in 0..20 {
            queue.push(item).await.unwrap();
        }
        let mut taken = Vec::new();
        for _ in 0..22 {
            assert!(queue.take(1, &mut taken));
        }
        assert_eq!(taken.iter().position(|item| *item == 100), Some(8));
        assert_eq!(taken.iter().position(|item| *item == 101), Some(17));
        queue.push_behind(102).await.unwrap();
        queue.close();
        assert!(queue.take(8, &mut taken));
        assert_eq!(taken.last(), Some(&102), "alone it does not wait");
        assert!(!queue.take(8, &mut taken));
    }

    #[tokio::test]
    async fn an_abandoned_queue_drops_what_it_held() {
        let queue = Queue::new(1);
        let (reply, answer) = tokio::sync::oneshot::channel::<()>();
        queue.push(reply).await.unwrap();
        queue.abandon();
        assert!(answer.await.is_err());
    }
}
