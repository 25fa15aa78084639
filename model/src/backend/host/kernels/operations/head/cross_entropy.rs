//! The language-model head fused with cross-entropy, on slices.
//!
//! logits = h·Wᵀ with W the `[vocab, d]` embedding table; loss = mean over the counted rows of log Σ eˡ −
//! l\[target\]. Rows with a negative target are not counted. Logits exist for a chunk of rows at a time and
//! are overwritten by their gradient (softmax − one-hot)/counted, times the slope of the softcap where there is one.

use super::super::linear::{self, LinearShape, Weight};
use super::super::machine::elements::Elements;
use super::super::machine::gemm::{Epilogue, gemm};
use super::super::machine::math;
use super::super::machine::matrix::{RightView, View};
use super::super::machine::parallel::for_each_chunk2;
use super::super::machine::simd::{self, Lanes, Simd, dispatch, map};
use super::super::machine::workspace::with_scratch;
use super::softcap;
use crate::backend::CHUNK_LOGITS;

/// Rows in a chunk are a multiple of this, the height of a few register tiles.
const CHUNK_MULTIPLE: usize = 48;
/// Numbers in the longest vector of any processor.
const MOST_LANES: usize = 16;

/// Sizes of the head.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct HeadShape {
    /// Rows of the hidden state: batch × sequence.
    pub(super) rows: usize,
    /// Width of the model.
    pub(super) d: usize,
    /// Rows of the embedding table.
    pub(super) vocab: usize,
    /// What keeps logits within `±softcap`.
    pub(super) softcap: Option<f32>,
}

impl HeadShape {
    fn check(self, hidden: &[f32], wte: Elements, targets: &[i64]) {
        assert_eq!(hidden.len(), self.rows * self.d, "hidden state of {self:?}");
        assert_eq!(wte.len(), self.vocab * self.d, "embedding table of {self:?}");
        assert_eq!(targets.len(), self.rows, "targets of {self:?}");
        if let Some(target) = targets.iter().find(|&&t| t >= self.vocab as i64) {
            panic!("target {target} is outside the vocabulary of {}", self.vocab);
        }
    }

    fn chunk_rows(self) -> usize {
        let fitting = CHUNK_LOGITS / self.vocab.max(1);
        (fitting / CHUNK_MULTIPLE * CHUNK_MULTIPLE).clamp(CHUNK_MULTIPLE, self.rows.max(CHUNK_MULTIPLE))
    }
}

/// The loss of every row: −log softmax(h·Wᵀ)[target], zero where the target is negative.
#[cfg(test)]
fn losses_of_rows(shape: HeadShape, hidden: &[f32], wte: Elements, targets: &[i64], losses: &mut [f32]) {
    assert_eq!(losses.len(), shape.rows, "losses of {shape:?}");
    run(shape, hidden, wte, targets, losses, None);
}

/// The mean loss over the rows whose target is not negative.
pub(super) fn mean_loss(shape: HeadShape, hidden: &[f32], wte: Elements, targets: &[i64]) -> f32 {
    with_scratch(shape.rows, |losses| {
        run(shape, hidden, wte, targets, losses, None);
        mean(losses, targets)
    })
}

/// The mean loss, and its gradients with respect to the hidden state and the table, where they are wanted; both are overwritten.
pub(super) fn mean_loss_with_gradients(
    shape: HeadShape,
    hidden: &[f32],
    wte: &[f32],
    targets: &[i64],
    dhidden: Option<&mut [f32]>,
    dwte: Option<&mut [f32]>,
) -> f32 {
    let fits =
        |gradient: &Option<&mut [f32]>, of: &[f32]| gradient.as_ref().is_none_or(|g| g.len() == of.len());
    assert!(fits(&dhidden, hidden), "gradient of the hidden state of {shape:?}");
    assert!(fits(&dwte, wte), "gradient of the table of {shape:?}");
    with_scratch(shape.rows, |losses| {
        let scale = 1.0 / counted(targets).max(1) as f32;
        run(shape, hidden, wte.into(), targets, losses, Some(Gradients { scale, dhidden, dwte }));
        mean(losses, targets)
    })
}

