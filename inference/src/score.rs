//! How probable a model finds a given text.

use burn::tensor::activation::log_softmax;
use kiln_model::{Backend, GptModel, NoTap, Tap, token_tensor};

use crate::error::{Error, Result};
use crate::logits::check_finite;
use crate::tokens::{check_tokens, upload};

/// Log-probabilities of a text's tokens.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct TextScore {
    /// Natural logarithm of each token's probability given those before it; the first has none.
    pub logprobs: Vec<Option<f64>>,
    /// Mean negative log-probability, in nats per predicted token.
    pub loss: f64,
    /// Logits at every position, row by row: `[tokens, vocab]`.
    pub logits: Vec<f32>,
}

/// Scores `tokens` in one forward pass.
///
/// # Errors
///
/// [`Error::TooShort`], [`Error::TooLong`] or [`Error::UnknownToken`] for the tokens, [`Error::NotFinite`] for the model.
pub fn score<B: Backend>(model: &GptModel<B>, tokens: &[u32]) -> Result<TextScore> {
    score_tapped(model, tokens, &mut NoTap)
}

/// [`score()`] with a tap, for instance one that [steers](crate::SteeringTap).
///
/// # Errors
///
/// Those of [`score()`].
pub fn score_tapped<B: Backend>(
    model: &GptModel<B>,
    tokens: &[u32],
    tap: &mut impl Tap<B>,
) -> Result<TextScore> {
    check_tokens(model, tokens)?;
    let context_length = model.config().context_length;
    match tokens.len() {
        length @ 0..2 => return Err(Error::TooShort { tokens: length }),
        length if length > context_length => return Err(Error::TooLong { tokens: length, context_length }),
        _ => {}
    }
    let logits = model.forward_tapped(upload(model, tokens), None, tap); // [1, tokens, vocab]
    let [_, length, vocab] = logits.dims();
    let logits = logits.reshape([length, vocab]);
    let values: Vec<f32> = logits.to_data().iter::<f32>().collect();
    check_finite(&values, vocab, 0)?;

    let targets = token_tensor(tokens[1..].to_vec(), [length - 1, 1], &logits.device());
    let chosen = log_softmax(logits.narrow(0, 0, length - 1), 1).gather(1, targets); // [tokens - 1, 1]
    let chosen: Vec<f64> = chosen.into_data().iter::<f64>().collect();
    let loss = -chosen.iter().sum::<f64>() / chosen.len() as f64;
    Ok(TextScore {
        logprobs: std::iter::once(None).chain(chosen.into_iter().map(Some)).collect(),
        loss,
        logits: values,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn_ndarray::NdArray;
    use kiln_model::GptConfig;

    #[test]
    fn logprobs_are_those_of_the_logits() {
        let config =
            GptConfig { vocab_size: 11, context_length: 8, init_std: 0.3, ..GptConfig::new(1, 2, 8) };
        let model: GptModel<NdArray> = config.init(3, &Default::default()).expect("valid");
        let tokens = [1, 5, 10, 0];
        let score = score(&model, &tokens).expect("short enough");
        assert_eq!(score.logprobs[0], None);
        for (position, (row, token)) in score.logits.chunks(11).zip(&tokens[1..]).enumerate() {
            let sum: f64 = row.iter().map(|logit| f64::from(*logit).exp()).sum();
            let expected = f64::from(row[*token as usize]) - sum.ln();
            let ours = score.logprobs[position + 1].expect("predicted");
            assert!((ours - expected).abs() < 1e-5, "{ours} against {expected}");
        }
        let mean = score.logprobs.iter().flatten().sum::<f64>() / -3.0;
        assert!((score.loss - mean).abs() < 1e-12);
    }

    #[test]
    fn impossible_lengths_are_errors() {
        let config = GptConfig { vocab_size: 11, context_length: 4, ..GptConfig::new(1, 1, 4) };
        let model: GptModel<NdArray> = config.init(3, &Default::default()).expect("valid");
        assert!(matches!(score(&model, &[1]), Err(Error::TooShort { tokens: 1 })));
        assert!(matches!(score(&model, &[1; 5]), Err(Error::TooLong { tokens: 5, context_length: 4 })));
    }
}
