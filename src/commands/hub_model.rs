//! A model of the Hugging Face hub by its name, in the cache that `kiln fetch` and Python's programs fill.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use kiln_datasets::{FetchOptions, HubModel};

use super::newest::{RUNS, named_alike};
use super::shell::quoted;

/// The folder of the model called `named`, or its GGUF file, if it has been fetched. `None` if that is rather the name of a folder.
///
/// # Errors
///
/// If it could be the name of a model, and the model is not here, or only a part of it.
pub fn find(named: &Path) -> Result<Option<PathBuf>> {
    let Some(model) = named.to_str().and_then(|name| HubModel::parse(name).ok()) else { return Ok(None) };
    let command = format!("kiln fetch {}", quoted(&model.to_string()));
    match model.in_cache(&FetchOptions::from_env()) {
        Some(found) => match (found.missing, &found.gguf[..]) {
            (None, _) => Ok(Some(found.path)),
            (Some(_), [file]) => Ok(Some(file.clone())),
            (Some(_), [first, _, ..]) => bail!(
                "{model}: {} GGUF files of it are here, in {}\nhint: name one of them: `--model {}`",
                found.gguf.len(),
                found.path.display(),
                quoted(&first.to_string_lossy())
            ),
            (Some(missing), []) => bail!(
                "{model}: only a part of it is here; {} has no {missing}\nhint: fetch the rest: `{command}`",
                found.path.display()
            ),
        },
        // `runs/tales` and `models/small` are folders that are not there.
        None if named.parent().is_some_and(|parent| parent.is_dir() && parent != Path::new("")) => Ok(None),
        None if named.starts_with(RUNS) => Ok(None),
        None => bail!(
            "{}: no model here: no directory, no run in {RUNS}/ and no fetched model has this name\nhint: {}`{command}` \
             fetches a model of this name from the Hugging Face hub; `kiln runs` lists the runs",
            named.display(),
            match named_alike(named) {
                Some(run) => format!("did you mean the run {}? ", quoted(&run)),
                None => String::new(),
            }
        ),
    }
}
