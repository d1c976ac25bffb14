//! A filter as text: what the parser reads back to the same tree.

use std::fmt::{self, Write};

use super::{Filter, Literal};
use crate::scim::schema::AttributePath;

impl fmt::Display for Filter {
    /// In canonical spelling. Constants, which no filter's text can hold (though `schemas pr` is
    /// read as one), are `true` and `false`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Printer { out: f, key: false }.filter(self, None)
    }
}

impl Filter {
    /// A text that is the same for filters that differ only in the case of names and operators, in
    /// white space, or in how strings are written that compare as equal. A key for caches, not to
    /// be parsed.
    pub fn canonical(&self) -> String {
        let mut text = String::new();
        // Writing into a string does not fail.
        let _ = Printer { out: &mut text, key: true }.filter(self, None);
        text
    }
}

struct Printer<'a, W> {
    out: &'a mut W,
    /// Whether strings stand in the form under which they are compared.
    key: bool,
}

impl<W: Write> Printer<'_, W> {
    /// `within`: the path of the element whose filter this is.
    fn filter(&mut self, filter: &Filter, within: Option<&AttributePath>) -> fmt::Result {
        match filter {
            Filter::And(parts) => self.joined(parts, " and ", true, within),
            Filter::Or(parts) => self.joined(parts, " or ", false, within),
            Filter::Not(inner) => {
                self.out.write_str("not (")?;
                self.filter(inner, within)?;
                self.out.write_char(')')
            }
            Filter::Compare { path, operator, value } => {
                self.path(path, within)?;
                write!(self.out, " {} ", operator.name())?;
                self.literal(value)
            }
            Filter::Present(path) => {
                self.path(path, within)?;
                self.out.write_str(" pr")
            }
            Filter::Element { path, filter } => {
                self.path(path, within)?;
                self.out.write_char('[')?;
                self.filter(filter, Some(path))?;
                self.out.write_char(']')
            }
            Filter::Constant(outcome) => write!(self.out, "{outcome}"),
        }
    }

    /// `and` binds tighter than `or`, so that only an `or` in an `and` needs parentheses; what is
    /// not flat gets them too, since it came so.
    fn joined(
        &mut self,
        parts: &[Filter],
        between: &str,
        tight: bool,
        within: Option<&AttributePath>,
    ) -> fmt::Result {
        for (index, part) in parts.iter().enumerate() {
            if index > 0 {
                self.out.write_str(between)?;
            }
            let parentheses = match part {
                Filter::And(_) => tight,
                Filter::Or(_) => true,
                _ => false,
            };
            if parentheses {
                self.out.write_char('(')?;
            }
            self.filter(part, within)?;
            if parentheses {
                self.out.write_char(')')?;
            }
        }
        Ok(())
    }

    fn path(&mut self, path: &AttributePath, within: Option<&AttributePath>) -> fmt::Result {
        let relative = within
            .and_then(|outer| path.text.strip_prefix(outer.text.as_str())?.strip_prefix('.'))
            .unwrap_or(&path.text);
        if self.key && !path.known {
            // Nothing says how an unknown name is spelled.
            return self.out.write_str(&relative.to_ascii_lowercase());
        }
        self.out.write_str(relative)
    }

    fn literal(&mut self, value: &Literal) -> fmt::Result {
        match value {
            Literal::String(text) => self.string(if self.key { text.key() } else { &text.written }),
            Literal::Boolean(value) => write!(self.out, "{value}"),
            // Adding 0 makes 0 of -0, which equals it.
            Literal::Number(value) => write!(self.out, "{}", value + 0.0),
            Literal::DateTime(value) => write!(self.out, "\"{value}\""),
            Literal::Null => self.out.write_str("null"),
        }
    }

    fn string(&mut self, text: &str) -> fmt::Result {
        self.out.write_char('"')?;
        for character in text.chars() {
            match character {
                '"' => self.out.write_str("\\\"")?,
                '\\' => self.out.write_str("\\\\")?,
                '\n' => self.out.write_str("\\n")?,
                '\r' => self.out.write_str("\\r")?,
                '\t' => self.out.write_str("\\t")?,
                other if other.is_control() => write!(self.out, "\\u{:04x}", u32::from(other))?,
                other => self.out.write_char(other)?,
            }
        }
        self.out.write_char('"')
    }
}
