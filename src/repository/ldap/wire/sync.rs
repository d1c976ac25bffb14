//! The controls by which servers tell what changes, as bytes: RFC 4533, persistent search, `DirSync`.
//! Reading never panics; what cannot be read is `None`.

use super::ber::{self, Elements};
use super::feed::RequestControl;

/// RFC 4533 section 2.2.
const SYNC_REQUEST: &str = "1.3.6.1.4.1.4203.1.9.1.1";
/// Section 2.3, with every entry.
pub const SYNC_STATE: &str = "1.3.6.1.4.1.4203.1.9.1.2";
/// Section 2.5, between entries.
pub const SYNC_INFO: &str = "1.3.6.1.4.1.4203.1.9.1.4";
/// e-syncRefreshRequired: the cookie is too old.
pub const REFRESH_REQUIRED: u32 = 4096;

const PERSISTENT_SEARCH: &str = "2.16.840.1.113730.3.4.3";
/// Entry change notification, with every entry of a persistent search.
pub const ENTRY_CHANGE: &str = "2.16.840.1.113730.3.4.7";

pub const DIRSYNC: &str = "1.2.840.113556.1.4.841";
const SHOW_DELETED: &str = "1.2.840.113556.1.4.417";

/// Everything, and then what changes, from where `cookie` left off.
pub fn refresh_and_persist(cookie: Option<&[u8]>) -> RequestControl {
    let cookie = cookie.map(|cookie| element(0x04, cookie)).unwrap_or_default();
    let value = element(0x30, &[element(0x0a, &[3]), cookie].concat());
    RequestControl { name: SYNC_REQUEST, critical: true, value: Some(value) }
}

/// Only what changes, of every kind, each with what happened to it.
pub fn persistent_search() -> RequestControl {
    let parts = [element(0x02, &[15]), element(0x01, &[0xff]), element(0x01, &[0xff])];
    RequestControl {
        name: PERSISTENT_SEARCH,
        critical: true,
        value: Some(element(0x30, &parts.concat())),
    }
}

/// What changed since `cookie`, as far as this bind may see it.
pub fn dirsync(cookie: &[u8]) -> RequestControl {
    let parts = [
        // LDAP_DIRSYNC_OBJECT_SECURITY needs no right to replicate.
        element(0x02, &[1]),
        element(0x02, &[0x10, 0, 0]),
        element(0x04, cookie),
    ];
    RequestControl { name: DIRSYNC, critical: true, value: Some(element(0x30, &parts.concat())) }
}

/// Whoever is deleted is found as well, where this bind may see them.
pub fn show_deleted() -> RequestControl {
    RequestControl { name: SHOW_DELETED, critical: true, value: None }
}

/// What became of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Present,
    Changed,
    Deleted,
}

/// State, entryUUID and cookie of a sync state control.
pub fn sync_state(value: &[u8]) -> Option<(State, [u8; 16], Option<Vec<u8>>)> {
    let mut parts = Elements(Elements(value).take(0x30).ok()??);
    let state = match parts.take(0x0a).ok()?? {
        [0] => State::Present,
        [1 | 2] => State::Changed,
        [3] => State::Deleted,
        _ => return None,
    };
    let uuid = parts.take(0x04).ok()??.try_into().ok()?;
    let cookie = parts.take(0x04).ok()?.map(<[u8]>::to_vec);
    Some((state, uuid, cookie))
}

/// A sync info message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SyncInfo {
    pub cookie: Option<Vec<u8>>,
    /// Whether the first part is over: what follows happens from now on.
    pub refreshed: bool,
    /// Whoever was not named in this part is gone.
    pub others_are_gone: bool,
    /// These are gone.
    pub gone: Vec<[u8; 16]>,
}

