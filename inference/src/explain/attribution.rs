//! Direct logit attribution: what each part of the model adds to the difference between two logits.

use kiln_model::Backend;
use serde::Serialize;

use super::pass::Pass;
use super::top::{TokenValue, top};
use crate::error::Result;
use crate::{LogitAttribution, direct_logit_attribution};

/// Why one token rather than another.
#[derive(Clone, Debug, Serialize)]
pub struct AttributionPanel {
    /// The token whose logit is explained, and that logit.
    pub target: TokenValue,
    /// The token that it is compared with, and its logit.
    pub against: TokenValue,
    /// What the components add to the difference of their logits.
    pub parts: LogitAttribution,
}

impl AttributionPanel {
    /// Compares the two tokens, or where none are given the two most probable ones.
    pub(super) fn of<B: Backend>(
        pass: &Pass<'_, B>,
        position: usize,
        tokens: Option<[u32; 2]>,
    ) -> Result<Self> {
        let logits = pass.logits.row(position);
        let most = top(logits, 2, pass.names);
        let [token, against] = tokens.unwrap_or([most[0].id, most[most.len() - 1].id]);
        let named = |id: u32| TokenValue::new(id as usize, logits[id as usize], pass.names);
        Ok(Self {
            target: named(token),
            against: named(against),
            parts: direct_logit_attribution(pass.model, &pass.recorder, position, token, Some(against))?,
        })
    }
}
