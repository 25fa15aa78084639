//! Chat templates of Hugging Face: Jinja, as transformers renders it.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use minijinja::{Environment, context};
use serde_json::{Map, Value, json};

use super::marks::Guard;
use super::rendering::{Asked, Rendering};
use super::{generation, python};
use crate::Tokenizer;
use crate::examples::{Message, Role};
use crate::tokenizer::ROLES;

const NAME: &str = "template";

/// A chat template: the text of `chat_template.jinja`, or of `chat_template` in `tokenizer_config.json`.
#[derive(Clone)]
pub struct ChatTemplate {
    name: String,
    source: String,
    environment: Arc<Environment<'static>>,
    /// Whether it says where its answers are.
    marks_answers: bool,
    /// Special tokens, which it may name.
    named: Map<String, Value>,
}

impl fmt::Debug for ChatTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ChatTemplate").field(&self.name).finish()
    }
}

impl ChatTemplate {
    /// Reads a template; `name` is for messages.
    ///
    /// # Errors
    ///
    /// What is wrong with it, in words.
    pub fn parse(source: &str, name: &str) -> Result<Self, String> {
        let mut environment = Environment::new();
        python::set_up(&mut environment);
        let (calls, marks_answers) = generation::with_marks(source);
        environment.add_template_owned(NAME, calls).map_err(|error| worded(&error))?;
        let environment = Arc::new(environment);
        let (name, source) = (name.to_owned(), source.to_owned());
        Ok(Self { name, source, environment, marks_answers, named: Map::new() })
    }

    /// The template, which may name the special tokens of `tokenizer`.
    #[must_use]
    pub fn with_tokens_of(mut self, tokenizer: &Tokenizer) -> Self {
        let token = |role: &str| tokenizer.decode(&[tokenizer.special_token(role)?]).ok();
        let named = ROLES.into_iter().filter_map(|role| Some((role.to_owned(), json!(token(role)?))));
        self.named = named.collect();
        self
    }

    /// The template as it was read.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// What messages call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The text of a conversation, as `apply_chat_template` gives it.
    ///
    /// # Errors
    ///
    /// What the template says where it refuses the conversation.
    pub fn text(&self, messages: &[Message], tools: &[Value], open: bool) -> Result<String, String> {
        let marked = self.marked(&Asked { messages, tools, open })?;
        Ok(generation::without_marks(&marked).text)
    }

    /// With marks around answers, where the template says where they are.
    fn marked(&self, asked: &Asked<'_>) -> Result<String, String> {
        let template = self.environment.get_template(NAME).map_err(|error| worded(&error))?;
        let messages: Vec<Value> = asked.messages.iter().map(turn).collect();
        let tools = Some(asked.tools).filter(|tools| !tools.is_empty());
        let values = context! {
            messages => messages, tools => tools, documents => (), add_generation_prompt => asked.open,
            ..minijinja::Value::from_serialize(&self.named)
        };
        template.render(values).map_err(|error| worded(&error))
    }

    /// A conversation, and where its answers are.
    pub(super) fn render(&self, asked: &Asked<'_>, special: &Guard) -> Result<Rendering, String> {
        let mut rendering = generation::without_marks(&self.marked(asked)?);
        let answers = (0..).zip(asked.messages).filter(|(_, message)| message.role == Role::Assistant);
        if self.marks_answers {
            let (marked, expected) = (rendering.answers.len(), answers.count());
            if marked != expected && !asked.open {
                return Err(format!("it marks {marked} answers where there are {expected}"));
            }
            return Ok(rendering);
        }
        let found = answers.map(|(index, _)| self.answer(asked, index, &rendering.text, special));
        rendering.answers = match asked.open {
            // What is only to be continued may be written in another way than what was learned.
            true => found.filter_map(Result::ok).collect(),
            false => found.collect::<Result<_, _>>()?,
        };
        Ok(rendering)
    }

    /// Where answer `index` is in the `text` of the whole conversation: behind what the model is given when it is to
    /// answer, up to the token that ends its turn.
    fn answer(
        &self,
        asked: &Asked<'_>,
        index: usize,
        text: &str,
        special: &Guard,
    ) -> Result<Range<usize>, String> {
        let part = |end, open| {
            self.text(&asked.messages[..end], asked.tools, open)
                .map_err(|reason| format!("up to turn {end}: {reason}"))
        };
        let (prompt, answered) = (part(index, true)?, part(index + 1, false)?);
        if !text.starts_with(&answered) || !answered.starts_with(&prompt) {
            return Err(format!(
                "it writes turn {} in another way when it goes on, and does not say where its answers are \
                 with {{% generation %}}",
                index + 1
            ));
        }
        let answer = &text[prompt.len()..answered.len()];
        let end = special.find(answer).map(|(range, _)| range.end).last();
        let end = end.filter(|end| answer[*end..].trim().is_empty()).unwrap_or(answer.len());
        Ok(prompt.len()..prompt.len() + end)
    }
}

/// A message as templates know it.
fn turn(message: &Message) -> Value {
    let mut turn = Map::from_iter([
        ("role".to_owned(), json!(message.role.name())),
        ("content".to_owned(), json!(message.text())),
    ]);
    turn.extend(message.fields.iter().map(|(key, value)| (key.clone(), value.clone())));
    Value::Object(turn)
}

/// What went wrong, with the line of the template unless it was the template that said it.
fn worded(error: &minijinja::Error) -> String {
    let what = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
    match error.line() {
        Some(line) if error.kind() != minijinja::ErrorKind::InvalidOperation => {
            format!("line {line}: {what}")
        }
        _ => what,
    }
}
