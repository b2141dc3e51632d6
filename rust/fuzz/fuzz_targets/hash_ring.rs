//! `hash_ring`: a place is in range, and a key only ever moves to a bucket that is new.
#![no_main]

use durable_core::hash_ring::{jump_hash, place, xxh3_64};
use durable_fuzz::Number;
use libfuzzer_sys::fuzz_target;

const MAX_BUCKETS: i64 = i32::MAX as i64;

fuzz_target!(|input: (String, u64, Number, Number)| {
    let (text, key, one, other) = input;
    let (one, other) = (one.value(), other.value());
    for buckets in [one, other] {
        let valid = (1..=MAX_BUCKETS).contains(&buckets);
        assert_eq!(jump_hash(key, buckets).is_ok(), valid);
        assert_eq!(
            place(&text, buckets),
            jump_hash(xxh3_64(text.as_bytes()), buckets)
        );
    }
    let (few, many) = (one.min(other), one.max(other));
    for key in [key, xxh3_64(text.as_bytes())] {
        if let (Ok(before), Ok(after)) = (jump_hash(key, few), jump_hash(key, many)) {
            assert!((0..few).contains(&before) && (0..many).contains(&after));
            assert!(
                after == before || after >= few,
                "moved from {before} to {after}, which is not new"
            );
        }
    }
});
