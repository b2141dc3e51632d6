//! What the targets share: names and times from small sets, so that they meet each other often.
#![forbid(unsafe_code)]

use arbitrary::Arbitrary;

/// One of eight names.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub struct Name(u8);

impl Name {
    /// The texts of all eight.
    pub const ALL: [&'static str; 8] = ["", "a", "b", "c", "d", "e", "ä", "a\0"];

    /// Its text.
    pub fn text(self) -> &'static str {
        Self::ALL[usize::from(self.0 % 8)]
    }
}

/// A number near zero, or any.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Number {
    Near(i8),
    Small(u8),
    Any(i64),
}

impl Number {
    /// Its value.
    pub fn value(self) -> i64 {
        match self {
            Self::Near(value) => value.into(),
            Self::Small(value) => (value % 8).into(),
            Self::Any(value) => value,
        }
    }
}
