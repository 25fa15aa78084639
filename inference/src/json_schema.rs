//! Texts that are JSON of a schema, through [llguidance](https://github.com/guidance-ai/llguidance).

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use kiln_datasets::Tokenizer;
use llguidance::api::TopLevelGrammar;
use llguidance::toktrie::{ApproximateTokEnv, TokEnv, TokRxInfo, TokTrie};
use llguidance::{JsonCompileOptions, Matcher, ParserFactory};
use serde_json::Value;

use crate::constraint::{ConstrainedText, Constraint};
use crate::error::{Error, Result};

/// States of the rules of one schema at most, some 2 kB each.
const MOST_STATES: usize = 20_000;

/// Work for one token at most, in units of which a millisecond has some 14,000.
const MOST_WORK: u64 = 70_000;

/// Remainders of a `multipleOf` at most.
const MOST_REMAINDERS: f64 = 10_000.0;

/// Makes constraints of JSON schemas, for the tokens of one tokenizer.
pub struct JsonSchemas {
    factory: ParserFactory,
}

impl JsonSchemas {
    /// Reads the tokens of a tokenizer, of which `ends` may end a text.
    ///
    /// # Errors
    ///
    /// [`Error::Data`] from a tokenizer that is damaged, [`Error::Constraint`] if a constraint cannot be made for it.
    pub fn new(tokenizer: &Tokenizer, ends: &[u32]) -> Result<Self> {
        let special: Vec<u32> = tokenizer.special_tokens().into_iter().map(|(_, token)| token).collect();
        let vocab_size = tokenizer.vocab_size();
        let mut words = (0..vocab_size as u32)
            .map(|token| tokenizer.token_bytes(token).map_err(Error::from))
            .collect::<Result<Vec<_>>>()?;
        for token in special.iter().chain(ends) {
            if let Some(word) = words.get_mut(*token as usize) {
                // What the model may not spell out.
                word.insert(0, TokTrie::SPECIAL_TOKEN_MARKER);
            }
        }
        let ends: Vec<u32> = ends.iter().copied().filter(|token| (*token as usize) < vocab_size).collect();
        let Some(first) = ends.first() else {
            return Err(Error::Constraint("this model has no token that ends a text".to_owned()));
        };
        let trie = TokTrie::from(&TokRxInfo::new(vocab_size as u32, *first), &words).with_eos_tokens(&ends);
        let tokens: TokEnv = Arc::new(ApproximateTokEnv::new(trie));
        let mut factory = ParserFactory::new_simple(&tokens).map_err(constraint)?;
        factory.quiet();
        let limits = factory.limits_mut();
        limits.verbose_errors = false;
        limits.max_lexer_states = MOST_STATES;
        limits.step_lexer_fuel = MOST_WORK;
        Ok(Self { factory })
    }

    /// The constraint of a schema. Members come in the order of the schema, with one space after commas and colons and no other
    /// between them, since a small model may never come out of blanks.
    ///
    /// # Errors
    ///
    /// [`Error::Constraint`] for what is no schema, and for a schema with what is not supported, which is named.
    pub fn constraint(&self, schema: &Value) -> Result<Arc<dyn Constraint>> {
        let mut schema = match schema {
            Value::Object(_) => schema.clone(),
            // `true` allows everything.
            Value::Bool(true) => serde_json::json!({}),
            other => return Err(Error::Constraint(format!("a JSON schema is an object, not {other}"))),
        };
        let layout = JsonCompileOptions {
            item_separator: ", ".to_owned(),
            key_separator: ": ".to_owned(),
            whitespace_flexible: false,
            ..JsonCompileOptions::default()
        };
        check_divisors(&schema)?;
        layout.apply_to(&mut schema);
        let parser =
            self.factory.create_parser(TopLevelGrammar::from_json_schema(schema)).map_err(constraint)?;
        let start = Matcher::new(Ok(parser));
        // Some schemas turn out to be too large only here.
        start.deep_clone().compute_mask().map_err(constraint)?;
        Ok(Arc::new(JsonSchema { start: Mutex::new(start) }))
    }
}

impl fmt::Debug for JsonSchemas {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("JsonSchemas").finish_non_exhaustive()
    }
}

/// Refuses a `multipleOf` with so many remainders that making rules of them takes seconds, which no limit of the library counts.
fn check_divisors(schema: &Value) -> Result<()> {
    match schema {
        Value::Object(members) => {
            let divisor = members.get("multipleOf").and_then(Value::as_f64).unwrap_or(1.0);
            let mut remainders = divisor.abs();
            while remainders.fract() > 0.0 && remainders < MOST_REMAINDERS {
                remainders *= 10.0;
            }
            if remainders > MOST_REMAINDERS {
                return Err(Error::Constraint(format!("multipleOf {divisor} has more than four digits")));
            }
            members.values().try_for_each(check_divisors)
        }
        Value::Array(items) => items.iter().try_for_each(check_divisors),
        _ => Ok(()),
    }
}

fn constraint(error: impl fmt::Display) -> Error {
    Error::Constraint(error.to_string())
}

/// A schema, before the first token.
struct JsonSchema {
    start: Mutex<Matcher>,
}

impl Constraint for JsonSchema {
    fn start(&self) -> Box<dyn ConstrainedText> {
        let start = self.start.lock().unwrap_or_else(PoisonError::into_inner);
        Box::new(JsonText { matcher: start.deep_clone() })
    }
}

impl fmt::Debug for JsonSchema {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("JsonSchema").finish_non_exhaustive()
    }
}

/// JSON, as far as it is written.
struct JsonText {
    matcher: Matcher,
}

