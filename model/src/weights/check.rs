//! A configuration against the tensors that files hold.

use std::collections::BTreeSet;
use std::path::Path;

use super::family::Family;
use super::tensors::{Tensors, is_readable, values};
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
    if let Some(name) = tensors.keys().find(|name| name.contains(".lora_")) {
        let reason = format!("`{name}` belongs to a LoRA adapter that is not merged into the model");
        return Err(Error::format(directory, reason));
    }
    let unfit = family.slots(config).filter(|slot| slot.is_parameter(config)).filter_map(|slot| {
        let (name, shape) = (slot.name(), slot.shape_in(family.matrices, config));
        match tensors.get(&name) {
            None => Some(format!("`{name}` is missing")),
            Some((_, view)) if view.shape() != shape => {
                Some(format!("`{name}` has shape {:?}, expected {shape:?}", view.shape()))
            }
            Some((_, view)) if !is_readable(view.dtype()) => {
                Some(format!("`{name}` is {:?}, expected F64, F32, F16 or BF16", view.dtype()))
            }
            Some(_) => None,
        }
    });
    let is_known = |name: &str| {
        family.slot_named(config, name).is_some()
            || family.buffers.iter().any(|end| name.ends_with(end))
            || family.other_heads.iter().any(|head| name.starts_with(head))
    };
    let left_over: BTreeSet<&String> = tensors.keys().filter(|name| !is_known(name)).collect();
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
    let [head, embedding] = [family.head(), family.token_embedding()].map(|name| tensors.get(&name));
    let (Some((_, head)), Some((_, embedding))) = (head, embedding) else { return false };
    if head.shape() != embedding.shape() || !is_readable(head.dtype()) || !is_readable(embedding.dtype()) {
        // What is wrong with it is told by `check`.
        return true;
    }
    if head.dtype() == embedding.dtype() {
        return head.data() != embedding.data();
    }
    values(head) != values(embedding)
}
