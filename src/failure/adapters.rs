//! What to do about an adapter that cannot be used.

use std::path::Path;

use kiln_model::Error;

use crate::commands::shell::quoted;

/// Whether a file belongs to an adapter.
pub fn is_adapter(file: &Path) -> bool {
    file.file_name().is_some_and(|name| name.to_string_lossy().starts_with("adapter"))
}

/// Of the errors about adapters.
pub fn hint(error: &Error) -> Option<String> {
    Some(match error {
        Error::OtherWeights { path, .. } if is_adapter(path) => {
            "name its model, too: `--model MODEL --adapter DIR`".to_owned()
        }
        Error::OtherBase { .. } => {
            "name the model that it was trained on: `--model MODEL --adapter DIR`".to_owned()
        }
        Error::UnsupportedAdapter { .. } => {
            "merge it into its model: `python -c \"from peft import AutoPeftModelForCausalLM as M; \
             M.from_pretrained('DIR').merge_and_unload().save_pretrained('NEW_DIR')\"`"
                .to_owned()
        }
        _ => return None,
    })
}

/// Of an adapter whose model, called `base`, is not there.
pub fn no_base(base: &str) -> String {
    let fetch = match base {
        "" => String::new(),
        base => format!("fetch it with `kiln fetch {}`, or ", quoted(base)),
    };
    format!("{fetch}say where it is: `--model MODEL --adapter DIR`")
}
