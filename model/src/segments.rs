//! Several sequences in one row, one behind the other, without anything between them: what fine-tuning reads, whose examples
//! differ in length. No token sees one of another sequence, and no place is spent on padding.

use burn::tensor::{Int, Tensor};

use crate::{Backend, GptModel, NoTap, Place, Tap, backend};

impl<B: Backend> GptModel<B> {
    /// [`loss`](Self::loss) over several sequences of these lengths.
    ///
    /// # Shapes
    ///
    /// - tokens, targets: `[1, Σ lengths]`
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// If the lengths do not add up to the number of tokens, or one exceeds the context length.
    pub fn loss_of_segments(
        &self,
        tokens: Tensor<B, 2, Int>,
        targets: Tensor<B, 2, Int>,
        lengths: &[usize],
    ) -> Tensor<B, 1> {
        let hidden = self.hidden_of_segments(tokens, lengths, &mut NoTap); // [1, Σ lengths, d_model]
        backend::head_cross_entropy(hidden, self.head(), targets, self.config().softcap())
    }

    /// What the head reads, of several sequences of these lengths, in the precision in which the model learns.
    ///
    /// # Shapes
    ///
    /// - tokens: `[1, Σ lengths]`
    /// - output: `[1, Σ lengths, d_model]`
    ///
    /// # Panics
    ///
    /// If the lengths do not add up to the number of tokens, or one exceeds the context length.
    pub fn hidden_of_segments(
        &self,
        tokens: Tensor<B, 2, Int>,
        lengths: &[usize],
        tap: &mut impl Tap<B>,
    ) -> Tensor<B, 3> {
        let (context, [rows, seq]) = (self.config().context_length, tokens.dims());
        assert_eq!((rows, seq), (1, lengths.iter().sum()), "tokens of sequences of {lengths:?}");
        let longest = lengths.iter().max().copied().unwrap_or_default();
        assert!(longest <= context, "a sequence of {longest} tokens exceeds the context of {context}");
        let place = Place::segments(self.config(), lengths, &tokens.device());
        self.learning_hidden(tokens, &place, tap)
    }

    /// The sum of `ln p(target)` over the counted targets of each sequence.
    ///
    /// # Shapes
    ///
    /// - tokens: `[1, Σ lengths]`
    /// - targets: as many, on the host; negative ones do not count
    /// - output: `[sequences]`
    ///
    /// # Panics
    ///
    /// As [`hidden_of_segments`](Self::hidden_of_segments).
    pub fn log_probabilities_of_segments(
        &self,
        tokens: Tensor<B, 2, Int>,
        targets: &[i32],
        lengths: &[usize],
    ) -> Tensor<B, 1> {
        let device = tokens.device();
        let hidden = self.hidden_of_segments(tokens, lengths, &mut NoTap); // [1, Σ lengths, d_model]
        let mut first = 0;
        let sums = lengths.iter().map(|length| {
            let targets = &targets[first..first + length];
            let counted = targets.iter().filter(|target| **target >= 0).count();
            let part = hidden.clone().narrow(1, first, *length); // [1, length, d_model]
            first += length;
            let targets = crate::token_tensor(targets.to_vec(), [1, *length], &device); // [1, length]
            let mean = backend::head_cross_entropy(part, self.head(), targets, self.config().softcap());
            mean * -(counted as f64) // [1]
        });
        Tensor::cat(sums.collect(), 0)
    }
}