struct Gradients<'a> {
    scale: f32,
    dhidden: Option<&'a mut [f32]>,
    dwte: Option<&'a mut [f32]>,
}

fn counted(targets: &[i64]) -> usize {
    targets.iter().filter(|&&t| t >= 0).count()
}

fn mean(losses: &[f32], targets: &[i64]) -> f32 {
    let total: f64 = losses.iter().map(|&loss| f64::from(loss)).sum();
    (total / counted(targets).max(1) as f64) as f32
}

fn run(
    shape: HeadShape,
    hidden: &[f32],
    wte: Elements,
    targets: &[i64],
    losses: &mut [f32],
    mut gradients: Option<Gradients>,
) {
    shape.check(hidden, wte, targets);
    let HeadShape { rows, d, vocab, softcap } = shape;
    let chunk = shape.chunk_rows();
    if rows == 0 {
        if let Some(dwte) = gradients.and_then(|gradients| gradients.dwte) {
            dwte.fill(0.0);
        }
        return;
    }
    with_scratch(chunk.min(rows) * vocab, |logits| {
        for r0 in (0..rows).step_by(chunk) {
            let n = chunk.min(rows - r0);
            let logits = &mut logits[..n * vocab];
            let (hidden, targets) = (&hidden[r0 * d..][..n * d], &targets[r0..][..n]);
            let head = LinearShape { rows: n, d_in: d, d_out: vocab };
            linear::forward(head, hidden, Weight::Columns(wte), None, logits);
            let scale = gradients.as_ref().map(|g| g.scale);
            let losses = &mut losses[r0..][..n];
            for_each_chunk2((logits, vocab), (losses, 1), n * vocab * 8, |row, logits, loss| {
                loss[0] = dispatch!(softmax_row(logits, targets[row], scale, softcap));
            });
            let Some(gradients) = &mut gradients else { continue };
            if let Some(dhidden) = &mut gradients.dhidden {
                let back = LinearShape { rows: n, d_in: vocab, d_out: d };
                let dhidden = &mut dhidden[r0 * d..][..n * d];
                linear::forward(back, logits, Weight::Rows(wte.f32s()), None, dhidden);
            }
            if let Some(dwte) = &mut gradients.dwte {
                let epilogue = if r0 == 0 { Epilogue::Store } else { Epilogue::Accumulate };
                let (a, b) = (View::transposed(logits, vocab), RightView::rows(hidden, d));
                gemm(vocab, d, n, a, b, dwte, epilogue);
            }
        }
    });
}

/// The loss of one row; with `scale`, the logits become their gradient times `scale`, that before the softcap.
#[inline(always)]
fn softmax_row<S: Simd>(
    simd: S,
    logits: &mut [f32],
    target: i64,
    scale: Option<f32>,
    softcap: Option<f32>,
) -> f32 {
    let Ok(target) = usize::try_from(target) else {
        if scale.is_some() {
            logits.fill(0.0);
        }
        return 0.0;
    };
    if let Some(cap) = softcap {
        softcap::forward_block(simd, logits, cap);
    }
    let top = simd::max(simd, logits);
    let at_target = logits[target];
    let total = match scale {
        None => exponentials(simd, logits, top),
        Some(scale) => gradient_row(simd, logits, target, top, scale, softcap),
    };
    total.ln() + top - at_target
}

/// Turns logits into `scale · (softmax − one-hot)`, times the slope of the cap; returns `Σ exp(logit − top)`.
#[inline(always)]
fn gradient_row<S: Simd>(
    simd: S,
    logits: &mut [f32],
    target: usize,
    top: f32,
    scale: f32,
    softcap: Option<f32>,
) -> f32 {
    let shift = Lanes::splat(simd, top);
    if let Some(cap) = softcap {
        // Exponentials are computed twice, or the slope would need memory for the logits beside them.
        let total = exponentials(simd, logits, top);
        let tanh = logits[target] / cap;
        let (factor, inverse) = (Lanes::splat(simd, scale / total), Lanes::splat(simd, 1.0 / cap));
        map(
            simd,
            logits,
            #[inline(always)]
            |y| math::exp(y - shift) * factor * softcap::slope(y, inverse),
        );
        logits[target] -= scale * (1.0 - tanh * tanh);
        return total;
    }
    map(
        simd,
        logits,
        #[inline(always)]
        |x| math::exp(x - shift),
    );
    let total = simd::sum(simd, logits);
    let factor = Lanes::splat(simd, scale / total);
    map(
        simd,
        logits,
        #[inline(always)]
        |e| e * factor,
    );
    logits[target] -= scale;
    total
}

