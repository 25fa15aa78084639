//! The linear maps of a model under the names of its family: what adapters are attached to.

use super::{Family, Slot};
use crate::{GptConfig, Role};

/// A matrix of the family's files. Several may lie side by side in one layer of the model.
#[derive(Clone, Debug)]
pub(crate) struct LinearMap {
    /// What `transformers` calls the module, such as `model.layers.0.self_attn.q_proj`.
    pub(crate) name: String,
    /// Path of the layer in the model, such as `h.0.attn.c_attn`.
    pub(crate) layer: String,
    /// Where its outputs begin among those of the layer.
    pub(crate) first_column: usize,
    /// Features that it reads.
    pub(crate) d_in: usize,
    /// Features that it makes.
    pub(crate) d_out: usize,
}

/// Every linear map of such a model but its head, in the model's order.
pub(crate) fn linear_maps(config: &GptConfig) -> Vec<LinearMap> {
    let family = Family::of(config);
    let mut maps: Vec<LinearMap> = Vec::new();
    let matrices = |slot: &Slot| slot.role() == Role::Matrix;
    for slot in family.slots(config).filter(matrices) {
        let [d_in, d_out] = slot.shape(config)[..] else { unreachable!("a matrix has two axes") };
        let without_part = |name: String| name.strip_suffix(".weight").unwrap_or(&name).to_owned();
        let layer = without_part(slot.path());
        let beside = maps.last().filter(|map| map.layer == layer);
        let first_column = beside.map_or(0, |map| map.first_column + map.d_out);
        maps.push(LinearMap { name: without_part(slot.full_name(family)), layer, first_column, d_in, d_out });
    }
    maps
}

/// The maps that PEFT adapts in models of this family where nobody says which.
pub(crate) fn usually_adapted(config: &GptConfig) -> &'static [&'static str] {
    Family::of(config).adapted
}
