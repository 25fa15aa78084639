//! What a run that continues has behind it.

use std::io::Write as _;
use std::path::Path;

use burn::module::{AutodiffModule, Module};
use kiln_model::{AutodiffBackend, Dtype, GptModel};
use serde::de::DeserializeOwned;

use crate::error::Result;
use crate::run::checkpoint::{self, Checkpoint};
use crate::run::json_lines::{Found, JsonLines};
use crate::{LanguageModel, RunDir};

/// Writes `model/` anew from the checkpoint of the best evaluation: what lies there may be gone, or of an evaluation
/// that the checkpoint does not know of.
pub(super) fn restore_best<B: AutodiffBackend>(
    run: &RunDir,
    checkpoint: &Checkpoint,
    model: &GptModel<B>,
    end_of_text: Option<u32>,
) -> Result<()> {
    let Some((step, _)) = checkpoint.state().best else { return Ok(()) };
    let damaged = |path: &Path, reason: &str| warn(&format!("{}: {reason}", path.display()));
    let Some(best) = checkpoint::newest(&run.checkpoints(), Some(step), damaged)? else {
        warn(&format!(
            "the checkpoint of the best evaluation, step {step}, is not there; model/ stays as it is"
        ));
        return Ok(());
    };
    let device = model.wte.weight.device();
    let best = LanguageModel { gpt: model.clone() }.load_record(best.model::<_, B>(&device)?).valid();
    Ok(kiln_model::save(&best.gpt, &run.model(), Dtype::F32, end_of_text)?)
}

/// Opens a file of lines and says which of them are damaged; those that `keep` refuses are taken back.
pub(super) fn open_lines<T: DeserializeOwned>(path: &Path, keep: impl Fn(&T) -> bool) -> Result<Found<T>> {
    let found = JsonLines::open(path, keep)?;
    for number in &found.damaged {
        warn(&format!("{}:{number}: not a line that this program wrote; it is left out", path.display()));
    }
    Ok(found)
}

/// Says something before the run begins: to the person, and to the log.
fn warn(message: &str) {
    tracing::warn!("{message}");
    // Someone may have closed standard error; that is no reason not to train.
    let _ = writeln!(std::io::stderr(), "warning: {message}");
}
