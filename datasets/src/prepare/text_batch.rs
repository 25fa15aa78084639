//! What threads hand to each other: about a megabyte of consecutive documents, or a piece of a long one.

use super::manifest::Skipped;
use crate::Location;

/// Which split a document belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Fate {
    /// Its content decides.
    Open = 0,
    Train = 1,
    Valid = 2,
    /// Bad, or a duplicate.
    Dropped = 3,
}

/// Consecutive text of a group.
#[derive(Default)]
pub(super) struct TextBatch {
    pub text: String,
    /// Ends of the pieces in `text`, each encoded by itself.
    pub pieces: Vec<Piece>,
    pub skipped: Vec<Skipped>,
    /// Documents without text.
    pub empty: u64,
    /// The part of the group that it belongs to.
    pub part: usize,
    /// Whether the part ends with it.
    pub ends_part: bool,
    /// Whether the group ends with it.
    pub ends_group: bool,
}

/// A document, or a piece of a long one.
pub(super) struct Piece {
    /// Where it ends in the text.
    pub end: usize,
    /// Whether a document begins with it.
    pub is_first: bool,
    /// Of the last piece of a document.
    pub document: Option<Document>,
    /// Index of the file in its group, for messages.
    pub file: usize,
    pub location: Location,
}

/// What is known of a document when its last piece has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Document {
    /// XXH3 of its text.
    pub hash: u128,
    pub bytes: u64,
    pub fate: Fate,
}
