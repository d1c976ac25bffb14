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
        8 => "strongerAuthRequired",
        10 => "referral",
        11 => "adminLimitExceeded",
        13 => "confidentialityRequired",
        17 => "undefinedAttributeType",
        18 => "inappropriateMatching",
        19 => "constraintViolation",
        20 => "attributeOrValueExists",
        21 => "invalidAttributeSyntax",
        32 => "noSuchObject",
        34 => "invalidDNSyntax",
        48 => "inappropriateAuthentication",
        49 => "invalidCredentials",
        50 => "insufficientAccessRights",
        51 => "busy",
        52 => "unavailable",
        53 => "unwillingToPerform",
        64 => "namingViolation",
        65 => "objectClassViolation",
        67 => "notAllowedOnRDN",
        69 => "objectClassModsProhibited",
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
