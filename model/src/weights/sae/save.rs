//! Writing an autoencoder that SAELens opens.

use std::collections::BTreeMap;
use std::path::Path;

use super::{CONFIG, LEAST_DENSITY, LOG_DENSITY, MAX_ACTIVATION, SPARSITY, WEIGHTS, config_file};
use crate::error::{Error, Result};
use crate::file::write_file;
use crate::weights::Dtype;
use crate::weights::tensor_file::{self, FileTensor};
use crate::{Backend, SaeActivation, SparseAutoencoder};

impl<B: Backend> SparseAutoencoder<B> {
    /// Writes `cfg.json`, `sae_weights.safetensors` and, where its features were measured, `sparsity.safetensors` into
    /// `directory`, which is created if need be.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] with the path.
    pub fn save(&self, directory: &Path) -> Result<()> {
        std::fs::create_dir_all(directory).map_err(Error::io(directory))?;
        let (config, weights) = (self.config(), self.weights());
        let (d_in, d_sae) = (config.d_in, config.d_sae);
        let mut tensors = vec![
            tensor("W_enc", vec![d_in, d_sae], weights.w_enc),
            tensor("b_enc", vec![d_sae], weights.b_enc),
            tensor("W_dec", vec![d_sae, d_in], weights.w_dec),
            tensor("b_dec", vec![d_in], weights.b_dec),
        ];
        // SAELens refuses tensors that it does not expect.
        if config.activation == SaeActivation::JumpRelu {
            tensors.push(tensor("threshold", vec![d_sae], weights.threshold));
        }
        tensor_file::write(&directory.join(WEIGHTS), tensors, BTreeMap::new())?;
        if let Some(statistics) = self.statistics() {
            let logarithms =
                statistics.density.iter().map(|density| (density + LEAST_DENSITY).log10()).collect();
            let tensors = vec![
                tensor(LOG_DENSITY, vec![d_sae], logarithms),
                tensor(MAX_ACTIVATION, vec![d_sae], statistics.max_activation.clone()),
            ];
            tensor_file::write(&directory.join(SPARSITY), tensors, BTreeMap::new())?;
        }
        write_file(&directory.join(CONFIG), format!("{:#}\n", config_file::contents(config)))
    }
}

fn tensor(name: &str, shape: Vec<usize>, values: Vec<f32>) -> (String, FileTensor) {
    (name.to_owned(), FileTensor::new(shape, Dtype::F32, move || values.clone()))
}
