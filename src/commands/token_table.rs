//! Tokens with their log-probabilities, as a table for people.

use std::io::Write;

use anyhow::Result;
use kiln_datasets::Tokenizer;

/// Prints a line for each token. Without a tokenizer, tokens are numbers only.
pub fn print(
    mut output: impl Write,
    rows: impl IntoIterator<Item = (u32, Option<f64>)>,
    tokenizer: Option<&Tokenizer>,
) -> Result<()> {
    writeln!(output, "{:>12}  {:>8}  token", "logprob", "id")?;
    for (token, logprob) in rows {
        let text = tokenizer.and_then(|tokenizer| tokenizer.token_bytes(token).ok());
        let text = text.map_or_else(String::new, |text| format!("{:?}", String::from_utf8_lossy(&text)));
        let logprob = logprob.map_or_else(|| "–".to_owned(), |logprob| format!("{logprob:.6}"));
        writeln!(output, "{logprob:>12}  {token:>8}  {text}")?;
    }
    Ok(())
}
