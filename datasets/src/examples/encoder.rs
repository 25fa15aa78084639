//! From conversations to tokens: the one way that training and inference share.

use super::encoded::{Encoded, EncodedExamples};
use super::fitting::Fitting;
use super::template::{Asked, Guard, Rendering, without_marks};
use super::{Conversation, Flaw, Message, Provenance, Role, Template};
use crate::Tokenizer;
use crate::error::Result;

/// Encodes conversations with a template.
///
/// Prompts are masked by their place: an answer and the token that ends it are learned, headers of turns are not. The
/// text is encoded piece by piece, cut at special tokens and where an answer begins, so that a prompt has the same
/// tokens in training and when it is to be continued. A special token that someone wrote out is text.
pub struct ExampleEncoder {
    tokenizer: Tokenizer,
    template: Template,
    special: Guard,
    /// The token that ends an answer, as text.
    turn_end: Option<String>,
    /// Tokens that the model reads at most.
    context_length: usize,
    /// Whether prompts are learned, too.
    train_on_prompt: bool,
}

/// Tokens, and which are learned.
type Masked = (Vec<u32>, Vec<bool>);

impl ExampleEncoder {
    /// An encoder for a model that reads at most `context_length` tokens.
    ///
    /// # Errors
    ///
    /// [`Error::Format`](crate::Error::Format) from a tokenizer that is damaged.
    pub fn new(
        tokenizer: &Tokenizer,
        template: Template,
        context_length: usize,
        train_on_prompt: bool,
    ) -> Result<Self> {
        let special = Guard::new(&tokenizer.special_tokens());
        let turn_end = tokenizer.turn_end().map(|token| tokenizer.decode(&[token])).transpose()?;
        let tokenizer = tokenizer.of_plain_text();
        Ok(Self { tokenizer, template, special, turn_end, context_length, train_on_prompt })
    }

    /// The tokens of a conversation that the model is to continue with an answer.
    ///
    /// # Errors
    ///
    /// [`Error::Example`](crate::Error::Example) if the template refuses it; [`Error::Document`](crate::Error::Document) for a
    /// character that a character tokenizer does not know.
    pub fn prompt(&self, conversation: &Conversation) -> Result<Vec<u32>> {
        let (tokens, _) = self.tokens(conversation, true, &[])?;
        Ok(tokens)
    }

    /// The token that ends the last answer of a conversation, whatever is learned of it; `None` where nobody answers.
    ///
    /// # Errors
    ///
    /// As [`prompt`](Self::prompt).
    pub fn turn_end(&self, conversation: &Conversation) -> Result<Option<u32>> {
        let Rendering { text, answers } = self.render(conversation, false)?;
        let Some(answer) = answers.last() else { return Ok(None) };
        let answer = Rendering { text: text[answer.clone()].to_owned(), answers: Vec::new() };
        let (tokens, _) = self.encode_rendering(&answer, &[], &conversation.provenance)?;
        Ok(tokens.last().copied())
    }

    /// A conversation to learn from, whole.
    ///
    /// # Errors
    ///
    /// As [`prompt`](Self::prompt), and [`Error::Example`](crate::Error::Example) if nothing of it is learned.
    pub fn encode(&self, conversation: &Conversation) -> Result<Encoded> {
        let provenance = conversation.provenance.clone();
        let answers = conversation.messages.iter().filter(|message| message.role == Role::Assistant);
        let learned: Vec<bool> = answers.map(Message::is_learned).collect();
        let (tokens, mut trained) = self.tokens(conversation, false, &learned)?;
        if self.train_on_prompt {
            trained.fill(true);
        }
        let encoded = Encoded { tokens, trained, provenance };
        match encoded.num_targets() {
            0 => Err(encoded.provenance.error(Flaw::NothingTrained)),
            _ => Ok(encoded),
        }
    }

