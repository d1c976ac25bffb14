//! How the records of a tenant's trail hang together: each one's hash covers the record, its place and
//! the hash before it, so that none can be changed, taken out or put in without breaking all that
//! follow.
//!
//! The hash is SHA-256 over `scimbridge audit 1` and a line feed, the hash before (32 bytes, zeros
//! before the first record), the place and the instant in milliseconds (8 bytes each, two's
//! complement, highest byte first), and then the tenant's name, caller, actor, action, event, outcome,
//! token, request id and correlation id: of each the length in bytes plus one (8 bytes, highest byte
//! first; 0 where there is none) and the UTF-8 bytes; and so the detail, which is left out where there
//! is none. Who a token stands for is no part of it, so that
//! a person can be forgotten.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};

use super::AuditEntry;

/// A hash of the chain.
pub type Hash = [u8; 32];

/// What stands before the first record.
pub const START: Hash = [0; 32];

const PREFIX: &[u8] = b"scimbridge audit 1\n";

/// The hash of a record at a place, behind the record with the hash `previous`.
pub fn link(tenant: &str, previous: &Hash, sequence: i64, entry: &AuditEntry) -> Hash {
    let mut bytes = Vec::with_capacity(512);
    bytes.extend_from_slice(PREFIX);
    bytes.extend_from_slice(previous);
    bytes.extend_from_slice(&sequence.to_be_bytes());
    bytes.extend_from_slice(&entry.at.as_millisecond().to_be_bytes());
    for text in [
        Some(tenant),
        Some(&entry.caller),
        entry.actor.as_deref(),
        Some(&entry.action),
        Some(&entry.event),
        Some(&entry.outcome),
        Some(&entry.token),
        Some(&entry.request_id),
        entry.correlation_id.as_deref(),
    ]
    .into_iter()
    // Records of before there were details have the hashes that they had.
    .chain(entry.detail.as_deref().map(Some))
    {
        let length = text.map_or(0, |text| text.len() as u64 + 1);
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(text.unwrap_or_default().as_bytes());
    }
    let digest = digest(&SHA256, &bytes);
    let mut hash = START;
    hash.copy_from_slice(digest.as_ref());
    hash
}

/// A hash as it is kept and shown.
pub fn hex(hash: &Hash) -> String {
    use fmt::Write as _;
    hash.iter().fold(String::with_capacity(64), |mut hex, byte| {
        // Writing to a String does not fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// Reads what [`hex`] wrote.
pub fn parse(text: &str) -> Option<Hash> {
    let mut hash = START;
    let digits = text.as_bytes();
    if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(hash)
}

/// Where a chain stands: the place and the hash of its last record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    pub sequence: i64,
    pub hash: Hash,
}

impl Head {
    /// Before the first record.
    pub const EMPTY: Self = Self { sequence: 0, hash: START };
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.sequence, hex(&self.hash))
    }
}

/// What is wrong with a record, or with the chain at its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// It is not the record that was chained there.
    Changed,
    /// There is none with this place, and there are later ones.
    Removed,
    /// It was put in: without it the ones around it fit.
    Inserted,
    /// There is none with this place or a later one, and the chain was longer.
    CutOff,
    /// The record fits, and what is kept of the chain's head does not.
    Head,
    /// The chain fits, and is another one than was noted elsewhere.
    Anchor,
}

/// The first place at which a chain is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Break {
    pub sequence: i64,
    pub flaw: Flaw,
}

/// Walks a chain from its first record.
#[derive(Debug)]
pub struct Verifier {
    tenant: String,
    last: Head,
    /// A record that does not fit, whose successor tells whether it was put in or changed.
    suspect: Option<i64>,
    anchor: Option<Head>,
    /// Whether the anchor's place was passed.
    anchored: bool,
}

impl Verifier {
    /// `anchor` is what somebody noted elsewhere of this chain at an earlier time.
    pub fn new(tenant: &str, anchor: Option<Head>) -> Self {
        let (tenant, last) = (tenant.to_owned(), Head::EMPTY);
        Self { tenant, last, suspect: None, anchor, anchored: false }
    }

    /// The last record that fits.
    pub fn last(&self) -> Head {
        self.last
    }

