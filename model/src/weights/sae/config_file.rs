//! `cfg.json` as SAELens writes it since its version 6.

use std::path::Path;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::weights::json_file;
use crate::{SaeActivation, SaeConfig};

/// Without a version SAELens takes a file for an older one.
const SAE_LENS_VERSION: &str = "6.0.0";

/// Reads and checks the file at `path`. The second value says whether features are scaled by the lengths of their directions.
pub(super) fn read(path: &Path) -> Result<(SaeConfig, bool)> {
    let file = json_file::read(path)?;
    let missing = |key: &str| Error::format(path, format!("`{key}` is missing"));
    let activation = match file["architecture"].as_str() {
        Some("standard") => SaeActivation::Relu,
        Some("jumprelu") => SaeActivation::JumpRelu,
        Some("topk") => SaeActivation::TopK(value(path, &file, "k")?.ok_or_else(|| missing("k"))?),
        None => return Err(missing("architecture")),
        Some(_) => {
            let feature = "an autoencoder that is neither standard, jumprelu nor topk";
            let value = file["architecture"].to_string();
            return Err(Error::UnsupportedAutoencoder {
                path: path.to_owned(),
                key: "architecture",
                value,
                feature,
            });
        }
    };
    refuse_unsupported(path, &file)?;
    let metadata = &file["metadata"];
    let kiln = &metadata["kiln"];
    // Files of before version 6 have the place at their top.
    let hook: Option<String> = match value(path, metadata, "hook_name")? {
        Some(name) => Some(name),
        None => value(path, &file, "hook_name")?,
    };
    let hook = hook.ok_or_else(|| missing("metadata.hook_name"))?;
    let hook = hook
        .parse()
        .map_err(|_| Error::format(path, format!("hook_name = \"{hook}\": not the name of any place")))?;
    let width = |key| {
        let width: usize = value(path, &file, key)?.ok_or_else(|| missing(key))?;
        if width == 0 {
            Err(Error::format(path, format!("{key} = 0: must be at least 1")))
        } else {
            Ok(width)
        }
    };
    let config = SaeConfig {
        d_in: width("d_in")?,
        d_sae: width("d_sae")?,
        activation,
        apply_b_dec_to_input: value(path, &file, "apply_b_dec_to_input")?.unwrap_or(true),
        hook,
        model_name: value(path, metadata, "model_name")?.unwrap_or_default(),
        context_length: value(path, metadata, "context_size")?,
        dataset: value(path, metadata, "dataset_path")?,
        model_checksum: value(path, kiln, "model_checksum")?,
        mean_norm: value(path, kiln, "mean_norm")?,
        k: value(path, kiln, "k")?,
        training_tokens: value(path, kiln, "training_tokens")?,
    };
    if let SaeActivation::TopK(k) = config.activation
        && !(1..=config.d_sae).contains(&k)
    {
        return Err(Error::format(path, format!("k = {k}: must be between 1 and d_sae = {}", config.d_sae)));
    }
    Ok((config, value(path, &file, "rescale_acts_by_decoder_norm")?.unwrap_or(false)))
}

/// Refuses what an autoencoder does besides, which is not computed here.
fn refuse_unsupported(path: &Path, file: &Value) -> Result<()> {
    let refuse = |key, value: &Value, feature| {
        Err(Error::UnsupportedAutoencoder { path: path.to_owned(), key, value: value.to_string(), feature })
    };
    for (key, feature) in [
        ("normalize_activations", "an autoencoder that scales what it reads"),
        ("reshape_activations", "an autoencoder that reads heads"),
    ] {
        if !(file[key].is_null() || file[key] == "none") {
            return refuse(key, &file[key], feature);
        }
    }
    let metadata = &file["metadata"];
    if !metadata["hook_head_index"].is_null() {
        return refuse("hook_head_index", &metadata["hook_head_index"], "an autoencoder of one head");
    }
    Ok(())
}

/// The value of a key, if it is there and not null.
fn value<T: DeserializeOwned>(path: &Path, object: &Value, key: &str) -> Result<Option<T>> {
    serde_json::from_value(object[key].clone())
        .map_err(|error| Error::format(path, format!("{key} = {}: {error}", object[key])))
}

/// The file that describes such an autoencoder.
pub(super) fn contents(config: &SaeConfig) -> Value {
    let mut file = json!({
        "architecture": config.activation.name(),
        "d_in": config.d_in,
        "d_sae": config.d_sae,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": config.apply_b_dec_to_input,
        "normalize_activations": "none",
        "reshape_activations": "none",
        "metadata": {
            "sae_lens_version": SAE_LENS_VERSION,
            "model_name": config.model_name,
            "hook_name": config.hook.to_string(),
            "hook_head_index": null,
            "context_size": config.context_length,
            "prepend_bos": false,
            "model_class_name": "HookedTransformer",
            "dataset_path": config.dataset,
            "kiln": {
                "model_checksum": config.model_checksum,
                "mean_norm": config.mean_norm,
                "k": config.k,
                "training_tokens": config.training_tokens,
            },
        },
    });
    if let SaeActivation::TopK(k) = config.activation {
        file["k"] = json!(k);
        file["rescale_acts_by_decoder_norm"] = json!(false);
    }
    file
}
