//! Head and loss in libtorch's fused softmax, a chunk of positions at a time.

use burn::tensor::ops::{FloatTensor, IntTensor};
use burn_tch::TchTensor;
use tch::{Device, Kind, Tensor};

use super::{TorchBackend, rows, unrows};
use crate::backend::{CHUNK_LOGITS, GPU_CHUNK_LOGITS, HeadGradients, MASKED, Wanted};

pub(in crate::backend) fn head<B: TorchBackend>(
    hidden: FloatTensor<B>,
    weight: FloatTensor<B>,
    softcap: Option<f64>,
) -> FloatTensor<B> {
    let logits = rows(&hidden.tensor).mm(&weight.tensor.tr());
    let logits = match softcap {
        None => logits,
        Some(cap) => (logits / cap).tanh() * cap,
    };
    unrows(&logits, &hidden.tensor)
}

pub(in crate::backend) fn head_cross_entropy<B: TorchBackend>(
    hidden: FloatTensor<B>,
    weight: FloatTensor<B>,
    targets: IntTensor<B>,
    softcap: Option<f64>,
) -> FloatTensor<B> {
    let head = Head::new(&hidden, &weight, &targets, softcap);
    let loss: Tensor =
        head.chunks().map(|(start, len)| head.loss(&head.log_softmax(start, len).0, start)).sum();
    TchTensor::new(loss.reshape([1]))
}

/// With `p = softmax(logits)` and `share` of each position in the mean: `dhidden = (p - onehot(target)) W ·
/// share`, `dW = Σ (p - onehot(target))ᵀ (hidden · share)`: the share goes to the small factor of each
/// product. A cap on logits multiplies `p - onehot(target)` by its slope, `1 - tanh²`.
pub(in crate::backend) fn head_cross_entropy_with_gradients<B: TorchBackend>(
    hidden: FloatTensor<B>,
    weight: FloatTensor<B>,
    targets: IntTensor<B>,
    softcap: Option<f64>,
    wanted: Wanted,
) -> HeadGradients<B> {
    let head = Head::new(&hidden, &weight, &targets, softcap);
    let mut loss = Tensor::zeros([1], (head.share.kind(), head.share.device()));
    let mut d_hidden = Vec::new();
    let mut d_weight: Option<Tensor> = None;
    for (start, len) in head.chunks() {
        let (log_softmax, tanh) = head.log_softmax(start, len);
        loss += head.loss(&log_softmax, start);
        let mut softmax = exponential(log_softmax, head.hidden.kind());
        let minus_one = Tensor::full([len, 1], -1.0, (softmax.kind(), softmax.device()));
        let _ = softmax.scatter_add_(1, &head.targets.narrow(0, start, len), &minus_one);
        if let Some(tanh) = tanh {
            let slope: Tensor = 1.0 - tanh.square();
            softmax *= slope.to_kind(softmax.kind());
        }
        let share = head.share.narrow(0, start, len).to_kind(head.hidden.kind());
        if wanted.input {
            d_hidden.push(softmax.mm(&head.weight) * &share); // [chunk, d_model]
        }
        if !wanted.weight {
            continue;
        }
        let hidden = head.hidden.narrow(0, start, len) * share;
        d_weight = Some(match d_weight {
            Some(sum) if sum.kind() == hidden.kind() => sum.addmm(&softmax.tr(), &hidden),
            Some(sum) => sum + softmax.tr().mm(&hidden),
            None => softmax.tr().mm(&hidden).to_kind(weight.tensor.kind()),
        });
    }
    let vocab = weight.tensor.size()[0];
    HeadGradients {
        loss: TchTensor::new(loss),
        hidden: wanted.input.then(|| unrows(&Tensor::cat(&d_hidden, 0), &hidden.tensor)),
        weight: d_weight.map(|gradient| TchTensor::new(gradient.narrow(0, 0, vocab))),
    }
}

struct Head {
    /// `[positions, d_model]`
    hidden: Tensor,
    /// `[vocab, d_model]`, on a GPU with rows of zeros up to a whole number of [`GPU_ROWS`].
    weight: Tensor,
    /// What is added to the logits where there are such rows: 0, and for them what has no probability. `[vocab]`
    mask: Option<Tensor>,
    /// The target; for one that is ignored, 0, so that it can be looked up. `[positions, 1]`
    targets: Tensor,
    /// Weight in the mean: one over the number of targets that count, or 0. `[positions, 1]`
    share: Tensor,
    /// What keeps logits within `±cap`, if anything does.
    softcap: Option<f64>,
}

