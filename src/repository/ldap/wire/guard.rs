//! What a server may say: whole, well-formed LDAP messages of bounded size and shape. Everything
//! that the `ldap3` crate would take on trust (and answer with a panic, a full stack or unbounded
//! memory) is looked at here first. Pure; knows nothing of sockets.

use super::ber::{self, Elements, Malformed};

/// Elements nested deeper than this occur in no answer that is asked for here.
const MAX_DEPTH: usize = 16;

/// Bytes per element, on average, below which a large message is refused: parsing turns every
/// element into about a hundred bytes.
const BYTES_PER_ELEMENT: usize = 16;

/// A message that must not be read further; the connection ends with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Breach {
    #[error("the server's answer is not LDAP: it begins with byte {0:#04x}")]
    NotLdap(u8),
    #[error("the server sent a message of {0} bytes; max_message allows {1}")]
    TooLarge(usize, usize),
    #[error("the server sent broken BER: {0}")]
    Malformed(#[from] Malformed),
    #[error("the server sent a message that LDAP does not know ({0})")]
    Unknown(&'static str),
    #[error("the server ended the connection with a notice")]
    Notice,
    #[error("the server sent more than {0} bytes for one search")]
    Endless(usize),
}

/// What kind of message it is, as far as the relay cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// More may follow for the same message id.
    Partial,
    /// The last message of its id.
    Final,
}

/// The bounds of one connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Guard {
    pub max_message: usize,
}

impl Guard {
    /// The length of the message at the start of `bytes`, `None` where its head is not all there.
    pub(super) fn length(self, bytes: &[u8]) -> Result<Option<usize>, Breach> {
        if let Some(first) = bytes.first()
            && *first != 0x30
        {
            return Err(Breach::NotLdap(*first));
        }
        let Some((_, start, length)) = ber::head(bytes)? else {
            return Ok(None);
        };
        let whole = start.saturating_add(length);
        if whole > self.max_message {
            return Err(Breach::TooLarge(whole, self.max_message));
        }
        Ok(Some(whole))
    }

    /// Looks through one whole message; says its id and kind.
    ///
    /// The shape that LDAP prescribes is checked down to the primitive elements, which also bounds
    /// the depth; what the shape leaves open is walked.
    pub(super) fn check(self, message: &[u8]) -> Result<(u32, Kind), Breach> {
        let Some((_, start, _)) = ber::head(message)? else {
            return Err(Breach::Unknown("an empty message"));
        };
        let mut parts = Elements(&message[start..]);
        let id = parts
            .take(0x02)?
            .and_then(ber::unsigned)
            .ok_or(Breach::Unknown("without a message id"))?;
        let Some(operation) = parts.next()? else {
            return Err(Breach::Unknown("without an operation"));
        };
        // LDAPMessage.protocolOp, RFC 4511, section 4.2 and following; answers only.
        let kind = match operation.tag {
            0x64 => self.entry(operation.body).map(|()| Kind::Partial),
            // A reference that is none is passed over; it shall not cost the whole answer.
            0x73 => self.open(operation.body).map(|()| Kind::Partial),
            0x79 => self.open(operation.body).map(|()| Kind::Partial),
            0x61 | 0x65 | 0x67 | 0x69 | 0x6B | 0x6D | 0x6F | 0x78 => {
                self.result(operation.body).map(|()| Kind::Final)
            }
            _ => Err(Breach::Unknown("an operation that is no answer")),
        }?;
        match parts.next()? {
            None => {}
            Some(part) if part.tag == 0xA0 => controls(part.body)?,
            // Active Directory puts the name of its notice here, outside the response.
            Some(part) if part.tag == 0x8A => {}
            Some(_) => return Err(Breach::Unknown("something after its operation")),
        }
        if parts.next()?.is_some() {
            return Err(Breach::Unknown("something after its controls"));
        }
        if id == 0 {
            // Only a notice of disconnection comes unasked (RFC 4511, section 4.4).
            return Err(Breach::Notice);
        }
        Ok((id, kind))
    }

