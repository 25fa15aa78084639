//! Number formats, as they are typed.

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use kiln_model::{ComputePrecision, Dtype, Precision};

/// A value of an option: its name, what it is, and what it stands for.
type Choice<T> = (&'static str, &'static str, T);

const IN_MEMORY: [Choice<Precision>; 3] = [
    ("f32", "32-bit IEEE", Precision::F32),
    ("bf16", "16-bit brain float: half the memory, three significant digits", Precision::Bf16),
    ("int8", "8-bit integers with a scale for each output channel: a quarter of the memory", Precision::Int8),
];

const IN_FILES: [Choice<Dtype>; 3] = [
    ("f32", "32-bit IEEE", Dtype::F32),
    ("bf16", "16-bit brain float", Dtype::Bf16),
    ("f16", "16-bit IEEE", Dtype::F16),
];

const OF_TRAINING: [Choice<ComputePrecision>; 3] = [
    ("f32", "32-bit IEEE", ComputePrecision::F32),
    ("tf32", "f32 whose products round to 19 bits, on NVIDIA GPUs", ComputePrecision::Tf32),
    ("bf16", "16-bit brain float beside f32 weights", ComputePrecision::Bf16),
];

/// Number formats that training computes in.
pub fn of_training() -> impl TypedValueParser<Value = ComputePrecision> {
    one_of(&OF_TRAINING)
}

/// Number formats of weights in memory.
pub fn in_memory() -> impl TypedValueParser<Value = Precision> {
    one_of(&IN_MEMORY)
}

/// Number formats of weights in files.
pub fn in_files() -> impl TypedValueParser<Value = Dtype> {
    one_of(&IN_FILES)
}

fn one_of<T: Clone + Send + Sync + 'static>(
    choices: &'static [Choice<T>],
) -> impl TypedValueParser<Value = T> {
    let values = choices.iter().map(|(name, what, _)| PossibleValue::new(*name).help(*what));
    PossibleValuesParser::new(values).try_map(move |name| {
        let choice = choices.iter().find(|(known, ..)| *known == name);
        choice.map(|(.., value)| value.clone()).ok_or("no such number format")
    })
}
