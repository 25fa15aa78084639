//! What `kiln generate` prints.

use std::io::Write;

use anyhow::Result;
use kiln_datasets::Tokenizer;
use kiln_inference::{Completion, TokenLogprob};
use serde_json::{Value, json};

use super::Text;
use crate::cli::inference::Generate;
use crate::commands::token_table;
use crate::output::{self, Output};
use crate::word_wrap::WordWrap;

/// Prints texts as they come, or one JSON object a line for each that is over.
pub struct Report<'a, W: Write> {
    output: WordWrap<W>,
    tokenizer: &'a Tokenizer,
    json: bool,
    logprobs: bool,
    chat: bool,
    /// Texts that are over.
    printed: usize,
}

impl<'a> Report<'a, Output> {
    pub fn new(args: &Generate, tokenizer: &'a Tokenizer) -> Self {
        let (json, logprobs) = (args.common.json, args.logprobs);
        let output = WordWrap::to_terminal(output::stdout());
        Self { output, tokenizer, json, logprobs, chat: args.chat, printed: 0 }
    }
}

impl<W: Write> Report<'_, W> {
    /// The beginning of a text: its prompt, unless that is answered and not continued.
    pub fn start(&mut self, text: &Text) -> Result<()> {
        if self.printed > 0 && !self.json {
            writeln!(self.output, "---------------")?;
        }
        if self.chat { Ok(()) } else { self.piece(&text.prompt) }
    }

    /// A part of a text.
    pub fn piece(&mut self, piece: &str) -> Result<()> {
        if !self.json {
            self.output.push(piece)?;
        }
        Ok(())
    }

    /// The end of a text.
    pub fn finish(
        &mut self,
        text: &Text,
        written: &str,
        completion: &Completion,
        tokens_per_second: f64,
    ) -> Result<()> {
        if self.json {
            let object = self.object(text, written, completion, tokens_per_second);
            writeln!(self.output, "{object}")?;
        } else {
            self.output.finish()?;
            writeln!(self.output)?;
            if self.logprobs {
                let logprobs = completion.logprobs.iter().map(|found| Some(found.logprob));
                let rows = completion.tokens.iter().copied().zip(logprobs);
                token_table::print(&mut self.output, rows, Some(self.tokenizer))?;
            }
        }
        self.printed += 1;
        Ok(())
    }

    fn object(&self, text: &Text, written: &str, completion: &Completion, tokens_per_second: f64) -> Value {
        let mut object = json!({
            "prompt_tokens": text.request.prompt,
            "tokens": completion.tokens,
            "text": written,
            "tokens_per_second": tokens_per_second,
            "finish_reason": completion.finish_reason,
            "prompt": text.prompt,
            "index": text.index,
            "seed": text.request.options.seed,
        });
        if let Some(top) = text.request.options.logprobs {
            let chosen: Vec<f64> = completion.logprobs.iter().map(|found| found.logprob).collect();
            object["logprobs"] = json!(chosen);
            if top > 0 {
                object["top_logprobs"] = completion.logprobs.iter().map(|found| self.top(found)).collect();
            }
        }
        object
    }

    fn top(&self, found: &TokenLogprob) -> Value {
        let tokens = found.top.iter().map(|(token, logprob)| {
            // A row of the model beyond the tokenizer's tokens has no text.
            let text = self.tokenizer.token_bytes(*token).ok();
            let text = text.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
            json!({ "token": token, "text": text, "logprob": logprob })
        });
        tokens.collect()
    }
}