    /// `SearchResultEntry`: a DN and a list of attributes.
    fn entry(self, body: &[u8]) -> Result<(), Breach> {
        const BROKEN: Breach = Breach::Unknown("a broken entry");
        let mut left = self.max_elements();
        let mut parts = Elements(body);
        parts.take(0x04)?.and_then(utf8).ok_or(BROKEN)?;
        let mut attributes = Elements(parts.take(0x30)?.ok_or(BROKEN)?);
        while let Some(attribute) = attributes.next()? {
            if attribute.tag != 0x30 {
                return Err(BROKEN);
            }
            let mut pair = Elements(attribute.body);
            pair.take(0x04)?.and_then(utf8).ok_or(BROKEN)?;
            let mut values = Elements(pair.take(0x31)?.ok_or(BROKEN)?);
            while let Some(value) = values.next()? {
                left = left.checked_sub(1).ok_or(Malformed::TooMany(self.max_elements()))?;
                if value.tag != 0x04 {
                    return Err(BROKEN);
                }
            }
            left = left.checked_sub(1).ok_or(Malformed::TooMany(self.max_elements()))?;
            self.open(pair.0)?;
        }
        self.open(parts.0)
    }

    /// `LDAPResult` and what bind and extended responses add to it.
    fn result(self, body: &[u8]) -> Result<(), Breach> {
        const BROKEN: Breach = Breach::Unknown("a broken result");
        let mut parts = Elements(body);
        parts.take(0x0A)?.and_then(ber::unsigned).ok_or(BROKEN)?;
        parts.take(0x04)?.and_then(utf8).ok_or(BROKEN)?;
        parts.take(0x04)?.and_then(utf8).ok_or(BROKEN)?;
        loop {
            let rest = parts.0;
            match parts.next()? {
                None => return Ok(()),
                Some(part) => match (part.tag, part.tag & 0x1F) {
                    (0xA3, _) => strings(part.body)?,
                    (0x8A, _) => drop(utf8(part.body).ok_or(BROKEN)?),
                    (0x87 | 0x8B, _) => {}
                    // `ldap3` goes by the number alone.
                    (_, 3 | 7 | 10 | 11) => return Err(BROKEN),
                    _ => self.open(&rest[..rest.len() - parts.0.len()])?,
                },
            }
        }
    }

    /// Elements whose shape is not prescribed, or not known here: LDAP's sequences may be extended
    /// (RFC 4511, section 4).
    fn open(self, elements: &[u8]) -> Result<(), Breach> {
        if elements.is_empty() {
            return Ok(());
        }
        Ok(ber::walk(elements, 4, MAX_DEPTH, self.max_elements())?)
    }

    fn max_elements(self) -> usize {
        self.max_message / BYTES_PER_ELEMENT
    }
}

/// `Controls`, RFC 4511, section 4.1.11.
fn controls(body: &[u8]) -> Result<(), Breach> {
    const BROKEN: Breach = Breach::Unknown("a broken control");
    let mut list = Elements(body);
    while let Some(control) = list.next()? {
        if control.tag != 0x30 {
            return Err(BROKEN);
        }
        let mut parts = Elements(control.body);
        parts.take(0x04)?.and_then(utf8).ok_or(BROKEN)?;
        let mut next = parts.next()?;
        if next.is_some_and(|part| part.tag == 0x01 && part.body.len() == 1) {
            next = parts.next()?;
        }
        if next.is_some_and(|part| part.tag != 0x04) || parts.next()?.is_some() {
            return Err(BROKEN);
        }
    }
    Ok(())
}

/// A list of URIs.
fn strings(body: &[u8]) -> Result<(), Breach> {
    let mut parts = Elements(body);
    while let Some(part) = parts.next()? {
        if part.tag != 0x04 || utf8(part.body).is_none() {
            return Err(Breach::Unknown("a broken referral"));
        }
    }
    Ok(())
}

