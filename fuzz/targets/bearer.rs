//! Any bytes as the header Authorization: nobody is let in but who has the one token that there is.

#![no_main]

mod gate;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|header: &[u8]| {
    if gate::admit(header).is_some() {
        let (scheme, token) = header.trim_ascii().split_at(6);
        assert!(scheme.eq_ignore_ascii_case(b"Bearer"), "{header:?}");
        assert_eq!(token.trim_ascii(), gate::TOKEN.as_bytes());
    }
});
