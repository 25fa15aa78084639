//! Labelled texts as a classifier reads them.

use anyhow::Result;
use kiln_datasets::examples::{LabelColumns, Labelled, Labels, balanced};
use kiln_datasets::{ReadOptions, Source, Tokenizer};
use kiln_inference::{ModelFiles, encode_prompt};
use kiln_training::LabelledText;

use super::parted::{check_not_empty, parted};
use crate::commands::finetune::classify;
use crate::output::print_message;
use crate::settings::{FinetuneSection, Settings};

/// The texts that the settings name, parted, and with the tokens of each.
pub fn read(settings: &Settings, files: &ModelFiles, tokenizer: &Tokenizer) -> Result<classify::Labelled> {
    let section = settings.finetune.clone().unwrap_or_default();
    let options = ReadOptions { lossy: settings.data.lossy, ..ReadOptions::default() };
    let FinetuneSection { text_column, label_column, .. } = &section;
    let columns = LabelColumns { text: text_column.clone(), label: label_column.clone() };
    let read = |path: &std::path::Path| Ok(Labelled::read(&Source::new(path), &columns, &options)?);
    let text = |text: &Labelled| text.text.clone();
    let mut parts = parted(settings, read, text, text)?;
    if section.balanced {
        let before = parts.train.len();
        parts.train = balanced(parts.train, settings.training.seed);
        print_message(format_args!("balanced: {} of {before} training texts", parts.train.len()));
    }
    check_not_empty(&parts, &section.data)?;
    let labels = Labels::of(&parts.train, &section.data)?;
    let (context, mut cut) = (files.config().context_length, 0);
    let parts = parts.try_map(|text| {
        let tokens = encode_prompt(&text.text, tokenizer, files.special_tokens());
        let mut tokens = tokens.map_err(|error| located(error, text))?;
        cut += usize::from(tokens.len() > context);
        tokens.truncate(context);
        let tokens = tokens.into_iter().map(|token| token as i32).collect();
        anyhow::Ok(LabelledText { tokens, label: labels.number(text)? })
    })?;
    if cut > 0 {
        print_message(format_args!(
            "{cut} texts are longer than the context of {context} tokens: their ends are cut off"
        ));
    }
    Ok(classify::Labelled { labels: labels.names().to_vec(), parts })
}

/// The error with the line of the text.
fn located(error: kiln_inference::Error, text: &Labelled) -> anyhow::Error {
    match error {
        kiln_inference::Error::Data(error) => text.provenance.located(error).into(),
        error => error.into(),
    }
}
