//! Reading `Config.toml` and `--set`, strictly: what is not understood is refused with its place and a hint.

use std::fmt::{self, Display};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use toml::{Table, Value};

use crate::failure::{self, Reading};

use super::locate::{key_at, line_of, line_of_key};
use super::sections::{DataSource, Settings};

/// The default run.
const EMBEDDED: &str = include_str!("../../Config.toml");

/// Where a configuration came from, so that a message can say so.
#[derive(Debug)]
pub struct Origin {
    name: String,
    text: String,
    /// `section.key` of every `--set`, in order.
    set: Vec<String>,
}

/// Reads the configuration in `path`, else `./Config.toml`, else the embedded one, and applies `--set`s in order.
pub fn load(path: Option<&Path>, set: &[String]) -> Result<(Settings, Origin)> {
    let nearby = PathBuf::from("Config.toml");
    let (name, text) = match path {
        Some(path) => (path.display().to_string(), read(path)?),
        None if nearby.is_file() => ("Config.toml".to_owned(), read(&nearby)?),
        None => ("the built-in Config.toml".to_owned(), EMBEDDED.to_owned()),
    };
    parse(name, text, set)
}

/// The configuration in `text`, which messages call `name`, with `--set`s applied in order.
pub fn parse(name: String, text: String, set: &[String]) -> Result<(Settings, Origin)> {
    let mut origin = Origin { name, text, set: Vec::new() };
    let mut settings: Settings = toml::from_str(&origin.text).map_err(|error| origin.explain(&error))?;
    let mut table: Table = toml::from_str(&origin.text).map_err(|error| origin.explain(&error))?;
    for change in set {
        let (section, key, value) = parse_change(change)?;
        let entry = table.entry(section.clone()).or_insert_with(|| Value::Table(Table::new()));
        let Value::Table(entry) = entry else { bail!("--set {change}: `{section}` is not a section") };
        entry.insert(key.clone(), value);
        settings = Settings::deserialize_from(table.clone())
            .map_err(|error| anyhow!("--set {change}: {}", with_suggestion(error.message())))?;
        origin.set.push(format!("{section}.{key}"));
    }
    if settings.data.path.is_some() {
        settings.data.source = DataSource::Path;
    }
    settings.check().map_err(|error| origin.locate(error))?;
    Ok((settings, origin))
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| path.display().to_string())
}

/// `section.key=value`; a value that is not TOML is taken for a string.
fn parse_change(change: &str) -> Result<(String, String, Value)> {
    let parts = change.split_once('=').and_then(|(key, value)| Some((key.split_once('.')?, value)));
    let Some(((section, key), value)) = parts else {
        bail!("--set {change}: expected SECTION.KEY=VALUE\nhint: for instance `--set training.steps=500`");
    };
    let parsed = toml::from_str::<Table>(&format!("value = {value}"));
    let value = parsed
        .ok()
        .and_then(|mut table| table.remove("value"))
        .unwrap_or_else(|| Value::String(value.into()));
    Ok((section.trim().to_owned(), key.trim().to_owned(), value))
}

impl Settings {
    fn deserialize_from(table: Table) -> Result<Self, toml::de::Error> {
        serde::Deserialize::deserialize(Value::Table(table))
    }

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
        if self.data.source == DataSource::Path && self.data.path.is_none() {
            let problem = " = \"path\" needs data.path\nhint: add `--set data.path=FILE`";
            return Err(bad_value("data", "source", problem));
        }
        Ok(())
    }
}

impl Origin {
    /// Puts file and line, or the `--set`, before an error about a key of the configuration.
    pub fn locate(&self, error: anyhow::Error) -> anyhow::Error {
        let Some((section, key)) = key_of(&error) else { return error };
        let message = failure::message(&error, Reading::Settings);
        if self.set.contains(&format!("{section}.{key}")) {
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
        anyhow!("{}{line}:{key} {}", self.name, with_suggestion(error.message()))
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

fn bad_value(section: &'static str, key: &str, problem: impl Display) -> anyhow::Error {
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
        if let Some(kiln_model::Error::Config { key, .. }) = cause.downcast_ref() {
            return owned("model", key);
        }
        match cause.downcast_ref()? {
            kiln_training::Error::Config { section, key, .. } => owned(section, key),
            kiln_training::Error::Freeze { .. } => owned("training", "freeze"),
            _ => None,
        }
    })
}

/// Adds the nearest of the expected names to ``unknown field `x`, expected one of `y`, `z` ``.
fn with_suggestion(message: &str) -> String {
    let mut names = message.split('`').skip(1).step_by(2);
    let nearest = names.next().and_then(|unknown| {
        names
            .map(|name| (strsim::damerau_levenshtein(unknown, name), name))
            .min()
            .filter(|(distance, _)| *distance <= 3)
            .map(|(_, name)| name)
    });
    match nearest {
        Some(name) if message.starts_with("unknown") => format!("{message}\nhint: did you mean `{name}`?"),
        _ if message.starts_with("unknown") => {
            format!("{message}\nhint: docs/configuration.md lists the keys of each section")
        }
        _ => format!("{message}\nhint: docs/configuration.md lists what each key takes"),
    }
}

#[cfg(test)]
mod tests {
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
        assert!(unknown.contains("did you mean `n_heads`?"), "{unknown}");
        let kind = refused("[training]\nsteps = \"many\"\n", &[]);
        assert!(kind.starts_with("FILE:2: training.steps: invalid type: string \"many\""), "{kind}");
        let range = refused("[optimizer]\n\nbeta1 = 1.5\n", &[]);
        assert!(range.starts_with("FILE:3: optimizer.beta1 = 1.5: must be"), "{range}");
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
    fn the_embedded_configuration_and_every_recipe_are_valid() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        let recipes = std::fs::read_dir(folder.join("configs")).expect("the folder is there");
        let recipes = recipes.map(|entry| entry.expect("readable").path());
        for path in recipes.chain([folder.join("Config.toml")]) {
            load(Some(&path), &[]).expect("valid");
        }
    }
}
