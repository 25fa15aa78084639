//! How tokens are chosen, as it is typed.

use std::time::SystemTime;

use clap::Args;
use kiln_inference::Sampling;

/// The heading of these options.
const CHOOSING: &str = "How tokens are chosen";

/// How tokens are chosen.
#[derive(Args, Debug, Clone)]
pub struct SamplingArgs {
    /// Sharpen the distribution below 1, flatten it above; 0 always takes the most probable token.
    #[arg(help_heading = CHOOSING, long, value_name = "T", default_value_t = 0.8, allow_negative_numbers = true, alias = "temp")]
    pub temperature: f64,
    /// Consider only the K most probable tokens; 0 and -1 consider all.
    #[arg(help_heading = CHOOSING, long, value_name = "K", default_value = "0", value_parser = top_k, allow_negative_numbers = true)]
    #[arg(alias = "top_k")]
    pub top_k: usize,
    /// Consider only the most probable tokens that together reach P.
    #[arg(help_heading = CHOOSING, long, value_name = "P", default_value_t = 1.0, allow_negative_numbers = true, alias = "top_p")]
    pub top_p: f64,
    /// Consider only tokens at least P times as probable as the most probable one; 0 considers all.
    #[arg(help_heading = CHOOSING, long, value_name = "P", default_value_t = 0.0, allow_negative_numbers = true, alias = "min_p")]
    pub min_p: f64,
    /// Divide the logits of tokens that occurred by this, or multiply them where they are negative; 1 changes
    /// nothing.
    #[arg(help_heading = CHOOSING, long, value_name = "X", default_value_t = 1.0, allow_negative_numbers = true)]
    #[arg(aliases = ["repeat_penalty", "repetition-penalty", "repetition_penalty"])]
    pub repeat_penalty: f64,
    /// Newest tokens that --repeat-penalty looks at, as in llama.cpp; -1: all, as in transformers.
    #[arg(help_heading = CHOOSING, long, value_name = "N", default_value = "64", value_parser = count, allow_negative_numbers = true)]
    #[arg(alias = "repeat_last_n")]
    pub repeat_last_n: usize,
    /// Subtract this from the logit of a token for each time that it was generated, as OpenAI does; 0 changes nothing.
    #[arg(help_heading = CHOOSING, long, value_name = "X", default_value_t = 0.0, allow_negative_numbers = true)]
    #[arg(alias = "frequency_penalty")]
    pub frequency_penalty: f64,
    /// Subtract this once from the logit of a token that was generated, as OpenAI does; 0 changes nothing.
    #[arg(help_heading = CHOOSING, long, value_name = "X", default_value_t = 0.0, allow_negative_numbers = true)]
    #[arg(alias = "presence_penalty")]
    pub presence_penalty: f64,
    /// Add BIAS to the logit of the token with the id TOKEN; may be repeated.
    #[arg(help_heading = CHOOSING, long, value_name = "TOKEN=BIAS", value_parser = bias, alias = "logit_bias")]
    pub logit_bias: Vec<(u32, f32)>,
    /// Draw from this seed: the same one gives the same text; -1, or none: another one each time.
    #[arg(help_heading = CHOOSING, short, long, value_name = "S", value_parser = seed, allow_negative_numbers = true)]
    pub seed: Option<i128>,
}

impl SamplingArgs {
    /// What was asked for, unchecked.
    pub fn sampling(&self) -> Sampling {
        Sampling {
            temperature: self.temperature,
            top_k: self.top_k,
            top_p: self.top_p,
            min_p: self.min_p,
            repeat_penalty: self.repeat_penalty,
            repeat_last_n: self.repeat_last_n,
            frequency_penalty: self.frequency_penalty,
            presence_penalty: self.presence_penalty,
            logit_bias: self.logit_bias.clone(),
        }
    }

    /// The seed; where nobody asks for a particular one, another each time.
    pub fn seed(&self) -> u64 {
        self.seed.and_then(|seed| u64::try_from(seed).ok()).unwrap_or_else(|| {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
            now.map_or(0, |now| now.as_nanos() as u64)
        })
    }
}

/// A number, or -1 for no limit.
pub fn count(text: &str) -> Result<usize, String> {
    match text {
        "-1" => Ok(usize::MAX),
        _ => text.parse().map_err(|_| "must be a whole number from 0 on, or -1 for no limit".to_owned()),
    }
}

/// A number, or -1 for all, which is 0.
fn top_k(text: &str) -> Result<usize, String> {
    match text {
        "-1" => Ok(0),
        _ => text.parse().map_err(|_| "must be a whole number from 0 on, or -1 for all".to_owned()),
    }
}

/// A token and what is added to its logit.
fn bias(text: &str) -> Result<(u32, f32), String> {
    let parsed = text
        .split_once('=')
        .and_then(|(token, bias)| Some((token.trim().parse().ok()?, bias.trim().parse().ok()?)));
    parsed.ok_or_else(|| "must be the id of a token, `=` and a number, for instance 198=-5".to_owned())
}

/// A seed, or -1 for any.
fn seed(text: &str) -> Result<i128, String> {
    match text.parse() {
        Ok(seed) if (-1..=i128::from(u64::MAX)).contains(&seed) => Ok(seed),
        _ => Err(format!("must be a whole number from 0 to {}, or -1 for any", u64::MAX)),
    }
}

/// A string that ends a text, as it was typed: `\n`, `\r`, `\t` and `\\` stand for what they do in most languages; a backslash
/// before anything else is one.
pub fn stop(text: &str) -> Result<String, String> {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(next) = rest.next() {
        let escaped = match (next, rest.clone().next()) {
            ('\\', Some('n')) => '\n',
            ('\\', Some('r')) => '\r',
            ('\\', Some('t')) => '\t',
            ('\\', Some('\\')) => '\\',
            _ => {
                plain.push(next);
                continue;
            }
        };
        plain.push(escaped);
        rest.next();
    }
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stop_strings_may_be_escaped() {
        assert_eq!(stop(r"\n\n").as_deref(), Ok("\n\n"));
        assert_eq!(stop(r"a\tb\\n\x\").as_deref(), Ok("a\tb\\n\\x\\"));
    }

    #[test]
    fn a_bias_is_a_token_and_a_number() {
        assert_eq!(bias("198=-5"), Ok((198, -5.0)));
        assert_eq!(bias("0=1.5"), Ok((0, 1.5)));
        for wrong in ["198", "the=1", "-1=2", "198=x", "=", ""] {
            assert!(bias(wrong).is_err(), "{wrong}");
        }
    }
}
