//! What a key that does not exist was meant to be.

use super::keys;

/// What nanoGPT, litgpt and transformers call keys of ours, and which one is meant of those that two sections have.
const FOREIGN: [(&str, &str); 34] = [
    ("dropout", "model.dropout"),
    ("lr", "optimizer.learning_rate"),
    ("max_lr", "optimizer.learning_rate"),
    ("adam_beta1", "optimizer.beta1"),
    ("adam_beta2", "optimizer.beta2"),
    ("adam_epsilon", "optimizer.epsilon"),
    ("eps", "optimizer.epsilon"),
    ("max_norm", "optimizer.grad_clip"),
    ("max_grad_norm", "optimizer.grad_clip"),
    ("min_lr", "schedule.min_learning_rate"),
    ("warmup_iters", "schedule.warmup_steps"),
    ("lr_decay_iters", "schedule.decay_steps"),
    ("max_iters", "training.steps"),
    ("max_steps", "training.steps"),
    ("num_train_steps", "training.steps"),
    ("batch", "training.batch_size"),
    ("per_device_train_batch_size", "training.batch_size"),
    ("gradient_accumulation_steps", "training.grad_accumulation"),
    ("eval_iters", "training.eval_batches"),
    ("eval_steps", "training.eval_interval"),
    ("save_steps", "training.checkpoint_interval"),
    ("out_dir", "training.run_dir"),
    ("block_size", "model.context_length"),
    ("n_ctx", "model.context_length"),
    ("n_embd", "model.d_model"),
    ("n_layer", "model.n_layers"),
    ("n_head", "model.n_heads"),
    ("num_layers", "model.n_layers"),
    ("num_heads", "model.n_heads"),
    ("max_position_embeddings", "model.context_length"),
    ("vocab", "tokenizer.vocab_size"),
    ("hidden_size", "model.d_model"),
    ("num_hidden_layers", "model.n_layers"),
    ("num_attention_heads", "model.n_heads"),
];

/// The key, as `section.key`, that a name without a section, or in the wrong one, was meant to be.
pub fn key_named(name: &str) -> Option<String> {
    let foreign = FOREIGN.iter().find(|(foreign, _)| *foreign == name).map(|(_, key)| (*key).to_owned());
    foreign.or_else(|| match keys::sections_with(name).as_slice() {
        [section] => Some(format!("{section}.{name}")),
        _ => None,
    })
}

/// Adds what was meant to ``unknown field `x`, expected one of `y`, `z` ``, and to other messages where the keys are listed.
pub fn with_hint(message: &str) -> String {
    let mut names = message.split('`').skip(1).step_by(2);
    let unknown = names.next().filter(|_| message.starts_with("unknown"));
    let Some(unknown) = unknown else {
        return format!("{message}\nhint: `kiln config` lists what each key takes");
    };
    let nearest = names
        .map(|name| (strsim::damerau_levenshtein(unknown, name), name))
        .min()
        .filter(|(distance, _)| *distance <= 3)
        .map(|(_, name)| name.to_owned());
    match key_named(unknown).or(nearest) {
        Some(name) => format!("{message}\nhint: did you mean `{name}`?"),
        None => format!("{message}\nhint: `kiln config` lists the keys of each section"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_other_programs_and_sections_lead_to_ours() {
        assert_eq!(key_named("lr").as_deref(), Some("optimizer.learning_rate"));
        assert_eq!(key_named("steps").as_deref(), Some("training.steps"));
        // In two sections.
        assert_eq!(key_named("vocab_size"), None);
        let hint = |message: &str| with_hint(message).rsplit("hint: ").next().unwrap_or_default().to_owned();
        assert_eq!(
            hint("unknown field `n_heds`, expected one of `n_layers`, `n_heads`"),
            "did you mean `n_heads`?"
        );
        assert_eq!(
            hint("unknown field `block_size`, expected one of `x`"),
            "did you mean `model.context_length`?"
        );
        assert!(hint("unknown field `colour`, expected one of `x`").starts_with("`kiln config` lists"));
    }

    #[test]
    fn every_key_that_is_suggested_exists() {
        for (_, key) in FOREIGN {
            let (section, name) = key.split_once('.').expect("a section");
            assert!(keys::sections_with(name).iter().any(|found| found == section), "{key}");
        }
    }
}
