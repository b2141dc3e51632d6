//! Which of N buckets a key belongs to: jump consistent hash over XXH3-64.
//!
//! Placements are persisted behaviour: `tests/vectors/hash_ring.tsv` pins them for every language.

use xxhash_rust::xxh3;

use crate::InvalidArgument;

/// The generator of the paper: a 64-bit linear congruential generator, one step per jump.
const LCG_MULTIPLIER: u64 = 2_862_933_555_777_941_757;

/// 2^31: the range of the random bits that a jump reads.
const RANDOM_RANGE: f64 = 2_147_483_648.0;

const MAX_BUCKETS: i64 = i32::MAX as i64;

/// XXH3-64 of `data` with seed 0.
pub fn xxh3_64(data: &[u8]) -> u64 {
    xxh3::xxh3_64(data)
}

/// The bucket of `key`, 0 to `buckets - 1` (Lamping and Veach, 2014).
///
/// # Errors
/// [`InvalidArgument`] unless `buckets` is 1 to 2^31 - 1.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "31 random bits and at most 2^31 buckets: every value is exact"
)]
pub fn jump_hash(key: u64, buckets: i64) -> Result<i64, InvalidArgument> {
    if !(1..=MAX_BUCKETS).contains(&buckets) {
        return Err(InvalidArgument::new("buckets", "1 to 2147483647", buckets));
    }
    let mut state = key;
    let mut bucket = 0;
    let mut next = 0;
    while next < buckets {
        bucket = next;
        state = state.wrapping_mul(LCG_MULTIPLIER).wrapping_add(1);
        let random_bits = state >> 33;
        next = ((bucket + 1) as f64 * (RANDOM_RANGE / (random_bits + 1) as f64)) as i64;
    }
    Ok(bucket)
}

/// The bucket of a text key: [`jump_hash`] over [`xxh3_64`] of its UTF-8 bytes.
///
/// # Errors
/// [`InvalidArgument`] unless `buckets` is 1 to 2^31 - 1.
pub fn place(key: &str, buckets: i64) -> Result<i64, InvalidArgument> {
    jump_hash(xxh3_64(key.as_bytes()), buckets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_a_place_in_range() {
        for buckets in [1, 2, 5, 1000, MAX_BUCKETS] {
            for key in 0..1000 {
                let bucket = jump_hash(key, buckets).unwrap();
                assert!((0..buckets).contains(&bucket));
            }
        }
    }

    #[test]
    fn a_new_bucket_takes_its_share_and_nothing_else_moves() {
        let buckets = 9;
        let keys = 20_000;
        let mut moved = 0;
        for key in 0..keys {
            let key = format!("key-{key}");
            let before = place(&key, buckets).unwrap();
            let after = place(&key, buckets + 1).unwrap();
            if before != after {
                assert_eq!(after, buckets);
                moved += 1;
            }
        }
        let fair = keys / (buckets + 1);
        assert!((fair * 9 / 10..fair * 11 / 10).contains(&moved));
    }

    #[test]
    fn a_count_of_buckets_out_of_range_is_refused() {
        for buckets in [i64::MIN, -1, 0, MAX_BUCKETS + 1] {
            assert!(jump_hash(1, buckets).is_err());
            assert!(place("a", buckets).is_err());
        }
    }
}
