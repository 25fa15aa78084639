//! Paths of the configuration: a run may be resumed from elsewhere.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use kiln_datasets::examples::Template;

use super::examples::{OWN, TALES};
use crate::commands::newest;
use crate::settings::Settings;

/// Makes the paths of those keys of `[finetune]` absolute that `is_given` names. Gives the directory, or the file, of the model.
pub fn make_absolute(settings: &mut Settings, is_given: impl Fn(&str) -> bool) -> Result<PathBuf> {
    let section = settings.finetune.get_or_insert_default();
    if is_given("model") {
        section.model = std::path::absolute(newest::model_directory(Some(&section.model))?)?;
    }
    let examples = [
        ("data", Some(&mut section.data)),
        ("valid", section.valid.as_mut()),
        ("test", section.test.as_mut()),
    ];
    for (key, path) in examples {
        if path.as_ref().is_some_and(|path| is_given(key) && path.as_os_str().is_empty()) {
            bail!("finetune.{key} is empty\nhint: name a file, or leave it out");
        }
        if let Some(path) = path.filter(|path| is_given(key) && path.as_path() != Path::new(TALES)) {
            *path = std::path::absolute(&*path)?;
        }
    }
    let has_name = |template: &str| ["", OWN].contains(&template) || Template::NAMES.contains(&template);
    if is_given("template") && !has_name(&section.template) {
        section.template = std::path::absolute(&section.template)?.display().to_string();
    }
    Ok(section.model.clone())
}
