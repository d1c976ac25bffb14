//! A directory that lies: an LDAP server whose answers a test writes, alone or in front of a real one.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::BytesMut;
use lber::common::TagClass;
use lber::parse::Parser;
use lber::structure::{PL, StructureTag};
use lber::write::encode_into;

/// The paged results control (RFC 2696).
pub const PAGED_RESULTS: &str = "1.2.840.113556.1.4.319";

/// One request (RFC 4511, section 4.1.1).
#[derive(Clone, Debug)]
pub struct Request {
    /// The message id, which every answer repeats.
    pub id: Vec<u8>,
    /// The same for all requests of one connection.
    pub connection: usize,
    pub operation: Operation,
    /// Object identifiers and values.
    pub controls: Vec<(String, Vec<u8>)>,
}

#[derive(Clone, Debug)]
pub enum Operation {
    /// Name, and password of a simple bind.
    Bind(String, Option<Vec<u8>>),
    Search {
        base: String,
        /// 0 the entry itself, 1 what is right below it, 2 the whole subtree.
        scope: u8,
        size_limit: u64,
        filter: StructureTag,
        attributes: Vec<String>,
    },
    /// The object identifier of an extended operation.
    Extended(String),
    /// By application tag: 2 unbind, 6 modify, 8 add, 10 delete, 12 rename, 14 compare, 16 abandon.
    Other(u64),
}

impl Request {
    /// Whether this looks for people: it has a base, and that is not the schema.
    pub fn is_for_people(&self) -> bool {
        match &self.operation {
            Operation::Search { base, .. } => {
                !base.is_empty() && !base.to_ascii_lowercase().starts_with("cn=subschema")
            }
            _ => false,
        }
    }
}

/// What the script did with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Answered, or left without an answer.
    Done,
    /// The real directory answers; without one, a bind succeeds and a search finds nobody.
    Pass,
    /// The connection ends.
    HangUp,
}

/// The way back to the client.
#[derive(Clone, Debug)]
pub struct Reply {
    stream: Arc<Mutex<TcpStream>>,
    id: Vec<u8>,
}

impl Reply {
    /// Any bytes, well formed or not.
    pub fn raw(&self, bytes: &[u8]) -> io::Result<()> {
        self.stream.lock().unwrap_or_else(PoisonError::into_inner).write_all(bytes)
    }

    /// A search result entry.
    pub fn entry(&self, dn: &str, attributes: &[(&str, &[&str])]) -> io::Result<()> {
        let attributes = attributes.iter().map(|(name, values)| {
            (*name, values.iter().map(|value| octets(value)).collect::<Vec<_>>())
        });
        self.entry_of(dn, attributes)
    }

    /// A search result entry of values that need be no text.
    pub fn entry_of<'a>(
        &self,
        dn: &str,
        attributes: impl Iterator<Item = (&'a str, Vec<StructureTag>)>,
    ) -> io::Result<()> {
        let attributes = attributes.map(|(name, values)| {
            let values = sequence(17, TagClass::Universal, values);
            sequence(16, TagClass::Universal, vec![octets(name), values])
        });
        let attributes = sequence(16, TagClass::Universal, attributes.collect());
        self.message(sequence(4, TagClass::Application, vec![octets(dn), attributes]))
    }

    /// A reference to where a search goes on (RFC 4511, section 4.5.3).
    pub fn reference(&self, url: &str) -> io::Result<()> {
        self.message(sequence(19, TagClass::Application, vec![octets(url)]))
    }

    /// A result without referral: application tag 1 for a bind, 5 for a search, 24 for an extended
    /// operation.
    pub fn result(&self, tag: u64, code: u8, text: &str) -> io::Result<()> {
        let code = primitive(10, vec![code]);
        self.message(sequence(tag, TagClass::Application, vec![code, octets(""), octets(text)]))
    }

    /// The end of a search.
    pub fn done(&self, code: u8) -> io::Result<()> {
        self.result(5, code, "")
    }

    /// The end of one page of a search (RFC 2696); without a cookie the last one.
    pub fn page_done(&self, code: u8, cookie: &[u8]) -> io::Result<()> {
        let value = vec![primitive(2, vec![0]), primitive(4, cookie.to_vec())];
        let mut control = BytesMut::new();
        encode_into(&mut control, sequence(16, TagClass::Universal, value))?;
        let control = vec![octets(PAGED_RESULTS), primitive(4, control.to_vec())];
        let control = sequence(16, TagClass::Universal, control);
        let done = vec![primitive(10, vec![code]), octets(""), octets("")];
        self.send(vec![
            sequence(5, TagClass::Application, done),
            sequence(0, TagClass::Context, vec![control]),
        ])
    }

