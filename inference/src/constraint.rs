//! Texts of a form: which tokens may come next.

use std::fmt::Debug;

use crate::error::Result;

/// A form that texts are to have. [`GenerateOptions::constraint`](crate::GenerateOptions::constraint) takes one.
pub trait Constraint: Debug + Send + Sync {
    /// The form at the beginning of a text.
    fn start(&self) -> Box<dyn ConstrainedText>;
}

/// A text that has a form so far.
pub trait ConstrainedText: Debug + Send {
    /// Sets the logits of all tokens that cannot come next to −∞. A token that ends texts can come where the text is whole.
    ///
    /// # Errors
    ///
    /// [`Error::Constraint`](crate::Error::Constraint) if no token can, or if finding out takes too long.
    fn mask(&mut self, logits: &mut [f32]) -> Result<()>;

    /// Tells of the token that was chosen.
    ///
    /// # Errors
    ///
    /// [`Error::Constraint`](crate::Error::Constraint) if it could not come next.
    fn observe(&mut self, token: u32) -> Result<()>;

    /// Whether the text is whole and nothing can be added to it.
    fn is_over(&self) -> bool;
}
