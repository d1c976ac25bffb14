//! Rules against a real slapd.
