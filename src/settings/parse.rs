//! Reading `Config.toml` and `--set`, strictly: what is not understood is refused with its place and a hint.

use std::fmt::{self, Display};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use toml::{Table, Value};

use crate::commands::shell::quoted;
use crate::contents;
use crate::failure::{self, Reading};

use super::change::Change;
use super::finetune::{Task, Trained};
use super::locate::{key_at, line_of, line_of_key};
use super::recipes;
use super::sae::SaeSection;
use super::sections::{DataSource, Settings};
use super::suggest::with_hint;

/// Bytes of stories that are told at most: they are all in memory.
const MOST_TALES: usize = 1 << 30;

/// Passes over examples that can be asked for at most.
const MOST_EPOCHS: f64 = 1e6;

/// The default run.
pub const EMBEDDED: &str = include_str!("../../Config.toml");

/// Where a configuration came from, so that a message can say so.
#[derive(Debug)]
pub struct Origin {
    name: String,
    text: String,
    /// Every `--set`, in order.
    set: Vec<Change>,
    /// What of it is not as one might expect.
    notes: Vec<String>,
}

/// Reads the configuration in `path`, a file or a recipe, else `./Config.toml`, else the built-in one, and applies `--set`s.
///
/// What comes later wins: defaults, the file, `--set`s in their order. Beside `preset` in a file, other keys change the preset; a
/// preset that is `--set` replaces all that the file says about the model.
pub fn load(path: Option<&Path>, set: &[String]) -> Result<(Settings, Origin)> {
    let nearby = PathBuf::from("Config.toml");
    let (name, text) = match path {
        Some(path) => match recipes::find(path).filter(|_| !path.exists()) {
            Some((name, text)) => (format!("the recipe {name}"), text.to_owned()),
            None => (path.display().to_string(), read(path)?),
        },
        None if nearby.is_file() => ("Config.toml".to_owned(), read(&nearby)?),
        None => ("the built-in Config.toml".to_owned(), EMBEDDED.to_owned()),
    };
    parse(name, text, set)
}

/// The configuration in `text`, which messages call `name`, with `--set`s applied.
pub fn parse(name: String, text: String, set: &[String]) -> Result<(Settings, Origin)> {
    let set = set.iter().map(|change| Change::parse(change)).collect::<Result<_>>()?;
    let mut origin = Origin { name, text, set, notes: Vec::new() };
    let mut settings: Settings = toml::from_str(&origin.text).map_err(|error| origin.explain(&error))?;
    let mut table: Table = toml::from_str(&origin.text).map_err(|error| origin.explain(&error))?;
    origin.note_preset(&mut table);
    for change in &origin.set {
        settings = change.apply(&mut table)?;
    }
    if settings.data.path.is_some() {
        settings.data.source = DataSource::Path;
    }
    settings.check().map_err(|error| origin.locate(error))?;
    let (warmup, steps) = (settings.schedule.warmup_steps, settings.training.steps);
    if warmup >= steps {
        origin.notes.push(format!(
            "schedule.warmup_steps = {warmup} of training.steps = {steps}: the learning rate never comes to its peak"
        ));
    }
    Ok((settings, origin))
}

fn read(path: &Path) -> Result<String> {
    let text = std::fs::read_to_string(path);
    if text.as_ref().is_err_and(|error| error.kind() == ErrorKind::NotFound) {
        bail!(
            "{}: no such file\nhint: the recipes in the program are {}; `kiln config --file` prints the default run's, to start \
             from",
            path.display(),
            recipes::names()
        );
    }
    if path.is_dir() {
        let named = quoted(&path.join("config.toml").to_string_lossy());
        bail!(
            "{}: a directory, not a configuration\nhint: that of a run is its config.toml, `--config {named}`",
            path.display()
        );
    }
    let text = text.with_context(|| path.display().to_string())?;
    contents::check_configuration(path, &text)?;
    Ok(text)
}

impl Settings {
    /// Checks what can be checked before the corpus is known.
    fn check(&self) -> Result<()> {
        self.model.config(1)?;
        self.optimizer.validate()?;
        self.schedule.validate(&self.optimizer)?;
        self.training.validate()?;
        self.generation.sampling().validate().map_err(|error| match error {
            kiln_inference::Error::Sampling { key, value, reason } => {
                bad_value("generation", key, format!(" = {value}: {reason}"))
            }
            error => error.into(),
        })?;
        let fraction = self.data.valid_fraction;
        if !(fraction > 0.0 && fraction < 1.0) {
            let problem = format!(" = {fraction}: must be more than 0 and less than 1");
            return Err(bad_value("data", "valid_fraction", problem));
        }
        let bytes = self.data.tales_bytes;
        if bytes > MOST_TALES {
            let problem = format!(" = {bytes}: must be at most {MOST_TALES}");
            return Err(bad_value("data", "tales_bytes", problem));
        }
        self.check_finetune()?;
        self.sae.iter().try_for_each(SaeSection::check)?;
        if self.data.source == DataSource::Path && self.data.path.is_none() {
            let problem = " = \"path\" needs data.path\nhint: add `--set data.path=FILE`";
            return Err(bad_value("data", "source", problem));
        }
        Ok(())
    }
}

