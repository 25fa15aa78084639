//! Steering, carried out.

use burn::tensor::{Tensor, TensorData};
use kiln_model::{Backend, Site, Tap, Watch};

use super::{Action, Intervention, SteeredPositions, Steering};

/// Carries out the steering of each sequence of a batch.
///
/// ```
/// use burn::tensor::{Int, Tensor};
/// use kiln_inference::{Action, Intervention, SteeredPositions, Steering, SteeringTap};
/// use kiln_model::{GptConfig, Site};
///
/// type B = burn_ndarray::NdArray;
/// let config = GptConfig { vocab_size: 65, context_length: 32, ..GptConfig::new(2, 2, 16) };
/// let model = config.init::<B>(1337, &Default::default())?;
/// let tokens = Tensor::<B, 2, Int>::from_ints([[1, 2, 3]], &Default::default());
///
/// let up = Intervention {
///     site: Site::ResidPost(0),
///     direction: vec![1.0; 16],
///     action: Action::Add { amount: 0.5 },
///     positions: SteeredPositions::All,
/// };
/// let steering = Steering::new([up], &config)?;
/// let mut tap = SteeringTap::<B>::new(&steering, &Default::default());
/// let steered = model.forward_tapped(tokens.clone(), None, &mut tap);
/// assert_ne!(steered.into_data(), model.forward(tokens).into_data());
/// # Ok::<(), kiln_inference::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct SteeringTap<B: Backend> {
    sequences: Vec<SteeredSequence<B>>,
}

/// The steering of one sequence.
#[derive(Clone, Debug)]
pub(crate) struct SteeredSequence<B: Backend> {
    interventions: Vec<OnDevice<B>>,
    /// The first of the positions of this pass whose tokens were generated.
    generated_from: usize,
}

impl<B: Backend> SteeringTap<B> {
    /// Steers every sequence of a batch alike, as a prompt is: tokens that were generated are none of it.
    pub fn new(steering: &Steering, device: &B::Device) -> Self {
        Self { sequences: vec![SteeredSequence::new(&steering.of_prompt(), device)] }
    }

    /// Steers each sequence of a batch by its own.
    pub(crate) fn of_each(sequences: Vec<SteeredSequence<B>>) -> Self {
        Self { sequences }
    }
}

impl<B: Backend> SteeredSequence<B> {
    /// A sequence of which nothing was generated.
    pub(crate) fn new(steering: &Steering, device: &B::Device) -> Self {
        let interventions = steering.interventions().iter();
        let interventions = interventions.map(|intervention| OnDevice::new(intervention, device)).collect();
        Self { interventions, generated_from: usize::MAX }
    }

    /// The same in a pass whose tokens were generated from this position on.
    pub(crate) fn generated_from(&self, position: usize) -> Self {
        Self { generated_from: position, ..self.clone() }
    }

    fn concerns(&self, site: Site) -> bool {
        self.interventions.iter().any(|intervention| intervention.site == site)
    }

    /// `[batch, seq, d_model] → [batch, seq, d_model]`
    fn apply(&self, site: Site, stream: Tensor<B, 3>) -> Tensor<B, 3> {
        let here = self.interventions.iter().filter(|intervention| intervention.site == site);
        here.fold(stream, |stream, intervention| {
            let [_, seq, _] = stream.dims();
            let first = match intervention.positions {
                SteeredPositions::All | SteeredPositions::Active => 0,
                SteeredPositions::Generated => self.generated_from.min(seq),
            };
            match first {
                0 => intervention.apply(stream),
                first if first == seq => stream,
                first => {
                    let before = stream.clone().narrow(1, 0, first);
                    Tensor::cat(vec![before, intervention.apply(stream.narrow(1, first, seq - first))], 1)
                }
            }
        })
    }
}

impl<B: Backend> Tap<B> for SteeringTap<B> {
    fn watches(&self) -> Watch {
        match self.sequences.iter().all(|sequence| sequence.interventions.is_empty()) {
            true => Watch::Nothing,
            false => Watch::Stream,
        }
    }

    fn at<const D: usize>(&mut self, site: Site, value: Tensor<B, D>) -> Tensor<B, D> {
        if !self.sequences.iter().any(|sequence| sequence.concerns(site)) {
            return value;
        }
        let shape = value.dims();
        let stream = value.reshape([shape[0], shape[1], shape[2]]); // [batch, seq, d_model]
        let steered = match &self.sequences[..] {
            [all] => all.apply(site, stream),
            // Each sequence by itself, so that it is steered as it would be alone.
            each => {
                let sequences = each.iter().enumerate();
                let steered = sequences.map(|(at, one)| one.apply(site, stream.clone().narrow(0, at, 1)));
                Tensor::cat(steered.collect(), 0)
            }
        };
        steered.reshape(shape)
    }
}

/// An intervention with its numbers where the model is.
#[derive(Clone, Debug)]
struct OnDevice<B: Backend> {
    site: Site,
    positions: SteeredPositions,
    /// `[1, 1, d_model]`
    direction: Tensor<B, 3>,
    action: DeviceAction<B>,
}

#[derive(Clone, Debug)]
enum DeviceAction<B: Backend> {
    /// The direction is the sum that is added.
    Add,
    Clamp {
        value: f32,
        encoder: Tensor<B, 3>,
        bias: f32,
        threshold: f32,
    },
    /// The direction has length 1.
    Ablate,
}

impl<B: Backend> OnDevice<B> {
    fn new(intervention: &Intervention, device: &B::Device) -> Self {
        let upload = |numbers: Vec<f32>| {
            let width = numbers.len();
            Tensor::from_data(TensorData::new(numbers, [1, 1, width]), device)
        };
        let scaled =
            |factor: f32| upload(intervention.direction.iter().map(|number| number * factor).collect());
        let (direction, action) = match &intervention.action {
            Action::Add { amount } => (scaled(*amount), DeviceAction::Add),
            Action::Clamp { value, encoder, bias, threshold } => {
                let (value, bias, threshold) = (*value, *bias, threshold.max(0.0));
                (
                    scaled(1.0),
                    DeviceAction::Clamp { value, encoder: upload(encoder.clone()), bias, threshold },
                )
            }
            Action::Ablate => {
                let norm = crate::vectors::norm(&intervention.direction);
                (scaled(if norm > 0.0 { 1.0 / norm } else { 0.0 }), DeviceAction::Ablate)
            }
        };
        Self { site: intervention.site, positions: intervention.positions, direction, action }
    }

    /// `[batch, seq, d_model] → [batch, seq, d_model]`
    fn apply(&self, stream: Tensor<B, 3>) -> Tensor<B, 3> {
        let like = |tensor: &Tensor<B, 3>| tensor.clone().cast(stream.dtype());
        let direction = like(&self.direction); // [1, 1, d_model]
        match &self.action {
            DeviceAction::Add => stream + direction,
            DeviceAction::Clamp { value, encoder, bias, threshold } => {
                let read = (stream.clone() * like(encoder)).sum_dim(2) + *bias; // [batch, seq, 1]
                let off = read.clone().lower_equal_elem(*threshold);
                let feature = read.mask_fill(off, 0.0); // [batch, seq, 1]
                let mut missing = feature.clone().neg() + *value; // [batch, seq, 1]
                if self.positions == SteeredPositions::Active {
                    missing = missing.mask_fill(feature.equal_elem(0.0), 0.0);
                }
                stream + missing * direction
            }
            DeviceAction::Ablate => {
                let held = (stream.clone() * direction.clone()).sum_dim(2); // [batch, seq, 1]
                stream - held * direction
            }
        }
    }
}
