//! Rows of a table, by themselves and with a head that shares it.

use burn::tensor::{Int, Tensor, TensorData};
use kiln_model::Backend;
use proptest::prelude::*;

use super::check::{Operation, flat, gradients_equal_quotients, native_equals_portable, shaped, values};

struct Embedding {
    rows: usize,
    uses: usize,
    d_model: usize,
    /// Whether a head shares the table.
    tied: bool,
}

impl Operation for Embedding {
    fn run<B: Backend>(&self, inputs: &[Tensor<B, 1>]) -> Tensor<B, 1> {
        let Self { rows, uses, d_model, tied } = *self;
        let ids: Vec<i64> = (0..uses).map(|position| (position * position % rows) as i64).collect();
        let ids = Tensor::<B, 2, Int>::from_data(TensorData::new(ids, [1, uses]), &Default::default());
        let (table, ids) = (shaped(&inputs[0], [rows, d_model]), ids.into_primitive());
        let output = <B as Backend>::embedding(table.clone(), ids.clone());
        if tied {
            return flat::<B>(B::head_cross_entropy(output, table, ids, None), 1);
        }
        flat::<B>(output, uses * d_model)
    }
}

fn embedding([rows, uses, d_model]: [usize; 3], tied: bool, seed: u64) -> (Embedding, Vec<Vec<f64>>) {
    (Embedding { rows, uses, d_model, tied }, vec![values(seed, rows * d_model)])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn gradient_of_embedding(rows in 1usize..5, uses in 1usize..15, d_model in 1usize..4, tied: bool, seed: u64) {
        let (operation, inputs) = embedding([rows, uses, d_model], tied, seed);
        gradients_equal_quotients(&operation, &inputs)?;
    }

    #[test]
    fn native_embedding(rows in 1usize..60, uses in 1usize..200, d_model in 1usize..100, tied: bool, seed: u64) {
        let (operation, inputs) = embedding([rows, uses, d_model], tied, seed);
        native_equals_portable(&operation, &inputs)?;
    }
}
