//! BER as LDAP uses it (RFC 4511, section 5.1): definite lengths, tag numbers below 31. Reads
//! without copying and without recursion; knows nothing of LDAP messages.

/// Bytes that are not BER, or not the BER that LDAP allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Malformed {
    #[error("a tag number above 30")]
    LongTag,
    #[error("an indefinite length")]
    Indefinite,
    #[error("a length of more than four bytes")]
    LongLength,
    #[error("an element that ends after its container")]
    Overrun,
    #[error("elements nested more than {0} deep")]
    TooDeep(usize),
    #[error("more than {0} elements")]
    TooMany(usize),
}

/// One element: its identifier octet and its contents.
#[derive(Clone, Copy, Debug)]
pub(super) struct Element<'a> {
    pub tag: u8,
    pub body: &'a [u8],
}

impl Element<'_> {
    pub(super) fn is_constructed(&self) -> bool {
        self.tag & 0x20 != 0
    }
}

/// The head of the element at the start of `bytes`: tag, length of the head, length of the
/// contents. `None` where more bytes are needed to tell.
pub(super) fn head(bytes: &[u8]) -> Result<Option<(u8, usize, usize)>, Malformed> {
    let Some(&tag) = bytes.first() else {
        return Ok(None);
    };
    if tag & 0x1F == 0x1F {
        return Err(Malformed::LongTag);
    }
    let Some(&first) = bytes.get(1) else {
        return Ok(None);
    };
    match first {
        0..=0x7F => Ok(Some((tag, 2, usize::from(first)))),
        0x80 => Err(Malformed::Indefinite),
        0x81..=0x84 => {
            let count = usize::from(first & 0x7F);
            Ok(bytes.get(2..2 + count).map(|length| {
                let length = length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
                (tag, 2 + count, length)
            }))
        }
        0x85..=0xFF => Err(Malformed::LongLength),
    }
}

/// The elements that stand one after the other in a container's contents.
#[derive(Clone, Copy, Debug)]
pub(super) struct Elements<'a>(pub &'a [u8]);

impl<'a> Elements<'a> {
    /// The next element, `None` at the end of the container.
    pub(super) fn next(&mut self) -> Result<Option<Element<'a>>, Malformed> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let (tag, start, length) = head(self.0)?.ok_or(Malformed::Overrun)?;
        let end = start.checked_add(length).ok_or(Malformed::Overrun)?;
        let body = self.0.get(start..end).ok_or(Malformed::Overrun)?;
        self.0 = &self.0[end..];
        Ok(Some(Element { tag, body }))
    }

    /// The next element if it has this tag.
    pub(super) fn take(&mut self, tag: u8) -> Result<Option<&'a [u8]>, Malformed> {
        Ok(self.next()?.filter(|element| element.tag == tag).map(|element| element.body))
    }
}

/// An element as bytes.
pub(super) fn element(tag: u8, contents: &[u8]) -> Vec<u8> {
    let length = contents.len().to_be_bytes();
    let digits = &length[length.iter().take_while(|byte| **byte == 0).count()..];
    let mut bytes = vec![tag];
    match digits {
        [] => bytes.push(0),
        [short @ 0..=0x7f] => bytes.push(*short),
        long => {
            bytes.push(0x80 | u8::try_from(long.len()).unwrap_or_default());
            bytes.extend_from_slice(long);
        }
    }
    bytes.extend_from_slice(contents);
    bytes
}

/// Walks everything inside `contents`, which stands at `depth` (the message itself is 1).
pub(super) fn walk(
    contents: &[u8],
    depth: usize,
    max_depth: usize,
    max_elements: usize,
) -> Result<(), Malformed> {
    let mut open = vec![Elements(contents)];
    let mut seen = 0_usize;
    while let Some(container) = open.last_mut() {
        let Some(element) = container.next()? else {
            open.pop();
            continue;
        };
        seen += 1;
        if seen > max_elements {
            return Err(Malformed::TooMany(max_elements));
        }
        if depth + open.len() > max_depth {
            return Err(Malformed::TooDeep(max_depth));
        }
        if element.is_constructed() {
            open.push(Elements(element.body));
        }
    }
    Ok(())
}

/// A non-negative INTEGER or ENUMERATED of at most four bytes.
pub(super) fn unsigned(body: &[u8]) -> Option<u32> {
    match body {
        [first, ..] if body.len() <= 4 && *first < 0x80 => {
            Some(body.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read_or_refused() {
        assert_eq!(head(&[0x30]), Ok(None));
        assert_eq!(head(&[0x30, 0x82, 1]), Ok(None));
        assert_eq!(head(&[0x30, 0x05]), Ok(Some((0x30, 2, 5))));
        assert_eq!(head(&[0x30, 0x84, 0x7F, 0xFF, 0xFF, 0xFF]), Ok(Some((0x30, 6, 0x7FFF_FFFF))));
        assert_eq!(head(&[0x30, 0x80]), Err(Malformed::Indefinite));
        assert_eq!(head(&[0x30, 0x85, 0, 0, 0, 0, 1]), Err(Malformed::LongLength));
        assert_eq!(head(&[0x1F, 0x01]), Err(Malformed::LongTag));
    }

    #[test]
    fn a_walk_is_bounded() {
        assert_eq!(walk(&[0x04, 0x01, b'x', 0x30, 0x02, 0x05, 0x00], 1, 3, 3), Ok(()));
        assert_eq!(walk(&[0x30, 0x02, 0x05, 0x00], 1, 2, 9), Err(Malformed::TooDeep(2)));
        assert_eq!(walk(&[5, 0, 5, 0, 5, 0], 1, 16, 2), Err(Malformed::TooMany(2)));
        assert_eq!(walk(&[0x30, 0x02, 0x04, 0x01], 1, 16, 9), Err(Malformed::Overrun));
        assert_eq!(walk(&[0x04], 1, 16, 9), Err(Malformed::Overrun));
    }

    #[test]
    fn integers_are_small_and_not_negative() {
        assert_eq!(unsigned(&[0x01, 0x00]), Some(256));
        assert_eq!(unsigned(&[0x80]), None);
        assert_eq!(unsigned(&[]), None);
        assert_eq!(unsigned(&[0, 0, 0, 0, 1]), None);
    }
}
