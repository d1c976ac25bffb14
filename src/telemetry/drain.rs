//! Log lines on their way out: a bounded buffer, and a thread that empties it.
//!
//! Who logs never waits for whoever reads the log: what does not fit is dropped and counted.

use std::io::Write;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// Bytes that may wait.
const CAPACITY: usize = 4 << 20;
/// How long lines gather after a batch went out: at full load one `write` carries many lines, and
/// the thread is woken at most this often.
const REST: Duration = Duration::from_millis(5);
/// How long the end waits for a reader that does not read.
const PATIENCE: Duration = Duration::from_secs(1);

/// Where lines are put.
#[derive(Debug)]
pub struct Drain {
    state: Mutex<State>,
    /// There is something to write, or the end has come.
    wake: Condvar,
    /// The thread is done.
    done: Condvar,
}

#[derive(Debug, Default)]
struct State {
    buffer: Vec<u8>,
    /// Lines that did not fit since the last batch.
    dropped: u64,
    /// Whether the thread waits for something to write.
    waiting: bool,
    closed: bool,
    finished: bool,
}

/// Keeps the thread; when it goes, what was put in has been written.
#[derive(Debug)]
pub struct Guard {
    drain: Arc<Drain>,
}

impl Drain {
    /// Starts the thread. `notice` makes the line that tells how many were dropped.
    pub fn start<W: Write + Send + 'static>(
        writer: W,
        notice: impl Fn(u64) -> Vec<u8> + Send + 'static,
    ) -> std::io::Result<(Arc<Self>, Guard)> {
        let state = State { buffer: Vec::with_capacity(CAPACITY / 64), ..State::default() };
        let drain =
            Arc::new(Self { state: Mutex::new(state), wake: Condvar::new(), done: Condvar::new() });
        let for_thread = Arc::clone(&drain);
        thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || for_thread.run(writer, notice))?;
        let guard = Guard { drain: Arc::clone(&drain) };
        Ok((drain, guard))
    }

    /// Takes one line, with its line break.
    pub fn push(&self, line: &[u8]) {
        let mut state = self.lock();
        if state.closed || state.buffer.len() + line.len() > CAPACITY {
            state.dropped += 1;
            return;
        }
        state.buffer.extend_from_slice(line);
        if state.waiting {
            state.waiting = false;
            self.wake.notify_one();
        }
    }

    fn run<W: Write>(&self, mut writer: W, notice: impl Fn(u64) -> Vec<u8>) {
        let mut batch = Vec::with_capacity(CAPACITY / 64);
        let mut closed = false;
        while !closed {
            let mut state = self.lock();
            while state.buffer.is_empty() && !state.closed {
                state.waiting = true;
                state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            std::mem::swap(&mut state.buffer, &mut batch);
            let dropped = std::mem::take(&mut state.dropped);
            closed = state.closed;
            drop(state);
            if dropped > 0 {
                batch.extend_from_slice(&notice(dropped));
            }
            // There is nowhere to tell that the log cannot be written.
            let _ = writer.write_all(&batch).and_then(|()| writer.flush());
            batch.clear();
            let state = self.lock();
            let rest = self.wake.wait_timeout_while(state, REST, |state| !state.closed);
            drop(rest.unwrap_or_else(PoisonError::into_inner));
        }
        self.lock().finished = true;
        self.done.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let mut state = self.drain.lock();
        state.closed = true;
        self.drain.wake.notify_all();
        let finished = self.drain.done.wait_timeout_while(state, PATIENCE, |state| !state.finished);
        drop(finished.unwrap_or_else(PoisonError::into_inner));
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::mpsc;

    use super::*;

    /// Writes into a shared text; holds every write until it is let go.
    #[derive(Clone)]
    struct Sink {
        text: Arc<Mutex<Vec<u8>>>,
        entered: mpsc::Sender<()>,
        gate: Arc<Mutex<mpsc::Receiver<()>>>,
    }

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.entered.send(()).unwrap();
            // An error means that the gate is gone, so everything passes.
            let _ = self.gate.lock().unwrap().recv();
            self.text.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn sink() -> (Sink, mpsc::Receiver<()>, mpsc::Sender<()>) {
        let (entered, entries) = mpsc::channel();
        let (open, gate) = mpsc::channel();
        let gate = Arc::new(Mutex::new(gate));
        (Sink { text: Arc::default(), entered, gate }, entries, open)
    }

    fn notice(dropped: u64) -> Vec<u8> {
        format!("{dropped} dropped\n").into_bytes()
    }

    #[test]
    fn what_was_put_in_is_out_when_the_guard_is_gone() {
        let (sink, _entries, open) = sink();
        drop(open);
        let text = Arc::clone(&sink.text);
        let (drain, guard) = Drain::start(sink, notice).unwrap();
        let mut expected = String::new();
        for number in 0..1000 {
            let line = format!("line {number}\n");
            drain.push(line.as_bytes());
            expected.push_str(&line);
        }
        drop(guard);
        assert_eq!(String::from_utf8(text.lock().unwrap().clone()).unwrap(), expected);
        drain.push(b"too late\n");
        assert_eq!(text.lock().unwrap().len(), expected.len());
    }

    #[test]
    fn a_reader_that_does_not_read_holds_nobody_up() {
        let (sink, entries, open) = sink();
        let text = Arc::clone(&sink.text);
        let (drain, guard) = Drain::start(sink, notice).unwrap();
        drain.push(b"first\n");
        // From here on the thread is inside `write` and stays there.
        entries.recv().unwrap();
        let line = [b'x'; 1024];
        for _ in 0..CAPACITY / line.len() + 7 {
            drain.push(&line);
        }
        drop(open);
        drop(guard);
        let text = text.lock().unwrap();
        assert!(text.starts_with(b"first\nxxx"));
        assert!(text.ends_with(b"x7 dropped\n"));
        assert_eq!(text.len(), "first\n".len() + CAPACITY + "7 dropped\n".len());
    }
}
