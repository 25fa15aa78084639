//! Where CubeCL keeps compiled kernels, and which of them were fastest: finding both takes minutes on a new machine.

use std::sync::Once;

use burn_cubecl::cubecl::config::cache::CacheConfig;
use burn_cubecl::cubecl::config::{CubeClRuntimeConfig, RuntimeConfig};

/// Keeps them in the user's cache folder, unless a `cubecl.toml` says where. To be called before the first use of a device.
pub(super) fn keep() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let Some(folder) = dirs::cache_dir() else { return };
        let ours = || CacheConfig::File(folder.join("kiln"));
        let mut config = CubeClRuntimeConfig::from_current_dir().override_from_env();
        config.compilation.cache.get_or_insert_with(ours);
        if matches!(config.autotune.cache, CacheConfig::Target) {
            config.autotune.cache = ours();
        }
        CubeClRuntimeConfig::set(config);
    });
}
