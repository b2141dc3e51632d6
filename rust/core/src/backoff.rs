//! How long to wait after a failed attempt: a pure function of the policy, the attempt and a draw.
//!
//! Delays are persisted behaviour: `tests/vectors/backoff.tsv` pins them. Only IEEE 754 basic
//! operations in a fixed order are used (no `powf`, whose last bits differ between platforms), so
//! every implementation floors to the same millisecond.

use crate::InvalidArgument;

/// The longest time a delay may be built from: the largest `f64` up to which every whole number is exact.
const LONGEST_MS: i64 = 1 << 53;

/// How the delay grows with the attempt.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Growth {
    /// `base`
    Constant,
    /// `base + increment * (attempt - 1)`
    Linear {
        /// What each attempt adds.
        increment_ms: f64,
    },
    /// `base * factor ^ (attempt - 1)`
    Exponential {
        /// What each attempt multiplies by.
        factor: f64,
    },
    /// Uniform from `base` to `base * 3 ^ (attempt - 1)`.
    Decorrelated,
}

impl Growth {
    /// The growth named `kind`; `factor` and `increment_ms` are read only by the kind that uses them.
    ///
    /// # Errors
    /// [`InvalidArgument`] for an unknown kind, a factor below 1 or an increment out of range.
    pub fn named(kind: &str, factor: f64, increment_ms: i64) -> Result<Self, InvalidArgument> {
        match kind {
            "constant" => Ok(Self::Constant),
            "linear" => Ok(Self::Linear {
                increment_ms: whole_ms("increment_ms", increment_ms)?,
            }),
            "exponential" if factor.is_finite() && factor >= 1.0 => {
                Ok(Self::Exponential { factor })
            }
            "exponential" => Err(InvalidArgument::new(
                "factor",
                "a finite number, 1.0 or more",
                factor,
            )),
            "decorrelated" => Ok(Self::Decorrelated),
            _ => Err(InvalidArgument::new(
                "kind",
                "constant, linear, exponential or decorrelated",
                kind,
            )),
        }
    }
}

/// How the draw spreads the delay.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Jitter {
    /// From zero to the delay.
    Full,
    /// From half the delay to the delay.
    Equal,
    /// The delay itself.
    None,
    /// The delay plus or minus this share of it.
    Fraction(f64),
}

impl Jitter {
    /// The jitter named `name`.
    ///
    /// # Errors
    /// [`InvalidArgument`] for an unknown name.
    pub fn named(name: &str) -> Result<Self, InvalidArgument> {
        match name {
            "full" => Ok(Self::Full),
            "equal" => Ok(Self::Equal),
            "none" => Ok(Self::None),
            _ => Err(InvalidArgument::new("jitter", JITTERS, name)),
        }
    }

    /// The jitter of plus or minus `share`.
    ///
    /// # Errors
    /// [`InvalidArgument`] unless `share` is above 0 and at most 1.
    pub fn fraction(share: f64) -> Result<Self, InvalidArgument> {
        if share > 0.0 && share <= 1.0 {
            Ok(Self::Fraction(share))
        } else {
            Err(InvalidArgument::new("jitter", JITTERS, share))
        }
    }

    fn apply(self, raw: f64, draw: f64) -> f64 {
        match self {
            Self::Full => draw * raw,
            Self::Equal => raw / 2.0 + draw * raw / 2.0,
            Self::None => raw,
            Self::Fraction(share) => raw * (1.0 - share + 2.0 * share * draw),
        }
    }
}

const JITTERS: &str = "full, equal, none or a fraction above 0.0 and up to 1.0";

/// A backoff policy whose parts are in range.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Backoff {
    growth: Growth,
    base_ms: f64,
    max_ms: f64,
    jitter: Jitter,
}

impl Backoff {
    /// A policy that starts at `base_ms` and never exceeds `max_ms`.
    ///
    /// # Errors
    /// [`InvalidArgument`] unless both times are 0 to 2^53.
    pub fn new(
        growth: Growth,
        base_ms: i64,
        max_ms: i64,
        jitter: Jitter,
    ) -> Result<Self, InvalidArgument> {
        let spread_by_growth = growth == Growth::Decorrelated;
        Ok(Self {
            growth,
            base_ms: whole_ms("base_ms", base_ms)?,
            max_ms: whole_ms("max_ms", max_ms)?,
            jitter: if spread_by_growth {
                Jitter::None
            } else {
                jitter
            },
        })
    }

    /// The delay after try number `attempt` (1-based), where `draw` is a random number from `[0, 1)`.
    ///
    /// # Errors
    /// [`InvalidArgument`] if `attempt` or `draw` is out of range.
    pub fn delay_ms(&self, attempt: i64, draw: f64) -> Result<i64, InvalidArgument> {
        if attempt < 1 {
            return Err(InvalidArgument::new("attempt", "1 or more", attempt));
        }
        if !(0.0..1.0).contains(&draw) {
            let expected = "0.0 or more and below 1.0";
            return Err(InvalidArgument::new("draw", expected, draw));
        }
        let raw = self
            .raw_ms(attempt.unsigned_abs() - 1, draw)
            .min(self.max_ms);
        let delay = self.jitter.apply(raw, draw).min(self.max_ms);
        #[expect(clippy::cast_possible_truncation, reason = "from 0 to 2^53")]
        Ok(delay.floor() as i64)
    }

