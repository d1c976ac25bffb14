//! A blocking HTTP/1.1 client that hides nothing: one connection, kept alive, JSON in and out.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

/// Longer than any deadline of the bridge: when this passes, the bridge hangs.
const PATIENCE: Duration = Duration::from_mins(1);

/// What was answered.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    /// Names in lower case, in the order received.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    /// The first header of this name (in lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON; a test that asks for it fails where it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{}: {error}: {}", self.status, self.text()))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The JSON body of an answer that must have this status.
    #[track_caller]
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        if self.body.is_empty() { Value::Null } else { self.json() }
    }
}

/// One connection to one server with one token. Clones connect for themselves.
#[derive(Debug)]
pub struct Client {
    address: String,
    /// What every path is below, such as `/scim/acme/v2`.
    base: String,
    token: Option<String>,
    connection: Option<BufReader<TcpStream>>,
}

impl Clone for Client {
    fn clone(&self) -> Self {
        Self {
            address: self.address.clone(),
            base: self.base.clone(),
            token: self.token.clone(),
            connection: None,
        }
    }
}

impl Client {
    /// `address` is `host:port`.
    pub fn new(address: &str, base: &str, token: Option<&str>) -> Self {
        Self {
            address: address.to_owned(),
            base: base.to_owned(),
            token: token.map(str::to_owned),
            connection: None,
        }
    }

    pub fn get(&mut self, path: &str) -> Answer {
        self.send("GET", path, &[], b"")
    }

    /// `GET path?parameters`, with the values encoded.
    pub fn query(&mut self, path: &str, parameters: &[(&str, &str)]) -> Answer {
        let query =
            form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
        self.get(&format!("{path}?{query}"))
    }

    pub fn post(&mut self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, &[], body.to_string().as_bytes())
    }

    pub fn put(&mut self, path: &str, body: &Value) -> Answer {
        self.send("PUT", path, &[], body.to_string().as_bytes())
    }

    pub fn patch(&mut self, path: &str, body: &Value) -> Answer {
        self.send("PATCH", path, &[], body.to_string().as_bytes())
    }

    pub fn delete(&mut self, path: &str) -> Answer {
        self.send("DELETE", path, &[], b"")
    }

    /// Any request; `headers` come on top of the usual ones. A body is sent as SCIM JSON.
    pub fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        self.try_send(method, path, headers, body)
            .unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    /// As [`Client::send`], for a server that may be killed meanwhile. Nothing is sent twice, but
    /// for a kept connection that the server had closed before the request.
    pub fn try_send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> std::io::Result<Answer> {
        let request = self.request(method, path, headers, body);
        let mut connection = match self.connection.take().filter(still_open) {
            Some(connection) => connection,
            None => connect(&self.address)?,
        };
        connection.get_mut().write_all(&request)?;
        let answer = read(&mut connection, method == "HEAD")?;
        if answer.header("connection").is_none_or(|value| !value.eq_ignore_ascii_case("close")) {
            self.connection = Some(connection);
        }
        Ok(answer)
    }

    fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
        let mut head =
            format!("{method} {}{path} HTTP/1.1\r\nHost: {}\r\n", self.base, self.address);
        if let Some(token) = &self.token {
            write!(head, "Authorization: Bearer {token}\r\n").unwrap();
        }
        let given = |name: &str| headers.iter().any(|(key, _)| key.eq_ignore_ascii_case(name));
        if !body.is_empty() && !given("content-type") {
            head += "Content-Type: application/scim+json\r\n";
        }
        if (!body.is_empty() || matches!(method, "POST" | "PUT" | "PATCH"))
            && !given("content-length")
        {
            write!(head, "Content-Length: {}\r\n", body.len()).unwrap();
        }
        for (name, value) in headers {
            write!(head, "{name}: {value}\r\n").unwrap();
        }
        head += "\r\n";
        [head.as_bytes(), body].concat()
    }
}

fn connect(address: &str) -> std::io::Result<BufReader<TcpStream>> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(BufReader::new(stream))
}

/// Whether a kept connection has neither been closed nor said anything unasked.
fn still_open(connection: &BufReader<TcpStream>) -> bool {
    let stream = connection.get_ref();
    let quiet = stream.set_nonblocking(true).is_ok()
        && matches!(stream.peek(&mut [0]), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock);
    stream.set_nonblocking(false).is_ok() && quiet && connection.buffer().is_empty()
}

fn read(connection: &mut BufReader<TcpStream>, head_only: bool) -> std::io::Result<Answer> {
    let status_line = line(connection)?;
    let status = status_line
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .ok_or_else(|| broken(&status_line))?;
    let mut headers = Vec::new();
    loop {
        let line = line(connection)?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').ok_or_else(|| broken(&line))?;
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut answer = Answer { status, headers, body: Vec::new() };
    if head_only || matches!(status, 204 | 304) {
        return Ok(answer);
    }
    if answer.header("transfer-encoding").is_some_and(|value| value.contains("chunked")) {
        loop {
            let size = line(connection)?;
            let size = usize::from_str_radix(size.split(';').next().unwrap_or(""), 16)
                .map_err(|_| broken(&size))?;
            let start = answer.body.len();
            answer.body.resize(start + size, 0);
            connection.read_exact(&mut answer.body[start..])?;
            line(connection)?;
            if size == 0 {
                break;
            }
        }
    } else if let Some(length) = answer.header("content-length") {
        let length = length.parse().map_err(|_| broken(length))?;
        answer.body.resize(length, 0);
        connection.read_exact(&mut answer.body)?;
    } else {
        connection.read_to_end(&mut answer.body)?;
    }
    Ok(answer)
}

fn line(connection: &mut BufReader<TcpStream>) -> std::io::Result<String> {
    let mut line = String::new();
    if connection.read_line(&mut line)? == 0 {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

fn broken(what: &str) -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::InvalidData, format!("no HTTP: {what:?}"))
}
