//! Any bytes: reading never panics, and what can be read can be written and read again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use zeropoint::model;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(model) = model::parse(bytes) {
        let written = model::to_bytes(&model).expect("a tree that was read can be written");
        let again = model::parse(&written).expect("what was written can be read");
        assert!(model::to_bytes(&again).expect("and written again") == written);
    }
});
