//! What to do about an error of a library, in the words of the command line.
//!
//! A hint is found as long as the error is in the chain of causes: add to it with `context`, and do not turn
//! it into text.

use std::error::Error;
use std::io::ErrorKind;
use std::path::Path;

use kiln_datasets::examples::Template;
use kiln_datasets::{Binary, HubModel};

use super::{adapters, inspection};
use crate::commands::run_folder::command_of;
use crate::commands::shell::quoted;
use crate::contents;
use crate::nearest::nearest;

/// How a command is told how to read a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// By options, such as `--field`.
    Options,
    /// By keys of the configuration, such as `data.field`.
    Settings,
    /// Not at all.
    Fixed,
}

impl Reading {
    /// How to name the field that holds the text.
    fn field(self) -> &'static str {
        match self {
            Self::Options => "name the one that holds the text with --field",
            Self::Settings => "name the one that holds the text with `--set data.field=NAME`",
            Self::Fixed => {
                "give the documents a field `text`, or prepare them with `kiln data prepare`, which takes any"
            }
        }
    }

    /// What to do about a file whose text is not UTF-8.
    fn encoding(self) -> String {
        let replace = match self {
            Self::Options => ", or replace such bytes with --lossy",
            Self::Settings => ", or replace such bytes with `--set data.lossy=true`",
            Self::Fixed => "",
        };
        format!("convert the file, for instance with `iconv -f latin1 -t utf-8`{replace}")
    }

    /// What to do about half a character.
    fn surrogate(self) -> &'static str {
        match self {
            Self::Options => "replace such halves by U+FFFD with --lossy",
            Self::Settings => "replace such halves by U+FFFD with `--set data.lossy=true`",
            Self::Fixed => "replace such halves by U+FFFD with `kiln data prepare --lossy`",
        }
    }
}

/// What the user can do about `error` of a command that reads text in this way, if there is something.
pub fn hint(error: &anyhow::Error, reading: Reading) -> Option<String> {
    error.chain().find_map(|cause: &(dyn Error + 'static)| {
        let model = || cause.downcast_ref().and_then(model);
        let datasets = || cause.downcast_ref().and_then(|error| datasets(error, reading));
        let training = || cause.downcast_ref().and_then(|error| training(error, reading));
        let inference = || cause.downcast_ref().and_then(|error| inference(error, reading));
        model().or_else(datasets).or_else(training).or_else(inference)
    })
}

fn model(error: &kiln_model::Error) -> Option<String> {
    use kiln_model::Error;
    Some(match error {
        Error::NoModel { .. } => {
            "name a directory that `kiln train` or transformers' `save_pretrained` wrote, a .gguf file, or a model that `kiln \
             fetch` fetched"
                .to_owned()
        }
        Error::OtherWeights { path, .. } if !adapters::is_adapter(path) => {
            "convert it with transformers: `python -c \"from transformers import AutoModelForCausalLM as M; \
             M.from_pretrained('DIR').save_pretrained('NEW_DIR')\"`"
                .to_owned()
        }
        Error::Quantisation { path, .. } => {
            let path = quoted(&path.to_string_lossy());
            format!("write it again with llama.cpp: `llama-quantize --allow-requantize {path} NEW.gguf q8_0`")
        }
        Error::Damaged { .. } => "copy or export it again; the checkpoints of a run have the weights too".to_owned(),
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
        _ => return adapters::hint(error).or_else(|| inspection::hint(error)),
    })
}

