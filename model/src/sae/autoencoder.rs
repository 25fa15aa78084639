//! The autoencoder itself.

use burn::module::{Module, Param};
use burn::tensor::activation::relu;
use burn::tensor::{DType, Int, Tensor, TensorData};

use super::{Feature, SaeActivation, SaeConfig, SaeStatistics};
use crate::error::{Error, Result};
use crate::{Backend, backend};

/// `f = jumprelu((x − b_dec) W_enc + b_enc)`, `x̂ = f W_dec + b_dec`, where `jumprelu(h) = relu(h)` above a threshold and 0
/// below (<https://arxiv.org/abs/2407.14435>).
///
/// Fields are named as in SAELens' files.
#[derive(Module, Debug)]
pub struct SparseAutoencoder<B: Backend> {
    /// `[d_in, d_sae]`
    pub w_enc: Param<Tensor<B, 2>>,
    /// `[d_sae]`
    pub b_enc: Param<Tensor<B, 1>>,
    /// One direction for each feature, `[d_sae, d_in]`.
    pub w_dec: Param<Tensor<B, 2>>,
    /// `[d_in]`
    pub b_dec: Param<Tensor<B, 1>>,
    /// What each feature has to exceed, `[d_sae]`; zeros where it is enough to be above zero.
    pub threshold: Param<Tensor<B, 1>>,
    #[module(skip)]
    config: SaeConfig,
    #[module(skip)]
    statistics: Option<SaeStatistics>,
}

/// The numbers of an autoencoder, row by row.
#[derive(Clone, Debug, PartialEq)]
pub struct SaeWeights {
    /// `[d_in, d_sae]`
    pub w_enc: Vec<f32>,
    /// `[d_sae]`
    pub b_enc: Vec<f32>,
    /// `[d_sae, d_in]`
    pub w_dec: Vec<f32>,
    /// `[d_in]`
    pub b_dec: Vec<f32>,
    /// `[d_sae]`
    pub threshold: Vec<f32>,
}

impl<B: Backend> SparseAutoencoder<B> {
    /// An autoencoder of these numbers.
    ///
    /// # Panics
    ///
    /// If there are more or fewer of them than `config` says.
    pub fn new(config: SaeConfig, weights: SaeWeights, device: &B::Device) -> Self {
        let (d_in, d_sae) = (config.d_in, config.d_sae);
        let matrix = |values, shape: [usize; 2]| {
            Param::from_tensor(Tensor::from_data(TensorData::new(values, shape), (device, DType::F32)))
        };
        let vector = |values, length: usize| {
            Param::from_tensor(Tensor::from_data(TensorData::new(values, [length]), (device, DType::F32)))
        };
        Self {
            w_enc: matrix(weights.w_enc, [d_in, d_sae]),
            b_enc: vector(weights.b_enc, d_sae),
            w_dec: matrix(weights.w_dec, [d_sae, d_in]),
            b_dec: vector(weights.b_dec, d_in),
            threshold: vector(weights.threshold, d_sae),
            config,
            statistics: None,
        }
    }

    /// The same with what was measured of its features.
    pub fn with_statistics(self, statistics: SaeStatistics) -> Self {
        Self { statistics: Some(statistics), ..self }
    }

    /// What it is.
    pub fn config(&self) -> &SaeConfig {
        &self.config
    }

    /// What was measured of its features, where that is known.
    pub fn statistics(&self) -> Option<&SaeStatistics> {
        self.statistics.as_ref()
    }

    /// Where its parameters are.
    pub fn device(&self) -> B::Device {
        self.w_enc.device()
    }

    /// What the encoder makes of vectors before it is decided which features are active.
    ///
    /// # Shapes
    ///
    /// - input: `[n, d_in]`
    /// - output: `[n, d_sae]`
    pub fn pre_activations(&self, input: Tensor<B, 2>) -> Tensor<B, 2> {
        let input = match self.config.apply_b_dec_to_input {
            true => input - self.b_dec.val().unsqueeze(),
            false => input,
        };
        backend::matmul(input, self.w_enc.val()) + self.b_enc.val().unsqueeze()
    }

    /// How active each feature is.
    ///
    /// # Shapes
    ///
    /// - input: `[n, d_in]`
    /// - output: `[n, d_sae]`
    pub fn encode(&self, input: Tensor<B, 2>) -> Tensor<B, 2> {
        let pre = self.pre_activations(input); // [n, d_sae]
        match self.config.activation {
            SaeActivation::Relu => relu(pre),
            SaeActivation::JumpRelu => {
                let active = pre.clone().greater(self.threshold.val().unsqueeze()).float();
                relu(pre) * active
            }
            SaeActivation::TopK(k) => {
                let pre = relu(pre);
                let (values, features): (Tensor<B, 2>, Tensor<B, 2, Int>) =
                    pre.clone().topk_with_indices(k, 1); // [n, k]
                pre.zeros_like().scatter(1, features, values, burn::tensor::IndexingUpdateOp::Add)
            }
        }
    }

    /// The vectors that features stand for.
    ///
    /// # Shapes
    ///
    /// - features: `[n, d_sae]`
    /// - output: `[n, d_in]`
    pub fn decode(&self, features: Tensor<B, 2>) -> Tensor<B, 2> {
        backend::matmul(features, self.w_dec.val()) + self.b_dec.val().unsqueeze()
    }

    /// One feature by its number, for reading and changing it without the others.
    ///
    /// # Errors
    ///
    /// [`Error::NoFeature`] if there is none of this number, [`Error::NoThreshold`] if the other features decide whether it is
    /// active.
    pub fn feature(&self, feature: usize) -> Result<Feature<B>> {
        let SaeConfig { d_in, d_sae, activation, apply_b_dec_to_input, .. } = self.config;
        if feature >= d_sae {
            return Err(Error::NoFeature { feature, features: d_sae });
        }
        if let SaeActivation::TopK(k) = activation {
            return Err(Error::NoThreshold { k });
        }
        let encoder: Tensor<B, 1> = self.w_enc.val().narrow(1, feature, 1).reshape([d_in]);
        let folded = (self.b_dec.val() * encoder.clone()).sum();
        let number = |tensor: Tensor<B, 1>| tensor.into_data().iter::<f32>().next().unwrap_or_default();
        let folded = if apply_b_dec_to_input { number(folded) } else { 0.0 };
        Ok(Feature {
            direction: self.w_dec.val().narrow(0, feature, 1).reshape([d_in]),
            encoder,
            bias: number(self.b_enc.val().narrow(0, feature, 1)) - folded,
            threshold: number(self.threshold.val().narrow(0, feature, 1)),
        })
    }

    /// Its numbers, row by row.
    pub fn weights(&self) -> SaeWeights {
        fn values<B: Backend, const D: usize>(parameter: &Param<Tensor<B, D>>) -> Vec<f32> {
            parameter.val().into_data().iter::<f32>().collect()
        }
        SaeWeights {
            w_enc: values(&self.w_enc),
            b_enc: values(&self.b_enc),
            w_dec: values(&self.w_dec),
            b_dec: values(&self.b_dec),
            threshold: values(&self.threshold),
        }
    }
}
