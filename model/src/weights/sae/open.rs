//! Opening an autoencoder: every name and shape is checked before one is read.

use std::path::{Path, PathBuf};

use safetensors::SafeTensors;

use super::{CONFIG, LEAST_DENSITY, LOG_DENSITY, MAX_ACTIVATION, SPARSITY, WEIGHTS, config_file};
use crate::error::{Error, Result};
use crate::weights::checksum;
use crate::weights::encoding::Encoding;
use crate::weights::mapped::MappedFile;
use crate::{Backend, SaeActivation, SaeConfig, SaeStatistics, SaeWeights, SparseAutoencoder};

impl<B: Backend> SparseAutoencoder<B> {
    /// Whether an autoencoder lies in `directory`, or in a run directory's `model/`.
    pub fn is_in(directory: &Path) -> bool {
        located(directory).join(CONFIG).is_file()
    }

    /// Reads the description of the autoencoder in `directory`, or in a run directory's `model/`, alone.
    ///
    /// # Errors
    ///
    /// [`Error::NoAutoencoder`] if there is none, [`Error::UnsupportedAutoencoder`] with the name of what is not read,
    /// [`Error::Format`] for a file that is damaged.
    pub fn open_config(directory: &Path) -> Result<SaeConfig> {
        let path = located(directory).join(CONFIG);
        if !path.is_file() {
            return Err(Error::NoAutoencoder { path: directory.to_owned(), missing: CONFIG });
        }
        Ok(config_file::read(&path)?.0)
    }

    /// Opens the autoencoder in `directory`, or in a run directory's `model/`, on `device`.
    ///
    /// # Errors
    ///
    /// [`Error::NoAutoencoder`] if there is none, [`Error::UnsupportedAutoencoder`] with the name of what is not read,
    /// [`Error::Format`] for a file that is damaged or holds other tensors.
    pub fn open(directory: &Path, device: &B::Device) -> Result<Self> {
        let directory = &located(directory);
        let missing = [CONFIG, WEIGHTS].into_iter().find(|file| !directory.join(file).is_file());
        if let Some(missing) = missing {
            return Err(Error::NoAutoencoder { path: directory.to_owned(), missing });
        }
        let (config, scaled) = config_file::read(&directory.join(CONFIG))?;
        let (d_in, d_sae) = (config.d_in, config.d_sae);
        let mut expected = vec![
            ("W_enc", vec![d_in, d_sae]),
            ("b_enc", vec![d_sae]),
            ("W_dec", vec![d_sae, d_in]),
            ("b_dec", vec![d_in]),
        ];
        if config.activation == SaeActivation::JumpRelu {
            expected.push(("threshold", vec![d_sae]));
        }
        let mut values = read(&directory.join(WEIGHTS), &expected)?.into_iter();
        let mut next = || values.next().expect("one for each that was expected");
        let (w_enc, b_enc, w_dec, b_dec) = (next(), next(), next(), next());
        let threshold = match config.activation {
            SaeActivation::JumpRelu => next(),
            SaeActivation::Relu | SaeActivation::TopK(_) => vec![0.0; d_sae],
        };
        let mut weights = SaeWeights { w_enc, b_enc, w_dec, b_dec, threshold };
        if scaled {
            fold_lengths(&mut weights, d_in);
        }
        let opened = Self::new(config, weights, device);
        let sparsity = directory.join(SPARSITY);
        Ok(match sparsity.is_file().then(|| statistics(&sparsity, d_sae)).transpose()?.flatten() {
            Some(statistics) => opened.with_statistics(statistics),
            None => opened,
        })
    }
}

/// Where the files of an autoencoder lie: in the directory itself, or in `model/` of a run directory.
fn located(directory: &Path) -> PathBuf {
    let of_run = directory.join("model");
    let is_run = !directory.join(CONFIG).is_file() && of_run.join(CONFIG).is_file();
    if is_run { of_run } else { directory.to_owned() }
}

/// What was measured of the features; `None` if the file was written by another program, which does not know all of it.
fn statistics(path: &Path, d_sae: usize) -> Result<Option<SaeStatistics>> {
    let file = MappedFile::open(path)?;
    let tensors = parse(path, &file)?;
    if !tensors.names().iter().any(|name| **name == *MAX_ACTIVATION) {
        return Ok(None);
    }
    let [logarithms, max_activation] =
        read(path, &[(LOG_DENSITY, vec![d_sae]), (MAX_ACTIVATION, vec![d_sae])])?
            .try_into()
            .expect("one for each that was expected");
    let density =
        logarithms.iter().map(|logarithm| (10_f32.powf(*logarithm) - LEAST_DENSITY).max(0.0)).collect();
    Ok(Some(SaeStatistics { density, max_activation }))
}

fn parse<'a>(path: &Path, file: &'a MappedFile) -> Result<SafeTensors<'a>> {
    SafeTensors::deserialize(file.bytes()).map_err(|error| Error::format(path, error.to_string()))
}

/// The values of these tensors, which have to be all that the file holds.
fn read(path: &Path, expected: &[(&str, Vec<usize>)]) -> Result<Vec<Vec<f32>>> {
    let file = MappedFile::open(path)?;
    let tensors = parse(path, &file)?;
    let mut problems: Vec<String> = Vec::new();
    for (name, shape) in expected {
        match tensors.tensor(name) {
            Err(_) => problems.push(format!("`{name}` is missing")),
            Ok(view) if view.shape() != shape => {
                problems.push(format!("`{name}` has shape {:?}, expected {shape:?}", view.shape()));
            }
            Ok(view) if Encoding::of_safetensors(view.dtype()).is_none() => {
                problems.push(format!("`{name}` is {:?}, expected F64, F32, F16 or BF16", view.dtype()));
            }
            Ok(_) => {}
        }
    }
    let mut left_over: Vec<&str> =
        tensors.names().into_iter().filter(|name| !expected.iter().any(|(known, _)| known == name)).collect();
    left_over.sort_unstable();
    problems.extend(left_over.iter().map(|name| format!("`{name}` is nothing of such an autoencoder")));
    if !problems.is_empty() {
        return Err(Error::format(path, problems.join("; ")));
    }
    checksum::verify(&file, &tensors)?;
    expected
        .iter()
        .map(|(name, shape)| {
            let view = tensors.tensor(name).expect("its name was checked");
            let encoding = Encoding::of_safetensors(view.dtype()).expect("its type was checked");
            let values = encoding.values(view.data(), shape.iter().product());
            match values.iter().position(|value| !value.is_finite()) {
                None => Ok(values),
                Some(at) => {
                    Err(Error::format(path, format!("`{name}` holds {} at element {at}", values[at])))
                }
            }
        })
        .collect()
}

/// Makes directions one long, and encodes in their former lengths: what is said by `rescale_acts_by_decoder_norm`.
fn fold_lengths(weights: &mut SaeWeights, d_in: usize) {
    let lengths: Vec<f32> = weights
        .w_dec
        .chunks_exact(d_in)
        .map(|row| row.iter().map(|value| value * value).sum::<f32>().sqrt().max(1e-8))
        .collect();
    for (row, length) in weights.w_dec.chunks_exact_mut(d_in).zip(&lengths) {
        row.iter_mut().for_each(|value| *value /= length);
    }
    for row in weights.w_enc.chunks_exact_mut(lengths.len()) {
        row.iter_mut().zip(&lengths).for_each(|(value, length)| *value *= length);
    }
    weights.b_enc.iter_mut().zip(&lengths).for_each(|(value, length)| *value *= length);
}
