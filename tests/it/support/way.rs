//! A way to a server on which things go wrong: closed, cut, frozen, held, late, slow, spoilt.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

/// What happens to answers, and to those who come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Pass,
    /// Whoever comes is sent away, and whoever is there.
    Refuse,
    /// An answer breaks off in its middle.
    Cut,
    /// Nothing comes back any more.
    Freeze,
    /// Nothing comes back for as long as this lasts, and all of it afterwards.
    Hold,
    /// Everything comes back later.
    Late(Duration),
    /// The server says no more, and the way stays open in the other direction.
    HalfClose,
    /// One byte at a time, far too slowly.
    Drip,
    /// Answers are other bytes.
    Garbage,
    /// Whoever rests is cut off without a word.
    IdleKill,
}

#[derive(Debug)]
struct Shared {
    mode: Mutex<Mode>,
    streams: Mutex<Vec<TcpStream>>,
    asked: AtomicUsize,
}

impl Shared {
    fn mode(&self) -> Mode {
        *self.mode.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A relay on a port of its own.
#[derive(Clone, Debug)]
pub struct Way {
    port: u16,
    shared: Arc<Shared>,
}

impl Way {
    pub fn to(address: String, mode: Mode) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (mode, streams, asked) = (Mutex::new(mode), Mutex::default(), AtomicUsize::new(0));
        let shared = Arc::new(Shared { mode, streams, asked });
        let way = Self { port, shared: Arc::clone(&shared) };
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if shared.mode() == Mode::Refuse {
                    continue;
                }
                let Ok(server) = TcpStream::connect(&address) else { continue };
                let _ = (client.set_nodelay(true), server.set_nodelay(true));
                let (Ok(one), Ok(other)) = (client.try_clone(), server.try_clone()) else { return };
                let kept = [client.try_clone(), server.try_clone()];
                let mut streams = shared.streams.lock().unwrap_or_else(PoisonError::into_inner);
                streams.extend(kept.into_iter().flatten());
                drop(streams);
                upwards(one, other, Arc::clone(&shared));
                downwards(server, client, Arc::clone(&shared));
            }
        });
        way
    }

    pub fn url(&self) -> String {
        format!("ldap://127.0.0.1:{}", self.port)
    }

    pub fn ldaps_url(&self) -> String {
        format!("ldaps://127.0.0.1:{}", self.port)
    }

    /// How often something was sent to the server.
    pub fn asked(&self) -> usize {
        self.shared.asked.load(Ordering::SeqCst)
    }

    /// From now on.
    pub fn set(&self, mode: Mode) {
        *self.shared.mode.lock().unwrap_or_else(PoisonError::into_inner) = mode;
        if mode == Mode::Refuse {
            self.cut();
        }
    }

    /// Ends every connection that is open; new ones may come.
    pub fn cut(&self) {
        for stream in self.shared.streams.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn upwards(mut from: TcpStream, mut to: TcpStream, shared: Arc<Shared>) {
    std::thread::spawn(move || {
        let mut buffer = vec![0; 16 << 10];
        let mut last = Instant::now();
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            if shared.mode() == Mode::IdleKill && last.elapsed() > Duration::from_millis(150) {
                break;
            }
            last = Instant::now();
            shared.asked.fetch_add(1, Ordering::SeqCst);
            if to.write_all(&buffer[..length]).is_err() {
                break;
            }
        }
        let _ = (to.shutdown(Shutdown::Both), from.shutdown(Shutdown::Both));
    });
}

fn downwards(mut from: TcpStream, mut to: TcpStream, shared: Arc<Shared>) {
    let (send, receive) = mpsc::channel::<(Instant, Vec<u8>)>();
    let reading = Arc::clone(&shared);
    std::thread::spawn(move || {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            let delay = match reading.mode() {
                Mode::Late(delay) => delay,
                _ => Duration::ZERO,
            };
            if send.send((Instant::now() + delay, buffer[..length].to_vec())).is_err() {
                return;
            }
        }
    });
    std::thread::spawn(move || {
        for (at, mut bytes) in receive {
            std::thread::sleep(at.saturating_duration_since(Instant::now()));
            while shared.mode() == Mode::Hold {
                std::thread::sleep(Duration::from_millis(2));
            }
            let done = match shared.mode() {
                Mode::Freeze => continue,
                Mode::Cut => {
                    let _ = to.write_all(&bytes[..bytes.len() / 2]);
                    break;
                }
                Mode::HalfClose => {
                    let _ = to.shutdown(Shutdown::Write);
                    continue;
                }
                Mode::Drip => bytes.iter().try_for_each(|byte| {
                    std::thread::sleep(Duration::from_millis(30));
                    if shared.mode() == Mode::Drip {
                        to.write_all(&[*byte])
                    } else {
                        Err(std::io::ErrorKind::Other.into())
                    }
                }),
                Mode::Garbage => {
                    for byte in &mut bytes {
                        *byte = byte.wrapping_mul(31) ^ 0x5a;
                    }
                    to.write_all(&bytes)
                }
                _ => to.write_all(&bytes),
            };
            if done.is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
    });
}
