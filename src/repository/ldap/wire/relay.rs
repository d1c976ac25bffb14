//! Carries bytes between a server and the `ldap3` crate, and lets nothing pass towards the crate
//! that the guard has not looked through. Messages that arrive together travel on together.

use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::{Instant, timeout};

use super::dial::Wire;
use super::guard::{Breach, Guard, Kind};

/// What is read at once.
const CHUNK: usize = 32 * 1024;

/// Buffers that grew beyond this for one large message are given back.
const KEEP: usize = 256 * 1024;

/// Searches without an end, abandoned ones mostly, whose tallies are kept before all are forgotten.
const TALLIES: usize = 4096;

/// Why a connection ended.
#[derive(Debug)]
pub(super) enum End {
    /// Our side let go.
    Ours,
    /// The server's side did, or the network.
    Theirs(io::Error),
    /// The server sent what it may not.
    Breach(Breach),
}

/// One connection's shuttle.
#[derive(Debug)]
pub(super) struct Relay {
    wire: Wire,
    shim: UnixStream,
    guard: Guard,
    /// Bytes that a single search may bring.
    budget: usize,
    upward: BytesMut,
    unflushed: bool,
    downward: BytesMut,
    /// How many bytes of `downward` were looked through.
    checked: usize,
    tally: HashMap<u32, usize, foldhash::fast::RandomState>,
    heard: Heard,
}

/// When a server was last heard on a connection.
#[derive(Clone, Debug)]
pub(super) struct Heard {
    born: Instant,
    milliseconds: Arc<AtomicU64>,
}

impl Heard {
    pub(super) fn new() -> Self {
        Self { born: Instant::now(), milliseconds: Arc::default() }
    }

    pub(super) fn now(&self) {
        let age = u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.milliseconds.store(age, Ordering::Relaxed);
    }

    pub(super) fn last(&self) -> Instant {
        self.born + Duration::from_millis(self.milliseconds.load(Ordering::Relaxed))
    }

    /// Whether anything came since then; a millisecond is forgiven.
    pub(super) fn since(&self, moment: Instant) -> bool {
        self.last() + Duration::from_millis(1) >= moment
    }
}

impl Relay {
    pub(super) fn new(
        wire: Wire,
        shim: UnixStream,
        guard: Guard,
        budget: usize,
        heard: Heard,
    ) -> Self {
        Self {
            wire,
            shim,
            guard,
            budget,
            upward: BytesMut::new(),
            unflushed: false,
            downward: BytesMut::new(),
            checked: 0,
            tally: HashMap::default(),
            heard,
        }
    }

    /// Runs until one side ends.
    pub(super) async fn run(&mut self) -> End {
        poll_fn(|cx| {
            if let Poll::Ready(end) = self.poll_up(cx) {
                return Poll::Ready(end);
            }
            self.poll_down(cx)
        })
        .await
    }

    /// Says good-bye (RFC 4511, section 4.3) if that can be done at once.
    pub(super) async fn part(mut self) {
        const UNBIND: &[u8] = b"\x30\x06\x02\x02\x7f\xff\x42\x00";
        let farewell = async {
            self.wire.write_all(UNBIND).await?;
            self.wire.shutdown().await
        };
        // A server that does not take it has gone already.
        let _ = timeout(Duration::from_millis(100), farewell).await;
    }

    /// From the crate to the server, unread.
    fn poll_up(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        loop {
            while !self.upward.is_empty() {
                match ready!(Pin::new(&mut self.wire).poll_write(cx, &self.upward)) {
                    Ok(0) => return Poll::Ready(End::Theirs(io::ErrorKind::WriteZero.into())),
                    Ok(count) => self.upward.advance(count),
                    Err(error) => return Poll::Ready(End::Theirs(error)),
                }
                self.unflushed = true;
            }
            if self.unflushed {
                match ready!(Pin::new(&mut self.wire).poll_flush(cx)) {
                    Ok(()) => self.unflushed = false,
                    Err(error) => return Poll::Ready(End::Theirs(error)),
                }
            }
            self.upward.reserve(CHUNK / 4);
            match ready!(pin!(self.shim.read_buf(&mut self.upward)).poll(cx)) {
                Ok(0) | Err(_) => return Poll::Ready(End::Ours),
                Ok(_) => {}
            }
        }
    }

    /// From the server to the crate, through the guard.
    fn poll_down(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        loop {
            while self.checked > 0 {
                match ready!(
                    Pin::new(&mut self.shim).poll_write(cx, &self.downward[..self.checked])
                ) {
                    Ok(0) | Err(_) => return Poll::Ready(End::Ours),
                    Ok(count) => {
                        self.downward.advance(count);
                        self.checked -= count;
                    }
                }
            }
            if self.downward.is_empty() && self.downward.capacity() > KEEP {
                self.downward = BytesMut::new();
            }
            self.downward.reserve(CHUNK);
            match ready!(pin!(self.wire.read_buf(&mut self.downward)).poll(cx)) {
                Ok(0) => return Poll::Ready(End::Theirs(io::ErrorKind::UnexpectedEof.into())),
                Ok(_) => self.heard.now(),
                Err(error) => return Poll::Ready(End::Theirs(error)),
            }
            if let Err(breach) = self.check() {
                return Poll::Ready(End::Breach(breach));
            }
        }
    }

    /// Looks through every message that is whole.
    fn check(&mut self) -> Result<(), Breach> {
        while let Some(length) = self.guard.length(&self.downward[self.checked..])? {
            let Some(message) = self.downward.get(self.checked..self.checked + length) else {
                break;
            };
            let (id, kind) = self.guard.check(message)?;
            self.count(id, kind, length)?;
            self.checked += length;
        }
        Ok(())
    }

    /// Nobody may go on for ever, not even with a search that was abandoned.
    fn count(&mut self, id: u32, kind: Kind, length: usize) -> Result<(), Breach> {
        if kind == Kind::Final {
            self.tally.remove(&id);
            return Ok(());
        }
        if self.tally.len() >= TALLIES {
            self.tally.clear();
        }
        let sum = self.tally.entry(id).or_default();
        *sum += length;
        if *sum > self.budget {
            return Err(Breach::Endless(self.budget));
        }
        Ok(())
    }
}