    fn raw_ms(&self, retries: u64, draw: f64) -> f64 {
        let base = self.base_ms;
        match self.growth {
            Growth::Constant => base,
            #[expect(clippy::cast_precision_loss, reason = "capped long before it matters")]
            Growth::Linear { increment_ms } => base + increment_ms * retries as f64,
            Growth::Exponential { factor } => grow(base, factor, retries),
            Growth::Decorrelated => base + draw * (grow(base, 3.0, retries) - base),
        }
    }
}

/// `start * factor ^ times` by repeated squaring, at most `f64::MAX`: infinity would turn into NaN.
fn grow(start: f64, factor: f64, times: u64) -> f64 {
    let mut grown = start;
    let mut square = factor;
    let mut left = times;
    while left > 0 {
        if left & 1 == 1 {
            grown = (grown * square).min(f64::MAX);
        }
        square = (square * square).min(f64::MAX);
        left >>= 1;
    }
    grown
}

fn whole_ms(name: &'static str, ms: i64) -> Result<f64, InvalidArgument> {
    if !(0..=LONGEST_MS).contains(&ms) {
        return Err(InvalidArgument::new(name, "0 to 9007199254740992", ms));
    }
    #[expect(
        clippy::cast_precision_loss,
        reason = "every whole number up to 2^53 is exact"
    )]
    Ok(ms as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX_MS: i64 = 300_000;

    fn delay(growth: Growth, jitter: Jitter, attempt: i64, draw: f64) -> i64 {
        let policy = Backoff::new(growth, 1000, MAX_MS, jitter).unwrap();
        policy.delay_ms(attempt, draw).unwrap()
    }

    fn growths() -> [Growth; 4] {
        let increment_ms = 500.0;
        [
            Growth::Constant,
            Growth::Linear { increment_ms },
            Growth::Exponential { factor: 2.0 },
            Growth::Decorrelated,
        ]
    }

    #[test]
    fn each_growth_follows_its_formula_up_to_the_maximum() {
        let expected = [
            [1000, 1000, 1000, 1000],
            [1000, 1500, 2000, MAX_MS],
            [1000, 2000, 4000, MAX_MS],
            [1000, 2000, 5000, MAX_MS],
        ];
        for (growth, delays) in growths().into_iter().zip(expected) {
            let attempts = [1, 2, 3, i64::MAX];
            let actual = attempts.map(|attempt| delay(growth, Jitter::None, attempt, 0.5));
            assert_eq!(actual, delays, "{growth:?}");
        }
    }

    #[test]
    fn each_jitter_spreads_the_delay_over_its_range() {
        let highest_draw = 0.9999;
        for (jitter, lowest, highest) in [
            (Jitter::Full, 0, 999),
            (Jitter::Equal, 500, 999),
            (Jitter::None, 1000, 1000),
            (Jitter::Fraction(0.25), 750, 1249),
        ] {
            let range = [0.0, highest_draw].map(|draw| delay(Growth::Constant, jitter, 1, draw));
            assert_eq!(range, [lowest, highest], "{jitter:?}");
        }
    }

    #[test]
    fn jitter_stays_below_the_maximum() {
        let policy = Backoff::new(Growth::Constant, 1000, 1000, Jitter::Fraction(1.0)).unwrap();
        assert_eq!(policy.delay_ms(1, 0.9), Ok(1000));
    }

    #[test]
    fn decorrelated_is_its_own_jitter() {
        assert_eq!(delay(Growth::Decorrelated, Jitter::Full, 2, 0.0), 1000);
    }

    #[test]
    fn a_zero_base_stays_zero_however_long_it_grows() {
        for growth in [
            Growth::Exponential { factor: f64::MAX },
            Growth::Decorrelated,
        ] {
            let policy = Backoff::new(growth, 0, MAX_MS, Jitter::Full).unwrap();
            assert_eq!(policy.delay_ms(i64::MAX, 0.5), Ok(0));
        }
    }

    #[test]
    fn arguments_out_of_range_are_refused() {
        for (kind, factor, increment_ms) in [
            ("cubic", 2.0, 0),
            ("exponential", 0.5, 0),
            ("exponential", f64::NAN, 0),
            ("exponential", f64::INFINITY, 0),
            ("linear", 2.0, -1),
        ] {
            assert!(Growth::named(kind, factor, increment_ms).is_err(), "{kind}");
        }
        assert!(Jitter::named("some").is_err());
        for share in [0.0, 1.5, f64::NAN] {
            assert!(Jitter::fraction(share).is_err(), "{share}");
        }
        for (base_ms, max_ms) in [(-1, 1), (1, -1), (LONGEST_MS + 1, 1)] {
            assert!(Backoff::new(Growth::Constant, base_ms, max_ms, Jitter::None).is_err());
        }
        let policy = Backoff::new(Growth::Constant, 1, 1, Jitter::None).unwrap();
        for (attempt, draw) in [(0, 0.5), (1, 1.0), (1, -0.1), (1, f64::NAN)] {
            assert!(policy.delay_ms(attempt, draw).is_err(), "{attempt} {draw}");
        }
    }
}
