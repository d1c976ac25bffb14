//! Writes under way: they go on when their request does not, so that a shutdown must know of them.

use std::sync::Arc;

use tokio::sync::watch;

/// Counts them. Cheap to clone; clones count together.
#[derive(Clone, Debug)]
pub struct Writes(Arc<watch::Sender<usize>>);

impl Default for Writes {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(0)))
    }
}

impl Writes {
    /// Counts one until what is returned is dropped.
    pub fn begin(&self) -> Write {
        self.0.send_modify(|count| *count += 1);
        Write(self.clone())
    }

    pub fn count(&self) -> usize {
        *self.0.borrow()
    }

    /// Completes as soon as there are none.
    pub async fn finished(&self) {
        // The sender is this one.
        let _ = self.0.subscribe().wait_for(|count| *count == 0).await;
    }
}

/// A write that is counted.
#[derive(Debug)]
pub struct Write(Writes);

impl Drop for Write {
    fn drop(&mut self) {
        self.0.0.send_modify(|count| *count -= 1);
    }
}
