//! A parameter's path in the module is its name in the file; walking the module keeps track of it.

use crate::GptConfig;

/// What `transformers` puts before every name but the head's.
pub(super) const PREFIX: &str = "transformer.";

/// The path of the parameter being visited, `h.0.attn.c_attn.weight`.
#[derive(Default)]
pub(crate) struct PathStack(Vec<String>);

impl PathStack {
    pub(crate) fn enter(&mut self, name: &str) {
        self.0.push(name.to_owned());
    }

    pub(crate) fn exit(&mut self) {
        self.0.pop();
    }

    pub(crate) fn name(&self) -> String {
        self.0.join(".")
    }
}

/// Name and shape of every parameter in GPT-2's layout, in the model's order; counted from the configuration alone, so
/// that a file can be held against it before a byte of the model is allocated.
pub(super) fn layout(config: &GptConfig) -> impl Iterator<Item = (String, Vec<usize>)> + use<> {
    let GptConfig { vocab_size, context_length, d_model, n_layers, tied_head, .. } = *config;
    let block = block_layout(config);
    let embeddings =
        [("wte.weight", vec![vocab_size, d_model]), ("wpe.weight", vec![context_length, d_model])];
    let blocks = (0..n_layers).flat_map(move |layer| {
        block.clone().into_iter().map(move |(name, shape)| (format!("h.{layer}.{name}"), shape))
    });
    let last = [("ln_f.weight", vec![d_model]), ("ln_f.bias", vec![d_model])];
    let head = (!tied_head).then(|| ("lm_head.weight", vec![vocab_size, d_model]));
    let named = |(name, shape): (&str, Vec<usize>)| (name.to_owned(), shape);
    embeddings.into_iter().map(named).chain(blocks).chain(last.into_iter().chain(head).map(named))
}

/// The part of [`layout`] that every block repeats.
fn block_layout(config: &GptConfig) -> [(&'static str, Vec<usize>); 12] {
    let GptConfig { d_model, d_ff, .. } = *config;
    [
        ("ln_1.weight", vec![d_model]),
        ("ln_1.bias", vec![d_model]),
        ("attn.c_attn.weight", vec![d_model, 3 * d_model]),
        ("attn.c_attn.bias", vec![3 * d_model]),
        ("attn.c_proj.weight", vec![d_model, d_model]),
        ("attn.c_proj.bias", vec![d_model]),
        ("ln_2.weight", vec![d_model]),
        ("ln_2.bias", vec![d_model]),
        ("mlp.c_fc.weight", vec![d_model, d_ff]),
        ("mlp.c_fc.bias", vec![d_ff]),
        ("mlp.c_proj.weight", vec![d_ff, d_model]),
        ("mlp.c_proj.bias", vec![d_model]),
    ]
}

/// Whether a name of GPT-2's layout is a parameter of the model: a model without biases has none, though its files
/// hold zeros for them.
pub(super) fn is_parameter(config: &GptConfig, name: &str) -> bool {
    config.bias || !name.ends_with(".bias")
}

/// Whether [`layout`] has the name.
pub(super) fn is_known(config: &GptConfig, name: &str) -> bool {
    match name.strip_prefix("h.").and_then(|rest| rest.split_once('.')) {
        Some((layer, name)) => {
            // `h.01` is not how the layout writes a number.
            let number = layer.parse::<usize>().ok().filter(|number| number.to_string() == layer);
            number.is_some_and(|number| number < config.n_layers)
                && block_layout(config).iter().any(|(known, _)| *known == name)
        }
        // A tied head may be stored as well; it is the embedding again.
        None => ["wte.weight", "wpe.weight", "ln_f.weight", "ln_f.bias", "lm_head.weight"].contains(&name),
    }
}

/// Buffers of old checkpoints that hold the causal mask, not parameters.
pub(super) fn is_mask_buffer(name: &str) -> bool {
    name.ends_with(".attn.bias") || name.ends_with(".attn.masked_bias")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_has_the_published_number_of_parameters() {
        let config = GptConfig::preset("gpt2").expect("a preset");
        let elements: usize = layout(&config).map(|(_, shape)| shape.iter().product::<usize>()).sum();
        assert_eq!(elements, 124_439_808);
        assert!(layout(&config).all(|(name, _)| is_known(&config, &name)));
    }

    #[test]
    fn names_outside_the_layout_are_unknown() {
        let config = GptConfig::new(2, 1, 4);
        for name in ["h.2.ln_1.weight", "h.01.ln_1.weight", "h.1.ln_3.weight", "score.weight", "h.", "h.1"] {
            assert!(!is_known(&config, name), "{name}");
        }
    }
}
