//! What a resumed run may change, and what would make another run of it.

use anyhow::{Result, bail};
use toml::{Table, Value};

use super::Settings;

/// Keys of `[training]` that do not decide what a step computes; those of `[generation]` are free too.
const FREE: [&str; 9] = [
    "steps",
    "eval_interval",
    "checkpoint_interval",
    "keep_checkpoints",
    "patience",
    "max_minutes",
    "run_dir",
    "micro_batch_size",
    "tensorboard",
];

/// Refuses `settings` where they contradict those that a run was started with, key by key.
pub fn check_resume(settings: &Settings, started: &Settings, step: usize) -> Result<()> {
    let mut contradictions = contradictions(&Table::try_from(settings)?, &Table::try_from(started)?);
    if settings.training.steps < step {
        let steps = settings.training.steps;
        contradictions.push(format!("  training.steps = {steps}, and step {step} is done already"));
    }
    if !contradictions.is_empty() {
        bail!(
            "the configuration contradicts the checkpoint:\n{}\nhint: a run that continues may change generation.*, more \
             training.steps, and training.{}; for anything else start a new run",
            contradictions.join("\n"),
            FREE[1..].join(", training.")
        );
    }
    Ok(())
}

fn contradictions(now: &Table, then: &Table) -> Vec<String> {
    let mut found = Vec::new();
    let none = Table::new();
    let mut sections: Vec<&String> = now.keys().chain(then.keys()).collect();
    sections.sort();
    sections.dedup();
    for section in sections {
        // A section that is not there has no keys.
        let [now, then] = [now, then].map(|all| all.get(section).and_then(Value::as_table).unwrap_or(&none));
        let mut keys: Vec<&String> = now.keys().chain(then.keys()).collect();
        keys.sort();
        keys.dedup();
        for key in keys {
            let free = section == "generation" || (section == "training" && FREE.contains(&key.as_str()));
            let (now, then) = (now.get(key), then.get(key));
            if now != then && !free {
                let show = |value: Option<&Value>| value.map_or("nothing".to_owned(), Value::to_string);
                found.push(format!("  {section}.{key} = {}, the checkpoint has {}", show(now), show(then)));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use kiln_model::LoraConfig;

    use super::*;

    #[test]
    fn every_contradiction_is_named_with_both_values_and_freedom_is_granted() {
        let started = Settings::default();
        let mut settings = started.clone();
        settings.training.steps += 1;
        settings.training.eval_interval += 1;
        settings.generation.max_tokens += 1;
        check_resume(&settings, &started, started.training.steps).expect("all of this may change");
        let lora = Settings { lora: Some(LoraConfig::default()), ..started.clone() };
        let message = check_resume(&lora, &started, 0).expect_err("an adapter more").to_string();
        assert!(message.contains("lora.rank = 8, the checkpoint has nothing"), "{message}");
        let message = check_resume(&started, &lora, 0).expect_err("an adapter less").to_string();
        assert!(message.contains("lora.rank = nothing, the checkpoint has 8"), "{message}");
        settings.optimizer.learning_rate = 0.5;
        settings.training.seed = 7;
        settings.model = toml::from_str("n_layers = 3").expect("a key of the section");
        let message = check_resume(&settings, &started, 5000).expect_err("three contradictions").to_string();
        for line in [
            "optimizer.learning_rate = 0.5, the checkpoint has 0.0006",
            "training.seed = 7, the checkpoint has 1337",
            "model.n_layers = 3, the checkpoint has nothing",
            "training.steps = 2001, and step 5000 is done already",
        ] {
            assert!(message.contains(line), "{message}");
        }
        assert_eq!(message.lines().filter(|line| line.starts_with("  ")).count(), 4, "{message}");
    }
}
