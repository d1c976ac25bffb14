//! The integer `errorCode` of errors: the ActivID Appliance's reason codes, where one fits.

use crate::scim::error::ErrorKind;

/// "Technical error".
const TECHNICAL: u16 = 0;
/// "Technical error in an adapter": something behind the service does not answer.
const ADAPTER: u16 = 100;
/// "Invalid format".
const FORMAT: u16 = 1006;
/// "Parameter too long".
const LENGTH: u16 = 1008;
/// "Value not supported".
const VALUE: u16 = 1009;
/// "Numeric too large".
const SIZE: u16 = 1010;

/// The code of an error with this HTTP status. What no reason code fits has its status for a code:
/// the reason codes are below 400 or from 1000 on.
pub(super) fn code(status: u16, kind: Option<ErrorKind>) -> u16 {
    match (status, kind) {
        (
            400,
            Some(
                ErrorKind::InvalidSyntax
                | ErrorKind::InvalidFilter
                | ErrorKind::InvalidPath
                | ErrorKind::InvalidVersion
                | ErrorKind::InvalidCursor
                | ErrorKind::ExpiredCursor,
            ),
        ) => FORMAT,
        (
            400,
            Some(
                ErrorKind::InvalidValue
                | ErrorKind::InvalidCount
                | ErrorKind::Mutability
                | ErrorKind::NoTarget,
            ),
        ) => VALUE,
        (400, Some(ErrorKind::TooMany)) => SIZE,
        (413, _) => LENGTH,
        (502..=504, _) => ADAPTER,
        (500.., _) => TECHNICAL,
        (status, _) => status,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_has_a_code() {
        for (status, kind, expected) in [
            (400, Some(ErrorKind::InvalidValue), 1009),
            (400, Some(ErrorKind::InvalidFilter), 1006),
            (400, Some(ErrorKind::TooMany), 1010),
            (409, Some(ErrorKind::Uniqueness), 409),
            (401, None, 401),
            (404, None, 404),
            (413, None, 1008),
            (500, None, 0),
            (503, None, 100),
        ] {
            assert_eq!(code(status, kind), expected, "{status} {kind:?}");
        }
    }
}