    /// Looks at the next record in the order of the places.
    pub fn next(&mut self, entry: &AuditEntry) -> Result<(), Break> {
        let found = entry.sequence.unwrap_or_default();
        let stored = entry.hash.as_deref().and_then(parse);
        if let Some(sequence) = self.suspect {
            let without = link(&self.tenant, &self.last.hash, sequence, entry);
            let flaw = if stored == Some(without) { Flaw::Inserted } else { Flaw::Changed };
            return Err(Break { sequence, flaw });
        }
        let expected = self.last.sequence + 1;
        if found > expected {
            return Err(Break { sequence: expected, flaw: Flaw::Removed });
        }
        if found < expected {
            return Err(Break { sequence: found, flaw: Flaw::Inserted });
        }
        let hash = link(&self.tenant, &self.last.hash, expected, entry);
        if stored != Some(hash) {
            self.suspect = Some(expected);
            return Ok(());
        }
        self.last = Head { sequence: expected, hash };
        self.see_anchor()
    }

    /// Holds the end of the chain against what is kept of its head, and gives it.
    pub fn end(self, head: Option<Head>) -> Result<Head, Break> {
        let Head { sequence, hash } = self.last;
        let head = head.unwrap_or(Head::EMPTY);
        if let Some(sequence) = self.suspect {
            let flaw = if head == self.last { Flaw::Inserted } else { Flaw::Changed };
            return Err(Break { sequence, flaw });
        }
        if head.sequence > sequence {
            return Err(Break { sequence: sequence + 1, flaw: Flaw::CutOff });
        }
        if head.sequence < sequence {
            return Err(Break { sequence: head.sequence + 1, flaw: Flaw::Inserted });
        }
        if head.hash != hash {
            return Err(Break { sequence, flaw: Flaw::Head });
        }
        match self.anchor.filter(|_| !self.anchored) {
            Some(anchor) if anchor.sequence > sequence => {
                Err(Break { sequence: sequence + 1, flaw: Flaw::CutOff })
            }
            _ => Ok(self.last),
        }
    }

