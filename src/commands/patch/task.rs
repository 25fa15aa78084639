//! The two texts and the two answers, as tokens.

use anyhow::{Result, anyhow, bail};
use kiln_datasets::Tokenizer;
use kiln_inference::{Direction, PatchTask};

use crate::cli::patch::Patch;

/// Two texts that can be patched into each other, and what they are made of.
pub struct Texts {
    pub task: PatchTask,
    /// The answers as they were typed.
    pub answers: [String; 2],
    /// The tokens of the answers with a space before each, where these are one token each too.
    pub spaced_answers: Option<[u32; 2]>,
    tokenizer: Tokenizer,
}

impl Texts {
    pub fn read(args: &Patch, tokenizer: Tokenizer) -> Result<Self> {
        let clean = tokenizer.encode_with_special_tokens(&args.clean)?;
        let corrupt = tokenizer.encode_with_special_tokens(&args.corrupt)?;
        let answers: Vec<&str> = args.answers.split(',').collect();
        let [first, second] = answers[..] else {
            bail!(
                "--answers {:?}: {} answers, and two are compared\nhint: with a comma between them: --answers \" Paris, Rome\"",
                args.answers,
                answers.len()
            );
        };
        if clean.is_empty() {
            bail!("--clean: the text has no tokens\nhint: give at least one character to continue from");
        }
        if clean.len() != corrupt.len() {
            let [shown_clean, shown_corrupt] = [&clean, &corrupt].map(|tokens| shown(&tokenizer, tokens));
            bail!(
                "--clean has {} tokens and --corrupt {}: values change places position by position\n  clean    \
                 {shown_clean}\n  corrupt  {shown_corrupt}\nhint: replace words by others of as many tokens",
                clean.len(),
                corrupt.len()
            );
        }
        if clean == corrupt {
            bail!(
                "--clean and --corrupt are the same text\nhint: change the word that the answers depend on"
            );
        }
        let tokens = [single_token(&tokenizer, first)?, single_token(&tokenizer, second)?];
        if tokens[0] == tokens[1] {
            bail!("--answers {:?}: both are the same token", args.answers);
        }
        let spaced = [first, second].map(|answer| {
            let spaced = tokenizer.encode(&format!(" {answer}")).ok()?;
            <[u32; 1]>::try_from(spaced).ok().filter(|_| !answer.starts_with(' ')).map(|[token]| token)
        });
        let direction = if args.noising { Direction::Noising } else { Direction::Denoising };
        Ok(Self {
            task: PatchTask { clean, corrupt, answers: tokens, direction },
            answers: [first.to_owned(), second.to_owned()],
            spaced_answers: match spaced {
                [Some(first), Some(second)] => Some([first, second]),
                _ => None,
            },
            tokenizer,
        })
    }

    /// A token as it stands in the text, in quotes.
    pub fn token(&self, token: u32) -> String {
        text(&self.tokenizer, token)
    }

    /// The token at a position; both where the texts differ.
    pub fn at(&self, position: usize) -> String {
        let (clean, corrupt) = (self.task.clean[position], self.task.corrupt[position]);
        if clean == corrupt {
            return self.token(clean);
        }
        format!("{} / {}", self.token(clean), self.token(corrupt))
    }
}

fn text(tokenizer: &Tokenizer, token: u32) -> String {
    match tokenizer.token_bytes(token) {
        Ok(bytes) => format!("{:?}", String::from_utf8_lossy(&bytes)),
        Err(_) => token.to_string(),
    }
}

fn shown(tokenizer: &Tokenizer, tokens: &[u32]) -> String {
    let tokens: Vec<String> = tokens.iter().map(|token| text(tokenizer, *token)).collect();
    tokens.join(" ")
}

/// The only token of an answer.
pub fn single_token(tokenizer: &Tokenizer, answer: &str) -> Result<u32> {
    let tokens = tokenizer.encode(answer)?;
    if let [token] = tokens[..] {
        return Ok(token);
    }
    if tokens.is_empty() {
        bail!(
            "--answers: one of them is empty\nhint: two words with a comma between them: --answers \" Paris, Rome\""
        );
    }
    let found = format!("--answers: {answer:?} is {} tokens, {}", tokens.len(), shown(tokenizer, &tokens));
    let is_one = |text: &str| tokenizer.encode(text).is_ok_and(|tokens| tokens.len() == 1);
    let (spaced, bare) = (format!(" {answer}"), answer.trim_start());
    Err(if is_one(&spaced) {
        anyhow!("{found}\nhint: with the space before it, {spaced:?} is one")
    } else if bare != answer && is_one(bare) {
        anyhow!("{found}\nhint: without the space before it, {bare:?} is one")
    } else {
        anyhow!(
            "{found}\nhint: choose words that are one token each, or the first tokens of yours: the model answers one token"
        )
    })
}
