//! The log: which events become lines, and where these go.
//!
//! The subscriber is the process's only global; tests and libraries never install it.

use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;

use tracing::subscriber::{Interest, SetGlobalDefaultError};
use tracing::{Event, Level, Metadata, Subscriber, span};
use tracing_subscriber::filter::{LevelFilter, Targets};

use super::drain::Drain;
pub use super::drain::Guard;
use super::line;
use crate::clock::Clock;

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error("no thread for it")]
    Thread(#[from] io::Error),
    #[error("this process has one already")]
    Installed(#[from] SetGlobalDefaultError),
}

/// How a line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `key=value` pairs, for people.
    Text,
    /// One JSON object, for machines.
    Json,
}

/// Sends the process's events to standard error, for as long as the guard lives. What is logged
/// when it goes is written before it is gone.
pub fn install(filter: Targets, format: Format, clock: &Clock) -> Result<Guard, LogError> {
    let (log, guard) = Log::new(filter, format, clock, io::stderr())?;
    tracing::subscriber::set_global_default(log)?;
    Ok(guard)
}

/// Turns events into lines. Spans are neither made nor shown: a line says all that it is about.
struct Log {
    filter: Targets,
    format: Format,
    clock: Clock,
    drain: Arc<Drain>,
}

impl Log {
    fn new<W: Write + Send + 'static>(
        filter: Targets,
        format: Format,
        clock: &Clock,
        writer: W,
    ) -> io::Result<(Self, Guard)> {
        let at = clock.clone();
        let notice = move |dropped| {
            let message = format!("{dropped} log lines were dropped: nobody read them");
            line::said(&message, at.now(), Level::WARN, format)
        };
        let (drain, guard) = Drain::start(writer, notice)?;
        let log = Self { filter, format, clock: clock.clone(), drain };
        Ok((log, guard))
    }

    fn wants(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && self.filter.would_enable(metadata.target(), metadata.level())
    }
}

impl Subscriber for Log {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.wants(metadata) { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.wants(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        self.filter.iter().map(|(_, level)| level).chain(self.filter.default_level()).max()
    }

    fn event(&self, event: &Event<'_>) {
        self.drain.push(&line::of(event, self.clock.now(), self.format));
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log").field("format", &self.format).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::Duration;

    use super::*;
    use crate::telemetry::request::Request;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What `work` logs.
    fn logged(filter: &str, format: Format, work: impl FnOnce()) -> String {
        let sink = Sink::default();
        let clock = Clock::manual("2026-11-21T10:20:30.456Z".parse().unwrap());
        let (log, guard) = Log::new(filter.parse().unwrap(), format, &clock, sink.clone()).unwrap();
        tracing::subscriber::with_default(log, work);
        drop(guard);
        String::from_utf8(sink.0.lock().unwrap().clone()).unwrap()
    }

    fn request() {
        Request {
            method: "GET",
            path: "/scim/acme/v2/Users",
            status: 200,
            duration: Duration::from_micros(1234),
            tenant: Some("acme"),
            caller: Some("help desk"),
            request_id: "00000abc",
            bytes: 512,
        }
        .log();
    }

    #[test]
    fn a_request_is_one_line_of_pairs() {
        assert_eq!(
            logged("info", Format::Text, request),
            "2026-11-21T10:20:30.456Z  INFO scimbridge::request: request http.method=GET \
             http.path=/scim/acme/v2/Users http.status=200 duration_ms=1.234 tenant=acme \
             caller=\"help desk\" request.id=00000abc bytes=512\n"
        );
    }

    #[test]
    fn a_request_is_one_line_of_json() {
        let text = logged("info", Format::Json, request);
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            line,
            serde_json::json!({
                "timestamp": "2026-11-21T10:20:30.456Z",
                "level": "INFO",
                "target": "scimbridge::request",
                "message": "request",
                "http.method": "GET",
                "http.path": "/scim/acme/v2/Users",
                "http.status": 200,
                "duration_ms": 1.234,
                "tenant": "acme",
                "caller": "help desk",
                "request.id": "00000abc",
                "bytes": 512
            })
        );
    }

    #[test]
    fn values_stay_on_their_line_and_in_their_field() {
        let work = || {
            tracing::warn!(
                path = "/a\r\n2026 INFO forged",
                quote = "a\"b\\",
                empty = "",
                "bad\nnews"
            );
            tracing::info!(debug = ?"x\u{7}y", number = f64::NAN, absent = None::<&str>);
        };
        let text = logged("info", Format::Text, work);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        let begin = "2026-11-21T10:20:30.456Z  WARN scimbridge::telemetry::log::tests";
        assert_eq!(
            lines[0],
            format!(
                r#"{begin}: bad\u000anews path="/a\u000d\u000a2026 INFO forged" quote="a\"b\\" empty="""#
            )
        );
        assert!(lines[1].ends_with(r#" debug="\"x\\u{7}y\"" number=NaN"#), "{text}");
        for line in logged("info", Format::Json, work).lines() {
            let _: serde_json::Value = serde_json::from_str(line).unwrap();
        }
    }

    #[test]
    fn long_values_are_cut_between_characters() {
        let text = logged("info", Format::Text, || {
            tracing::info!(a = "ü".repeat(5000), b = ?vec!["ü"; 50_000]);
        });
        assert!(text.len() < 5000, "{}", text.len());
    }

    #[test]
    fn the_filter_decides_by_level_and_module() {
        let work = || {
            tracing::debug!(target: "scimbridge::repository", "one");
            tracing::debug!(target: "scimbridge::http", "two");
            tracing::error!(target: "scimbridge::http", "three");
        };
        let text = logged("warn,scimbridge::repository=debug", Format::Text, work);
        assert!(text.contains("one") && text.contains("three") && !text.contains("two"), "{text}");
        assert_eq!(logged("off", Format::Text, work), "");
    }

    #[test]
    fn an_error_is_told_with_its_causes() {
        let error = LogError::from(io::Error::other("too many"));
        let text = logged("info", Format::Text, || {
            tracing::error!(error = &error as &dyn std::error::Error, "no log");
        });
        assert!(text.ends_with(": no log error=\"no thread for it: too many\"\n"), "{text}");
    }
}
