//! `--set section.key=value`.

use anyhow::{Result, anyhow, bail};
use toml::{Table, Value};

use super::sections::Settings;
use super::suggest::{key_named, with_hint};

/// A change of one key.
#[derive(Clone, Debug)]
pub struct Change {
    text: String,
    pub section: String,
    pub key: String,
    /// What was typed for a value.
    typed: String,
}

impl Change {
    pub fn parse(text: &str) -> Result<Self> {
        let Some((name, typed)) = text.split_once('=') else {
            bail!("--set {text}: expected SECTION.KEY=VALUE\nhint: for instance `--set training.steps=500`");
        };
        let Some((section, key)) = name.split_once('.') else {
            let meant = key_named(name.trim()).unwrap_or_else(|| "training.steps".to_owned());
            bail!("--set {text}: expected SECTION.KEY=VALUE\nhint: for instance `--set {meant}={typed}`");
        };
        let [section, key, typed] = [section.trim(), key.trim(), typed].map(str::to_owned);
        Ok(Self { text: text.to_owned(), section, key, typed })
    }

    /// The value as TOML; what is none is taken for a text.
    pub fn value(&self) -> Value {
        let parsed = toml::from_str::<Table>(&format!("value = {}", self.typed));
        let value = parsed.ok().and_then(|mut table| table.remove("value"));
        value.unwrap_or_else(|| Value::String(self.typed.clone()))
    }

    /// Makes the change in `table`, which then is a valid configuration.
    pub fn apply(&self, table: &mut Table) -> Result<Settings> {
        let error = match self.apply_value(table, self.value())? {
            Ok(settings) => return Ok(settings),
            Err(error) => error,
        };
        // A file may be called 123.
        if let Ok(settings) = self.apply_value(table, Value::String(self.typed.clone()))? {
            return Ok(settings);
        }
        // What 64 bits without a sign can hold, and TOML cannot.
        if self.typed.parse::<u64>().is_ok_and(|number| i64::try_from(number).is_err()) {
            bail!("--set {}: the largest number of a TOML file is {}", self.text, i64::MAX);
        }
        Err(anyhow!("--set {}: {}", self.text, with_hint(error.message())))
    }

    fn apply_value(&self, table: &mut Table, value: Value) -> Result<Result<Settings, toml::de::Error>> {
        let entry = table.entry(self.section.clone()).or_insert_with(|| Value::Table(Table::new()));
        let Value::Table(entry) = entry else {
            bail!("--set {}: `{}` is not a section", self.text, self.section)
        };
        entry.insert(self.key.clone(), value);
        Ok(serde::Deserialize::deserialize(Value::Table(table.clone())))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_name_may_look_like_a_number_and_a_number_may_not_be_a_name() {
        let applied = |text: &str| Change::parse(text).and_then(|change| change.apply(&mut Table::new()));
        for name in ["123", "true", "2024-01-01", "a.txt", "\"a b\""] {
            let settings = applied(&format!("data.path={name}")).expect("a path");
            assert_eq!(settings.data.path.as_deref(), Some(Path::new(name.trim_matches('"'))));
        }
        let refused = applied("training.steps=many").expect_err("no number").to_string();
        assert!(refused.starts_with("--set training.steps=many: invalid type: string"), "{refused}");
    }

    #[test]
    fn a_key_without_its_section_is_answered_with_both() {
        let refused = Change::parse("lr=1e-3").expect_err("no section").to_string();
        assert!(refused.ends_with("`--set optimizer.learning_rate=1e-3`"), "{refused}");
    }
}