fn utf8(body: &[u8]) -> Option<&str> {
    std::str::from_utf8(body).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GUARD: Guard = Guard { max_message: 8 << 20 };

    fn element(tag: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = vec![tag, 0x84];
        bytes.extend(u32::try_from(body.len()).unwrap().to_be_bytes());
        bytes.extend(body);
        bytes
    }

    fn message(id: &[u8], rest: &[&[u8]]) -> Vec<u8> {
        element(0x30, &[&element(0x02, id), rest.concat().as_slice()].concat())
    }

    fn done(tag: u8) -> Vec<u8> {
        element(tag, &[0x0A, 1, 0, 0x04, 0, 0x04, 0])
    }

    #[test]
    fn answers_pass() {
        let value = element(0x04, b"x");
        let pair = element(0x30, &[element(0x04, b"cn"), element(0x31, &value)].concat());
        let entry = element(0x64, &[element(0x04, b"cn=x"), element(0x30, &pair)].concat());
        assert_eq!(GUARD.check(&message(&[7], &[&entry])), Ok((7, Kind::Partial)));
        assert_eq!(GUARD.check(&message(&[1, 0], &[&done(0x65)])), Ok((256, Kind::Final)));
        let control =
            element(0x30, &[element(0x04, b"1.2"), vec![1, 1, 0], element(0x04, b"")].concat());
        let controls = element(0xA0, &control);
        assert_eq!(GUARD.check(&message(&[7], &[&done(0x65), &controls])), Ok((7, Kind::Final)));
        let referral = element(0x73, &element(0x04, b"ldap://b/"));
        assert_eq!(GUARD.check(&message(&[7], &[&referral])), Ok((7, Kind::Partial)));
        for broken in [&[0x30, 0][..], &[0x04, 1, 0xFF]] {
            let referral = element(0x73, broken);
            assert_eq!(GUARD.check(&message(&[7], &[&referral])), Ok((7, Kind::Partial)));
        }
    }

    #[test]
    fn an_extended_result_is_read_and_a_confusing_one_is_not() {
        let plus = |tag: u8, body: &[u8]| {
            let body = [[0x0A, 1, 0, 0x04, 0, 0x04, 0].as_slice(), &element(tag, body)].concat();
            GUARD.check(&message(&[7], &[&element(0x61, &body)]))
        };
        assert_eq!(plus(0x87, b"\xFF"), Ok((7, Kind::Final)));
        assert_eq!(plus(0x99, b"new"), Ok((7, Kind::Final)));
        assert!(plus(0x8A, b"\xFF").is_err());
        assert!(plus(0x83, b"not a list").is_err());
        assert!(plus(0x6A, b"").is_err());
    }

    #[test]
    fn nonsense_is_refused() {
        assert_eq!(GUARD.length(b"HTTP/1.1"), Err(Breach::NotLdap(b'H')));
        assert_eq!(
            GUARD.length(&[0x30, 0x84, 0x7F, 0xFF, 0xFF, 0xFF]),
            Err(Breach::TooLarge(0x8000_0005, 8 << 20))
        );
        assert_eq!(GUARD.length(&[0x30, 0x80]), Err(Breach::Malformed(Malformed::Indefinite)));
        assert!(GUARD.check(&element(0x30, b"")).is_err());
        for (id, operation) in [
            (&[][..], done(0x65)),
            (&[0x80], done(0x65)),
            (&[1], done(0x63)),
            (&[1], done(0x7E)),
            (&[1], element(0x65, b"")),
            (&[1], element(0x65, &[0x0A, 1, 0, 0x04, 1, 0xFF, 0x04, 0])),
            (&[1], element(0x64, &[0x04, 1, 0xFF, 0x30, 0])),
            (&[1], element(0x64, &[0x04, 0, 0x30, 2, 0x04, 0])),
            (&[1], element(0x73, &[0x04, 1])),
        ] {
            assert!(GUARD.check(&message(id, &[&operation])).is_err(), "{id:?} {operation:?}");
        }
        assert!(GUARD.check(&message(&[1], &[&done(0x65), &element(0xA0, &[0x04, 0])])).is_err());
        assert_eq!(GUARD.check(&message(&[0], &[&done(0x78)])), Err(Breach::Notice));
    }

    #[test]
    fn nesting_is_refused_wherever_it_hides() {
        let mut nested = Vec::new();
        for _ in 0..200 {
            nested = element(0x30, &nested);
        }
        let head = element(0x64, &[vec![0x04, 0, 0x30, 0], nested.clone()].concat());
        let pair = element(0x30, &[vec![0x04, 0, 0x31, 0], nested.clone()].concat());
        let attribute = element(0x64, &[vec![0x04, 0], element(0x30, &pair)].concat());
        let trailer = element(0x65, &[vec![0x0A, 1, 0, 0x04, 0, 0x04, 0], nested.clone()].concat());
        for operation in [head, attribute, trailer, element(0x79, &nested), element(0x73, &nested)]
        {
            let found = GUARD.check(&message(&[1], &[&operation]));
            assert_eq!(found, Err(Breach::Malformed(Malformed::TooDeep(16))));
        }
        assert!(GUARD.check(&message(&[1], &[&nested])).is_err());
        assert!(GUARD.check(&nested).is_err());
    }

    #[test]
    fn a_swarm_of_tiny_elements_is_refused() {
        let values = element(0x31, &[0x04, 0].repeat(600_000));
        let pair = element(0x30, &[element(0x04, b"m"), values].concat());
        let entry = element(0x64, &[vec![0x04, 0], element(0x30, &pair)].concat());
        let found = GUARD.check(&message(&[1], &[&entry]));
        assert_eq!(found, Err(Breach::Malformed(Malformed::TooMany((8 << 20) / 16))));
    }
}