impl Settings {
    fn check_finetune(&self) -> Result<()> {
        let Some(finetune) = &self.finetune else { return Ok(()) };
        if !(0.0..=MOST_EPOCHS).contains(&finetune.epochs) {
            let problem = format!(" = {}: must be from 0 to {MOST_EPOCHS}", finetune.epochs);
            return Err(bad_value("finetune", "epochs", problem));
        }
        if !(finetune.beta > 0.0 && finetune.beta.is_finite()) {
            let problem = format!(" = {}: must be more than 0", finetune.beta);
            return Err(bad_value("finetune", "beta", problem));
        }
        if self.lora.is_some() && finetune.train != Trained::All {
            let problem = ": goes without [lora], where only the adapter learns and the head of a classifier";
            return Err(bad_value("finetune", "train", problem));
        }
        if finetune.train == Trained::Head && finetune.task != Task::Classify {
            let problem = format!(" = \"head\": {} has no head of its own", finetune.task);
            return Err(bad_value("finetune", "train", problem));
        }
        Ok(())
    }
}

impl Origin {
    /// What the person who wrote it should know.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Whether the key was changed by `--set`.
    pub fn is_set(&self, section: &str, key: &str) -> bool {
        self.set.iter().any(|change| change.section == section && change.key == key)
    }

    /// Whether the file says it, or a `--set`.
    pub fn says(&self, section: &str, key: &str) -> bool {
        self.is_set(section, key) || line_of_key(&self.text, section, key).is_some()
    }

    /// Clears the section of the model in `table` where a preset is `--set`, and notes what that replaces.
    fn note_preset(&mut self, table: &mut Table) {
        let mut presets =
            self.set.iter().filter(|change| change.section == "model" && change.key == "preset");
        let Some(preset) = presets.next_back().map(Change::value) else { return };
        let replaced = table.remove("model");
        let keys: Vec<&String> = replaced.iter().filter_map(Value::as_table).flat_map(Table::keys).collect();
        if let [first, rest @ ..] = keys.as_slice() {
            let keys = rest.iter().fold(format!("model.{first}"), |keys, key| keys + ", " + key);
            self.notes.push(format!("model.preset = {preset} replaces what {} says: {keys}", self.name));
        }
    }

    /// Puts file and line, or the `--set`, before an error about a key of the configuration.
    pub fn locate(&self, error: anyhow::Error) -> anyhow::Error {
        let Some((section, key)) = key_of(&error) else { return error };
        let message = failure::message(&error, Reading::Settings);
        if self.is_set(&section, &key) {
            return error.context(format!("--set {message}"));
        }
        match line_of_key(&self.text, &section, &key) {
            Some(line) => error.context(format!("{}:{line}: {message}", self.name)),
            None => error,
        }
    }

    fn explain(&self, error: &toml::de::Error) -> anyhow::Error {
        let position = error.span().map(|span| span.start);
        let line = position.map(|position| format!(":{}", line_of(&self.text, position))).unwrap_or_default();
        let key = position.and_then(|position| key_at(&self.text, position));
        let key = key.map(|key| format!(" {key}:")).unwrap_or_default();
        anyhow!("{}{line}:{key} {}", self.name, with_hint(error.message()))
    }
}

/// A value that cannot be used, by its section and key.
#[derive(Debug)]
struct BadValue {
    section: &'static str,
    key: String,
    /// What is wrong, from the key on.
    problem: String,
}

impl Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

pub fn bad_value(section: &'static str, key: &str, problem: impl Display) -> anyhow::Error {
    BadValue { section, key: key.to_owned(), problem: problem.to_string() }.into()
}

impl Display for BadValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}{}", self.section, self.key, self.problem)
    }
}

impl std::error::Error for BadValue {}

