//! The model that a run starts from: what it learns is measured by that model, so one that resumes needs the same.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use kiln_model::{Backend, GptModel, base_checksum};
use serde::{Deserialize, Serialize};

/// Where its checksum is written, in the run directory.
const START: &str = "start.json";

#[derive(Serialize, Deserialize)]
struct Start {
    /// The [`base_checksum`] of its weights.
    checksum: String,
}

/// Writes down what the run in `folder` starts with.
pub fn remember<B: Backend>(gpt: &GptModel<B>, folder: &Path) -> Result<()> {
    let start = serde_json::to_string(&Start { checksum: base_checksum(gpt) })?;
    Ok(kiln_model::write_file(&folder.join(START), format!("{start}\n"))?)
}

/// Checks that `gpt`, which is called `name`, is what the run in `folder` was started with.
pub fn check<B: Backend>(gpt: &GptModel<B>, name: &str, folder: &Path) -> Result<()> {
    let path = folder.join(START);
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
