//! A language model that tells classes of texts apart.

use burn::module::Module;
use burn::tensor::{Int, Tensor, TensorData};

use crate::linear::Initializer;
use crate::{Backend, Embedding, GptModel, NoTap, backend};

/// Standard deviation of a new head, as in `transformers`.
const INIT_STD: f64 = 0.02;

/// A [`GptModel`] whose last hidden vector scores classes instead of tokens: `transformers`' `…ForSequenceClassification`.
///
/// Each token sees only those before it, so the last one is the only one that has read the whole text.
#[derive(Module, Debug)]
pub struct Classifier<B: Backend> {
    /// The model; its own head is not used.
    pub gpt: GptModel<B>,
    /// A vector for each class, `[classes, d_model]`, without a bias.
    pub score: Embedding<B>,
}

impl<B: Backend> Classifier<B> {
    /// A new head for so many classes on `gpt`, in place of its own.
    pub fn new(gpt: GptModel<B>, classes: usize, seed: u64) -> Self {
        let gpt = gpt.without_own_head();
        let (d_model, device) = (gpt.config().d_model, gpt.device());
        let mut initializer = Initializer::normal(seed, INIT_STD);
        Self { score: Embedding::new([classes, d_model], 1.0, &mut initializer, &device), gpt }
    }

    /// Number of classes.
    pub fn num_classes(&self) -> usize {
        self.score.weight.dims()[0]
    }

    /// The hidden vector of the last token of each text; the texts lie one behind the other.
    ///
    /// # Shapes
    ///
    /// - tokens: `[1, Σ lengths]`
    /// - output: `[1, texts, d_model]`
    ///
    /// # Panics
    ///
    /// As [`hidden_of_segments`](GptModel::hidden_of_segments), and if a text is empty.
    pub fn last_hidden(&self, tokens: Tensor<B, 2, Int>, lengths: &[usize]) -> Tensor<B, 3> {
        let device = tokens.device();
        let mut end = 0;
        let last: Vec<i64> = lengths
            .iter()
            .map(|length| {
                assert!(*length > 0, "an empty text has no last token");
                end += length;
                end as i64 - 1
            })
            .collect();
        let last = Tensor::from_data(TensorData::new(last, [lengths.len()]), &device);
        self.gpt.hidden_of_segments(tokens, lengths, &mut NoTap).select(1, last)
    }

    /// The score of each class.
    ///
    /// # Shapes
    ///
    /// - hidden: `[1, texts, d_model]`
    /// - output: `[texts, classes]`
    pub fn logits(&self, hidden: Tensor<B, 3>) -> Tensor<B, 2> {
        let [_, texts, _] = hidden.dims();
        backend::head(hidden, self.score.weight.val(), None).reshape([texts, self.num_classes()])
    }

    /// Mean cross-entropy, in nats, of the texts' classes.
    ///
    /// # Shapes
    ///
    /// - hidden: `[1, texts, d_model]`
    /// - classes: `[1, texts]`
    /// - output: `[1]`
    pub fn loss(&self, hidden: Tensor<B, 3>, classes: Tensor<B, 2, Int>) -> Tensor<B, 1> {
        backend::head_cross_entropy(hidden, self.score.weight.val(), classes, None)
    }
}
