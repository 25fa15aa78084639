//! The kernels against the formula in f64.

use super::cached::{CachedQueries, KeysAndValues};
use super::*;
use crate::backend::host::kernels::machine::testing::{
    assert_close, numerical_gradient, on_all_threads, random, wide,
};
use crate::backend::host::kernels::operations::dropout::Mask;
use proptest::prelude::*;

/// The multiplier of every attention weight, `[batch, n_heads, seq, seq]`, by running the mask kernel on
/// ones.
fn mask_of(shape: &AttentionShape) -> Vec<f64> {
    let rows = shape.queries();
    let mut ones = vec![1.0; rows * shape.seq];
    if let Some(mask) = Mask::new(shape.dropout, shape.seed) {
        for (row, ones) in ones.chunks_mut(shape.seq).enumerate() {
            mask.row(row as u64).apply(pulp::Scalar, 0, mask.scale, ones);
        }
    }
    wide(&ones)
}

/// Output and log-sum-exp; query head h reads the keys and values of head h / group.
fn reference(shape: &AttentionShape, mask: &[f64], qkv: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let Heads { n_heads, n_kv_heads, head_dim } = shape.heads;
    let (t, width, group) = (shape.seq, shape.heads.qkv_width(), shape.heads.group());
    let mut out = vec![0.0; shape.outputs()];
    let mut lse = vec![];
    for b in 0..shape.batch {
        for h in 0..n_heads {
            let slots = [h, n_heads + h / group, n_heads + n_kv_heads + h / group];
            let at =
                |i: usize, section: usize, c: usize| qkv[(b * t + i) * width + slots[section] * head_dim + c];
            for i in 0..t {
                let score = |j| (0..head_dim).map(|c| at(i, 0, c) * at(j, 1, c)).sum::<f64>();
                let s: Vec<f64> = (0..=i).map(|j| score(j) * f64::from(shape.scale)).collect();
                let total: f64 = s.iter().map(|s| s.exp()).sum();
                lse.push(total.ln());
                for (j, s) in s.iter().enumerate() {
                    let p = s.exp() / total * mask[((b * n_heads + h) * t + i) * t + j];
                    for c in 0..head_dim {
                        out[(b * t + i) * n_heads * head_dim + h * head_dim + c] += p * at(j, 2, c);
                    }
                }
            }
        }
    }
    (out, lse)
}

fn run(shape: &AttentionShape, qkv: &[f32], dout: &[f32]) -> [Vec<f32>; 3] {
    let (mut out, mut lse) = (vec![9.0; shape.outputs()], vec![9.0; shape.queries()]);
    forward::forward(shape, qkv, &mut out, &mut lse);
    let mut dqkv = vec![9.0; qkv.len()];
    backward::backward(shape, backward::Saved { qkv, out: &out, lse: &lse }, dout, &mut dqkv);
    [out, lse, dqkv]
}

fn check(shape: &AttentionShape, seed: u64) {
    let projected = shape.batch * shape.seq * shape.heads.qkv_width();
    let (qkv, dout) = (random(projected, seed), random(shape.outputs(), seed + 1));
    let r = on_all_threads(|| run(shape, &qkv, &dout).to_vec());
    let mask = mask_of(shape);
    let (out, lse) = reference(shape, &mask, &wide(&qkv));
    assert_close(&r[0], &out, 1e-5);
    assert_close(&r[1], &lse, 1e-5);
    for i in 0..8 {
        let i = (i * 7919 + seed as usize % 1000) % qkv.len();
        let slope = numerical_gradient(&qkv, i, 1e-5, |qkv| {
            reference(shape, &mask, qkv).0.iter().zip(&dout).map(|(o, &g)| o * f64::from(g)).sum()
        });
        let got = f64::from(r[2][i]);
        assert!(
            (got - slope).abs() <= 5e-5 * slope.abs().max(1.0),
            "{shape:?}, element {i}: {got} and {slope}"
        );
    }
}

fn shape(batch: usize, seq: usize, [n_heads, n_kv_heads]: [usize; 2], head_dim: usize) -> AttentionShape {
    let heads = Heads { n_heads, n_kv_heads, head_dim };
    AttentionShape { batch, seq, heads, scale: 1.0 / (head_dim as f32).sqrt(), dropout: 0.0, seed: 42 }
}

