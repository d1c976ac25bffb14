//! JSON into one growing buffer.

use serde_json::Value;

/// What is written into a message, piece by piece. The caller sets the commas and braces.
pub(super) trait Writer {
    /// A member's name, escaped, and the colon.
    fn name(&mut self, name: &str);
    /// A JSON string.
    fn text(&mut self, text: &str);
    fn number(&mut self, number: u64);
    fn value(&mut self, value: &Value);
}

impl Writer for Vec<u8> {
    fn name(&mut self, name: &str) {
        self.text(name);
        self.push(b':');
    }

    fn text(&mut self, text: &str) {
        self.push(b'"');
        // Names, URNs, ids and cursors never need an escape, and most values do not. Looking at every
        // byte, without a way out at the first that does, is what the compiler can vectorise.
        let plain = |byte: u8| byte >= 0x20 && byte != b'"' && byte != b'\\';
        if text.bytes().fold(true, |all, byte| all & plain(byte)) {
            self.extend_from_slice(text.as_bytes());
        } else {
            for character in text.chars() {
                escaped(self, character);
            }
        }
        self.push(b'"');
    }

    fn number(&mut self, number: u64) {
        // 20 digits hold any u64.
        let mut digits = [b'0'; 20];
        let mut start = digits.len();
        let mut rest = number;
        loop {
            start -= 1;
            if let Some(digit) = digits.get_mut(start) {
                *digit = b'0' + u8::try_from(rest % 10).unwrap_or_default();
            }
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        self.extend_from_slice(digits.get(start..).unwrap_or_default());
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::Null => self.extend_from_slice(b"null"),
            Value::Bool(true) => self.extend_from_slice(b"true"),
            Value::Bool(false) => self.extend_from_slice(b"false"),
            Value::Number(number) => self.extend_from_slice(number.to_string().as_bytes()),
            Value::String(text) => self.text(text),
            Value::Array(values) => {
                self.push(b'[');
                for (index, value) in values.iter().enumerate() {
                    if index > 0 {
                        self.push(b',');
                    }
                    self.value(value);
                }
                self.push(b']');
            }
            Value::Object(members) => {
                self.push(b'{');
                for (index, (name, value)) in members.iter().enumerate() {
                    if index > 0 {
                        self.push(b',');
                    }
                    self.name(name);
                    self.value(value);
                }
                self.push(b'}');
            }
        }
    }
}

/// RFC 8259 section 7: quotation mark, reverse solidus and the control characters are escaped.
fn escaped(out: &mut Vec<u8>, character: char) {
    match character {
        '"' => out.extend_from_slice(br#"\""#),
        '\\' => out.extend_from_slice(br"\\"),
        '\n' => out.extend_from_slice(br"\n"),
        '\r' => out.extend_from_slice(br"\r"),
        '\t' => out.extend_from_slice(br"\t"),
        control if control < ' ' => {
            out.extend_from_slice(format!("\\u{:04x}", u32::from(control)).as_bytes());
        }
        other => out.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}