/// RFC 4533 section 2.5.
pub fn sync_info(value: &[u8]) -> Option<SyncInfo> {
    let choice = Elements(value).next().ok()??;
    let mut info = SyncInfo::default();
    if choice.tag == 0x80 {
        info.cookie = Some(choice.body.to_vec());
        return Some(info);
    }
    let mut parts = Elements(choice.body);
    let (mut flag, mut ids) = (None, Vec::new());
    while let Some(part) = parts.next().ok()? {
        match part.tag {
            0x04 => info.cookie = Some(part.body.to_vec()),
            0x01 => flag = Some(part.body != [0]),
            0x31 => {
                let mut list = Elements(part.body);
                while let Some(id) = list.take(0x04).ok()? {
                    ids.push(id.try_into().ok()?);
                }
            }
            _ => return None,
        }
    }
    match choice.tag {
        0xa1 => info.refreshed = flag.unwrap_or(true),
        0xa2 => {
            info.refreshed = flag.unwrap_or(true);
            info.others_are_gone = true;
        }
        0xa3 if flag == Some(true) => info.gone = ids,
        0xa3 => {}
        _ => return None,
    }
    Some(info)
}

/// Whether an entry change notification tells of a deletion.
pub fn is_deletion(value: &[u8]) -> Option<bool> {
    let mut parts = Elements(Elements(value).take(0x30).ok()??);
    Some(parts.take(0x0a).ok()?? == [2])
}

/// Whether more is to be had at once, and the cookie to go on with.
pub fn dirsync_answer(value: &[u8]) -> Option<(bool, Vec<u8>)> {
    let mut parts = Elements(Elements(value).take(0x30).ok()??);
    let more = parts.take(0x02).ok()??.iter().any(|byte| *byte != 0);
    parts.take(0x02).ok()??;
    Some((more, parts.take(0x04).ok()??.to_vec()))
}

fn element(tag: u8, contents: &[u8]) -> Vec<u8> {
    ber::element(tag, contents)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn requests_are_the_bytes_of_their_standards() {
        assert_eq!(refresh_and_persist(None).value.unwrap(), [0x30, 3, 0x0a, 1, 3]);
        assert_eq!(
            refresh_and_persist(Some(b"c")).value.unwrap(),
            [0x30, 6, 0x0a, 1, 3, 0x04, 1, b'c']
        );
        assert_eq!(persistent_search().value.unwrap(), [0x30, 9, 2, 1, 15, 1, 1, 0xff, 1, 1, 0xff]);
        let long = refresh_and_persist(Some(&[7; 300])).value.unwrap();
        assert_eq!(&long[..4], [0x30, 0x82, 0x01, 0x33]);
    }

    #[test]
    fn answers_are_read() {
        let uuid = [9; 16];
        let state = element(
            0x30,
            &[element(0x0a, &[3]), element(0x04, &uuid), element(0x04, b"next")].concat(),
        );
        assert_eq!(sync_state(&state), Some((State::Deleted, uuid, Some(b"next".to_vec()))));
        let info = sync_info(&element(0x80, b"c")).unwrap();
        assert_eq!((info.cookie.as_deref(), info.refreshed), (Some(&b"c"[..]), false));
        let done = sync_info(&element(0xa1, &element(0x04, b"c"))).unwrap();
        assert!(done.refreshed && !done.others_are_gone);
        let present = sync_info(&element(0xa2, &element(0x01, &[0]))).unwrap();
        assert!(!present.refreshed && present.others_are_gone);
        let set = element(0x31, &element(0x04, &uuid));
        let gone = sync_info(&element(0xa3, &[element(0x01, &[0xff]), set.clone()].concat()));
        assert_eq!(gone.unwrap().gone, [uuid]);
        assert_eq!(sync_info(&element(0xa3, &set)).unwrap().gone, [[0; 16]; 0]);
        let change = element(0x30, &element(0x0a, &[2]));
        assert_eq!(is_deletion(&change), Some(true));
        let answer = [element(2, &[1]), element(2, &[0]), element(4, b"x")].concat();
        assert_eq!(dirsync_answer(&element(0x30, &answer)), Some((true, b"x".to_vec())));
    }

    proptest! {
        #[test]
        fn nonsense_is_nothing(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = (sync_state(&bytes), sync_info(&bytes), is_deletion(&bytes), dirsync_answer(&bytes));
        }
    }
}
