//! What `tests/reference/chat_templates.py` asks of this crate.
//!
//! ```sh
//! render save KIND FILE FOLDER            a tokenizer with the tokens of a conversation: char and bpe learn the text of
//!                                         the file, byte and gpt2 need none
//! render chat FOLDER TEMPLATE FILE.jsonl  each conversation as a line of JSON: its text, the text up to its last answer,
//!                                         its tokens and which of them are learned, or why not; "-" is the template of
//!                                         the folder's tokenizer
//! ```

use std::io::{BufWriter, Write};
use std::path::Path;

use kiln_datasets::examples::{ChatTemplate, Conversation, Conversations, ExampleEncoder, Template};
use kiln_datasets::{BpeTrainer, ReadOptions, Source, Tokenizer};
use serde_json::{Value, json};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["save", kind, file, folder] => Ok(tokenizer(kind, file)?.save(Path::new(folder))?),
        ["chat", folder, template, file] => chat(folder, template, file),
        _ => Err("usage: render save KIND FILE FOLDER | render chat FOLDER TEMPLATE FILE.jsonl".into()),
    }
}

fn tokenizer(kind: &str, file: &str) -> Outcome<Tokenizer> {
    let text = std::fs::read_to_string(file)?;
    Ok(match kind {
        "char" => Tokenizer::characters_of(&text).with_chat_tokens()?,
        "bpe" => {
            let mut trainer = BpeTrainer::default();
            trainer.add(&text);
            trainer.train_with_chat_tokens(400)?
        }
        name => Tokenizer::open(name)?.with_chat_tokens()?,
    })
}

fn chat(folder: &str, name: &str, file: &str) -> Outcome<()> {
    let tokenizer = Tokenizer::open(folder)?;
    let template = match name {
        "-" => Template::of(&tokenizer, None)?,
        name => Template::open(name, &tokenizer)?,
    };
    let Template::Chat(jinja) = &template else { return Err("the tokenizer has no template".into()) };
    let jinja = jinja.clone();
    let encoder = ExampleEncoder::new(&tokenizer, template, usize::MAX - 1, false)?;
    let read = Conversations::read(&Source::new(file), &ReadOptions::default())?;
    let mut output = BufWriter::new(std::io::stdout().lock());
    for conversation in &read.conversations {
        writeln!(output, "{}", answer(&jinja, &encoder, conversation))?;
    }
    Ok(output.flush()?)
}

fn answer(template: &ChatTemplate, encoder: &ExampleEncoder, conversation: &Conversation) -> Value {
    let Conversation { messages, tools, .. } = conversation;
    let rendered = template.text(messages, tools, false);
    let prompt = template.text(&messages[..messages.len() - 1], tools, true);
    let (Ok(text), Ok(prompt)) = (&rendered, &prompt) else {
        return json!({"refused": rendered.and(prompt).err()});
    };
    match encoder.encode(conversation) {
        Ok(encoded) => {
            json!({"text": text, "prompt": prompt, "tokens": encoded.tokens, "trained": encoded.trained})
        }
        Err(error) => json!({"text": text, "prompt": prompt, "unmasked": error.to_string()}),
    }
}