    /// Any answer to this request.
    pub fn message(&self, operation: StructureTag) -> io::Result<()> {
        self.send(vec![operation])
    }

    fn send(&self, rest: Vec<StructureTag>) -> io::Result<()> {
        let mut parts = vec![primitive(2, self.id.clone())];
        parts.extend(rest);
        let mut buffer = BytesMut::new();
        encode_into(&mut buffer, sequence(16, TagClass::Universal, parts))?;
        self.raw(&buffer)
    }
}

type Script = dyn Fn(&Request, &Reply) -> io::Result<Verdict> + Send + Sync;

struct Shared {
    script: Box<Script>,
    upstream: Option<String>,
    ended: AtomicBool,
    searches: AtomicUsize,
    connections: Mutex<Vec<TcpStream>>,
    accepted: AtomicUsize,
}

/// A listening server; its connections end when this is dropped.
pub struct Hostile {
    port: u16,
    shared: Arc<Shared>,
}

impl Hostile {
    /// A directory that has nobody but whom the script makes up.
    pub fn start(
        script: impl Fn(&Request, &Reply) -> io::Result<Verdict> + Send + Sync + 'static,
    ) -> Self {
        Self::listen(None, Box::new(script))
    }

    /// Stands in front of the real directory at `address` (`host:port`), which answers whatever
    /// the script passes.
    pub fn in_front_of(
        address: &str,
        script: impl Fn(&Request, &Reply) -> io::Result<Verdict> + Send + Sync + 'static,
    ) -> Self {
        Self::listen(Some(address.to_owned()), Box::new(script))
    }

    fn listen(upstream: Option<String>, script: Box<Script>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            script,
            upstream,
            ended: AtomicBool::new(false),
            searches: AtomicUsize::new(0),
            connections: Mutex::new(Vec::new()),
            accepted: AtomicUsize::new(0),
        });
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if accepting.ended.load(Ordering::SeqCst) {
                    break;
                }
                let shared = Arc::clone(&accepting);
                std::thread::spawn(move || shared.serve(&stream));
            }
        });
        Self { port, shared }
    }

    pub fn url(&self) -> String {
        format!("ldap://127.0.0.1:{}", self.port)
    }

    /// Searches for people that reached this server, passed on or not.
    pub fn searches(&self) -> usize {
        self.shared.searches.load(Ordering::SeqCst)
    }

    /// Cuts every connection that stands; new ones are accepted.
    pub fn cut(&self) {
        let mut connections =
            self.shared.connections.lock().unwrap_or_else(PoisonError::into_inner);
        for stream in connections.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        self.cut();
    }
}

impl Shared {
    /// Serves one connection to its end; an error on it is that end.
    fn serve(&self, stream: &TcpStream) {
        let _ = self.converse(stream);
        let _ = stream.shutdown(Shutdown::Both);
    }

    fn converse(&self, stream: &TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        self.keep(stream)?;
        let client = Arc::new(Mutex::new(stream.try_clone()?));
        let mut upstream = match &self.upstream {
            Some(address) => Some(self.relay(address, &client)?),
            None => None,
        };
        let mut reading = stream.try_clone()?;
        let connection = self.accepted.fetch_add(1, Ordering::SeqCst);
        loop {
            let message = read_message(&mut reading)?;
            let request = parse(connection, &message)?;
            if request.is_for_people() {
                self.searches.fetch_add(1, Ordering::SeqCst);
            }
            let reply = Reply { stream: Arc::clone(&client), id: request.id.clone() };
            match ((self.script)(&request, &reply)?, &mut upstream) {
                (Verdict::Done, _) => {}
                (Verdict::HangUp, _) => return Ok(()),
                (Verdict::Pass, Some(upstream)) => upstream.write_all(&message)?,
                (Verdict::Pass, None) => answer(&request, &reply)?,
            }
        }
    }

    /// Connects to the real directory and hands its messages on, whole.
    fn relay(&self, address: &str, client: &Arc<Mutex<TcpStream>>) -> io::Result<TcpStream> {
        let upstream = TcpStream::connect(address)?;
        upstream.set_nodelay(true)?;
        self.keep(&upstream)?;
        let mut reading = upstream.try_clone()?;
        let client = Arc::clone(client);
        std::thread::spawn(move || {
            while let Ok(message) = read_message(&mut reading) {
                let mut client = client.lock().unwrap_or_else(PoisonError::into_inner);
                if client.write_all(&message).is_err() {
                    break;
                }
            }
            let client = client.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = client.shutdown(Shutdown::Both);
        });
        Ok(upstream)
    }

