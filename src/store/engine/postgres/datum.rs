//! Values on their way to PostgreSQL and back: the types that our tables have, and no other.

use std::error::Error;

use bytes::BytesMut;
use tokio_postgres::Row as PgRow;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

use super::super::{Datum, Failure};

type Odd = Box<dyn Error + Sync + Send>;

impl ToSql for Datum {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, Odd> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Integer(integer) => match *kind {
                Type::INT4 => i32::try_from(*integer)?.to_sql(kind, out),
                Type::INT8 => integer.to_sql(kind, out),
                _ => Err(mismatch("an integer", kind)),
            },
            Self::Real(real) if *kind == Type::FLOAT8 => real.to_sql(kind, out),
            Self::Real(_) => Err(mismatch("a number", kind)),
            Self::Text(text) if is_text(kind) => {
                // PostgreSQL holds no U+0000.
                if text.contains('\0') {
                    return text.replace('\0', "\u{fffd}").to_sql(kind, out);
                }
                text.to_sql(kind, out)
            }
            Self::Text(_) => Err(mismatch("a text", kind)),
        }
    }

    fn accepts(kind: &Type) -> bool {
        matches!(*kind, Type::INT4 | Type::INT8 | Type::FLOAT8) || is_text(kind)
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Datum {
    fn from_sql(kind: &Type, raw: &'a [u8]) -> Result<Self, Odd> {
        Ok(match *kind {
            Type::INT2 => Self::Integer(i16::from_sql(kind, raw)?.into()),
            Type::INT4 => Self::Integer(i32::from_sql(kind, raw)?.into()),
            Type::INT8 => Self::Integer(i64::from_sql(kind, raw)?),
            Type::FLOAT8 => Self::Real(f64::from_sql(kind, raw)?),
            _ => Self::Text(String::from_sql(kind, raw)?),
        })
    }

    fn from_sql_null(_: &Type) -> Result<Self, Odd> {
        Ok(Self::Null)
    }

    fn accepts(kind: &Type) -> bool {
        matches!(*kind, Type::INT2 | Type::INT4 | Type::INT8 | Type::FLOAT8) || is_text(kind)
    }
}

/// What a row holds, column by column.
pub(super) fn data(row: &PgRow) -> Result<Vec<Datum>, Failure> {
    (0..row.len())
        .map(|column| row.try_get(column).map_err(|error| Failure::Database(error.to_string())))
        .collect()
}

fn is_text(kind: &Type) -> bool {
    matches!(*kind, Type::TEXT | Type::VARCHAR | Type::NAME | Type::UNKNOWN)
}

/// Names the kinds, never the value.
fn mismatch(given: &str, kind: &Type) -> Odd {
    format!("{given} was given where the statement takes {kind}").into()
}
