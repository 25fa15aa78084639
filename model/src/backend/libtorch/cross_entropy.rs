//! Head and loss in libtorch's fused softmax, a chunk of positions at a time.

use burn_tch::TchTensor;
use tch::{Kind, Tensor};

use super::{rows, unrows};
use crate::backend::{Backend, HeadGradients};

/// Most logits held at once, in elements: 64 MiB of f32.
const CHUNK_LOGITS: i64 = 1 << 24;

pub(in crate::backend) fn head(hidden: TchTensor, weight: TchTensor) -> TchTensor {
    unrows(&rows(&hidden.tensor).mm(&weight.tensor.tr()), &hidden.tensor)
}

pub(in crate::backend) fn head_cross_entropy(
    hidden: TchTensor,
    weight: TchTensor,
    targets: TchTensor,
) -> TchTensor {
    let head = Head::new(&hidden, &weight, &targets);
    let total: Tensor =
        head.chunks().map(|(start, len)| head.loss(&head.log_softmax(start, len), start)).sum();
    TchTensor::new((total / head.positions).reshape([1]))
}

/// With `p = softmax(logits)`: `dhidden = (p - onehot(target)) W / positions`, `dW = Σ (p - onehot(target))ᵀ hidden /
/// positions`; the division is left to the small factor of each product.
pub(in crate::backend) fn head_cross_entropy_with_gradients<B: Backend<FloatTensorPrimitive = TchTensor>>(
    hidden: TchTensor,
    weight: TchTensor,
    targets: TchTensor,
) -> HeadGradients<B> {
    let head = Head::new(&hidden, &weight, &targets);
    let share = 1.0 / head.positions as f64;
    let mut total = Tensor::zeros([1], (head.hidden.kind(), head.hidden.device()));
    let mut d_hidden = Vec::new();
    let mut d_weight: Option<Tensor> = None;
    for (start, len) in head.chunks() {
        let mut softmax = head.log_softmax(start, len);
        total += head.loss(&softmax, start);
        let _ = softmax.exp_();
        let targets = head.targets.narrow(0, start, len);
        let minus_one = Tensor::full([len, 1], -1.0, (softmax.kind(), softmax.device()));
        let _ = softmax.scatter_add_(1, &targets, &minus_one);
        d_hidden.push(softmax.mm(&head.weight) * share); // [chunk, d_model]
        let hidden = head.hidden.narrow(0, start, len) * share;
        d_weight = Some(match d_weight {
            Some(sum) => sum.addmm(&softmax.tr(), &hidden),
            None => softmax.tr().mm(&hidden),
        });
    }
    let d_hidden = Tensor::cat(&d_hidden, 0);
    HeadGradients {
        loss: TchTensor::new(total * share),
        hidden: unrows(&d_hidden, &hidden.tensor),
        weight: TchTensor::new(d_weight.expect("a batch has at least one position")),
    }
}

struct Head {
    /// `[positions, d_model]`
    hidden: Tensor,
    /// `[vocab, d_model]`
    weight: Tensor,
    /// `[positions, 1]`
    targets: Tensor,
    positions: i64,
}

impl Head {
    fn new(hidden: &TchTensor, weight: &TchTensor, targets: &TchTensor) -> Self {
        let hidden = rows(&hidden.tensor);
        let positions = hidden.size()[0];
        Self {
            weight: weight.tensor.shallow_clone(),
            targets: targets.tensor.to_kind(Kind::Int64).reshape([-1, 1]),
            hidden,
            positions,
        }
    }

    /// Start and length of the pieces whose logits fit in one chunk.
    fn chunks(&self) -> impl Iterator<Item = (i64, i64)> + use<> {
        let step = (CHUNK_LOGITS / self.weight.size()[0]).max(1);
        let positions = self.positions;
        (0..positions).step_by(step as usize).map(move |start| (start, step.min(positions - start)))
    }

    /// `[len, vocab]`
    fn log_softmax(&self, start: i64, len: i64) -> Tensor {
        self.hidden.narrow(0, start, len).mm(&self.weight.tr()).log_softmax(-1, None::<Kind>)
    }

    /// Sum over the chunk, without an axis.
    fn loss(&self, log_softmax: &Tensor, start: i64) -> Tensor {
        let targets = self.targets.narrow(0, start, log_softmax.size()[0]);
        -log_softmax.gather(1, &targets, false).sum(None::<Kind>)
    }
}
