//! Pairs of answers as the model reads them.

use std::path::Path;

use anyhow::Result;
use kiln_datasets::examples::{EncodedPair, ExampleEncoder, Preference, Preferences};
use kiln_datasets::{ReadOptions, Source, Tokenizer};
use kiln_inference::ModelFiles;
use kiln_training::Pair;

use super::conversations::segment;
use super::parted::{check_not_empty, parted};
use super::read::Read;
use super::templates;
use super::turn_end::turn_end;
use crate::commands::finetune::dpo;
use crate::commands::finetune::task_run::Parts;
use crate::output::print_message;
use crate::settings::Settings;

/// The pairs that the settings name, parted and encoded.
pub fn read(
    settings: &Settings,
    files: &ModelFiles,
    tokenizer: &Tokenizer,
) -> Result<Read<dpo::Preferences>> {
    let section = settings.finetune.clone().unwrap_or_default();
    let options = ReadOptions { lossy: settings.data.lossy, ..ReadOptions::default() };
    let mut form = None;
    let read = |path: &Path| {
        let read = Preferences::read(&Source::new(path), &options)?;
        print_message(format_args!("{}: {} {}", path.display(), read.preferences.len(), read.form));
        form = form.or(Some(read.form));
        anyhow::Ok(read.preferences)
    };
    let parts = parted(settings, read, Preference::group, Preference::text)?;
    let template = templates::choose(&section.template, tokenizer, form)?;
    let jinja = template.jinja(tokenizer)?;
    let encoder = ExampleEncoder::new(tokenizer, template, files.config().context_length, false)?;
    let encoded = Parts {
        train: encode(&encoder, &parts.train, "training")?,
        valid: encode(&encoder, &parts.valid, "validation")?,
        test: encode(&encoder, &parts.test, "test")?,
    };
    check_not_empty(&encoded, &section.data)?;
    let both: Vec<_> =
        encoded.train.iter().flat_map(|pair| [pair.chosen.clone(), pair.rejected.clone()]).collect();
    let turn_end = turn_end(&encoder, parts.train.iter().map(|pair| pair.with(&pair.chosen)))?;
    let pair = |pair: &EncodedPair| Pair {
        chosen: segment(&pair.chosen),
        rejected: segment(&pair.rejected),
        reference: [0.0; 2],
    };
    Ok(Read {
        examples: dpo::Preferences { parts: encoded.map(pair), turn_end },
        encoded: both,
        template: jinja,
    })
}

/// Encodes a part, and says what of it is left out.
fn encode(encoder: &ExampleEncoder, preferences: &[Preference], part: &str) -> Result<Vec<EncodedPair>> {
    let encoded = encoder.encode_pairs(preferences)?;
    for (count, why) in [
        (encoded.identical, "are left out, as both answers are the same"),
        (encoded.truncated, "are longer than the context, and lose their ends"),
        (encoded.dropped, "are left out, as not even their prompts fit into the context"),
    ] {
        if count > 0 {
            print_message(format_args!("{count} {part} pairs {why}"));
        }
    }
    Ok(encoded.examples)
}
