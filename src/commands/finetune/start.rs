//! The model that a run starts from: what it learns is measured by that model, so one that resumes needs the same.

use anyhow::{Context as _, Result, bail};
use kiln_model::{Backend, GptModel, base_checksum};
use kiln_training::RunDir;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Start {
    /// The [`base_checksum`] of its weights.
    checksum: String,
}

/// Writes down what the run starts with.
pub fn remember<B: Backend>(gpt: &GptModel<B>, run: &RunDir) -> Result<()> {
    let start = serde_json::to_string(&Start { checksum: base_checksum(gpt) })?;
    Ok(kiln_model::write_file(&run.start_file(), format!("{start}\n"))?)
}

/// Checks that `gpt`, which is called `name`, is what the run was started with.
pub fn check<B: Backend>(gpt: &GptModel<B>, name: &str, run: &RunDir) -> Result<()> {
    let path = run.start_file();
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let then: Start = serde_json::from_str(&text).with_context(|| path.display().to_string())?;
    let now = base_checksum(gpt);
    if then.checksum != now {
        bail!(
            "{name}: the model changed since the run began: its weights had the checksum {}, and now {now}",
            then.checksum
        );
    }
    Ok(())
}