    fn see_anchor(&mut self) -> Result<(), Break> {
        match self.anchor.filter(|anchor| anchor.sequence == self.last.sequence) {
            Some(anchor) if anchor != self.last => {
                Err(Break { sequence: anchor.sequence, flaw: Flaw::Anchor })
            }
            Some(_) => {
                self.anchored = true;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn entry(number: i64) -> AuditEntry {
        AuditEntry {
            at: Timestamp::from_millisecond(1_700_000_000_000 + number).unwrap(),
            caller: "help desk".to_owned(),
            actor: None,
            action: "user.create".to_owned(),
            event: "createUser".to_owned(),
            outcome: "success".to_owned(),
            token: format!("t{number}"),
            person: Some(format!("u{number}")),
            request_id: format!("r{number}"),
            correlation_id: None,
            detail: None,
            sequence: None,
            hash: None,
        }
    }

    /// Gives each its place, from 1 on, and its hash.
    fn chain(entries: &mut [AuditEntry]) -> Head {
        let mut head = Head::EMPTY;
        for entry in entries {
            let sequence = head.sequence + 1;
            head = Head { sequence, hash: link("acme", &head.hash, sequence, entry) };
            (entry.sequence, entry.hash) = (Some(sequence), Some(hex(&head.hash)));
        }
        head
    }

    fn five() -> (Vec<AuditEntry>, Head) {
        let mut entries: Vec<_> = (1..=5).map(entry).collect();
        let head = chain(&mut entries);
        (entries, head)
    }

    fn verify(entries: &[AuditEntry], head: Head, anchor: Option<Head>) -> Result<Head, Break> {
        let mut verifier = Verifier::new("acme", anchor);
        for entry in entries {
            verifier.next(entry)?;
        }
        verifier.end(Some(head))
    }

    #[test]
    fn a_hash_is_over_these_bytes() {
        let mut one = entry(0);
        one.actor = Some("a".to_owned());
        let hash = hex(&link("acme", &START, 1, &one));
        let mut bytes = b"scimbridge audit 1\n".to_vec();
        bytes.extend([0; 32]);
        bytes.extend(1_i64.to_be_bytes());
        bytes.extend(1_700_000_000_000_i64.to_be_bytes());
        for text in ["acme", "help desk", "a", "user.create", "createUser", "success", "t0", "r0"] {
            bytes.extend((text.len() as u64 + 1).to_be_bytes());
            bytes.extend(text.as_bytes());
        }
        bytes.extend([0; 8]);
        let expected = digest(&SHA256, &bytes);
        assert_eq!(hash, hex(&expected.as_ref().try_into().unwrap()));
        assert_eq!(parse(&hash).map(|hash| hex(&hash)), Some(hash));
        assert_eq!(parse("00"), None);
        assert_eq!(parse(&"é".repeat(32)), None);
    }

    #[test]
    fn a_whole_chain_is_well_and_a_person_may_be_forgotten() {
        let (mut entries, head) = five();
        assert_eq!(verify(&entries, head, None), Ok(head));
        entries[2].person = None;
        assert_eq!(verify(&entries, head, Some(head)), Ok(head));
        assert_eq!(verify(&[], Head::EMPTY, None), Ok(Head::EMPTY));
        assert_eq!(Verifier::new("acme", None).end(None), Ok(Head::EMPTY));
    }

    #[test]
    fn every_changed_value_is_seen() {
        let changes: [fn(&mut AuditEntry); 11] = [
            |entry| entry.at = Timestamp::UNIX_EPOCH,
            |entry| entry.caller.push('x'),
            |entry| entry.actor = Some(String::new()),
            |entry| entry.action.push('x'),
            |entry| entry.event.push('x'),
            |entry| entry.outcome = "failure".to_owned(),
            |entry| entry.token.push('x'),
            |entry| entry.request_id.push('x'),
            |entry| entry.correlation_id = Some("x".to_owned()),
            |entry| entry.hash = None,
            // A byte that moves from one value to its neighbour.
            |entry| {
                entry.event.insert(0, 'e');
                entry.action.pop();
            },
        ];
        for change in changes {
            for place in 0..5 {
                let (mut entries, head) = five();
                change(&mut entries[place]);
                let sequence = i64::try_from(place).unwrap() + 1;
                let broken = Err(Break { sequence, flaw: Flaw::Changed });
                assert_eq!(verify(&entries, head, None), broken);
            }
        }
    }

    #[test]
    fn removed_inserted_and_cut_records_are_named() {
        let broken = |sequence, flaw| Err(Break { sequence, flaw });
        let (mut entries, head) = five();
        entries.remove(2);
        assert_eq!(verify(&entries, head, None), broken(3, Flaw::Removed));
        // The ones behind moved up, so that no place is free.
        for (entry, sequence) in entries.iter_mut().zip(1..) {
            entry.sequence = Some(sequence);
        }
        assert_eq!(verify(&entries, head, None), broken(3, Flaw::Changed));

        let (mut entries, head) = five();
        let mut put_in = entry(9);
        put_in.sequence = Some(3);
        put_in.hash = entries[2].hash.clone();
        entries.insert(2, put_in);
        assert_eq!(verify(&entries, head, None), broken(3, Flaw::Inserted));
        for (entry, sequence) in entries.iter_mut().zip(1..) {
            entry.sequence = Some(sequence);
        }
        assert_eq!(verify(&entries, head, None), broken(3, Flaw::Inserted));

        let (entries, head) = five();
        assert_eq!(verify(&entries[..3], head, None), broken(4, Flaw::CutOff));
        assert_eq!(verify(&[], head, None), broken(1, Flaw::CutOff));
        let mut longer = entries.clone();
        longer.push(entry(6));
        let forged = chain(&mut longer);
        assert_eq!(verify(&longer, head, None), broken(6, Flaw::Inserted));
        assert_eq!(verify(&longer, forged, None), Ok(forged));
        longer[5].hash = None;
        assert_eq!(verify(&longer, head, None), broken(6, Flaw::Inserted));
        let wrong = Head { hash: START, ..head };
        assert_eq!(verify(&entries, wrong, None), broken(5, Flaw::Head));
    }

    #[test]
    fn what_was_noted_elsewhere_tells_of_a_chain_made_anew() {
        let (mut entries, head) = five();
        assert_eq!(verify(&entries, head, Some(head)), Ok(head));
        entries.pop();
        let shorter = chain(&mut entries);
        let broken = Err(Break { sequence: 5, flaw: Flaw::CutOff });
        assert_eq!(verify(&entries, shorter, Some(head)), broken);
        let (mut entries, head) = five();
        entries[0].caller = "somebody else".to_owned();
        let anew = chain(&mut entries);
        assert_eq!(verify(&entries, anew, None), Ok(anew));
        let broken = Err(Break { sequence: 5, flaw: Flaw::Anchor });
        assert_eq!(verify(&entries, anew, Some(head)), broken);
    }
}
