//! The built-in task: "Tell a tale about Ben and the tent."

use std::path::Path;

use anyhow::{Result, bail};
use kiln_datasets::examples::{Conversation, Message, Provenance, Role};
use kiln_datasets::{mix, tales};

use super::read::TALES;
use crate::commands::finetune::answers::MOST;
use crate::commands::finetune::task_run::Parts;

/// Keeps the tales apart from those that a model of the same seed was pretrained on.
const SEED: u64 = 0x7461_6C65;

/// Requests and their tales, at least so many bytes of them. Of the pairs of a name and a thing that are held out, half serve to
/// evaluate, and the others to test.
pub fn conversations(seed: u64, bytes: usize) -> Result<Parts<Conversation>> {
    let provenance = Provenance::of_file(Path::new(TALES));
    let mut parts = Parts { train: Vec::new(), valid: Vec::new(), test: Vec::new() };
    for story in tales::corpus(mix(seed, SEED), bytes).stories {
        let Some(request) = tales::Request::of(&story.text) else { continue };
        let part = match (request.is_held_out(), request.is_for_test()) {
            (false, _) => &mut parts.train,
            (true, false) => &mut parts.valid,
            (true, true) => &mut parts.test,
        };
        let messages =
            vec![Message::new(Role::User, request.to_string()), Message::new(Role::Assistant, story.text)];
        part.push(Conversation { messages, tools: Vec::new(), provenance: provenance.clone() });
    }
    parts.valid.truncate(MOST);
    parts.test.truncate(MOST);
    if [&parts.train, &parts.valid, &parts.test].into_iter().any(Vec::is_empty) {
        bail!("data.tales_bytes = {bytes}: too few tales to learn from, to evaluate and to test");
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_pair_is_asked_for_in_two_parts() {
        let parts = conversations(1, 200_000).expect("enough");
        let asked = |part: &[Conversation]| -> BTreeSet<String> {
            part.iter().map(|conversation| conversation.messages[0].content.clone()).collect()
        };
        let (train, valid, test) = (asked(&parts.train), asked(&parts.valid), asked(&parts.test));
        assert!(test.len() > 5 && train.is_disjoint(&test) && train.is_disjoint(&valid));
        // The best model is chosen by the validation.
        assert!(valid.len() > 5 && valid.is_disjoint(&test));
        let answer = &parts.test[0].messages[1].content;
        let request = tales::Request::parse(&parts.test[0].messages[0].content).expect("a request");
        assert!(request.answer(answer).is_right());
    }
}
