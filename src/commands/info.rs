//! `kiln info`: what a model, a run or this build is.

use std::io::Write as _;
use std::path::Path;

use anyhow::Result;
use kiln_model::{
    Adapter, Biases, FeedForwardKind, GptConfig, Heads, NormKind, Positions, Rotary, RotaryScaling,
};
use kiln_training::RunDir;
use serde_json::{Map, Value, json};

use crate::backend::BACKENDS;
use crate::cli::models::Info;
use crate::commands::newest;
use crate::output;

/// A line of what is said, and the same for a program.
struct Fact {
    name: &'static str,
    words: String,
    keys: Vec<(&'static str, Value)>,
}

/// What is said of a run, or of a model: its name in JSON, and the facts.
type Part = (&'static str, Vec<Fact>);

pub fn run(args: Info) -> Result<()> {
    let parts = match (&args.model, &args.run, args.backends) {
        (_, _, true) => return print_backends(args.json),
        (Some(path), ..) => vec![model(&newest::model_directory(Some(path))?)?],
        (_, Some(path), _) => vec![run_directory(&newest::run_directory(Some(path))?)?],
        _ => anything(&newest::run_directory(args.target.as_deref())?)?,
    };
    if args.json { print_json(&parts) } else { print(&parts) }
}

/// A run and its best model, or a model.
fn anything(path: &Path) -> Result<Vec<Part>> {
    if RunDir::look(path).is_err() {
        return Ok(vec![model(&newest::model_directory(Some(path))?)?]);
    }
    let mut parts = vec![run_directory(path)?];
    if crate::contents::holds_model(&path.join("model")) {
        parts.push(model(path)?);
    }
    Ok(parts)
}

fn model(path: &Path) -> Result<Part> {
    let files = crate::files::open_model(path)?;
    let config = files.config();
    let head = if config.tied_head { "tied to the token embedding" } else { "its own" };
    let mut facts = vec![
        text("model", "directory", files.path().display().to_string()),
        number("parameters", "parameters", config.num_parameters()),
        number("layers", "layers", config.n_layers),
        heads(config),
        number("width", "width", config.d_model),
        feed_forward(config),
        norms(config),
        Fact {
            name: "positions",
            words: positions(&config.positions),
            keys: vec![("positions", serde_json::to_value(config.positions)?)],
        },
        number("context length", "context_length", config.context_length),
        number("vocabulary", "vocabulary", config.vocab_size),
        Fact { name: "head", words: head.to_owned(), keys: vec![("tied_head", config.tied_head.into())] },
        biases(config),
    ];
    facts.extend(own_choices(config));
    facts.extend(classes(files.path())?);
    for adapter in files.adapters() {
        facts.push(adapter_of(adapter, config)?);
    }
    match files.tokenizer() {
        Ok(tokenizer) => {
            facts.push(text("tokenizer", "tokenizer", tokenizer.name().to_owned()));
            facts.extend(tokenizer.characters().map(|characters| {
                let characters: String = characters.iter().collect();
                let words = format!("{characters:?}");
                Fact { name: "characters", words, keys: vec![("characters", characters.into())] }
            }));
        }
        Err(error) => facts.push(missing("tokenizer", "tokenizer", format!("none ({error})"))),
    }
    Ok(("model", facts))
}

/// The names of the classes of a classifier.
fn classes(directory: &Path) -> Result<Option<Fact>> {
    let labels = if directory.is_dir() { kiln_model::load_labels(directory)? } else { None };
    Ok(labels.map(|labels| Fact {
        name: "classes",
        words: labels.join(", "),
        keys: vec![("classes", labels.into())],
    }))
}

fn heads(config: &GptConfig) -> Fact {
    let Heads { n_heads, n_kv_heads, head_dim } = config.heads();
    Fact {
        name: "heads",
        words: match n_kv_heads == n_heads {
            true => format!("{n_heads} of width {head_dim}"),
            false => format!("{n_heads} of queries, {n_kv_heads} of keys and values, of width {head_dim}"),
        },
        keys: vec![
            ("heads", n_heads.into()),
            ("kv_heads", n_kv_heads.into()),
            ("head_width", head_dim.into()),
        ],
    }
}

fn feed_forward(config: &GptConfig) -> Fact {
    let (activation, gated) =
        (format!("{:?}", config.activation), config.feed_forward == FeedForwardKind::Gated);
    Fact {
        name: "feed-forward",
        words: format!("{}, {activation}{}", config.d_ff, if gated { ", gated" } else { "" }),
        keys: vec![
            ("feed_forward", config.d_ff.into()),
            ("activation", activation.into()),
            ("gated", gated.into()),
        ],
    }
}

fn norms(config: &GptConfig) -> Fact {
    let norm = if config.norm == NormKind::RmsNorm { "RMS norm" } else { "layer norm" };
    let of_heads = if config.qk_norm { ", also of each head's queries and keys" } else { "" };
    let of_tokens = if config.embedding_norm { ", RMS norm of each token's vector" } else { "" };
    Fact {
        name: "norms",
        words: format!("{norm}{of_heads}{of_tokens}"),
        keys: vec![
            ("norm", norm.into()),
            ("qk_norm", config.qk_norm.into()),
            ("embedding_norm", config.embedding_norm.into()),
        ],
    }
}

fn biases(config: &GptConfig) -> Fact {
    let names = config.bias.names();
    let words = match config.bias {
        Biases::ALL => "yes".to_owned(),
        Biases::NONE => "no".to_owned(),
        _ => names.join(", "),
    };
    let keys = vec![("biases", (config.bias == Biases::ALL).into()), ("biased", names.into())];
    Fact { name: "biases", words, keys }
}

/// What no published family has.
fn own_choices(config: &GptConfig) -> [Fact; 2] {
    let scalars = if config.residual_scalars { "two for each block" } else { "none" };
    let softcap = config.softcap().map_or("none".to_owned(), |cap| cap.to_string());
    [
        Fact {
            name: "residual scalars",
            words: scalars.to_owned(),
            keys: vec![("residual_scalars", config.residual_scalars.into())],
        },
        Fact {
            name: "logit softcap",
            words: softcap,
            keys: vec![("logit_softcap", config.logit_softcap.into())],
        },
    ]
}

/// How the model knows where a token stands.
fn positions(positions: &Positions) -> String {
    let Positions::Rotary(Rotary { theta, scaling }) = positions else { return "learned".to_owned() };
    let scaling = match scaling {
        None => String::new(),
        Some(RotaryScaling::Linear { factor }) => format!(", stretched {factor} times"),
        Some(RotaryScaling::Llama3 { factor, .. }) => format!(", stretched {factor} times as Llama 3's"),
    };
    format!("rotary, theta {theta}{scaling}")
}

fn run_directory(path: &Path) -> Result<Part> {
    let run = newest::look(path)?;
    let (history, validation) = (run.history()?, run.validation_text()?);
    let mut facts = vec![text("run", "run_dir", path.display().to_string())];
    let Some(last) = history.steps.last() else {
        facts.push(Fact { name: "steps", words: "none yet".to_owned(), keys: vec![("steps", 0.into())] });
        return Ok(("run", facts));
    };
    let seconds = format!("{:.0} s", last.seconds);
    facts.extend([
        number("steps", "steps", last.step),
        Fact { name: "tokens", words: last.tokens.to_string(), keys: vec![("tokens", last.tokens.into())] },
        Fact { name: "time", words: seconds, keys: vec![("seconds", last.seconds.into())] },
    ]);
    facts.push(match history.training_loss() {
        Some(latest) => loss("training loss", "training_loss", latest),
        None => missing("training loss", "training_loss", "not finite".to_owned()),
    });
    match history.best() {
        Some(best) => {
            facts.push(Fact {
                name: "best validation",
                words: format!("{:.4} at step {}", best.loss, best.step),
                keys: vec![("loss", best.loss.into()), ("best_step", best.step.into())],
            });
            facts.push(loss("perplexity", "perplexity", best.perplexity()));
            let bits = validation.as_ref().and_then(|text| text.bits_per_byte(best.loss));
            facts.extend(bits.map(|bits| loss("bits per byte", "bits_per_byte", bits)));
        }
        None => facts.push(missing("best validation", "loss", "none yet".to_owned())),
    }
    facts.extend(validation.and_then(|text| text.floor).map(|floor| loss("floor", "floor", floor)));
    if crate::contents::holds_model(&run.model()) {
        facts.push(text("best model", "model", run.model().display().to_string()));
    }
    Ok(("run", facts))
}

fn adapter_of(adapter: &Adapter, config: &GptConfig) -> Result<Fact> {
    let (lora, directory) = (adapter.config(), adapter.directory().display());
    let parameters = lora.num_parameters(config)?;
    let words = format!("{directory}: {parameters} parameters, rank {}, alpha {}", lora.rank, lora.alpha);
    Ok(text("adapter", "adapter", words))
}

fn text(name: &'static str, key: &'static str, text: String) -> Fact {
    Fact { name, words: text.clone(), keys: vec![(key, text.into())] }
}

fn number(name: &'static str, key: &'static str, number: usize) -> Fact {
    Fact { name, words: number.to_string(), keys: vec![(key, number.into())] }
}

fn loss(name: &'static str, key: &'static str, loss: f64) -> Fact {
    Fact { name, words: format!("{loss:.4}"), keys: vec![(key, loss.into())] }
}

fn missing(name: &'static str, key: &'static str, why: String) -> Fact {
    Fact { name, words: why, keys: vec![(key, Value::Null)] }
}

fn print(parts: &[Part]) -> Result<()> {
    let mut out = output::stdout();
    for (number, (_, facts)) in parts.iter().enumerate() {
        if number > 0 {
            writeln!(out)?;
        }
        for Fact { name, words, .. } in facts {
            writeln!(out, "{name:<15}  {words}")?;
        }
    }
    Ok(())
}

/// Prints an object for each part, under its name.
fn print_json(parts: &[Part]) -> Result<()> {
    let object = |facts: &[Fact]| -> Map<String, Value> {
        let keys = facts.iter().flat_map(|fact| &fact.keys);
        keys.map(|(key, value)| ((*key).to_owned(), value.clone())).collect()
    };
    let parts: Map<String, Value> =
        parts.iter().map(|(name, facts)| ((*name).to_owned(), object(facts).into())).collect();
    writeln!(output::stdout(), "{}", Value::from(parts))?;
    Ok(())
}

fn print_backends(json: bool) -> Result<()> {
    let mut out = output::stdout();
    if json {
        let backend = |(name, built_in, what): &(&str, bool, &str)| json!({ "name": name, "built_in": built_in, "description": what });
        let backends: Vec<Value> = BACKENDS.iter().map(backend).collect();
        writeln!(out, "{}", json!({ "backends": backends }))?;
        return Ok(());
    }
    for (name, built, what) in BACKENDS {
        writeln!(out, "{name:<8} {:<12} {what}", if built { "built in" } else { "not built" })?;
    }
    Ok(())
}
