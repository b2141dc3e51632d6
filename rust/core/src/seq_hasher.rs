//! A hash map keyed by sequence numbers.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// A map keyed by numbers that the store hands out.
pub(crate) type SeqMap<T> = HashMap<i64, T, BuildHasherDefault<SeqHasher>>;

/// One multiplication, both halves of the product folded into one. The default hasher guards against
/// keys that an attacker chose, which a sequence number is not, and takes half of the time of a `pop`.
#[derive(Debug, Default)]
pub(crate) struct SeqHasher(u64);

/// 2^64 divided by the golden ratio: spreads neighbours far apart (Knuth, volume 3, 6.4).
const MULTIPLIER: u128 = 0x9E37_79B9_7F4A_7C15;

impl Hasher for SeqHasher {
    #[expect(
        clippy::cast_sign_loss,
        clippy::cast_possible_truncation,
        reason = "a hash is about bits, and both halves of the product are used"
    )]
    fn write_i64(&mut self, seq: i64) {
        let product = u128::from(self.0 ^ seq as u64) * MULTIPLIER;
        self.0 = (product >> 64) as u64 ^ product as u64;
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_i64(i64::from(byte));
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::hash::BuildHasher;

    use super::*;

    #[test]
    fn strides_of_every_power_of_two_spread_over_the_slots() {
        let hasher = BuildHasherDefault::<SeqHasher>::default();
        for shift in 0..53 {
            let slots = (0..1024_i64).map(|seq| hasher.hash_one(seq << shift) % 1024);
            let distinct: HashSet<u64> = slots.collect();
            assert!(distinct.len() > 256, "a stride of 2^{shift}");
        }
    }
}
