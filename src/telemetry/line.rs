//! One event as one line: `key=value` pairs, or JSON.
//!
//! Whatever a value holds, it stays on its line and inside its field.

use std::error::Error;
use std::fmt::{self, Write as _};
use std::io::Write as _;

use jiff::Timestamp;
use tracing::field::{Field, Visit};
use tracing::{Event, Level};

use super::log::Format;

/// Bytes of one value; what is longer is cut.
const MAX_VALUE: usize = 2048;

/// The line for `event`, with its line break.
pub fn of(event: &Event<'_>, at: Timestamp, format: Format) -> Vec<u8> {
    let metadata = event.metadata();
    let mut line = begin(at, *metadata.level(), metadata.target(), format);
    event.record(&mut Fields { line: &mut line, format });
    end(line, format)
}

/// A line that no event made.
pub fn said(message: &str, at: Timestamp, level: Level, format: Format) -> Vec<u8> {
    let mut line = begin(at, level, module_path!(), format);
    Fields { line: &mut line, format }.message(message);
    end(line, format)
}

fn begin(at: Timestamp, level: Level, target: &str, format: Format) -> Vec<u8> {
    let mut line = Vec::with_capacity(512);
    // Writing to a Vec cannot fail.
    match format {
        Format::Text => {
            let _ = write!(line, "{at:.3} {level:>5} ");
            line.extend_from_slice(target.as_bytes());
        }
        Format::Json => {
            line.extend_from_slice(b"{\"timestamp\":\"");
            let _ = write!(line, "{at:.3}");
            line.extend_from_slice(b"\",\"level\":\"");
            line.extend_from_slice(level.as_str().as_bytes());
            line.extend_from_slice(b"\",\"target\":\"");
            line.extend_from_slice(target.as_bytes());
            line.push(b'"');
        }
    }
    line
}

fn end(mut line: Vec<u8>, format: Format) -> Vec<u8> {
    line.extend_from_slice(match format {
        Format::Text => b"\n",
        Format::Json => b"}\n",
    });
    line
}

struct Fields<'a> {
    line: &'a mut Vec<u8>,
    format: Format,
}

impl Fields<'_> {
    fn name(&mut self, field: &Field) {
        match self.format {
            Format::Text => {
                self.line.push(b' ');
                self.line.extend_from_slice(field.name().as_bytes());
                self.line.push(b'=');
            }
            Format::Json => {
                self.line.extend_from_slice(b",\"");
                self.line.extend_from_slice(field.name().as_bytes());
                self.line.extend_from_slice(b"\":");
            }
        }
    }

    fn message(&mut self, text: &str) {
        match self.format {
            Format::Text => {
                self.line.extend_from_slice(b": ");
                escape(self.line, cut(text));
            }
            Format::Json => {
                self.line.extend_from_slice(b",\"message\":");
                quote(self.line, cut(text));
            }
        }
    }

    fn text(&mut self, field: &Field, text: &str) {
        if field.name() == "message" {
            return self.message(text);
        }
        self.name(field);
        let text = cut(text);
        let is_plain =
            |b: u8| b.is_ascii_graphic() && !matches!(b, b'"' | b'\\' | b'=') || b > 0x7f;
        if self.format == Format::Text && !text.is_empty() && text.bytes().all(is_plain) {
            self.line.extend_from_slice(text.as_bytes());
        } else {
            quote(self.line, text);
        }
    }

    fn number(&mut self, field: &Field, number: impl fmt::Display) {
        self.name(field);
        let _ = write!(self.line, "{number}");
    }
}

impl Visit for Fields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.name(field);
        digits(self.line, value, 1);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.number(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.number(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        let thousandths = (value * 1000.0).round();
        #[expect(clippy::float_cmp, reason = "what survives the way there and back is exact")]
        let short = (0.0..1e12).contains(&thousandths) && thousandths / 1000.0 == value;
        if short {
            // Durations in milliseconds, which every request has: three decimals are exact.
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "in range")]
            let thousandths = thousandths as u64;
            self.name(field);
            digits(self.line, thousandths / 1000, 1);
            self.line.push(b'.');
            digits(self.line, thousandths % 1000, 3);
        } else if value.is_finite() {
            self.number(field, value);
        } else {
            self.text(field, &value.to_string());
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        let mut text = value.to_string();
        let mut cause = value.source();
        while let Some(error) = cause {
            // Writing to a String cannot fail.
            let _ = write!(text, ": {error}");
            cause = error.source();
        }
        self.text(field, &text);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = Bounded(String::with_capacity(64));
        // An error means that the value was cut.
        let _ = write!(text, "{value:?}");
        self.text(field, &text.0);
    }
}

/// Takes a little more than [`MAX_VALUE`] and no more.
struct Bounded(String);

impl fmt::Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.0.len() > MAX_VALUE {
            return Err(fmt::Error);
        }
        self.0.push_str(&text[..text.floor_char_boundary(MAX_VALUE + 4)]);
        Ok(())
    }
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_VALUE)]
}

/// A number with at least so many digits.
fn digits(line: &mut Vec<u8>, mut number: u64, at_least: usize) {
    let mut buffer = [b'0'; 20];
    let mut at = buffer.len();
    while number > 0 || buffer.len() - at < at_least {
        at -= 1;
        buffer[at] = b'0' + (number % 10) as u8;
        number /= 10;
    }
    line.extend_from_slice(&buffer[at..]);
}

/// A JSON string (RFC 8259 section 7).
fn quote(line: &mut Vec<u8>, text: &str) {
    line.push(b'"');
    let plain = |byte: u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
    // Without a way out at the first that is not, so that the compiler can vectorise it.
    if text.bytes().fold(true, |all, byte| all & plain(byte)) {
        line.extend_from_slice(text.as_bytes());
        line.push(b'"');
        return;
    }
    for (part, special) in parts(text, |c| matches!(c, '"' | '\\')) {
        line.extend_from_slice(part.as_bytes());
        match special {
            Some(c @ ('"' | '\\')) => line.extend_from_slice(&[b'\\', c as u8]),
            Some(c) => {
                let _ = write!(line, "\\u{:04x}", u32::from(c));
            }
            None => {}
        }
    }
    line.push(b'"');
}

/// Text as it is, but for control characters.
fn escape(line: &mut Vec<u8>, text: &str) {
    for (part, special) in parts(text, |_| false) {
        line.extend_from_slice(part.as_bytes());
        if let Some(c) = special {
            let _ = write!(line, "\\u{:04x}", u32::from(c));
        }
    }
}

/// Splits behind every control character and whatever else is `special`.
fn parts(
    text: &str,
    special: impl Fn(char) -> bool + Copy,
) -> impl Iterator<Item = (&str, Option<char>)> {
    text.split_inclusive(move |c: char| c.is_control() || special(c)).map(move |part| {
        match part.chars().next_back() {
            Some(c) if c.is_control() || special(c) => {
                (&part[..part.len() - c.len_utf8()], Some(c))
            }
            _ => (part, None),
        }
    })
}