/// Section and key of the value that an error is about, if it is about one.
fn key_of(error: &anyhow::Error) -> Option<(String, String)> {
    let owned = |section: &str, key: &str| Some((section.to_owned(), key.to_owned()));
    error.chain().find_map(|cause| {
        if let Some(BadValue { section, key, .. }) = cause.downcast_ref() {
            return owned(section, key);
        }
        match cause.downcast_ref() {
            Some(kiln_model::Error::Config { key, .. }) => return owned("model", key),
            Some(kiln_model::Error::Lora { key, .. }) => return owned("lora", key),
            _ => {}
        }
        match cause.downcast_ref()? {
            kiln_training::Error::Config { section, key, .. } => owned(section, key),
            kiln_training::Error::Freeze { .. } => owned("training", "freeze"),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use kiln_model::GptConfig;

    use super::*;

    fn refused(text: &str, set: &[&str]) -> String {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(file.path(), text).expect("writable");
        let set: Vec<String> = set.iter().map(|change| (*change).to_owned()).collect();
        let error = load(Some(file.path()), &set).expect_err("it is wrong");
        format!("{error:#}").replace(&file.path().display().to_string(), "FILE")
    }

    #[test]
    fn mistakes_are_placed_and_come_with_a_hint() {
        let unknown = refused("[model]\nn_layers = 2\nn_head = 2\n", &[]);
        assert!(unknown.starts_with("FILE:3: model.n_head: unknown field"), "{unknown}");
        assert!(unknown.contains("did you mean `model.n_heads`?"), "{unknown}");
        let kind = refused("[training]\nsteps = \"many\"\n", &[]);
        assert!(kind.starts_with("FILE:2: training.steps: invalid type: string \"many\""), "{kind}");
        let range = refused("[optimizer]\n\nbeta1 = 1.5\n", &[]);
        assert!(range.starts_with("FILE:3: optimizer.beta1 = 1.5: must be"), "{range}");
        for value in [
            "optimizer.muon_learning_rate=-1",
            "optimizer.muon_learning_rate=nan",
            "optimizer.muon_momentum=1.0",
            "schedule.decay_share=0",
            "schedule.decay_share=1.5",
            "schedule.decay_share=nan",
            "schedule.decay=step",
            "model.logit_softcap=-1",
            "model.logit_softcap=1e39",
        ] {
            let (key, _) = value.split_once('=').expect("a key and a value");
            assert!(refused("", &[value]).starts_with(&format!("--set {key}")), "{}", refused("", &[value]));
        }
        let syntax = refused("[model\n", &[]);
        assert!(syntax.starts_with("FILE:1:"), "{syntax}");
    }

    #[test]
    fn set_is_checked_as_strictly_and_named() {
        let divide = refused("[model]\nd_model = 128\n", &["model.n_heads=5"]);
        assert!(divide.starts_with("--set model.n_heads = 5"), "{divide}");
        assert!(divide.contains("model.d_model = 128"), "{divide}");
        let unknown = refused("", &["training.stepz=5"]);
        assert!(
            unknown.contains("--set training.stepz=5") && unknown.contains("did you mean `steps`?"),
            "{unknown}"
        );
        assert!(refused("", &["steps=5"]).contains("SECTION.KEY=VALUE"));
    }

    #[test]
    fn a_path_implies_its_source_and_strings_need_no_quotes() {
        let set = ["data.path=some/file.txt".to_owned(), "tokenizer.kind=gpt2".to_owned()];
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        let (settings, _) = load(Some(file.path()), &set).expect("valid");
        assert_eq!(settings.data.source, DataSource::Path);
        assert_eq!(settings.tokenizer.kind, "gpt2");
    }

    #[test]
    fn a_preset_that_is_set_replaces_the_model_of_the_file_and_says_so() {
        let set = ["model.n_layers=3", "model.preset=gpt2"].map(str::to_owned);
        let (settings, origin) = parse("Config.toml".into(), EMBEDDED.into(), &set).expect("valid");
        let gpt2 = GptConfig::preset("gpt2").expect("it is there");
        let config = settings.model.config(gpt2.vocab_size).expect("valid");
        assert_eq!(config, GptConfig { n_layers: 3, ..gpt2 });
        assert!(
            origin.notes()[0].starts_with("model.preset = \"gpt2\" replaces what Config.toml says: model.")
        );
        // In a file, other keys change the preset.
        let text = "[model]\npreset = \"gpt2\"\nn_layers = 2\n";
        let (settings, origin) = parse("FILE".into(), text.into(), &[]).expect("valid");
        assert_eq!(settings.model.config(50257).expect("valid").n_layers, 2);
        assert!(origin.notes().is_empty());
    }

    #[test]
    fn a_recipe_goes_by_its_name_and_a_missing_file_names_them() {
        let (settings, _) = load(Some(Path::new("shakespeare-char-cpu")), &[]).expect("valid");
        assert_eq!(settings.training.steps, 2000);
        let missing = load(Some(Path::new("nope.toml")), &[]).expect_err("no such file").to_string();
        assert!(
            missing.starts_with("nope.toml: no such file") && missing.contains("book-gpt2-bpe"),
            "{missing}"
        );
    }

    #[test]
    fn the_embedded_configuration_and_every_recipe_are_valid() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        let recipes = std::fs::read_dir(folder.join("configs")).expect("the folder is there");
        let recipes = recipes.map(|entry| entry.expect("readable").path());
        for path in recipes.chain([folder.join("Config.toml")]) {
            load(Some(&path), &[]).expect("valid");
        }
    }
}
