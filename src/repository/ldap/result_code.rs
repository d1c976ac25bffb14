//! What a server says to an operation, for people.

/// Of what a server says beside its result code, so many characters are told.
const MOST_TOLD: usize = 200;

/// The name of a result code (RFC 4511 section 4.1.9), and the beginning of what else the server says.
pub(super) fn told(code: u32, text: &str) -> String {
    let name = match code {
        0 => "success",
        1 => "operationsError",
        2 => "protocolError",
        3 => "timeLimitExceeded",
        4 => "sizeLimitExceeded",
        7 => "authMethodNotSupported",
        8 => "strongerAuthRequired",
        10 => "referral",
        11 => "adminLimitExceeded",
        12 => "unavailableCriticalExtension",
        13 => "confidentialityRequired",
        14 => "saslBindInProgress",
        16 => "noSuchAttribute",
        17 => "undefinedAttributeType",
        18 => "inappropriateMatching",
        19 => "constraintViolation",
        20 => "attributeOrValueExists",
        21 => "invalidAttributeSyntax",
        32 => "noSuchObject",
        33 => "aliasProblem",
        34 => "invalidDNSyntax",
        36 => "aliasDereferencingProblem",
        48 => "inappropriateAuthentication",
        49 => "invalidCredentials",
        50 => "insufficientAccessRights",
        51 => "busy",
        52 => "unavailable",
        53 => "unwillingToPerform",
        54 => "loopDetect",
        64 => "namingViolation",
        65 => "objectClassViolation",
        66 => "notAllowedOnNonLeaf",
        67 => "notAllowedOnRDN",
        68 => "entryAlreadyExists",
        69 => "objectClassModsProhibited",
        71 => "affectsMultipleDSAs",
        80 => "other",
        _ => "",
    };
    let name = if name.is_empty() { format!("result code {code}") } else { name.to_owned() };
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    let text: String = text.chars().map(plain).take(MOST_TOLD).collect();
    match text.trim() {
        "" => name,
        text => format!("{name}: {text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Everything that a server may end an operation with, but compareFalse and compareTrue.
    #[test]
    fn every_result_code_has_a_name() {
        let known = (0..=80).filter(|code| !told(*code, "").contains("result code"));
        let standard =
            [0..=4, 7..=8, 10..=14, 16..=21, 32..=34, 36..=36, 48..=54, 64..=69, 71..=71, 80..=80];
        assert_eq!(known.collect::<Vec<u32>>(), standard.into_iter().flatten().collect::<Vec<_>>());
        assert_eq!(told(12, "a\nb"), "unavailableCriticalExtension: a b");
        assert_eq!(told(4711, ""), "result code 4711");
    }
}
