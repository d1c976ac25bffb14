//! Values of the file that may be written in more than one way, such as a text or a table.

use std::fmt;

use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use toml::Spanned;

use super::written::{Attribute, Key, KeySet, Mount, Operators, SecretText, UserAttribute};
use crate::secret::Secret;

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Reference {
            env: Option<String>,
            file: Option<String>,
        }

        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = SecretText;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string, { env = \"NAME\" } or { file = \"path\" }")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<SecretText, E> {
                Ok(SecretText::Text(Secret::new(text.to_owned())))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<SecretText, A::Error> {
                let reference = Reference::deserialize(MapAccessDeserializer::new(map))?;
                match (reference.env, reference.file) {
                    (Some(name), None) => Ok(SecretText::Environment(name)),
                    (None, Some(path)) => Ok(SecretText::File(path)),
                    _ => Err(A::Error::custom("takes one of env and file")),
                }
            }
        }

        deserializer.deserialize_any(Reader)
    }
}

impl<'de> Deserialize<'de> for KeySet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Table {
            file: String,
        }

        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = KeySet;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the address of a JWK Set or { file = \"path\" }")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<KeySet, E> {
                Ok(KeySet::Address(text.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<KeySet, A::Error> {
                let table = Table::deserialize(MapAccessDeserializer::new(map))?;
                Ok(KeySet::File(table.file))
            }
        }

        deserializer.deserialize_any(Reader)
    }
}

impl<'de> Deserialize<'de> for Mount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Table {
            path: String,
            dialect: Key<String>,
        }

        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Mount;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a path or { path = \"…\", dialect = \"…\" }")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Mount, E> {
                Ok(Mount { path: text.to_owned(), dialect: None })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Mount, A::Error> {
                let table = Table::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Mount { path: table.path, dialect: table.dialect })
            }
        }

        deserializer.deserialize_any(Reader)
    }
}

impl<'de> Deserialize<'de> for Operators {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Table {
            repository: Spanned<String>,
            group: Spanned<String>,
        }

        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Operators;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the DN of a group or { repository = \"…\", group = \"…\" }")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Operators, E> {
                Ok(Operators::Group(text.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Operators, A::Error> {
                let table = Table::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Operators::Of { repository: table.repository, group: table.group })
            }
        }

        deserializer.deserialize_any(Reader)
    }
}

impl<'de> Deserialize<'de> for UserAttribute {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Table {
            #[serde(rename = "type")]
            kind: Option<String>,
            #[serde(default)]
            multi_valued: bool,
        }

        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = UserAttribute;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a type or { type = \"…\", multi_valued = … }")
            }

            fn visit_str<E: Error>(self, kind: &str) -> Result<UserAttribute, E> {
                Ok(UserAttribute { kind: Some(kind.to_owned()), multi_valued: false })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<UserAttribute, A::Error> {
                let table = Table::deserialize(MapAccessDeserializer::new(map))?;
                Ok(UserAttribute { kind: table.kind, multi_valued: table.multi_valued })
            }
        }

        deserializer.deserialize_any(Reader)
    }
}

impl<'de> Deserialize<'de> for Attribute {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Table {
            attribute: Option<Names>,
            template: Key<String>,
            authority: Key<String>,
            #[serde(rename = "type")]
            kind: Key<String>,
            multi_valued: Key<bool>,
        }

        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Attribute;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of an LDAP attribute, a list of names, or a table")
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<Attribute, E> {
                Ok(Attribute { names: Some(vec![name.to_owned()]), ..Attribute::default() })
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Attribute, A::Error> {
                let names = Vec::deserialize(SeqAccessDeserializer::new(list))?;
                Ok(Attribute { names: Some(names), ..Attribute::default() })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Attribute, A::Error> {
                let table = Table::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Attribute {
                    names: table.attribute.map(|names| names.0),
                    template: table.template,
                    authority: table.authority,
                    kind: table.kind,
                    multi_valued: table.multi_valued,
                })
            }
        }

        deserializer.deserialize_any(Reader)
    }
}

/// One name or several.
struct Names(Vec<String>);

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Names;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of an LDAP attribute or a list of names")
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<Names, E> {
                Ok(Names(vec![name.to_owned()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Names, A::Error> {
                Ok(Names(Vec::deserialize(SeqAccessDeserializer::new(list))?))
            }
        }

        deserializer.deserialize_any(Reader)
    }
}