/// The projection with each key and value head written out for every query head that shares it.
fn repeat_heads(shape: &AttentionShape, qkv: &[f32]) -> (AttentionShape, Vec<f32>) {
    let Heads { n_heads, n_kv_heads, head_dim } = shape.heads;
    let whole = AttentionShape { heads: Heads { n_kv_heads: n_heads, ..shape.heads }, ..*shape };
    let slots = (0..3 * n_heads).map(|slot| match slot {
        slot if slot < n_heads => slot,
        slot if slot < 2 * n_heads => n_heads + (slot - n_heads) / shape.heads.group(),
        slot => n_heads + n_kv_heads + (slot - 2 * n_heads) / shape.heads.group(),
    });
    let slots: Vec<usize> = slots.collect();
    let rows = qkv.chunks(shape.heads.qkv_width());
    let repeated = rows.flat_map(|row| slots.iter().flat_map(|slot| &row[slot * head_dim..][..head_dim]));
    (whole, repeated.copied().collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn equals_the_reference_and_its_slopes(
        batch in 1usize..3, seq in 1usize..70, kv_heads in 1usize..3, group in 1usize..4, head_dim in 1usize..40,
        drop: bool, seed in 0u64..1 << 40,
    ) {
        let shape = shape(batch, seq, [kv_heads * group, kv_heads], head_dim);
        check(&AttentionShape { dropout: if drop { 0.3 } else { 0.0 }, ..shape }, seed);
    }

    #[test]
    fn shared_heads_equal_heads_of_their_own(
        seq in 1usize..70, kv_heads in 1usize..3, group in 1usize..4, head_dim in 1usize..40, seed in 0u64..1 << 40,
    ) {
        let shared = shape(2, seq, [kv_heads * group, kv_heads], head_dim);
        let width = shared.heads.qkv_width();
        let (qkv, dout) = (random(2 * seq * width, seed), random(shared.outputs(), seed + 1));
        let (whole, repeated) = repeat_heads(&shared, &qkv);
        let ([out, lse, dqkv], expected) = (run(&shared, &qkv, &dout), run(&whole, &repeated, &dout));
        prop_assert_eq!(&out, &expected[0]);
        prop_assert_eq!(&lse, &expected[1]);
        // The gradient of a shared head is the sum over those that share it.
        let n_heads = whole.heads.n_heads;
        let mut summed = vec![0.0f64; dqkv.len()];
        for (row, one) in expected[2].chunks(whole.heads.qkv_width()).enumerate() {
            for (slot, values) in one.chunks(head_dim).enumerate() {
                let section = slot / n_heads;
                let head = if section == 0 { slot } else { slot % n_heads / group };
                let first = [0, n_heads, n_heads + kv_heads][section] + head;
                for (c, value) in values.iter().enumerate() {
                    summed[row * width + first * head_dim + c] += f64::from(*value);
                }
            }
        }
        assert_close(&dqkv, &summed, 1e-5);
    }

    #[test]
    fn cached_queries_equal_the_last_rows_of_the_whole(
        lengths in prop::collection::vec(1usize..60, 1..4), kv_heads in 1usize..3, group in 1usize..3,
        head_dim in 1usize..40, new in 1usize..20, spare in 0usize..9, seed in 0u64..1 << 40,
    ) {
        let n_heads = kv_heads * group;
        let new = lengths.iter().fold(new, |new, length| new.min(*length));
        let d = n_heads * head_dim;
        let (mut q, mut want, mut caches) = (vec![], vec![], vec![]);
        for (index, &len) in lengths.iter().enumerate() {
            let whole = shape(1, len, [n_heads, kv_heads], head_dim);
            let width = whole.heads.qkv_width();
            let qkv = random(len * width, seed + index as u64);
            let capacity = len + spare + index;
            let row = |slot: usize, i: usize| &qkv[i * width + slot * head_dim..][..head_dim];
            let mut cache = [(); 2].map(|()| vec![f32::NAN; kv_heads * capacity * head_dim]);
            for (section, cache) in cache.iter_mut().enumerate() {
                for (h, i) in (0..kv_heads).flat_map(|h| (0..len).map(move |i| (h, i))) {
                    let from = row(n_heads + section * kv_heads + h, i);
                    cache[(h * capacity + i) * head_dim..][..head_dim].copy_from_slice(from);
                }
            }
            caches.push((cache, capacity, len));
            let (out, _) = reference(&whole, &mask_of(&whole), &wide(&qkv));
            for (h, i) in (0..n_heads).flat_map(|h| (len - new..len).map(move |i| (h, i))) {
                q.extend_from_slice(row(h, i));
                want.extend_from_slice(&out[i * d + h * head_dim..][..head_dim]);
            }
        }
        let sequences: Vec<_> = caches.iter().map(|([keys, values], capacity, filled)| {
            KeysAndValues { keys, values, n_kv_heads: kv_heads, capacity: *capacity, filled: *filled }
        }).collect();
        let scale = 1.0 / (head_dim as f32).sqrt();
        let queries = CachedQueries { values: &q, n_heads, new, head_dim, scale };
        let got = on_all_threads(|| {
            let mut out = vec![9.0; q.len()];
            cached::forward(&queries, &sequences, &mut out);
            vec![out]
        });
        assert_close(&got[0], &want, 1e-5);
        // Each sequence has the bits that it has alone.
        let part = n_heads * new * head_dim;
        for (index, one) in sequences.iter().enumerate() {
            let mut alone = vec![9.0; part];
            let queries = CachedQueries { values: &q[index * part..][..part], ..queries };
            cached::forward(&queries, std::slice::from_ref(one), &mut alone);
            prop_assert_eq!(&alone, &got[0][index * part..][..part]);
        }
    }
}

#[test]
fn long_sequences_cross_strips_and_tasks() {
    check(&shape(1, 260, [1, 1], 16), 1);
    check(&AttentionShape { dropout: 0.1, ..shape(1, 250, [1, 1], 64) }, 2);
    check(&shape(1, 1, [1, 1], 1), 3);
    check(&shape(1, 250, [2, 1], 16), 4);
}

#[test]
fn large_scores_do_not_overflow() {
    let shape = AttentionShape { scale: 400.0, ..shape(1, 40, [1, 1], 8) };
    let qkv = random(40 * 24, 5);
    let (mut out, mut lse) = (vec![0.0; 40 * 8], vec![0.0; 40]);
    forward::forward(&shape, &qkv, &mut out, &mut lse);
    assert!(out.iter().chain(&lse).all(|v| v.is_finite()));
}
