//! Embedding: rows of a table, and the scatter-add of the backward pass.

use std::collections::HashMap;

use burn::tensor::ops::{FloatTensor, IntTensor};
use burn::tensor::{Shape, TensorMetadata};

use super::machine::elements::{Element, Elements};
use super::machine::parallel::{SharedMut, for_each, for_each_chunk};
use super::machine::simd::{Simd, dispatch, map2};
use super::machine::workspace::with_scratch;
use super::tensor::{HostMemory, buffer};
use crate::backend::PackedWeight;

/// Rows gathered by one task.
const ROW_BLOCK: usize = 64;
/// Columns whose gradients one task adds.
const COLUMN_BLOCK: usize = 64;

pub(in crate::backend) fn embedding<B: HostMemory>(
    weight: FloatTensor<B>,
    ids: IntTensor<B>,
) -> FloatTensor<B> {
    look_up::<B>(Elements::F32(&B::values(&weight)), weight.shape()[1], ids)
}

pub(in crate::backend) fn packed_embedding<B: HostMemory>(
    weight: PackedWeight<B>,
    ids: IntTensor<B>,
) -> FloatTensor<B> {
    let width = weight.shape()[1];
    B::with_packed(&weight, |weight| look_up::<B>(weight, width, ids))
}

fn look_up<B: HostMemory>(weight: Elements, width: usize, ids: IntTensor<B>) -> FloatTensor<B> {
    let [batch, seq] = [0, 1].map(|axis| ids.shape()[axis]);
    let mut output = buffer(batch * seq * width);
    forward(weight, width, &B::integers(ids), &mut output);
    B::tensor(output, Shape::new([batch, seq, width]))
}

pub(in crate::backend) fn embedding_backward<B: HostMemory>(
    weight: FloatTensor<B>,
    ids: IntTensor<B>,
    gradient: FloatTensor<B>,
    others: Option<FloatTensor<B>>,
) -> FloatTensor<B> {
    let shape = weight.shape();
    let mut d_weight = others.map_or_else(|| vec![0.0; shape.num_elements()], B::into_values);
    backward(&B::values(&gradient), shape[1], &B::integers(ids), &mut d_weight);
    B::tensor(d_weight, shape)
}

/// `out[r] = table[ids[r]]` for rows of `d` elements.
///
/// # Panics
/// If an id is not a row of the table.
fn forward(table: Elements, d: usize, ids: &[i64], out: &mut [f32]) {
    match table {
        Elements::F32(table) => gather(table, d, ids, out, |_, row, out| out.copy_from_slice(row)),
        Elements::Bf16(table) => gather(table, d, ids, out, |_, row, out| widen(row, 1.0, out)),
        Elements::Int8(table, scales) => {
            gather(table, d, ids, out, |id, row, out| widen(row, scales[id], out));
        }
    }
}

fn widen<T: Element>(row: &[T], scale: f32, out: &mut [f32]) {
    for (out, value) in out.iter_mut().zip(row) {
        *out = value.widen() * scale;
    }
}

/// Calls `copy` with each row that `ids` names and its place in the output.
fn gather<T: Sync>(
    table: &[T],
    d: usize,
    ids: &[i64],
    out: &mut [f32],
    copy: impl Fn(usize, &[T], &mut [f32]) + Sync,
) {
    assert_eq!(out.len(), ids.len() * d, "embedding output");
    check_ids(table.len(), d, ids);
    let work = out.len();
    for_each_chunk(out, (ROW_BLOCK * d).max(1), work, |block, out| {
        for (out, &id) in out.chunks_exact_mut(d).zip(&ids[block * ROW_BLOCK..]) {
            copy(id as usize, &table[id as usize * d..][..d], out);
        }
    });
}

/// `dtable[id] += Σ dy[r]` over the rows r of each id, in their order, so that equal ids always add up alike.
///
/// # Panics
/// If an id is not a row of the table.
fn backward(dy: &[f32], d: usize, ids: &[i64], dtable: &mut [f32]) {
    assert_eq!(dy.len(), ids.len() * d, "embedding gradient");
    check_ids(dtable.len(), d, ids);
    let (places, distinct) = distinct(ids);
    with_scratch(distinct.len() * d, |sums| {
        let (sums, table) = (SharedMut::new(sums), SharedMut::new(dtable));
        for_each(d.div_ceil(COLUMN_BLOCK), dy.len(), |block| {
            let j0 = block * COLUMN_BLOCK;
            let width = COLUMN_BLOCK.min(d - j0);
            // SAFETY: columns j0 .. j0 + width belong to this task, `sums` has a row for each distinct id, and
            // `check_ids` put that of the table inside it.
            let row = |of: SharedMut, row: usize| unsafe {
                std::slice::from_raw_parts_mut(of.at(row * d + j0), width)
            };
            for place in 0..distinct.len() {
                row(sums, place).fill(0.0);
            }
            for (dy, &place) in dy.chunks_exact(d).zip(&places) {
                dispatch!(add(row(sums, place), &dy[j0..j0 + width]));
            }
            for (place, &id) in distinct.iter().enumerate() {
                dispatch!(add(row(table, id as usize), row(sums, place)));
            }
        });
    });
}

/// The number of each id among the distinct ones, and those.
fn distinct(ids: &[i64]) -> (Vec<usize>, Vec<i64>) {
    let (mut numbers, mut distinct) = (HashMap::new(), Vec::new());
    let places = ids.iter().map(|&id| {
        *numbers.entry(id).or_insert_with(|| {
            distinct.push(id);
            distinct.len() - 1
        })
    });
    (places.collect(), distinct)
}

#[inline(always)]
fn add<S: Simd>(simd: S, y: &mut [f32], x: &[f32]) {
    map2(
        simd,
        y,
        x,
        #[inline(always)]
        |y, x| y + x,
    );
}

fn check_ids(table: usize, d: usize, ids: &[i64]) {
    assert!(d > 0 && table.is_multiple_of(d), "embedding table of whole rows");
    let rows = table / d;
    if let Some(id) = ids.iter().find(|&&id| usize::try_from(id).map_or(true, |id| id >= rows)) {
        panic!("token {id} is outside the embedding table of {rows} rows");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::host::kernels::machine::testing::{assert_close, on_all_threads, random, wide};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn gathers_and_scatters(rows in 1usize..200, d in 1usize..100, vocab in 1usize..20, seed in 0u64..1 << 40) {
            let table = random(vocab * d, seed);
            let ids: Vec<i64> = random(rows, seed + 1).iter().map(|x| ((x + 1.0) * 0.499 * vocab as f32) as i64).collect();
            let (dy, before) = (random(rows * d, seed + 2), random(vocab * d, seed + 3));
            let r = on_all_threads(|| {
                let (mut out, mut dtable) = (vec![9.0; rows * d], before.clone());
                forward((&table).into(), d, &ids, &mut out);
                backward(&dy, d, &ids, &mut dtable);
                vec![out, dtable]
            });
            let mut want = wide(&before);
            for (r_, &id) in ids.iter().enumerate() {
                let id = id as usize;
                prop_assert_eq!(&r[0][r_ * d..][..d], &table[id * d..][..d]);
                for c in 0..d {
                    want[id * d + c] += f64::from(dy[r_ * d + c]);
                }
            }
            assert_close(&r[1], &want, 1e-5);
        }
    }

    #[test]
    #[should_panic(expected = "token 3 is outside the embedding table of 3 rows")]
    fn an_id_outside_the_table_is_refused() {
        backward(&[0.0; 4], 2, &[0, 3], &mut [0.0; 6]);
    }
}