/// `Σ exp(logit − top)`.
#[inline(always)]
fn exponentials<S: Simd>(simd: S, logits: &[f32], top: f32) -> f32 {
    let shift = Lanes::splat(simd, top);
    // The tail of the last vector would enter as e⁰ of a padded zero, so it is summed apart.
    let (head, rest) = logits.split_at(logits.len() / S::F32_LANES * S::F32_LANES);
    let mut tail = [0.0; MOST_LANES];
    let tail = &mut tail[..rest.len()];
    tail.copy_from_slice(rest);
    map(
        simd,
        tail,
        #[inline(always)]
        |x| math::exp(x - shift),
    );
    let head = simd::sum2(
        simd,
        head,
        head,
        #[inline(always)]
        |x, _| math::exp(x - shift),
    );
    head + tail.iter().sum::<f32>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::host::kernels::machine::testing::{
        assert_close, numerical_gradient, on_all_threads, product, random, wide,
    };
    use proptest::prelude::*;

    fn capped(logit: f64, softcap: Option<f32>) -> f64 {
        softcap.map_or(logit, |cap| f64::from(cap) * (logit / f64::from(cap)).tanh())
    }

    fn losses(shape: HeadShape, hidden: &[f64], wte: &[f64], targets: &[i64]) -> Vec<f64> {
        let d = shape.d;
        (0..shape.rows)
            .map(|r| {
                if targets[r] < 0 {
                    return 0.0;
                }
                let dot = |v: usize| (0..d).map(|c| hidden[r * d + c] * wte[v * d + c]).sum::<f64>();
                let logit = |v: usize| capped(dot(v), shape.softcap);
                let total: f64 = (0..shape.vocab).map(|v| logit(v).exp()).sum();
                total.ln() - logit(targets[r] as usize)
            })
            .collect()
    }

    fn check(shape: HeadShape, seed: u64) {
        let HeadShape { rows, d, vocab, softcap } = shape;
        let (hidden, wte) = (random(rows * d, seed), random(vocab * d, seed + 1));
        let targets: Vec<i64> = random(rows, seed + 2)
            .iter()
            .map(|x| ((x + 0.9) * 0.5 * vocab as f32) as i64)
            .map(|t| t.min(vocab as i64 - 1))
            .collect();
        let targets: Vec<i64> =
            targets.iter().enumerate().map(|(i, &t)| if i % 7 == 3 { -100 } else { t.max(0) }).collect();
        let r = on_all_threads(|| {
            let mut rows_out = vec![9.0; rows];
            losses_of_rows(shape, &hidden, (&wte).into(), &targets, &mut rows_out);
            let (mut dhidden, mut dwte) = (vec![9.0; hidden.len()], vec![9.0; wte.len()]);
            let loss =
                mean_loss_with_gradients(shape, &hidden, &wte, &targets, Some(&mut dhidden), Some(&mut dwte));
            vec![rows_out, vec![loss, mean_loss(shape, &hidden, (&wte).into(), &targets)], dhidden, dwte]
        });
        let (wh, ww) = (wide(&hidden), wide(&wte));
        let n = targets.iter().filter(|&&t| t >= 0).count().max(1) as f64;
        let want = losses(shape, &wh, &ww, &targets);
        let mean = |l: Vec<f64>| l.iter().sum::<f64>() / n;
        assert_close(&r[0], &want, 1e-5);
        assert_close(&r[1], &[mean(want.clone()), mean(want)], 1e-5);
        let logits = product((rows, vocab, d), |i, p| hidden[i * d + p], |p, j| wte[j * d + p]);
        let logits: Vec<f64> = logits.into_iter().map(|logit| capped(logit, softcap)).collect();
        let slope = |y: f64| softcap.map_or(1.0, |cap| 1.0 - (y / f64::from(cap)).powi(2));
        let dlogits: Vec<f32> = (0..rows * vocab)
            .map(|i| {
                let (row, v) = (i / vocab, i % vocab);
                if targets[row] < 0 {
                    return 0.0;
                }
                let total: f64 = logits[row * vocab..][..vocab].iter().map(|l| l.exp()).sum();
                let hit = f64::from(u8::from(targets[row] == v as i64));
                ((logits[i].exp() / total - hit) / n * slope(logits[i])) as f32
            })
            .collect();
        assert_close(
            &r[2],
            &product((rows, d, vocab), |i, p| dlogits[i * vocab + p], |p, j| wte[p * d + j]),
            1e-5,
        );
        assert_close(
            &r[3],
            &product((vocab, d, rows), |i, p| dlogits[p * vocab + i], |p, j| hidden[p * d + j]),
            1e-5,
        );
        let slope = numerical_gradient(&hidden, 0, 1e-5, |h| mean(losses(shape, h, &ww, &targets)));
        assert!((f64::from(r[2][0]) - slope).abs() < 1e-5);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn equals_the_reference(rows in 1usize..100, d in 1usize..40, vocab in 1usize..90, seed in 0u64..1 << 40, capped: bool) {
            check(HeadShape { rows, d, vocab, softcap: capped.then_some(1.5) }, seed);
        }
    }

    #[test]
    fn several_chunks_of_rows_add_up() {
        // A vocabulary so large that a chunk is the smallest there is.
        let (rows, d, vocab) = (60, 2, CHUNK_LOGITS / 50);
        let shape = HeadShape { rows, d, vocab, softcap: None };
        assert!(shape.chunk_rows() < rows);
        let (hidden, wte) = (random(rows * d, 1), random(vocab * d, 2));
        let targets: Vec<i64> = (0..rows as i64).collect();
        let (mut dhidden, mut dwte) = (vec![0.0; rows * d], vec![0.0; vocab * d]);
        mean_loss_with_gradients(shape, &hidden, &wte, &targets, Some(&mut dhidden), Some(&mut dwte));
        // Of 60 rows, 48 make four fifths of the mean and the other 12 one fifth.
        let part = |rows: std::ops::Range<usize>| {
            let shape = HeadShape { rows: rows.len(), ..shape };
            let (mut dhidden, mut dwte) = (vec![0.0; rows.len() * d], vec![0.0; vocab * d]);
            let (hidden, targets) = (&hidden[rows.start * d..rows.end * d], &targets[rows]);
            mean_loss_with_gradients(shape, hidden, &wte, targets, Some(&mut dhidden), Some(&mut dwte));
            (wide(&dhidden), wide(&dwte))
        };
        let ((dh1, dw1), (dh2, dw2)) = (part(0..48), part(48..60));
        let scaled = |values: &[f64], share: f64| values.iter().map(|x| x * share).collect::<Vec<_>>();
        assert_close(&dhidden, &[scaled(&dh1, 0.8), scaled(&dh2, 0.2)].concat(), 1e-6);
        let sum: Vec<f64> = dw1.iter().zip(&dw2).map(|(a, b)| 0.8 * a + 0.2 * b).collect();
        assert_close(&dwte, &sum, 1e-6);
    }

    #[test]
    fn huge_logits_stay_finite() {
        let shape = HeadShape { rows: 1, d: 1, vocab: 3, softcap: None };
        assert_eq!(mean_loss(shape, &[1e4], Elements::F32(&[1.0, 0.5, -1.0]), &[0]), 0.0);
        assert_eq!(mean_loss(shape, &[1e4], Elements::F32(&[1.0, 0.5, -1.0]), &[2]), 2e4);
        assert_eq!(mean_loss(shape, &[1.0], Elements::F32(&[1.0, 0.5, -1.0]), &[-1]), 0.0);
    }
}