    fn keep(&self, stream: &TcpStream) -> io::Result<()> {
        let stream = stream.try_clone()?;
        self.connections.lock().unwrap_or_else(PoisonError::into_inner).push(stream);
        Ok(())
    }
}

/// What a directory says that holds nobody.
fn answer(request: &Request, reply: &Reply) -> io::Result<()> {
    match &request.operation {
        Operation::Bind(..) => reply.result(1, 0, ""),
        Operation::Search { base, .. } => {
            if base.is_empty() {
                reply.entry(
                    "",
                    &[("supportedLDAPVersion", &["3"]), ("supportedControl", &[PAGED_RESULTS])],
                )?;
            }
            reply.done(0)
        }
        // protocolError: no extended operation is known here.
        Operation::Extended(_) => reply.result(24, 2, "unknown operation"),
        Operation::Other(2 | 16) => Ok(()),
        Operation::Other(tag) => reply.result(tag + 1, 53, "this directory is not written to"),
    }
}

/// Reads one BER element with its head.
fn read_message(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut message = vec![0; 2];
    stream.read_exact(&mut message)?;
    let mut length = usize::from(message[1]);
    if length >= 128 {
        let mut long = vec![0; length - 128];
        stream.read_exact(&mut long)?;
        length = long.iter().fold(0, |length, &byte| length << 8 | usize::from(byte));
        message.extend(long);
    }
    let start = message.len();
    message.resize(start + length, 0);
    stream.read_exact(&mut message[start..])?;
    Ok(message)
}

fn parse(connection: usize, message: &[u8]) -> io::Result<Request> {
    let request = || {
        let (_, tag) = Parser::new().parse(message).ok()?;
        let mut parts = tag.expect_constructed()?.into_iter();
        let id = parts.next()?.expect_primitive()?;
        let operation = operation(parts.next()?)?;
        let controls = parts.next().map_or(Some(Vec::new()), controls)?;
        Some(Request { id, connection, operation, controls })
    };
    request().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no LDAP request"))
}

fn controls(tag: StructureTag) -> Option<Vec<(String, Vec<u8>)>> {
    let control = |tag: StructureTag| {
        let mut parts = tag.expect_constructed()?.into_iter();
        let name = text(parts.next()?)?;
        let value = parts.find(|part| part.id == 4).and_then(StructureTag::expect_primitive);
        Some((name, value.unwrap_or_default()))
    };
    tag.expect_constructed()?.into_iter().map(control).collect()
}

fn operation(tag: StructureTag) -> Option<Operation> {
    Some(match tag.id {
        // version, name, authentication
        0 => {
            let mut parts = tag.expect_constructed()?.into_iter();
            let name = text(parts.nth(1)?)?;
            Operation::Bind(name, parts.next()?.expect_primitive())
        }
        // baseObject, scope, derefAliases, sizeLimit, timeLimit, typesOnly, filter, attributes
        3 => {
            let mut parts = tag.expect_constructed()?.into_iter();
            let base = text(parts.next()?)?;
            let scope = *parts.next()?.expect_primitive()?.last()?;
            let size_limit = parts.nth(1)?.expect_primitive()?;
            let size_limit = size_limit.iter().fold(0, |sum, &byte| sum << 8 | u64::from(byte));
            let filter = parts.nth(2)?;
            let attributes =
                parts.next()?.expect_constructed()?.into_iter().filter_map(text).collect();
            Operation::Search { base, scope, size_limit, filter, attributes }
        }
        23 => Operation::Extended(text(tag.expect_constructed()?.into_iter().next()?)?),
        other => Operation::Other(other),
    })
}

fn text(tag: StructureTag) -> Option<String> {
    tag.expect_primitive().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

pub fn octets(text: &str) -> StructureTag {
    primitive(4, text.as_bytes().to_vec())
}

pub fn primitive(id: u64, bytes: Vec<u8>) -> StructureTag {
    StructureTag { class: TagClass::Universal, id, payload: PL::P(bytes) }
}

fn sequence(id: u64, class: TagClass, parts: Vec<StructureTag>) -> StructureTag {
    StructureTag { class, id, payload: PL::C(parts) }
}
