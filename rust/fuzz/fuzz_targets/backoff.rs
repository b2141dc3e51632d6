//! `backoff`: whatever is accepted gives a delay in its bounds; whole numbers give the exact one.
#![no_main]

use arbitrary::Arbitrary;
use durable_core::backoff::{Backoff, Growth, Jitter};
use durable_fuzz::Number;
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Input {
    kind: u8,
    factor: f64,
    increment_ms: Number,
    base_ms: Number,
    max_ms: Number,
    jitter: u8,
    share: f64,
    attempt: Number,
    /// A share of `[0, 1)`, or any number.
    draws: [Result<u32, f64>; 2],
}

const LONGEST_MS: i64 = 1 << 53;

fuzz_target!(|input: Input| {
    let kinds = ["constant", "linear", "exponential", "decorrelated", "cubic"];
    let kind = kinds[usize::from(input.kind) % kinds.len()];
    let jitters = ["full", "equal", "none", "some"];
    let jitter = match jitters.get(usize::from(input.jitter) % 5) {
        Some(name) => Jitter::named(name),
        None => Jitter::fraction(input.share),
    };
    let (increment_ms, base_ms, max_ms) = (
        input.increment_ms.value(),
        input.base_ms.value(),
        input.max_ms.value(),
    );
    let (Ok(growth), Ok(jitter)) = (Growth::named(kind, input.factor, increment_ms), jitter) else {
        return;
    };
    let valid = [base_ms, max_ms]
        .iter()
        .all(|ms| (0..=LONGEST_MS).contains(ms));
    let Ok(policy) = Backoff::new(growth, base_ms, max_ms, jitter) else {
        assert!(!valid);
        return;
    };
    assert!(valid);

    let attempt = input.attempt.value();
    let mut draws = input.draws.map(|draw| match draw {
        Ok(share) => f64::from(share) / 4_294_967_296.0,
        Err(any) => any,
    });
    draws.sort_by(f64::total_cmp);
    let mut last = 0;
    for draw in draws {
        let delay = policy.delay_ms(attempt, draw);
        assert_eq!(delay.is_ok(), attempt >= 1 && (0.0..1.0).contains(&draw));
        let Ok(delay) = delay else { continue };
        assert!(
            (last..=max_ms).contains(&delay),
            "a higher draw waits no less, up to the maximum"
        );
        last = delay;
        if jitter == Jitter::None || growth == Growth::Decorrelated {
            assert!(delay >= base_ms.min(max_ms));
        }
        if jitter == Jitter::None {
            let grown = match growth {
                Growth::Constant => Some(0),
                Growth::Linear { .. } => Some(i128::from(increment_ms) * i128::from(attempt - 1)),
                Growth::Exponential { .. } | Growth::Decorrelated => None,
            };
            if let Some(grown) = grown {
                let exact = (i128::from(base_ms) + grown).min(max_ms.into());
                assert_eq!(i128::from(delay), exact);
            }
        }
    }
});
