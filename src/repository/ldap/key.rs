//! Entry keys: how a directory writes the immutable id of an entry, and the one canonical text that
//! is made of it: lower-case hexadecimal with dashes, as RFC 4530 has it.

use std::sync::Arc;

use uuid::Uuid;

use super::filter::LdapFilter;
use crate::repository::EntryKey;

/// How the values of the key attribute are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyForm {
    /// As text (RFC 4530).
    #[default]
    Uuid,
    /// Sixteen bytes, the first three fields with the lowest byte first, as Active Directory keeps
    /// `objectGUID`.
    ObjectGuid,
    /// Four groups of eight digits, as 389 Directory Server writes `nsUniqueId`.
    NsUniqueId,
}

impl KeyForm {
    /// As a mapping file names it.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "uuid" => Self::Uuid,
            "objectGUID" => Self::ObjectGuid,
            "nsUniqueId" => Self::NsUniqueId,
            _ => return None,
        })
    }

    /// The key that a directory's value means.
    pub fn read(self, value: &[u8]) -> Option<EntryKey> {
        match self {
            Self::Uuid => canonical_key(value),
            Self::ObjectGuid => Some(text(Uuid::from_bytes_le(<[u8; 16]>::try_from(value).ok()?))),
            Self::NsUniqueId => {
                let dashes = [8, 17, 26];
                let well_formed = value.len() == 35
                    && value.iter().enumerate().all(|(at, byte)| {
                        if dashes.contains(&at) { *byte == b'-' } else { byte.is_ascii_hexdigit() }
                    });
                let digits: Vec<u8> = value.iter().copied().filter(|byte| *byte != b'-').collect();
                canonical_key(&digits).filter(|_| well_formed)
            }
        }
    }

    /// Who has this key; a key that is none of this kind nobody has.
    pub(super) fn filter(self, attribute: &str, key: &EntryKey) -> LdapFilter {
        let Ok(uuid) = Uuid::try_parse(&key.0) else { return LdapFilter::False };
        let attribute = attribute.to_owned();
        match self {
            Self::Uuid => LdapFilter::Equal(attribute, key.0.to_string()),
            Self::ObjectGuid => LdapFilter::Octets(attribute, uuid.to_bytes_le().to_vec()),
            Self::NsUniqueId => {
                let digits = uuid.simple().to_string();
                let groups = [&digits[..8], &digits[8..16], &digits[16..24], &digits[24..]];
                LdapFilter::Equal(attribute, groups.join("-"))
            }
        }
    }
}

/// A key as text in canonical form: lower-case with dashes.
pub fn canonical_key(value: &[u8]) -> Option<EntryKey> {
    Uuid::try_parse_ascii(value).ok().map(text)
}

fn text(uuid: Uuid) -> EntryKey {
    let mut buffer = Uuid::encode_buffer();
    EntryKey(Arc::from(&*uuid.as_hyphenated().encode_lower(&mut buffer)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_directory_writes_one_id_in_its_own_way() {
        // The bytes and the text of one objectGUID as Windows prints it.
        let bytes = [
            0x2d, 0x9f, 0x1c, 0xa4, 0x67, 0x3b, 0x81, 0x4e, 0x9c, 0x12, 0xd0, 0x5e, 0x77, 0x08,
            0xab, 0xf3,
        ];
        let key = KeyForm::ObjectGuid.read(&bytes).unwrap();
        assert_eq!(&*key.0, "a41c9f2d-3b67-4e81-9c12-d05e7708abf3");
        assert_eq!(
            KeyForm::ObjectGuid.filter("objectGUID", &key).to_string(),
            "(objectGUID=\\2d\\9f\\1c\\a4\\67\\3b\\81\\4e\\9c\\12\\d0\\5e\\77\\08\\ab\\f3)"
        );
        let key = KeyForm::NsUniqueId.read(b"7053DAD1-44cc553f-b7e9abc3-cd0ab9c4").unwrap();
        assert_eq!(&*key.0, "7053dad1-44cc-553f-b7e9-abc3cd0ab9c4");
        assert_eq!(
            KeyForm::NsUniqueId.filter("nsUniqueId", &key).to_string(),
            "(nsUniqueId=7053dad1-44cc553f-b7e9abc3-cd0ab9c4)"
        );
    }

    #[test]
    fn what_is_no_key_is_none() {
        for (form, value) in [
            (KeyForm::Uuid, &b"someone"[..]),
            (KeyForm::ObjectGuid, b"a41c9f2d-3b67-4e81-9c12-d05e7708abf3"),
            (KeyForm::ObjectGuid, b""),
            (KeyForm::NsUniqueId, b"7053dad1-44cc-553f-b7e9-abc3cd0ab9c4"),
            (KeyForm::NsUniqueId, b"7053dad144cc553fb7e9abc3cd0ab9c4"),
            (KeyForm::NsUniqueId, b"7053dad1-44cc553f-b7e9abc3-cd0ab9cx"),
        ] {
            assert_eq!(form.read(value), None, "{form:?} {value:?}");
        }
        let nobody = EntryKey("uid=x".into());
        assert_eq!(KeyForm::ObjectGuid.filter("objectGUID", &nobody), LdapFilter::False);
    }

    proptest! {
        #[test]
        fn bytes_come_back_as_they_were(bytes in proptest::array::uniform16(any::<u8>())) {
            let key = KeyForm::ObjectGuid.read(&bytes).unwrap();
            let expected = LdapFilter::Octets("objectGUID".into(), bytes.to_vec());
            prop_assert_eq!(KeyForm::ObjectGuid.filter("objectGUID", &key), expected);
        }
    }
}
