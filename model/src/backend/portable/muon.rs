//! Muon: momentum whose singular values are all brought near 1, so that each direction of a matrix learns alike
//! (<https://kellerjordan.github.io/posts/muon/>).

use burn::tensor::Tensor;
use burn::tensor::ops::FloatTensor;

use super::{from_primitive, into_primitive, matmul};
use crate::backend::{Backend, MuonStep};

/// Nesterov momentum, orthogonalised part by part, then decoupled decay.
pub(in crate::backend) fn muon_step<B: Backend>(
    parameter: FloatTensor<B>,
    gradient: FloatTensor<B>,
    momentum: FloatTensor<B>,
    step: MuonStep<'_>,
) -> [FloatTensor<B>; 2] {
    let MuonStep { learning_rate, momentum: decay, weight_decay, gradient_scale, parts } = step;
    let [parameter, mut gradient, momentum]: [Tensor<B, 2>; 3] =
        [parameter, gradient, momentum].map(from_primitive::<B, 2>);
    if gradient_scale != 1.0 {
        gradient = gradient * gradient_scale;
    }
    let momentum = momentum * decay + gradient.clone() * (1.0 - decay);
    let ahead = gradient * (1.0 - decay) + momentum.clone() * decay;
    let [d_in, _] = ahead.dims();
    let mut first = 0;
    let updates = parts.iter().map(|&d_out| {
        let part = ahead.clone().narrow(1, first, d_out);
        first += d_out;
        orthogonalised(part) * (learning_rate * MuonStep::scale(d_in, d_out))
    });
    let update = Tensor::cat(updates.collect(), 1); // [d_in, d_out]
    let parameter = parameter * (1.0 - learning_rate * weight_decay) - update;
    [parameter, momentum].map(into_primitive)
}

/// `U Vᵀ` of the singular value decomposition `U S Vᵀ`, roughly: a Newton-Schulz iteration takes the singular values `s` to
/// `a s + b s³ + c s⁵` a few times, by products of matrices alone.
fn orthogonalised<B: Backend>(matrix: Tensor<B, 2>) -> Tensor<B, 2> {
    let [a, b, c] = MuonStep::COEFFICIENTS;
    let [rows, columns] = matrix.dims();
    let norm = matrix.clone().square().sum().sqrt().clamp_min(MuonStep::SMALLEST_NORM);
    let mut x = super::divide(matrix, norm.reshape([1, 1]).expand([rows, columns]));
    // A device has a type of its own for new tensors.
    let identity = Tensor::<B, 2>::eye(rows.min(columns), &x.device()).cast(x.dtype());
    for _ in 0..MuonStep::TURNS {
        // On the shorter side, where the product with itself is smaller.
        let square = if rows <= columns {
            matmul(x.clone(), x.clone().transpose())
        } else {
            matmul(x.clone().transpose(), x.clone())
        };
        let factor = matmul(square.clone(), square.clone()) * c + square * b + identity.clone() * a;
        x = if rows <= columns { matmul(factor, x) } else { matmul(x, factor) };
    }
    x
}
