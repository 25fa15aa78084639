//! What both kinds of completions are asked for alike.

use kiln_datasets::mix;
use serde_json::Value;

use super::app::Facts;
use super::error::{ApiError, Result};
use super::fields::{Fields, whole, wrong};
use super::{fresh, response_format, steering, stop_strings};
use crate::request::{GenerateOptions, WhenFull};
use crate::sampling::Sampling;

/// Texts for one prompt at most.
const MOST_CHOICES: i128 = 16;

/// How texts are to be written and told.
#[derive(Debug)]
pub(super) struct Parameters {
    /// How each text is generated; without its limit, which the kinds of completions have in different ways.
    pub options: GenerateOptions,
    /// The steering that was asked for, as the answer tells it.
    pub steering: Option<Value>,
    /// Strings that end a text.
    pub stop: Vec<String>,
    /// Texts for each prompt.
    pub n: usize,
    /// Texts that are written for each prompt, of which the `n` most probable are told.
    pub best_of: usize,
    /// Whether the answer comes piece by piece.
    pub stream: bool,
    /// Whether a stream ends with the numbers of tokens.
    pub include_usage: bool,
}

impl Parameters {
    /// Takes them from a request, whose texts are over at the tokens `end` unless it says otherwise.
    pub(super) fn take(fields: &mut Fields, facts: &Facts, end: &[u32]) -> Result<Self> {
        let constraint = response_format::take(fields, facts)?;
        let (n, stream) = (fields.integer("n", 1..=MOST_CHOICES)?.unwrap_or(1), fields.flag("stream")?);
        let best_of = fields.integer("best_of", 1..=MOST_CHOICES)?.unwrap_or(n);
        if best_of < n {
            let message = format!("`best_of` must be at least `n`, but {best_of} is less than {n}.");
            return Err(ApiError::invalid("best_of", message));
        }
        if best_of > n && stream {
            return Err(ApiError::invalid(
                "best_of",
                "The best of several texts is known at their end: leave out `stream` or `best_of`.",
            ));
        }
        let include_usage = match fields.value("stream_options") {
            None => false,
            Some(Value::Object(options)) => Fields::new(options).flag("include_usage")?,
            Some(other) => return Err(wrong("stream_options", &other, "an object")),
        };
        let ignores_end = fields.flag("ignore_eos")?;
        // What has a form ends where it is whole, at any token that can say so.
        let stop = match (&constraint, ignores_end) {
            (Some(_), _) => &facts.ends_of_turns,
            (None, true) => &[][..],
            (None, false) => end,
        };
        let (steering, told) = steering::take(fields, facts)?;
        let options = GenerateOptions {
            steering,
            stop: stop.to_vec(),
            vocab_size: Some(facts.tokenizer.vocab_size()),
            when_full: WhenFull::End,
            sampling: sampling(fields, facts)?,
            seed: seed(fields)?,
            constraint,
            ..GenerateOptions::default()
        };
        options.sampling.validate()?;
        let stop = stop_strings::take(fields)?;
        Ok(Self {
            options,
            steering: told,
            stop,
            n: n as usize,
            best_of: best_of as usize,
            stream,
            include_usage,
        })
    }

    /// How choice `index` of a prompt is generated. The first one draws from the seed itself, so that it is the text that one
    /// gets who asks for one.
    pub(super) fn options_of(&self, index: usize) -> GenerateOptions {
        let seed = if index == 0 { self.options.seed } else { mix(self.options.seed, index as u64) };
        GenerateOptions { seed, ..self.options.clone() }
    }
}

fn sampling(fields: &mut Fields, facts: &Facts) -> Result<Sampling> {
    let most = i128::from(u32::MAX);
    let size = |number: i128| usize::try_from(number).ok();
    let repetition = fields.number("repetition_penalty", 0.01..=10.0)?;
    Ok(Sampling {
        temperature: fields.number("temperature", 0.0..=2.0)?.unwrap_or(1.0),
        top_p: fields.number("top_p", 0.0..=1.0)?.unwrap_or(1.0),
        // -1 is vLLM's word for all.
        top_k: fields.integer("top_k", -1..=most)?.and_then(size).unwrap_or(0),
        min_p: fields.number("min_p", 0.0..=1.0)?.unwrap_or(0.0),
        repeat_penalty: fields.number("repeat_penalty", 0.01..=10.0)?.or(repetition).unwrap_or(1.0),
        repeat_last_n: fields.integer("repeat_last_n", -1..=most)?.and_then(size).unwrap_or(usize::MAX),
        frequency_penalty: fields.number("frequency_penalty", -2.0..=2.0)?.unwrap_or(0.0),
        presence_penalty: fields.number("presence_penalty", -2.0..=2.0)?.unwrap_or(0.0),
        logit_bias: logit_bias(fields, facts)?,
    })
}

/// Takes `{"token": bias}`.
fn logit_bias(fields: &mut Fields, facts: &Facts) -> Result<Vec<(u32, f32)>> {
    let biases = match fields.value("logit_bias") {
        None => return Ok(Vec::new()),
        Some(Value::Object(biases)) => biases,
        Some(other) => return Err(wrong("logit_bias", &other, "an object")),
    };
    let all = facts.tokenizer.vocab_size();
    biases
        .into_iter()
        .map(|(token, bias)| {
            let id = token.parse().ok().filter(|id: &u32| (*id as usize) < all);
            let id = id.ok_or_else(|| {
                let token: String = token.chars().take(40).collect();
                let message = format!("`logit_bias` names tokens from 0 to {}, not {token:?}.", all - 1);
                ApiError::invalid("logit_bias", message)
            })?;
            let within = bias.as_f64().filter(|bias| (-100.0..=100.0).contains(bias));
            within
                .map(|bias| (id, bias as f32))
                .ok_or_else(|| wrong("logit_bias", &bias, "numbers from -100 to 100"))
        })
        .collect()
}

/// Takes `seed`; -1, or none, is another one each time.
fn seed(fields: &mut Fields) -> Result<u64> {
    let seed = fields.integer("seed", i128::from(i64::MIN)..=i128::from(u64::MAX))?;
    Ok(match seed {
        None | Some(-1) => fresh::number(),
        Some(seed) => seed as u64,
    })
}

/// Takes a limit of tokens under one of its names, the first of which counts.
pub(super) fn max_tokens(fields: &mut Fields, names: &[&str]) -> Result<Option<usize>> {
    let mut limit = None;
    for name in names {
        limit = limit.or(fields.count(name, u32::MAX as usize)?);
    }
    Ok(limit)
}

/// Takes how many of the most probable tokens are told at each place.
pub(super) fn top(fields: &mut Fields, name: &str) -> Result<Option<usize>> {
    fields.count(name, 20)
}

/// A token of a list, as the model numbers it.
pub(super) fn token(name: &str, value: &Value, facts: &Facts) -> Result<u32> {
    let id = whole(value).and_then(|id| u32::try_from(id).ok());
    id.filter(|id| (*id as usize) < facts.rows)
        .ok_or_else(|| wrong(name, value, format!("a list of tokens from 0 to {}", facts.rows - 1)))
}