    /// Conversations to learn from. The beginning stays of what is longer than the context; an example whose answers all
    /// lie behind it is dropped.
    ///
    /// # Errors
    ///
    /// As [`encode`](Self::encode), and [`Error::Example`](crate::Error::Example) if more than half are dropped.
    pub fn encode_all(&self, conversations: &[Conversation]) -> Result<EncodedExamples<Encoded>> {
        let mut fitting = Fitting::new(self.context_length, conversations.len());
        for conversation in conversations {
            let mut encoded = self.encode(conversation)?;
            fitting.take([&mut encoded]).then(|| fitting.examples.push(encoded));
        }
        fitting.finish()
    }

    pub(super) fn context_length(&self) -> usize {
        self.context_length
    }

    /// The tokens of a conversation, and which stand in one of the `learned` answers. `open`: it is to be continued.
    fn tokens(&self, conversation: &Conversation, open: bool, learned: &[bool]) -> Result<Masked> {
        let rendering = self.render(conversation, open)?;
        let (mut tokens, mut trained) =
            self.encode_rendering(&rendering, learned, &conversation.provenance)?;
        // A Jinja template writes out by itself what begins a text.
        if !matches!(self.template, Template::Chat(_)) {
            let start = self.tokenizer.start_of_text();
            tokens.splice(..0, start.iter().copied());
            trained.splice(..0, start.iter().map(|_| false));
        }
        Ok((tokens, trained))
    }

    /// The text of a conversation.
    fn render(&self, conversation: &Conversation, open: bool) -> Result<Rendering> {
        let refuse = |flaw| conversation.provenance.error(flaw);
        let messages: Result<Vec<Message>, Flaw> =
            conversation.messages.iter().map(|message| self.special.message(message)).collect();
        let messages = messages.map_err(refuse)?;
        let tools: Result<Vec<_>, Flaw> =
            conversation.tools.iter().map(|tool| self.special.value(tool)).collect();
        let tools = tools.map_err(refuse)?;
        if self.template.needs_turn_end() && self.turn_end.is_none() {
            return Err(refuse(Flaw::NoTurnEnd { tokenizer: self.tokenizer.name().to_owned() }));
        }
        let asked = Asked { messages: &messages, tools: &tools, open };
        let turn_end = self.turn_end.as_deref().unwrap_or_default();
        let rendering = self.template.render(&asked, turn_end, &self.special);
        rendering
            .map_err(|reason| refuse(Flaw::Template { template: self.template.name().to_owned(), reason }))
    }

    /// The tokens of a rendering, piece by piece, and which stand in one of the `learned` answers.
    fn encode_rendering(
        &self,
        Rendering { text, answers }: &Rendering,
        learned: &[bool],
        provenance: &Provenance,
    ) -> Result<Masked> {
        let (mut tokens, mut trained) = (Vec::new(), Vec::new());
        let mut take = |new: &[u32], is_learned: bool| {
            tokens.extend_from_slice(new);
            trained.resize(tokens.len(), is_learned);
        };
        let special: Vec<_> = self.special.find(text).collect();
        let ends = special.iter().flat_map(|(range, _)| [range.start, range.end]);
        let ends =
            ends.chain(answers.iter().flat_map(|answer| [answer.start, answer.end])).chain([text.len()]);
        let mut ends: Vec<usize> = ends.collect();
        ends.sort_unstable();
        let mut start = 0;
        for end in ends {
            let mut within =
                answers.iter().zip(learned).filter(|(answer, _)| answer.start <= start && end <= answer.end);
            let is_learned = within.any(|(_, learned)| *learned);
            match special.binary_search_by_key(&start, |(range, _)| range.start) {
                _ if start == end => {}
                Ok(index) => take(&[special[index].1], is_learned),
                Err(_) => take(&self.encode_piece(&text[start..end], provenance)?, is_learned),
            }
            start = end;
        }
        Ok((tokens, trained))
    }

    /// The tokens of a text without special ones.
    fn encode_piece(&self, text: &str, provenance: &Provenance) -> Result<Vec<u32>> {
        self.tokenizer.encode(&without_marks(text)).map_err(|error| provenance.located(error))
    }
}
