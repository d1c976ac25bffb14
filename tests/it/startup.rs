//! What happens before the first request.

use std::time::Duration;

use crate::support::bridge::{Settings, TestBridge};
use crate::support::eventually;
use crate::support::slapd::Slapd;

#[test]
fn a_directory_is_known_before_anybody_searches() {
    let slapd = Slapd::company(5);
    let _bridge = TestBridge::start(&Settings::over(&slapd));
    assert!(eventually(Duration::from_secs(20), || slapd.searches() > 0), "its schema is read");
}
