//! Which of a tokenizer's tokens begins a text, and which has what role.

use serde_json::{Map, Value};

use super::companions::{Companions, ROLES};
use super::complete::id_of;

/// What the directory of a tokenizer says about special tokens; of a tokenizer without one, nothing.
#[derive(Clone, Debug, Default)]
pub(super) struct SpecialTokens {
    /// Tokens that stand before every text.
    pub start: Vec<u32>,
    /// Roles, by the names of transformers, and the tokens that have them.
    pub roles: Vec<(&'static str, u32)>,
    /// `tokenizer_config.json`, to be written again as it was.
    pub config: Map<String, Value>,
}

impl SpecialTokens {
    /// Those of a complete `tokenizer.json` and of the files beside it.
    pub(super) fn of(document: &Value, companions: Companions) -> Self {
        let role = |role: &&'static str| Some((*role, id_of(document, companions.token(role)?)?));
        let roles = ROLES.iter().filter_map(role).collect();
        Self { start: start(&document["post_processor"]), roles, config: companions.config }
    }

    /// The token that has a role.
    pub(super) fn token(&self, role: &str) -> Option<u32> {
        self.roles.iter().find(|(name, _)| *name == role).map(|(_, token)| *token)
    }
}

/// The tokens that a post-processor puts before a text. Of several, the last is the outermost.
fn start(processor: &Value) -> Vec<u32> {
    let number = |id: &Value| id.as_u64().and_then(|id| u32::try_from(id).ok());
    match processor["type"].as_str() {
        Some("TemplateProcessing") => {
            let pieces = processor["single"].as_array().into_iter().flatten();
            let before = pieces.map_while(|piece| piece["SpecialToken"]["id"].as_str());
            let ids = before.flat_map(|name| processor["special_tokens"][name]["ids"].as_array());
            ids.flatten().filter_map(number).collect()
        }
        Some("BertProcessing" | "RobertaProcessing") => number(&processor["cls"][1]).into_iter().collect(),
        Some("Sequence") => {
            let processors = processor["processors"].as_array().into_iter().flatten();
            processors.fold(Vec::new(), |inner, outer| [start(outer), inner].concat())
        }
        _ => Vec::new(),
    }
}
