//! A configuration against the tensors that files hold.

use std::collections::BTreeSet;
use std::path::Path;

use super::family::Family;
use super::source::Tensors;
use crate::GptConfig;
use crate::error::{Error, Result};

/// Compares what the model needs with what the files hold. Nothing is allocated before: a configuration may
/// claim any size, but not one that the files do not have.
pub(super) fn check(
    directory: &Path,
    family: &Family,
    config: &GptConfig,
    tensors: &Tensors<'_>,
) -> Result<()> {
    if let Some(name) = tensors.names().find(|name| name.contains(".lora_")) {
        let reason = format!("`{name}` belongs to a LoRA adapter that is not merged into the model");
        return Err(Error::format(directory, reason));
    }
    let unfit = family.slots(config).filter(|slot| slot.is_parameter(config)).filter_map(|slot| {
        let (name, shape) = (tensors.name(&slot), slot.shape_in(tensors.layout(), config));
        match tensors.get(&slot) {
            None => Some(format!("`{name}` is missing")),
            Some(tensor) if tensor.shape() != shape => {
                Some(format!("`{name}` has shape {:?}, expected {shape:?}", tensor.shape()))
            }
            Some(tensor) => {
                let found = tensor.unreadable()?;
                Some(format!("`{name}` is {found}, expected F64, F32, F16 or BF16"))
            }
        }
    });
    let left_over: BTreeSet<&str> = tensors.names().filter(|name| !tensors.is_known(config, name)).collect();
    let left_over =
        left_over.into_iter().map(|name| format!("`{name}` is no parameter of this architecture"));

    const SHOWN: usize = 8;
    let mut problems: Vec<String> = unfit.take(SHOWN + 1).chain(left_over).take(SHOWN + 1).collect();
    if problems.is_empty() {
        return Ok(());
    }
    if problems.len() > SHOWN {
        problems[SHOWN] = "and more".to_owned();
    }
    Err(Error::format(directory, problems.join("; ")))
}

/// Whether the files hold a head that is not the token embedding, although the configuration ties the two: it
/// was trained on its own, and `transformers` uses it.
pub(super) fn has_own_head(family: &Family, tensors: &Tensors<'_>) -> bool {
    let [head, embedding] = [family.head(), family.token_embedding()].map(|name| tensors.named(&name));
    let (Some(head), Some(embedding)) = (head, embedding) else { return false };
    // What is wrong with it is told by `check`.
    let readable = head.unreadable().is_none() && embedding.unreadable().is_none();
    !(readable && head.equals(embedding))
}