impl ConstrainedText for JsonText {
    fn mask(&mut self, logits: &mut [f32]) -> Result<()> {
        let allowed = self.matcher.compute_mask_or_eos().map_err(constraint)?;
        let tokens = allowed.len().min(logits.len());
        // Words of 32 tokens, as a rule all of them out.
        for (word, logits) in allowed.as_slice().iter().zip(logits[..tokens].chunks_mut(32)) {
            for (bit, logit) in logits.iter_mut().enumerate() {
                if word >> bit & 1 == 0 {
                    *logit = f32::NEG_INFINITY;
                }
            }
        }
        logits[tokens..].fill(f32::NEG_INFINITY);
        match logits.iter().any(|logit| *logit > f32::NEG_INFINITY) {
            true => Ok(()),
            false => Err(Error::Constraint("no token can come next".to_owned())),
        }
    }

    fn observe(&mut self, token: u32) -> Result<()> {
        self.matcher.consume_token(token).map_err(constraint)
    }

    fn is_over(&self) -> bool {
        self.matcher.is_stopped()
    }
}

impl fmt::Debug for JsonText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("JsonText")
            .field("is_over", &self.matcher.is_stopped())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use kiln_datasets::mix;
    use serde_json::json;

    use super::*;
    use crate::{Sampling, TokenSampler};

    /// Tokens of several characters, JSON's signs among them, and one that ends texts.
    fn tokenizer() -> Tokenizer {
        let texts =
            ["{\"name\": \"fox\", \"age\": 12}, [1, 2, 3], true, \"a fox in a box\"", "{\"name\": \"ox\"}"];
        let tokenizer = Tokenizer::train_bpe(texts, 320).and_then(|tokenizer| tokenizer.with_chat_tokens());
        tokenizer.expect("texts to learn from")
    }

    /// What is written of a form by somebody who chooses at random.
    fn written(schema: &Value, seed: u64) -> (Tokenizer, Vec<u32>, bool) {
        let tokenizer = tokenizer();
        let ends = [tokenizer.end_of_text().expect("it has one")];
        let schemas = JsonSchemas::new(&tokenizer, &ends).expect("a sound tokenizer");
        let mut form = schemas.constraint(schema).expect("a schema").start();
        let mut sampler = TokenSampler::new(Sampling { temperature: 1.0, ..Sampling::default() }, seed);
        let mut tokens = Vec::new();
        for step in 0..400 {
            let logit = |token| (mix(mix(seed, step), token) % 1000) as f32 / 300.0;
            let mut logits: Vec<f32> = (0..tokenizer.vocab_size() as u64).map(logit).collect();
            form.mask(&mut logits).expect("some token can come next");
            let token = sampler.next(&logits);
            if ends.contains(&token) {
                return (tokenizer, tokens, true);
            }
            tokens.push(token);
            form.observe(token).expect("it was not masked");
            if form.is_over() {
                return (tokenizer, tokens, true);
            }
        }
        (tokenizer, tokens, false)
    }

    #[test]
    fn whoever_chooses_at_random_writes_what_the_schema_says() {
        let schema = json!({
            "type": "object",
            "properties": {
                "name": { "type": "string", "maxLength": 6 },
                "age": { "type": "integer", "minimum": 0, "maximum": 120 },
                "kind": { "enum": ["fox", "ox"] },
                "tags": { "type": "array", "items": { "type": "boolean" }, "minItems": 1, "maxItems": 3 },
            },
            "required": ["name", "age", "kind", "tags"],
            "additionalProperties": false,
        });
        for seed in 0..40 {
            let (tokenizer, tokens, is_whole) = written(&schema, seed);
            let text = tokenizer.decode(&tokens).expect("its own tokens");
            assert!(is_whole, "{text}");
            let value: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
            let names: Vec<&String> = value.as_object().expect("an object").keys().collect();
            assert_eq!(names, ["name", "age", "kind", "tags"]);
            assert!(value["name"].as_str().is_some_and(|name| name.chars().count() <= 6), "{text}");
            assert!(value["age"].as_u64().is_some_and(|age| age <= 120), "{text}");
            assert!(["fox", "ox"].contains(&value["kind"].as_str().expect("a string")), "{text}");
            let tags = value["tags"].as_array().expect("a list");
            assert!((1..=3).contains(&tags.len()) && tags.iter().all(Value::is_boolean), "{text}");
        }
    }

    #[test]
    fn a_special_token_is_no_part_of_a_string() {
        let end = tokenizer().turn_end().expect("it has chat tokens");
        for seed in 0..20 {
            let (_, tokens, _) =
                written(&json!({ "type": "string", "minLength": 20, "maxLength": 30 }), seed);
            assert!(!tokens.contains(&end));
        }
    }

    #[test]
    fn what_cannot_be_followed_is_refused() {
        let tokenizer = tokenizer();
        let end = tokenizer.end_of_text().expect("it has one");
        let schemas = JsonSchemas::new(&tokenizer, &[end]).expect("a sound tokenizer");
        for schema in [
            json!({ "type": "tree" }),
            json!([]),
            json!(false),
            json!({ "type": "string", "pattern": "(" }),
            json!({ "$ref": "https://example.org/schema.json" }),
            json!({ "uniqueItems": true, "type": "array" }),
            json!({ "items": [{ "type": "integer", "multipleOf": 999_983 }] }),
            json!({ "type": "number", "multipleOf": 2.71937 }),
        ] {
            let refused = schemas.constraint(&schema);
            assert!(matches!(refused, Err(Error::Constraint(_))), "{schema}: {refused:?}");
        }
        let ends: [&[u32]; 2] = [&[], &[99_999]];
        for ends in ends {
            assert!(JsonSchemas::new(&tokenizer, ends).is_err());
        }
    }
}
