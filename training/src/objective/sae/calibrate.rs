//! From a dictionary that learned by comparing the vectors of a batch to one that judges each vector alone.

use burn::tensor::{DType, Tensor, TensorData};
use kiln_model::{Backend, SaeConfig, SaeStatistics, SaeWeights, SparseAutoencoder};

use super::dictionary::Dictionary;
use super::select::Histogram;
use super::vectors::{Vectors, numbers};

/// The autoencoder with the one threshold above which `k` features of each of `held_out` are active, on the average, and what was
/// measured of its features on them.
pub(super) fn calibrated<B: Backend>(
    config: SaeConfig,
    dictionary: Dictionary,
    held_out: &[Vectors],
    k: usize,
    device: &B::Device,
) -> SparseAutoencoder<B> {
    let d_sae = config.d_sae;
    let Dictionary { w_enc, b_enc, w_dec, b_dec } = dictionary;
    let mut weights = SaeWeights { w_enc, b_enc, w_dec, b_dec, threshold: vec![0.0; d_sae] };
    let open = SparseAutoencoder::<B>::new(config.clone(), weights.clone(), device);
    let pre_activations = |vectors: &Vectors| -> Vec<f32> {
        let data = TensorData::new(vectors.values.clone(), [vectors.len(), vectors.width]);
        numbers(open.pre_activations(Tensor::from_data(data, (device, DType::F32))))
    };
    let mut histogram = Histogram::new();
    held_out.iter().for_each(|vectors| histogram.add(&pre_activations(vectors)));
    let total: usize = held_out.iter().map(Vectors::len).sum();
    let threshold = histogram.exceeded_by((total * k) as u64);

    let (mut counts, mut max_activation) = (vec![0_u64; d_sae], vec![0_f32; d_sae]);
    for vectors in held_out {
        for row in pre_activations(vectors).chunks_exact(d_sae) {
            for ((value, count), most) in row.iter().zip(&mut counts).zip(&mut max_activation) {
                if *value > threshold {
                    *count += 1;
                    *most = most.max(*value);
                }
            }
        }
    }
    weights.threshold = vec![threshold; d_sae];
    let density = counts.iter().map(|count| (*count as f64 / total.max(1) as f64) as f32).collect();
    SparseAutoencoder::new(config, weights, device).with_statistics(SaeStatistics { density, max_activation })
}
