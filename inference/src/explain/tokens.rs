//! Tokens: their ids, the vectors that they become, and the tokens whose vectors are alike.

use std::collections::HashMap;

use burn::tensor::{Int, Tensor, TensorData};
use kiln_model::{Backend, Site};
use serde::Serialize;

use super::matrix::{Matrix, length};
use super::pass::Pass;
use super::top::largest;
use crate::tokens::to_vec;

/// Numbers of each vector that are shown.
const FIRST: usize = 6;
/// Neighbours of each token that are shown.
const NEIGHBOURS: usize = 5;

/// What the text becomes before the first block: `x = wte[id] + wpe[position]`.
#[derive(Clone, Debug, Serialize)]
pub struct TokensPanel {
    /// Width of each vector.
    pub d_model: usize,
    /// Whether positions have vectors that are added; else queries and keys turn with their place.
    pub learned_positions: bool,
    /// How the cosines are computed.
    pub cosine: &'static str,
    /// Each position of the text.
    pub tokens: Vec<TokenRow>,
}

/// One position.
#[derive(Clone, Debug, Serialize)]
pub struct TokenRow {
    /// Where it stands, from 0.
    pub position: usize,
    /// The token's id.
    pub id: u32,
    /// Its text.
    pub text: String,
    /// The first numbers of its row of the token embedding.
    pub token_embedding: Vec<f32>,
    /// The first numbers of the row of its position, where positions are learned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position_embedding: Option<Vec<f32>>,
    /// The first numbers of what enters the first block.
    pub sum: Vec<f32>,
    /// Length of what enters the first block.
    pub norm: f32,
    /// The tokens with the most similar rows, the most similar first.
    pub neighbours: Vec<Neighbour>,
}

/// A token with a similar vector.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Neighbour {
    /// Its id.
    pub id: u32,
    /// Its text.
    pub text: String,
    /// Cosine of the angle between the rows, after the mean row was subtracted from both.
    pub cosine: f32,
}

impl TokensPanel {
    pub(super) fn of<B: Backend>(pass: &Pass<'_, B>) -> Self {
        let embedded = pass.values(Site::Embed);
        let learned_positions = pass.model.wpe.is_some();
        let positions = learned_positions.then(|| pass.values(Site::PosEmbed));
        let stream = pass.values(Site::ResidPre(0));
        let first = |row: &[f32]| row.iter().copied().take(FIRST).collect::<Vec<f32>>();
        let neighbours = neighbours(pass);
        let rows = pass.tokens.iter().enumerate().map(|(position, id)| TokenRow {
            position,
            id: *id,
            text: pass.names.text(*id),
            token_embedding: first(embedded.row(position)),
            position_embedding: positions.as_ref().map(|positions| first(positions.row(position))),
            sum: first(stream.row(position)),
            norm: length(stream.row(position)),
            neighbours: neighbours[id].clone(),
        });
        Self {
            d_model: pass.config().d_model,
            learned_positions,
            cosine: "of rows of the token embedding, after the mean of all rows was subtracted",
            tokens: rows.collect(),
        }
    }
}

/// The neighbours of each token of the text. All rows of an embedding share a large part, which says nothing of a token and
/// makes every cosine large, so their mean is subtracted first.
fn neighbours<B: Backend>(pass: &Pass<'_, B>) -> HashMap<u32, Vec<Neighbour>> {
    let mut ids = pass.tokens.to_vec();
    ids.sort_unstable();
    ids.dedup();
    let table = pass.model.wte.weight.val(); // [vocab, d_model]
    let centred = table.clone() - table.mean_dim(0); // [vocab, d_model]
    let lengths = centred.clone().square().sum_dim(1).sqrt().clamp_min(1e-12); // [vocab, 1]
    let directions = centred / lengths; // [vocab, d_model]
    let places: Vec<i64> = ids.iter().map(|id| i64::from(*id)).collect();
    let count = places.len();
    let places = Tensor::<B, 1, Int>::from_data(TensorData::new(places, [count]), &directions.device());
    let chosen = directions.clone().select(0, places); // [ids, d_model]
    let cosines = directions.matmul(chosen.transpose()).transpose(); // [ids, vocab]
    let cosines = Matrix::new(pass.config().vocab_size, to_vec(cosines));
    let of = |id: u32, row: &[f32]| {
        let others = largest(row, NEIGHBOURS + 1).into_iter().filter(|other| *other != id as usize);
        let neighbour = |other: usize| {
            let id = other as u32;
            Neighbour { id, text: pass.names.text(id), cosine: row[other] }
        };
        others.take(NEIGHBOURS).map(neighbour).collect()
    };
    ids.iter().zip(cosines.rows()).map(|(id, row)| (*id, of(*id, row))).collect()
}
