//! The update of one parameter, and what it remembers.

use burn::optim::SimpleOptimizer;
use burn::record::Record;
use burn::tensor::backend::Backend as BurnBackend;
use burn::tensor::ops::FloatTensor;
use burn::tensor::{Tensor, TensorPrimitive};
use kiln_model::Backend;

use super::adamw::AdamW;
use super::muon::Muon;

/// How a parameter is updated.
#[derive(Clone, Debug)]
pub enum Rule {
    /// A number at a time.
    AdamW(AdamW),
    /// As a matrix.
    Muon(Muon),
}

/// What the optimizer remembers of a parameter.
#[derive(Record, Clone)]
pub struct Moments<B: BurnBackend, const D: usize> {
    /// Running mean of the gradient, shaped like the parameter.
    pub first: Tensor<B, D>,
    /// Running mean of the squared gradient, shaped like the parameter; Muon has none.
    pub second: Option<Tensor<B, D>>,
    /// Updates so far.
    pub step: usize,
}

impl<B: BurnBackend, const D: usize> Moments<B, D> {
    /// Those before the first update.
    pub(super) fn zero(gradient: &Tensor<B, D>) -> Self {
        Self { first: gradient.zeros_like(), second: None, step: 0 }
    }
}

impl Rule {
    /// One update with the gradient times `gradient_scale`.
    pub(super) fn update<B: Backend, const D: usize>(
        &self,
        learning_rate: f64,
        gradient_scale: f64,
        parameter: Tensor<B, D>,
        gradient: Tensor<B, D>,
        moments: Option<Moments<B, D>>,
    ) -> (Tensor<B, D>, Moments<B, D>) {
        match self {
            Self::AdamW(adamw) => adamw.step(learning_rate, gradient_scale, parameter, gradient, moments),
            Self::Muon(muon) => muon.step(learning_rate, gradient_scale, parameter, gradient, moments),
        }
    }
}

impl<B: Backend> SimpleOptimizer<B> for Rule {
    type State<const D: usize> = Moments<B, D>;

    fn step<const D: usize>(
        &self,
        learning_rate: f64,
        parameter: Tensor<B, D>,
        gradient: Tensor<B, D>,
        moments: Option<Self::State<D>>,
    ) -> (Tensor<B, D>, Option<Self::State<D>>) {
        let (parameter, moments) = self.update(learning_rate, 1.0, parameter, gradient, moments);
        (parameter, Some(moments))
    }

    fn to_device<const D: usize>(moments: Self::State<D>, device: &B::Device) -> Self::State<D> {
        let Moments { first, second, step } = moments;
        let second = second.map(|second| second.to_device(device));
        Moments { first: first.to_device(device), second, step }
    }
}

pub(super) fn primitive<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> FloatTensor<B> {
    tensor.into_primitive().tensor()
}

pub(super) fn from_primitive<B: Backend, const D: usize>(primitive: FloatTensor<B>) -> Tensor<B, D> {
    Tensor::from_primitive(TensorPrimitive::Float(primitive))
}

#[cfg(test)]
mod tests {
    use burn::record::{FullPrecisionSettings, NamedMpkBytesRecorder, Recorder};
    use burn_ndarray::NdArray;

    use super::*;

    /// As AdamW's moments were written when nothing else was there.
    #[derive(Record, Clone)]
    struct BothMoments<B: BurnBackend, const D: usize> {
        first: Tensor<B, D>,
        second: Tensor<B, D>,
        step: usize,
    }

    #[test]
    fn moments_of_older_checkpoints_are_read() {
        let device = Default::default();
        let tensor = |value: f32| Tensor::<NdArray, 1>::from_floats([value, 2.0], &device);
        let recorder = NamedMpkBytesRecorder::<FullPrecisionSettings>::default();
        let older = BothMoments { first: tensor(0.5), second: tensor(0.25), step: 7 };
        let bytes = Recorder::<NdArray>::record(&recorder, older, ()).expect("in memory");
        let Moments { first, second, step } = recorder.load(bytes, &device).expect("the same names");
        let values = |tensor: Tensor<NdArray, 1>| tensor.into_data().to_vec::<f32>().expect("f32");
        assert_eq!((values(first), second.map(values), step), (vec![0.5, 2.0], Some(vec![0.25, 2.0]), 7));

        let of_muon = Moments { first: tensor(0.5), second: None, step: 7 };
        let bytes = Recorder::<NdArray>::record(&recorder, of_muon, ()).expect("in memory");
        let Moments::<NdArray, 1> { second, .. } = recorder.load(bytes, &device).expect("just written");
        assert!(second.is_none());
    }
}
