//! What was said so far.

use kiln_datasets::examples::{Message, Role};

/// A question and its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// What the user said.
    pub user: String,
    /// What the model answered.
    pub assistant: String,
}

/// What was said so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChatHistory {
    /// How the model is to behave, if anybody said so.
    pub system: Option<String>,
    /// Questions with their answers, the oldest first.
    pub turns: Vec<Turn>,
}

impl ChatHistory {
    /// The messages without the first `forgotten` turns.
    pub(super) fn messages(&self, forgotten: usize) -> impl Iterator<Item = Message> {
        let system = self.system.iter().map(|text| Message::new(Role::System, text));
        system.chain(self.turns[forgotten..].iter().flat_map(|turn| {
            [Message::new(Role::User, &turn.user), Message::new(Role::Assistant, &turn.assistant)]
        }))
    }

    /// The conversation that these messages are: perhaps one of the system, then one of the user and one of the assistant in
    /// turn.
    ///
    /// # Errors
    ///
    /// Which message has no place, in words.
    pub(super) fn of_messages(messages: Vec<(Role, String)>) -> Result<Self, String> {
        let mut history = Self::default();
        let mut asked = None;
        for (number, (role, content)) in (1..).zip(messages) {
            match (role, asked.take()) {
                (Role::System, None) if number == 1 => history.system = Some(content),
                (Role::User, None) => asked = Some(content),
                (Role::Assistant, Some(user)) => history.turns.push(Turn { user, assistant: content }),
                (role, asked) => {
                    let expected = if asked.is_some() { Role::Assistant } else { Role::User };
                    return Err(format!(
                        "message {number} is of {}, not of {}",
                        role.name(),
                        expected.name()
                    ));
                }
            }
        }
        match asked {
            Some(_) => Err("the last message has no answer".to_owned()),
            None => Ok(history),
        }
    }
}
