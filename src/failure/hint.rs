//! What to do about an error of a library, in the words of the command line.
//!
//! A hint is found as long as the error is in the chain of causes: add to it with `context`, and do not turn
//! it into text.

use std::error::Error;

/// What the user can do about `error`, if there is something.
pub fn hint(error: &anyhow::Error) -> Option<String> {
    error.chain().find_map(|cause: &(dyn Error + 'static)| {
        let model = || cause.downcast_ref().and_then(model);
        let datasets = || cause.downcast_ref().and_then(datasets);
        let training = || cause.downcast_ref().and_then(training);
        let inference = || cause.downcast_ref().and_then(inference);
        model().or_else(datasets).or_else(training).or_else(inference)
    })
}

fn model(error: &kiln_model::Error) -> Option<String> {
    use kiln_model::Error;
    Some(match error {
        Error::NoModel { .. } => {
            "name a directory that `kiln train` or transformers' `save_pretrained` wrote".to_owned()
        }
        Error::Precision { .. } => {
            "use f32, or the ndarray or flex backend, which hold all of f32, bf16 and int8".to_owned()
        }
        Error::ComputePrecision { .. } => {
            "use training.precision = \"f32\"; bf16 is for libtorch and for GPUs that have it, tf32 for libtorch on an \
             NVIDIA GPU"
                .to_owned()
        }
        Error::Packed { .. } => "load the model in f32 to save or convert it".to_owned(),
        Error::Gguf { .. } => "use `--format hf`".to_owned(),
        _ => return None,
    })
}

fn datasets(error: &kiln_datasets::Error) -> Option<String> {
    use kiln_datasets::{Absence, Error};
    Some(match error {
        Error::NotUtf8 { .. } => {
            "convert the file, for instance with `iconv -f latin1 -t utf-8`, or replace such bytes with --lossy".into()
        }
        Error::Utf16 { .. } => "convert the file with `iconv -f utf-16 -t utf-8`".into(),
        Error::LoneSurrogate { .. } => "replace such halves by U+FFFD with --lossy, or skip the document with --skip-bad".into(),
        Error::NoField { .. } => "name the one that holds the text with --field".into(),
        Error::Document { source, .. } => return datasets(source),
        Error::CompressedParquet { .. } => "unpack it first".into(),
        Error::Prepared { .. } => "choose another --out, or remove this folder".into(),
        Error::UnknownCorpus { .. } => {
            let names = kiln_datasets::CORPORA.map(|corpus| corpus.name).join(", ");
            format!("use {names}, or hf://datasets/OWNER/NAME")
        }
        Error::NotThere { reason: Absence::Offline, .. } => "fetch it once without --offline".into(),
        Error::NotThere { reason: Absence::Denied(_), .. } => "set HF_TOKEN to a token that may read it".into(),
        Error::NotThere { reason: Absence::Unknown(_), .. } => "check the name".into(),
        Error::Download { .. } => "run the same command again; it continues where it stopped".into(),
        Error::NoTextFile { .. } => "ask for other files with --include, for instance `--include '*.rs'`".into(),
        Error::NoCrates { .. } => "build any Rust project, or set CARGO_HOME".into(),
        Error::NoShards { .. } => "make them with `kiln data prepare`".into(),
        Error::OneSplit { .. } => "a folder of token shards has both".into(),
        Error::ShardVersion { .. } => "prepare the corpus again with `kiln data prepare`".into(),
        Error::DamagedPart { .. } => "run the same command again; it starts from the beginning".into(),
        Error::TooShort { split, .. } => {
            let more = if *split == "validation" { ", or a larger data.valid_fraction" } else { "" };
            format!("use more text or a smaller model.context_length{more}")
        }
        _ => return tokenizer(error),
    })
}

/// Of the tokenizer's errors, those about text and tokens.
fn tokenizer(error: &kiln_datasets::Error) -> Option<String> {
    use kiln_datasets::{Error, TOKENIZERS};
    Some(match error {
        Error::UnknownCharacter { .. } => {
            "this model was trained on a corpus without that character; `kiln info --model DIR` lists those it knows"
                .into()
        }
        Error::InvalidUtf8 { .. } => "byte, gpt2, cl100k_base and o200k_base take any bytes".into(),
        Error::UnknownTokenizer { .. } => {
            format!("use {}, or a directory with a tokenizer.json", TOKENIZERS.join(", "))
        }
        Error::OtherTokenizer { .. } => {
            "prepare the corpus again with `kiln data prepare --tokenizer`, or use the tokenizer that made it".into()
        }
        Error::OtherTokens { .. } => "put back what was there, or start a new run".into(),
        _ => return None,
    })
}

fn training(error: &kiln_training::Error) -> Option<String> {
    use kiln_training::Error;
    Some(match error {
        Error::RunExists { path } => {
            let path = path.display();
            format!(
                "continue it with `kiln train --run-dir {path} --resume`, or choose another place with `--run-dir`"
            )
        }
        Error::RunLocked { .. } => "wait for it, or choose another place with `--run-dir`".to_owned(),
        Error::NothingToResume { .. } => "start a new run without `--resume`".to_owned(),
        Error::Memory { largest: 0, .. } => {
            "not even a single window fits; choose a smaller model or model.context_length".to_owned()
        }
        Error::Memory { largest, .. } => {
            format!(
                "training.micro_batch_size = {largest} is the largest that fits, and a step stays the same"
            )
        }
        Error::Diverged { .. } => {
            "the weights are those of the last good step, and the checkpoints before it are \
            untouched; start anew with a lower optimizer.learning_rate, more schedule.warmup_steps, or \
            optimizer.grad_clip = 1"
                .to_owned()
        }
        Error::Model(source) => return model(source),
        Error::Data(source) => return datasets(source),
        _ => return None,
    })
}

fn inference(error: &kiln_inference::Error) -> Option<String> {
    use kiln_inference::Error;
    Some(match error {
        Error::Model(source) => return model(source),
        Error::Data(source) => return datasets(source),
        Error::EmptyPrompt => "give at least one character to continue from".to_owned(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_is_found_within_other_errors() {
        let unknown = kiln_datasets::Error::UnknownCharacter { character: 'ë', position: 3 };
        let document = kiln_datasets::Error::NotUtf8 { path: "a.txt".into(), line: 1, offset: 3 };
        let training = kiln_training::Error::Data(unknown);
        let told = |error: anyhow::Error| hint(&error).expect("there is something to do");
        assert!(
            told(anyhow::Error::from(training).context("in the end")).contains("`kiln info --model DIR`")
        );
        assert!(told(document.into()).contains("--lossy"));
        assert_eq!(hint(&kiln_datasets::Error::Busy { path: "out".into() }.into()), None);
    }
}
