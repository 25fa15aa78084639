//! **tales**: the embedded corpus, an endless book of small stories for children that a seeded grammar tells.
//!
//! A first training run needs no download, and because the teller knows its own probabilities it can state
//! the loss that no model can beat. [`corpus()`] tells the stories, [`Corpus::floor`] states that loss, and
//! [`parse()`] says whether a text that a model sampled is a valid tale, and if not, where it first departs
//! from one.
//!
//! # The stories
//! A story is a title line and one paragraph, followed by a blank line:
//!
//! ```text
//! Ben and the tent
//! One sunny afternoon, Ben hurried to the big wood to feed the pigs. In his box were plums. Ben found a red tent near
//! the mossy oak. Soon, Ben walked past the mossy well with the tent and met Mia. The sky turned dim, and a storm came
//! up. "I am cross and cold!" cried Mia softly. Then Ben thought of the tent. They sat warm under the tent and ate the
//! plums until the rain stopped. "Thanks, clever Ben!" said Mia gladly. Ben and Mia skipped home carefully and ate
//! supper.
//! ```
//!
//! (A story has no line breaks but the one after the title.)
//!
//! There are eleven plots of 300 to 700 characters a story, with some 470 different words in 50 different
//! characters, and a floor of about 0.130 nats per character. Every plot has a state: who the story is about,
//! what was found early and what it is good for later. Names, pronouns and things agree throughout because a
//! slot that was filled once keeps its value to the end of the story.
//!
//! # What is computed
//! The grammar (`words.txt`, `scenes.txt`, `plots_*.txt`) is data: rules with weighted alternatives, and
//! slots that are filled from tables. Telling a story is a sequence of draws; alternative `i` of a draw has
//! the probability `wᵢ / Σw` *exactly*, because the weights are small integers and the generator draws
//! integers below `Σw` without bias (by rejection). The grammar is *unambiguous*: a text comes from one
//! sequence of draws only, which [`parse()`] checks by searching for all of them. Therefore
//!
//! ```text
//! −ln P(text) = Σ over its draws of −ln(wᵢ / Σw)
//! ```
//!
//! is the exact negative logarithm of the probability of the text, not a bound on it.
//!
//! No two stories of a corpus are alike: a story that was told already is drawn again. The story number `n`
//! then has the probability
//!
//! ```text
//! p(storyₙ | story₁ … storyₙ₋₁) = P(storyₙ) / (1 − Σ_{i<n} P(storyᵢ))
//! ```
//!
//! and [`Story::nats`] is its negative logarithm. The floor of a run of stories is the sum of their `nats`
//! divided by the number of their characters. The blank line (`"\n\n"`) after each story is counted among the
//! characters: it is text that a model has to predict as well. It adds no nats of its own, since no story
//! contains a blank line, so that "story, then blank line" has the same probability as the story.
//!
//! # Why no model can beat it
//! Let `p` be the distribution from which the validation text `v` was drawn, given the training text, and `q`
//! any model that may have seen the training text but not `v`. Gibbs' inequality says `E[−ln q(v)] ≥ E[−ln
//! p(v)]`, with equality only for `q = p`. [`Floor::nats`] is the realised `−ln p(v)` of the very text on
//! which the model is scored, so most of the luck of the draw is common to both sides and cancels in the
//! difference. For one given text a lucky model may in principle come out below the floor, with probability
//! at most `e^−d` for `d` nats in total (Markov's inequality for `q(v) / p(v)`, whose expectation is at most
//! 1): ten nats over a whole validation text is already beyond belief. A loss visibly below the floor
//! therefore means a fault: validation text among the training text, or a model that sees ahead.
//!
//! The stories of a corpus end with the one that reaches the length asked for, so where a corpus ends says
//! nothing about its stories that they do not say themselves, and costs no nats.
//!
//! The comparison is per *character*. A model over other tokens has to multiply its loss per token by the
//! number of tokens and divide by the number of characters first. A model with a short context, or one that
//! is scored in windows that begin in the middle of a story, knows less than `p` does, which only raises its
//! loss. A loss over windows drawn at random from the validation text has the noise of that draw on top: to
//! compare to the third decimal, go over the text once.

mod compile;
mod corpus;
mod departure;
mod grammar;
mod judge;
mod parse;
mod request;
mod rng;
mod tell;
mod template;

pub use corpus::{Corpus, Floor, SEPARATOR, Story, corpus};
pub use departure::ParseError;
pub use judge::{Verdict, judge};
pub use parse::{Derivation, parse};
pub use request::{Answer, Request};

#[cfg(test)]
mod tests;
