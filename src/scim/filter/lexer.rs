//! A filter's text as tokens, each with the place where it begins.

use crate::scim::error::{ErrorKind, ScimError};

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token<'a> {
    Open,
    Close,
    OpenBracket,
    CloseBracket,
    /// Characters up to white space, a bracket or a quote.
    Word(&'a str),
    /// A string in quotes, its escapes resolved.
    Quoted(String),
    End,
}

#[derive(Debug)]
pub(super) struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// The next token and the byte at which it begins.
    pub(super) fn next(&mut self) -> Result<(usize, Token<'a>), ScimError> {
        let rest = self.rest().trim_ascii_start();
        let start = self.text.len() - rest.len();
        self.at = start;
        let Some(&first) = rest.as_bytes().first() else {
            return Ok((start, Token::End));
        };
        let token = match first {
            b'(' => self.single(Token::Open),
            b')' => self.single(Token::Close),
            b'[' => self.single(Token::OpenBracket),
            b']' => self.single(Token::CloseBracket),
            b'"' => Token::Quoted(self.quoted(start)?),
            _ => self.word(),
        };
        Ok((start, token))
    }

    /// `invalidFilter` at this byte, told as the number of the character, the first being 1.
    pub(super) fn error(&self, byte: usize, what: &str) -> ScimError {
        let before = self.text.get(..byte).unwrap_or(self.text);
        let position = before.chars().count() + 1;
        ScimError::new(ErrorKind::InvalidFilter, format!("filter, character {position}: {what}"))
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn single(&mut self, token: Token<'a>) -> Token<'a> {
        self.at += 1;
        token
    }

    fn word(&mut self) -> Token<'a> {
        let rest = self.rest();
        let ends = |byte: u8| {
            byte.is_ascii_whitespace() || matches!(byte, b'(' | b')' | b'[' | b']' | b'"')
        };
        let length = rest.bytes().position(ends).unwrap_or(rest.len());
        self.at += length;
        Token::Word(&rest[..length])
    }

    /// A JSON string (RFC 8259 section 7) from its opening quote at `start`. Unescaped control
    /// characters are let through.
    fn quoted(&mut self, start: usize) -> Result<String, ScimError> {
        let mut value = String::new();
        self.at += 1;
        loop {
            let rest = self.rest();
            let Some(length) = memchr::memchr2(b'"', b'\\', rest.as_bytes()) else {
                return Err(self.error(start, "the string that begins here has no closing quote"));
            };
            value.push_str(&rest[..length]);
            self.at += length + 1;
            if rest.as_bytes()[length] == b'"' {
                return Ok(value);
            }
            value.push(self.escaped()?);
        }
    }

    /// What stands behind a backslash.
    fn escaped(&mut self) -> Result<char, ScimError> {
        let backslash = self.at - 1;
        let Some(letter) = self.rest().bytes().next() else {
            return Err(self.error(backslash, "the filter ends in the middle of a string"));
        };
        self.at += 1;
        let character = match letter {
            b'"' | b'\\' | b'/' => char::from(letter),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => self.code_point(backslash)?,
            _ => {
                // The byte may be the first of several: nothing after this reads from there.
                return Err(self.error(
                    backslash,
                    "unknown escape; after a backslash stand \" \\ / b f n r t or u with four \
                     hexadecimal digits, and a backslash itself is written \\\\",
                ));
            }
        };
        if character == '\0' {
            return Err(self.error(backslash, "the character U+0000 is not allowed in a string"));
        }
        Ok(character)
    }

    /// The digits behind `\u`, and the second half of a surrogate pair.
    fn code_point(&mut self, backslash: usize) -> Result<char, ScimError> {
        const WRONG: &str = "\\u stands before four hexadecimal digits; a backslash itself is \
                             written \\\\";
        let first = self.four_digits().ok_or_else(|| self.error(backslash, WRONG))?;
        let code = if (0xD800..0xDC00).contains(&first) {
            let second = self.rest().starts_with("\\u").then(|| {
                self.at += 2;
                self.four_digits()
            });
            match second.flatten() {
                Some(second @ 0xDC00..0xE000) => {
                    0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00)
                }
                _ => first,
            }
        } else {
            first
        };
        char::from_u32(code).ok_or_else(|| {
            self.error(backslash, "half of a surrogate pair; both halves stand together")
        })
    }

    fn four_digits(&mut self) -> Option<u32> {
        let digits = self.rest().get(..4)?;
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        self.at += 4;
        u32::from_str_radix(digits, 16).ok()
    }
}
