//! The Rust code in the user's own cargo registry: hundreds of megabytes of real text, without a download.

use std::path::PathBuf;

use crate::error::{Error, Result};

/// Where cargo unpacks the crates it has fetched: `registry/src` in `CARGO_HOME`, by default `~/.cargo`.
pub(super) fn registry() -> Result<PathBuf> {
    let home = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::home_dir().map(|home| home.join(".cargo")))
        .unwrap_or_default();
    let registry = home.join("registry").join("src");
    if registry.is_dir() {
        return Ok(registry);
    }
    Err(Error::NoCrates { path: registry })
}
