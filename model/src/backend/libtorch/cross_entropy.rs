//! Head and loss in libtorch's fused softmax, a chunk of positions at a time.

use burn::tensor::ops::{FloatTensor, IntTensor};
use burn_tch::TchTensor;
use tch::{Kind, Tensor};

use super::{TorchBackend, rows, unrows};
use crate::backend::{CHUNK_LOGITS, HeadGradients};

pub(in crate::backend) fn head<B: TorchBackend>(
    hidden: FloatTensor<B>,
    weight: FloatTensor<B>,
) -> FloatTensor<B> {
    unrows(&rows(&hidden.tensor).mm(&weight.tensor.tr()), &hidden.tensor)
}

pub(in crate::backend) fn head_cross_entropy<B: TorchBackend>(
    hidden: FloatTensor<B>,
    weight: FloatTensor<B>,
    targets: IntTensor<B>,
) -> FloatTensor<B> {
    let head = Head::new(&hidden, &weight, &targets);
    let loss: Tensor =
        head.chunks().map(|(start, len)| head.loss(&head.log_softmax(start, len), start)).sum();
    TchTensor::new(loss.reshape([1]))
}

/// With `p = softmax(logits)` and `share` of each position in the mean: `dhidden = (p - onehot(target)) W ·
/// share`, `dW = Σ (p - onehot(target))ᵀ (hidden · share)`: the share goes to the small factor of each
/// product.
pub(in crate::backend) fn head_cross_entropy_with_gradients<B: TorchBackend>(
    hidden: FloatTensor<B>,
    weight: FloatTensor<B>,
    targets: IntTensor<B>,
) -> HeadGradients<B> {
    let head = Head::new(&hidden, &weight, &targets);
    let mut loss = Tensor::zeros([1], (head.hidden.kind(), head.hidden.device()));
    let mut d_hidden = Vec::new();
    let mut d_weight: Option<Tensor> = None;
    for (start, len) in head.chunks() {
        let mut softmax = head.log_softmax(start, len);
        loss += head.loss(&softmax, start);
        let _ = softmax.exp_();
        let minus_one = Tensor::full([len, 1], -1.0, (softmax.kind(), softmax.device()));
        let _ = softmax.scatter_add_(1, &head.targets.narrow(0, start, len), &minus_one);
        let share = head.share.narrow(0, start, len);
        d_hidden.push(softmax.mm(&head.weight) * &share); // [chunk, d_model]
        let hidden = head.hidden.narrow(0, start, len) * share;
        d_weight = Some(match d_weight {
            Some(sum) => sum.addmm(&softmax.tr(), &hidden),
            None => softmax.tr().mm(&hidden),
        });
    }
    let d_hidden = Tensor::cat(&d_hidden, 0);
    HeadGradients {
        loss: TchTensor::new(loss),
        hidden: unrows(&d_hidden, &hidden.tensor),
        weight: TchTensor::new(d_weight.expect("a batch has at least one position")),
    }
}

struct Head {
    /// `[positions, d_model]`
    hidden: Tensor,
    /// `[vocab, d_model]`
    weight: Tensor,
    /// The target; for one that is ignored, 0, so that it can be looked up. `[positions, 1]`
    targets: Tensor,
    /// Weight in the mean: one over the number of targets that count, or 0. `[positions, 1]`
    share: Tensor,
}

impl Head {
    fn new(hidden: &TchTensor, weight: &TchTensor, targets: &TchTensor) -> Self {
        let hidden = rows(&hidden.tensor);
        let targets = targets.tensor.to_kind(Kind::Int64).reshape([-1, 1]);
        let counts = targets.ge(0).to_kind(hidden.kind());
        // On the device: it need not wait for the host.
        let share = &counts / counts.sum(None::<Kind>).clamp_min(1.0);
        Self { weight: weight.tensor.shallow_clone(), targets: targets.clamp_min(0), share, hidden }
    }

    /// Start and length of the pieces whose logits fit in one chunk.
    fn chunks(&self) -> impl Iterator<Item = (i64, i64)> + use<> {
        let step = (CHUNK_LOGITS as i64 / self.weight.size()[0]).max(1);
        let [positions, _] = self.hidden.size()[..] else { unreachable!("rows have two axes") };
        (0..positions).step_by(step as usize).map(move |start| (start, step.min(positions - start)))
    }

    /// `[len, vocab]`
    fn log_softmax(&self, start: i64, len: i64) -> Tensor {
        self.hidden.narrow(0, start, len).mm(&self.weight.tr()).log_softmax(-1, None::<Kind>)
    }

    /// The chunk's part of the mean, without an axis.
    fn loss(&self, log_softmax: &Tensor, start: i64) -> Tensor {
        let len = log_softmax.size()[0];
        let targets = self.targets.narrow(0, start, len);
        let share = self.share.narrow(0, start, len);
        -(log_softmax.gather(1, &targets, false) * share).sum(None::<Kind>)
    }
}
