//! What a run remembers of its examples: one that resumes reads the same.

use anyhow::{Context as _, Result, bail};
use kiln_datasets::mix;
use kiln_training::{RunDir, Segment};
use serde::{Deserialize, Serialize};

use super::read::{Examples, Kind};
use crate::commands::finetune::results::Counts;

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Remembered {
    #[serde(flatten)]
    counts: Counts,
    /// Of all tokens and targets, in their order.
    checksum: String,
}

impl Examples {
    /// Writes down what the run is started with.
    pub fn remember(&self, run: &RunDir) -> Result<()> {
        let remembered = serde_json::to_string(&self.remembered())?;
        Ok(kiln_model::write_file(&run.examples_file(), format!("{remembered}\n"))?)
    }

    /// Checks that these are the examples that the run was started with.
    pub fn check_remembered(&self, run: &RunDir) -> Result<()> {
        let path = run.examples_file();
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let then: Remembered = serde_json::from_str(&text).with_context(|| path.display().to_string())?;
        let now = self.remembered();
        if then.counts != now.counts {
            bail!(
                "the examples changed since the run began: there were {}, and now {}",
                then.counts,
                now.counts
            );
        }
        if then != now {
            bail!("the examples changed since the run began: as many as then, with other tokens");
        }
        Ok(())
    }

    fn remembered(&self) -> Remembered {
        let mut hash = 0;
        let mut add = |number: i32| hash = mix(hash, number as u64);
        let mut add_segment =
            |segment: &Segment| segment.inputs.iter().chain(&segment.targets).for_each(|id| add(*id));
        match &self.kind {
            Kind::Instructions(instructions) => instructions.parts.iter().for_each(add_segment),
            Kind::Preferences(preferences) => preferences.parts.iter().for_each(|pair| {
                add_segment(&pair.chosen);
                add_segment(&pair.rejected);
            }),
            Kind::Labelled(texts) => texts.parts.iter().for_each(|text| {
                text.tokens.iter().for_each(|id| add(*id));
                add(text.label as i32);
            }),
        }
        Remembered { counts: self.counts, checksum: format!("{hash:016x}") }
    }
}
