//! What becomes of each document: its split, and whether it has been there before.

use std::collections::HashSet;
use std::path::Path;

use super::part::{Part, Record};
use super::plan::Plan;
use super::text_batch::{Document, Fate};
use crate::error::Result;
use crate::mix;

/// The fates of all documents, in the order of the parts.
pub(super) struct Decisions {
    pub fates: Vec<Fate>,
    /// Tokens of each source that are kept.
    pub tokens: Vec<u64>,
    pub duplicates: u64,
    seen: HashSet<u128>,
    /// The documents that would be first to change their split, should one split get none: position between 0
    /// and 1, and number.
    lowest: (f64, usize),
    highest: (f64, usize),
}

impl Decisions {
    pub(super) fn make(plan: &Plan<'_>, parts: &[&Part], scratch: &Path) -> Result<Self> {
        let mut decisions = Self {
            fates: Vec::new(),
            tokens: vec![0; plan.sources.len()],
            duplicates: 0,
            seen: HashSet::new(),
            lowest: (f64::INFINITY, 0),
            highest: (f64::NEG_INFINITY, 0),
        };
        for part in parts {
            part.verify(scratch)?;
            for Record { document, tokens } in part.records(scratch)? {
                let fate = match document.fate {
                    Fate::Open => decisions.decide(plan, &document),
                    fate => fate,
                };
                if fate != Fate::Dropped {
                    decisions.tokens[plan.groups[part.group].source] += tokens;
                }
                decisions.fates.push(fate);
            }
        }
        decisions.fill_both_splits(plan.options.valid_fraction);
        Ok(decisions)
    }

    /// The fate of a document that depends on its content.
    fn decide(&mut self, plan: &Plan<'_>, document: &Document) -> Fate {
        let options = plan.options;
        if options.dedup && !self.seen.insert(document.hash) {
            self.duplicates += 1;
            return Fate::Dropped;
        }
        let (position, number) = (unit(mix(options.seed, document.hash as u64)), self.fates.len());
        if position < self.lowest.0 {
            self.lowest = (position, number);
        }
        if position > self.highest.0 {
            self.highest = (position, number);
        }
        if position < options.valid_fraction { Fate::Valid } else { Fate::Train }
    }

    /// Chance must not leave a split without a document where there are two.
    fn fill_both_splits(&mut self, valid_fraction: f64) {
        let count = |fate| self.fates.iter().filter(|other| **other == fate).count();
        match (count(Fate::Train), count(Fate::Valid)) {
            (2.., 0) if valid_fraction > 0.0 => self.fates[self.lowest.1] = Fate::Valid,
            (0, 2..) => self.fates[self.highest.1] = Fate::Train,
            _ => {}
        }
    }
}

/// A number in `0..1` from 64 well-mixed bits.
pub(super) fn unit(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1u64 << 53) as f64
}
