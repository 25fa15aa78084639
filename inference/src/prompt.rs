//! From the text of a prompt to its tokens.

use kiln_datasets::Tokenizer;
use kiln_model::SpecialTokens;

use crate::error::Result;

/// The tokens of a prompt. Special tokens that are written out in it, such as `<|endoftext|>`, are encoded as what
/// they are.
///
/// An empty prompt is the beginning of a text: the token that begins texts, else the one between texts, else a line
/// break, else token 0.
///
/// # Errors
///
/// [`Error::Data`](crate::Error::Data) if it cannot be encoded.
pub fn encode_prompt(
    prompt: &str,
    tokenizer: &Tokenizer,
    special_tokens: &SpecialTokens,
) -> Result<Vec<u32>> {
    let tokens = tokenizer.encode_with_special_tokens(prompt)?;
    if !tokens.is_empty() {
        return Ok(tokens);
    }
    // The files of small models often name GPT-2's tokens, which they do not have.
    let begin = special_tokens.begin.filter(|token| (*token as usize) < tokenizer.vocab_size());
    let begin = begin.or(tokenizer.end_of_text()).map(|token| vec![token]);
    let line_break = || tokenizer.encode("\n").ok().filter(|tokens| !tokens.is_empty());
    Ok(begin.or_else(line_break).unwrap_or_else(|| vec![0]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_prompt_is_the_beginning_of_a_text() {
        let begin = |tokenizer: &Tokenizer, token| {
            let special_tokens = SpecialTokens { begin: token, ..SpecialTokens::default() };
            encode_prompt("", tokenizer, &special_tokens).expect("any text")
        };
        let learned = Tokenizer::train_bpe(["so it goes, so it goes"], 270).expect("room");
        assert_eq!(begin(&learned, None), [0]);
        assert_eq!(begin(&learned, Some(7)), [7]);
        assert_eq!(begin(&learned, Some(50_256)), [0]);
        assert_eq!(begin(&Tokenizer::open("byte").expect("built in"), None), [10]);
        assert_eq!(begin(&Tokenizer::characters_of("a\nb"), None), [0]);
        assert_eq!(begin(&Tokenizer::characters_of("ab"), None), [0]);
    }
}