impl Head {
    fn new(hidden: &TchTensor, weight: &TchTensor, targets: &TchTensor, softcap: Option<f64>) -> Self {
        let hidden = rows(&hidden.tensor);
        let targets = targets.tensor.to_kind(Kind::Int64).reshape([-1, 1]);
        let counts = targets.ge(0).to_kind(wide(hidden.kind()));
        // On the device: it need not wait for the host.
        let share = &counts / counts.sum(None::<Kind>).clamp_min(1.0);
        let weight = weight.tensor.to_kind(hidden.kind());
        let (weight, mask) =
            if weight.device() == Device::Cpu { (weight, None) } else { with_whole_rows(weight) };
        Self { weight, mask, targets: targets.clamp_min(0), share, hidden, softcap }
    }

    /// Start and length of the pieces whose logits fit in one chunk.
    fn chunks(&self) -> impl Iterator<Item = (i64, i64)> + use<> {
        let step = (chunk_logits(self.hidden.device()) / self.weight.size()[0]).max(1);
        let [positions, _] = self.hidden.size()[..] else { unreachable!("rows have two axes") };
        (0..positions).step_by(step as usize).map(move |start| (start, step.min(positions - start)))
    }

    /// `[len, vocab]`, never in fewer bits than f32; with a cap, also `tanh(logits / cap)`.
    fn log_softmax(&self, start: i64, len: i64) -> (Tensor, Option<Tensor>) {
        let (hidden, weight) = (self.hidden.narrow(0, start, len), self.weight.tr());
        let (logits, tanh) = match (self.softcap, &self.mask) {
            (None, None) => (hidden.mm(&weight), None),
            (None, Some(mask)) => (mask.addmm(&hidden, &weight), None),
            (Some(cap), mask) => {
                let logits = hidden.mm(&weight);
                let tanh = (logits.to_kind(wide(logits.kind())) / cap).tanh();
                // The mask comes last: a cap would lift what it hides.
                let logits = &tanh * cap;
                (mask.as_ref().map_or_else(|| logits.shallow_clone(), |mask| &logits + mask), Some(tanh))
            }
        };
        (logits.log_softmax(-1, wide(logits.kind())), tanh)
    }

    /// The chunk's part of the mean, without an axis.
    fn loss(&self, log_softmax: &Tensor, start: i64) -> Tensor {
        let len = log_softmax.size()[0];
        let targets = self.targets.narrow(0, start, len);
        let share = self.share.narrow(0, start, len);
        -(log_softmax.gather(1, &targets, false) * share).sum(None::<Kind>)
    }
}

/// A vocabulary counts as a multiple of this on a GPU, whose products are several times slower where rows of logits start
/// anywhere.
const GPU_ROWS: i64 = 64;

/// A weight with whole rows, and the mask of those that were added, if any were.
fn with_whole_rows(weight: Tensor) -> (Tensor, Option<Tensor>) {
    let [vocab, d_model] = weight.size()[..] else { unreachable!("a head has two axes") };
    let missing = (GPU_ROWS - vocab % GPU_ROWS) % GPU_ROWS;
    if missing == 0 {
        return (weight, None);
    }
    let options = (weight.kind(), weight.device());
    let mask = Tensor::cat(&[Tensor::zeros([vocab], options), Tensor::full([missing], MASKED, options)], 0);
    (Tensor::cat(&[weight, Tensor::zeros([missing, d_model], options)], 0), Some(mask))
}

/// The type that sums of numbers of this type are computed in.
fn wide(kind: Kind) -> Kind {
    if matches!(kind, Kind::BFloat16 | Kind::Half) { Kind::Float } else { kind }
}

/// `exp(tensor)` in this type: in place, or rounded on the way.
fn exponential(mut tensor: Tensor, kind: Kind) -> Tensor {
    if tensor.kind() == kind {
        return tensor.exp_();
    }
    let rounded = Tensor::empty(tensor.size(), (kind, tensor.device()));
    tensor.exp_out(&rounded)
}

/// Most logits that are held at once.
fn chunk_logits(device: Device) -> i64 {
    if device == Device::Cpu { CHUNK_LOGITS as i64 } else { GPU_CHUNK_LOGITS as i64 }
}