fn datasets(error: &kiln_datasets::Error, reading: Reading) -> Option<String> {
    use kiln_datasets::Error;
    Some(match error {
        Error::Io { path, source } if source.kind() == ErrorKind::NotFound => return file_alike(path),
        Error::NotUtf8 { .. } => reading.encoding(),
        Error::Utf16 { .. } => "convert the file with `iconv -f utf-16 -t utf-8`".into(),
        Error::Binary { found, .. } => not_text(*found)?,
        Error::LoneSurrogate { .. } => reading.surrogate().into(),
        Error::NoField { .. } => reading.field().into(),
        Error::Document { source, .. } => return datasets(source, reading),
        Error::Example { flaw, .. } => return super::example_hint::hint(flaw, reading),
        Error::CompressedParquet { .. } => "unpack it first".into(),
        Error::Prepared { .. } => "choose another --out, or remove this folder".into(),
        Error::UnknownCorpus { name } => unknown_corpus(name),
        Error::NotThere { .. }
        | Error::Unreachable { .. }
        | Error::UnknownModel { .. }
        | Error::OtherWeights { .. }
        | Error::GgufFiles { .. }
        | Error::NoGgufFile { .. }
        | Error::OtherModel { .. }
        | Error::NoSpace { .. }
        | Error::Download { .. } => return fetching(error),
        Error::NoTextFile { .. } => {
            "ask for other files with --include, for instance `--include '*.rs'`".into()
        }
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

/// Of a name that no corpus has: it may be that of a model, of a dataset without what goes before, or misspelt.
fn unknown_corpus(name: &str) -> String {
    let names = kiln_datasets::CORPORA.map(|corpus| corpus.name);
    if let Some(nearest) = nearest(name, names) {
        return format!("did you mean `kiln data fetch {nearest}`?");
    }
    let all = format!("use {}, or hf://datasets/OWNER/NAME", names.join(", "));
    match HubModel::parse(name) {
        Ok(model) if name.contains("://") => {
            format!("`kiln fetch {model}` fetches the model; datasets are hf://datasets/OWNER/NAME")
        }
        Ok(model) if model.name.contains('/') => {
            format!(
                "`kiln data fetch hf://datasets/{model}` for the dataset, `kiln fetch {model}` for the model of this name"
            )
        }
        Ok(model) => format!("{all}; `kiln fetch {model}` fetches a model"),
        Err(_) => all,
    }
}

/// Of a file that is not there: the one beside it that is called almost so.
fn file_alike(path: &Path) -> Option<String> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let entries = std::fs::read_dir(folder.unwrap_or(Path::new("."))).ok()?;
    let names: Vec<String> =
        entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    let meant = nearest(path.file_name()?.to_str()?, names.iter().map(String::as_str))?;
    Some(format!("did you mean {}?", quoted(&path.with_file_name(meant).to_string_lossy())))
}

/// What to do about a file that is no text.
fn not_text(found: Binary) -> Option<String> {
    Some(match found {
        Binary::Archive(_) => "unpack it, and name the file or folder that comes out".into(),
        Binary::Compressed(kind @ ("gzip" | "zstd")) => {
            let ending = if kind == "gzip" { ".gz" } else { ".zst" };
            format!(
                "give it a name that ends in {ending}, after the ending of what is in it; or unpack it first"
            )
        }
        Binary::Compressed(_) => "unpack it first".into(),
        Binary::Document(_) => {
            "save it as plain text first, for instance with `pdftotext` or `pandoc -t plain`".into()
        }
        Binary::Model(_) => {
            "a model goes after --model; to train it further: `kiln train TEXT --init-from MODEL`".into()
        }
        Binary::Parquet => "give it a name that ends in .parquet".into(),
        _ => return None,
    })
}

/// Of errors about corpora and models from the network.
fn fetching(error: &kiln_datasets::Error) -> Option<String> {
    use kiln_datasets::{Absence, Error};
    Some(match error {
        Error::NotThere { reason: Absence::Offline, .. } => {
            "fetch it once without --offline and HF_HUB_OFFLINE, or copy the cache of a machine that has it"
                .into()
        }
        Error::NotThere { reason: Absence::Denied(_), .. } => {
            "check the name; what is private needs HF_TOKEN, a token that may read it".into()
        }
        Error::NotThere { url, reason: Absence::Gated(_) } => {
            let page = url.split("/resolve/").next().unwrap_or(url);
            format!("accept its terms at {page}, then set HF_TOKEN to a token of the same account")
        }
        Error::NotThere { reason: Absence::Unknown(_), .. } => "check the name and the revision".into(),
        Error::Unreachable { .. } => format!(
            "check the network, HTTPS_PROXY and HF_ENDPOINT; or copy from a machine with a network: a folder that it \
             fetched with --out or that `save_pretrained` wrote, or its cache, which is {} here",
            kiln_datasets::FetchOptions::from_env().cache.display()
        ),
        Error::UnknownModel { name } if name.contains("datasets/") => {
            format!("`kiln data fetch {name}` fetches datasets")
        }
        Error::UnknownModel { .. } => "for instance `kiln fetch openai-community/gpt2`".into(),
        Error::OtherWeights { model, .. } => format!(
            "fetch another repository of this model, or convert it with transformers: `python -c \"from transformers \
             import AutoModelForCausalLM as M; M.from_pretrained('{model}').save_pretrained('NEW_DIR')\"`"
        ),
        Error::GgufFiles { model, files } | Error::NoGgufFile { model, files, .. } => match files.first() {
            Some(file) => format!("for instance `kiln fetch {model} {}`", quoted(file)),
            None => format!("`kiln fetch {model}` fetches what else it has"),
        },
        Error::OtherModel { .. } => "name another --out, or remove this folder".into(),
        Error::NoSpace { .. } => {
            "make room, or name a folder on another disk with --out or HF_HUB_CACHE; the same command resumes"
                .into()
        }
        Error::Download { .. } => "run the same command again; it resumes where it stopped".into(),
        _ => return None,
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
        Error::UnknownTokenizer { name } => {
            let meant = nearest(name, TOKENIZERS).map(|name| format!("did you mean {name}? Else "));
            let names = TOKENIZERS.join(", ");
            format!("{}use {names}, or a directory with a tokenizer.json", meant.unwrap_or_default())
        }
        Error::OtherTokenizer { .. } => {
            "prepare the corpus again with `kiln data prepare --tokenizer`, or use the tokenizer that made it".into()
        }
        Error::OtherTokens { .. } => "put back what was there, or start a new run".into(),
        _ => return None,
    })
}

fn training(error: &kiln_training::Error, reading: Reading) -> Option<String> {
    use kiln_training::Error;
    Some(match error {
        Error::RunExists { path } => {
            let (command, path) = (command_of(path), quoted(&path.to_string_lossy()));
            format!(
                "continue it with `{command} --run-dir {path} --resume`, or choose another place with `--run-dir`"
            )
        }
        Error::NoRun { path } => contents::instead_of_run(path),
        Error::RunLocked { .. } => "wait for it, or choose another place with `--run-dir`".to_owned(),
        Error::NothingToResume { .. } => "start a new run without `--resume`".to_owned(),
        Error::Memory { too_many_windows: true, .. } => {
            "a step reads batch_size × grad_accumulation windows; choose a smaller training.batch_size or \
             training.grad_accumulation"
                .to_owned()
        }
        Error::Memory { largest: 0, .. } => {
            "not even a single window fits; choose a smaller model.context_length, model.n_layers or model.d_model"
                .to_owned()
        }
        Error::Memory { largest, .. } => {
            format!(
                "training.micro_batch_size = {largest} is the largest that fits, and a step stays the same"
            )
        }
        Error::Diverged { grad_clip, .. } => {
            let clip = if *grad_clip == 0.0 { ", or optimizer.grad_clip = 1" } else { "" };
            format!(
                "the weights are those of the last good step, and the checkpoints before it are untouched; start anew \
                 with a lower optimizer.learning_rate, and optimizer.muon_learning_rate where that is not 0, or more \
                 schedule.warmup_steps{clip}"
            )
        }
        Error::Model(source) => return model(source),
        Error::Data(source) => return datasets(source, reading),
        _ => return None,
    })
}

fn inference(error: &kiln_inference::Error, reading: Reading) -> Option<String> {
    use kiln_inference::Error;
    Some(match error {
        Error::Model(source) => return model(source),
        Error::Data(source) => return datasets(source, reading),
        Error::NoBase { base, .. } => adapters::no_base(base),
        Error::NoTemplate | Error::UnusedTemplate { .. } => format!(
            "`kiln finetune instruct --model MODEL --data FILE` teaches it to answer; `kiln generate --model MODEL` continues a \
             text; --template {} or a Jinja file asks it as it is",
            Template::NAMES.join(", ")
        ),
        Error::MessageTooLong { .. } => "shorten it, or use a model with a longer context".to_owned(),
        Error::ManyTokens { .. } => "name one, for instance `--layer 0`, or shorten the text".to_owned(),
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
        let told = |error: anyhow::Error| hint(&error, Reading::Options).expect("there is something to do");
        assert!(
            told(anyhow::Error::from(training).context("in the end")).contains("`kiln info --model DIR`")
        );
        assert!(told(document.into()).contains("--lossy"));
        assert_eq!(hint(&kiln_datasets::Error::Busy { path: "out".into() }.into(), Reading::Options), None);
    }

    #[test]
    fn a_hint_names_what_the_command_has() {
        let told = |reading| {
            let error = kiln_datasets::Error::NotUtf8 { path: "latin1.txt".into(), line: 1, offset: 0 };
            hint(&error.into(), reading).expect("there is something to do")
        };
        assert!(told(Reading::Settings).contains("data.lossy=true"));
        assert!(!told(Reading::Fixed).contains("lossy"));
        let utf16 = kiln_datasets::Error::Utf16 { path: "utf16.txt".into() };
        assert!(hint(&utf16.into(), Reading::Options).is_some_and(|hint| hint.contains("-f utf-16")));
        assert!(!Reading::Settings.field().contains("--field") && !Reading::Fixed.field().contains("--"));
    }

    #[test]
    fn what_is_set_already_is_not_advised() {
        let diverged = |grad_clip| {
            let error =
                kiln_training::Error::Diverged { count: 10, step: 10, loss: 1.0, grad_norm: None, grad_clip };
            hint(&error.into(), Reading::Settings).expect("there is something to do")
        };
        assert!(diverged(0.0).contains("grad_clip") && !diverged(1.0).contains("grad_clip"));
    }
}
