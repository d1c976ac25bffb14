//! The one line per request.

use std::time::Duration;

/// What is told of a request. Neither its query nor its body: these hold people's data.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    pub method: &'a str,
    /// The path alone.
    pub path: &'a str,
    pub status: u16,
    /// From the first byte of the head to the last of the answer's head.
    pub duration: Duration,
    pub tenant: Option<&'a str>,
    /// The token's name.
    pub caller: Option<&'a str>,
    pub request_id: &'a str,
    /// Bytes of the answer's body.
    pub bytes: u64,
}

impl Request<'_> {
    /// Writes the line, at `info`.
    pub fn log(&self) {
        let micros = u32::try_from(self.duration.as_micros()).unwrap_or(u32::MAX);
        tracing::event!(
            target: "scimbridge::request",
            tracing::Level::INFO,
            { http.method = self.method,
            http.path = self.path,
            http.status = self.status,
            duration_ms = f64::from(micros) / 1000.0,
            tenant = self.tenant,
            caller = self.caller,
            request.id = self.request_id,
            bytes = self.bytes },
            "request"
        );
    }
}

impl std::fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {}", self.method, self.path, self.status)
    }
}
