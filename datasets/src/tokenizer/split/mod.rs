//! How text is split into pieces before any bytes join: the patterns of the published tokenizers, by hand.
//!
//! Each pattern is a function from the start of a piece to its end. It looks at every character a bounded
//! number of times and never goes back, so splitting takes linear time on any text.

mod cl100k;
mod gpt2;
mod o200k;
mod safe;
mod space;
mod splitting;
#[cfg(test)]
pub(super) mod tests;

pub(super) use self::safe::chunks;
pub use self::splitting::Splitting;
