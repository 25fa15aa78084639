//! What a family of published models calls its tensors and its numbers, as data: one table for each family,
//! read by everything that opens or writes a model.

mod gpt2;
mod kiln;
mod linear_maps;
mod llama;
mod qwen2;
mod qwen3;
mod slot;

use std::iter;

use crate::{Biases, GptConfig, Role};
pub(crate) use linear_maps::{LinearMap, linear_maps, usually_adapted};
pub(super) use slot::Slot;

/// Every family. The first that fits a model is the one in which it is written.
const FAMILIES: [&Family; 5] = [&Family::GPT2, &Family::LLAMA, &Family::QWEN2, &Family::QWEN3, &Family::KILN];

/// One family of published models.
pub(super) struct Family {
    /// `model_type` in `config.json`.
    pub(super) model_type: &'static str,
    /// The class of `transformers` that opens it.
    pub(super) architecture: &'static str,
    /// Whether its files can hold such a model.
    pub(super) fits: fn(&GptConfig) -> bool,
    /// The keys of `config.json` that decide what a model computes, in the order in which they are written. Families share
    /// some of them, hence lists.
    pub(super) keys: &'static [&'static [Key]],
    /// The configuration of a file without any of the keys.
    pub(super) defaults: fn() -> GptConfig,
    /// What `transformers` puts before every name but the head's. Files of a model without a head lack it.
    pub(super) prefix: &'static str,
    /// How `model.safetensors` holds the matrices of linear layers.
    pub(super) matrices: MatrixLayout,
    /// Whether files hold zeros in place of the biases that a model lacks.
    pub(super) zero_biases: bool,
    /// The layers before the blocks.
    pub(super) embeddings: &'static [Layer],
    /// The layers of each block; `*` stands for its number.
    pub(super) block: &'static [Layer],
    /// The layers behind the blocks.
    pub(super) last: &'static [Layer],
    /// Ends of names: tensors called so hold no parameter and are skipped.
    pub(super) buffers: &'static [&'static str],
    /// Starts of names: other heads than the one that predicts tokens, which are skipped.
    pub(super) other_heads: &'static [&'static str],
    /// Names of the linear maps that PEFT adapts where nobody says which.
    pub(super) adapted: &'static [&'static str],
}

/// The keys of [special tokens](super::SpecialTokens), in every family.
const SPECIAL_TOKENS: &[Key] = &[
    Key::SpecialToken("bos_token_id"),
    Key::SpecialToken("eos_token_id"),
    Key::SpecialToken("pad_token_id"),
];

/// Whether a model has something, if models of the family ever have it.
type Has = Option<fn(&GptConfig) -> bool>;

/// No model of the family has it.
const NO_BIAS: Has = None;

/// A layer under its three names, with a tensor `weight` and, in linear layers and norms, a tensor `bias`. Several layers of the
/// same path lie side by side in the model, in their order: along the last axis.
pub(super) struct Layer {
    /// Path in the model.
    path: &'static str,
    /// Name in `model.safetensors`, without the [prefix](Family::prefix).
    name: &'static str,
    /// Name in GGUF.
    gguf: &'static str,
    /// Role of the weight. A head is a parameter only where it is not tied; files may hold a tied one too,
    /// which is the embedding again.
    role: Role,
    /// Shape of the weight in the model.
    shape: &'static [Size],
    /// Whether it has a bias.
    bias: Has,
    /// Whether a model has the layer.
    is_in: fn(&GptConfig) -> bool,
}

/// The length of an axis.
#[derive(Clone, Copy)]
enum Size {
    Vocab,
    Context,
    Width,
    /// Queries, keys and values side by side.
    Qkv,
    /// Queries of all heads.
    Queries,
    /// Keys of all heads, or values.
    Keys,
    HeadDim,
    FeedForward,
    Layers,
}

/// Which axis of a linear layer's matrix comes first.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum MatrixLayout {
    /// `[d_in, d_out]`, as in the model and in GPT-2's `Conv1D`.
    InputFirst,
    /// `[d_out, d_in]`, as in GGUF and in PyTorch's `Linear`.
    OutputFirst,
}

/// A key of `config.json`.
pub(super) enum Key {
    /// A field of [`GptConfig`]. Several keys may name the same one, and must then agree.
    Field(&'static str, &'static str),
    /// Switches on these biases.
    Biases(&'static str, Biases),
    /// Rotary positions, under [several keys](super::rotary_keys).
    Rotary,
    /// The field `d_ff`; left out or null, it is four times `d_model`.
    FeedForward(&'static str),
    /// A switch for what Kiln does not compute: it must be off.
    Unsupported(&'static str),
    /// A switch for another way to the same result: read as anything, written as off.
    WithoutEffect(&'static str),
    /// What another architecture calls one of these keys, and that one. It would be ignored and the default taken, so
    /// it must agree.
    Foreign(&'static str, &'static str),
    /// A [special token](super::SpecialTokens).
    SpecialToken(&'static str),
}

/// Name and shape of every parameter of such a model, as [`parameters`](crate::parameters()) finds them in one: counted
/// from the configuration alone, so that they are known before a byte of it is allocated.
pub fn parameter_shapes(config: &GptConfig) -> Vec<(String, Vec<usize>)> {
    let mut shapes: Vec<(String, Vec<usize>)> = Vec::new();
    for slot in Family::of(config).slots(config).filter(|slot| slot.is_parameter(config)) {
        let (path, shape) = (slot.path(), slot.shape(config));
        match shapes.iter_mut().rev().find(|(known, _)| *known == path) {
            // Side by side.
            Some((_, whole)) => *whole.last_mut().expect("an axis") += shape[shape.len() - 1],
            None => shapes.push((path, shape)),
        }
    }
    shapes
}

impl Family {
    /// The family whose files can hold such a model.
    pub(super) fn of(config: &GptConfig) -> &'static Self {
        let family = FAMILIES.into_iter().find(|family| (family.fits)(config));
        family.expect("the last one takes any")
    }

    /// The keys of `config.json`, in the order in which they are written.
    pub(super) fn keys(&self) -> impl Iterator<Item = &'static Key> + use<> {
        self.keys.iter().copied().flatten()
    }

    /// The family of a `config.json`, or what is wrong with its `model_type`.
    pub(super) fn of_model_type(model_type: Option<&str>) -> Result<&'static Self, String> {
        let known = FAMILIES.map(|family| format!("\"{}\"", family.model_type)).join(", ");
        let Some(name) = model_type else { return Err(format!("there is no model_type; expected {known}")) };
        let family = FAMILIES.into_iter().find(|family| family.model_type == name);
        family.ok_or_else(|| format!("model_type is \"{name}\"; only {known} is supported"))
    }

    /// Every tensor that files of such a model hold, in the model's order. Counted from the configuration
    /// alone, so that a file can be held against it before a byte of the model is allocated.
    pub(super) fn slots<'a>(&self, config: &'a GptConfig) -> impl Iterator<Item = Slot> + use<'a> {
        let (embeddings, block, last, zeros) = (self.embeddings, self.block, self.last, self.zero_biases);
        let blocks = (0..config.n_layers).flat_map(|number| block.iter().map(move |layer| (layer, number)));
        let outside = |layers: &'static [Layer]| layers.iter().zip(iter::repeat(0));
        let tied = config.tied_head;
        let stored =
            move |(layer, _): &(&Layer, usize)| !(tied && layer.role == Role::Head) && (layer.is_in)(config);
        let layers = outside(embeddings).chain(blocks).chain(outside(last)).filter(stored);
        layers
            .flat_map(|(layer, block)| Slot::of(layer, block))
            .filter(move |slot| zeros || slot.is_parameter(config))
    }

    /// The tensor of this name, without the prefix, if files of such a model may hold one.
    pub(super) fn slot_named(&self, config: &GptConfig, name: &str) -> Option<Slot> {
        let mut slots = self.find(name, |layer| layer.name).into_iter();
        slots.next().filter(|slot| {
            slot.block < config.n_layers
                && slot.is_in(config)
                && (self.zero_biases || slot.is_parameter(config))
        })
    }

    /// The tensor that GGUF calls so, if a file of such a model may hold one.
    pub(super) fn slot_in_gguf(&self, config: &GptConfig, name: &str) -> Option<Slot> {
        let known = |slot: &Slot| slot.block < config.n_layers && slot.is_in(config);
        self.find(name, |layer| layer.gguf).into_iter().find(known)
    }

    /// The tensors that hold the parameter at `path` of a model, side by side.
    pub(super) fn slots_at(&self, path: &str) -> Vec<Slot> {
        self.find(path, |layer| layer.path)
    }

    /// Name of the head's matrix.
    pub(super) fn head(&self) -> String {
        self.matrix_of(Role::Head)
    }

    /// Name of the token embedding's matrix.
    pub(super) fn token_embedding(&self) -> String {
        self.matrix_of(Role::Embedding)
    }

    fn matrix_of(&self, role: Role) -> String {
        let layer = [self.embeddings, self.last].into_iter().flatten().find(|layer| layer.role == role);
        format!("{}.weight", layer.expect("every family has one").name)
    }

    fn find(&self, name: &str, pattern: fn(&Layer) -> &'static str) -> Vec<Slot> {
        let layers = [self.embeddings, self.block, self.last].into_iter().flatten();
        let slots = layers.filter_map(|layer| {
            let (start, end) = name.rsplit_once('.')?;
            let block = block_number(pattern(layer), start)?;
            Slot::of(layer, block).find(|slot| slot.part() == end)
        });
        slots.collect()
    }
}

/// The number that `name` has where the pattern has a `*`; 0 for an equal name without one.
fn block_number(pattern: &str, name: &str) -> Option<usize> {
    let Some((before, after)) = pattern.split_once('*') else { return (pattern == name).then_some(0) };
    let digits = name.strip_prefix(before)?.strip_suffix(after)?;
    let number: usize = digits.parse().ok()?;
    // `h.01` is not how files write a number.
    (number.to_string() == digits).then_some(number)
}

impl MatrixLayout {
    fn transposes(self, role: Role) -> bool {
        self == Self::OutputFirst && role == Role::Matrix
    }

    /// The shape in this layout of a parameter that has `shape` in the model.
    pub(super) fn shape(self, role: Role, mut shape: Vec<usize>) -> Vec<usize> {
        if self.transposes(role) {
            shape.reverse();
        }
        shape
    }

    /// Values of a parameter, taken from the model to this layout or back. `shape` is the one they have now.
    pub(super) fn values(self, role: Role, shape: &[usize], values: Vec<f32>) -> Vec<f32> {
        if !self.transposes(role) {
            return values;
        }
        transposed(&values, shape[1])
    }
}

/// The transpose of a matrix with rows of `columns` elements.
pub(super) fn transposed(values: &[f32], columns: usize) -> Vec<f32> {
    /// Rows and columns at a time: the lines of both matrices that they touch stay in the cache.
    const SQUARE: usize = 32;
    let rows = values.len() / columns.max(1);
    let mut output = vec![0.0; values.len()];
    for (rows_at, columns_at) in (0..rows)
        .step_by(SQUARE)
        .flat_map(|row| (0..columns).step_by(SQUARE).map(move |column| (row, column)))
    {
        for row in rows_at..rows.min(rows_at + SQUARE) {
            for column in columns_at..columns.min(columns_at + SQUARE) {
                output[column * rows + row] = values[row * columns + column];
            }
        }
    }
    output
}

#[cfg(test)]
mod tests {
    use super::*;

    const GPT2: &Family = &Family::GPT2;

    #[test]
    fn the_table_has_the_published_number_of_parameters() {
        let config = GptConfig::preset("gpt2").expect("a preset");
        let elements: usize =
            GPT2.slots(&config).map(|slot| slot.shape(&config).iter().product::<usize>()).sum();
        assert_eq!(elements, 124_439_808);
        assert!(GPT2.slots(&config).all(|slot| GPT2.slot_named(&config, &slot.name()).is_some()));
    }

    #[test]
    fn names_outside_the_table_are_unknown() {
        let config = GptConfig::new(2, 1, 4);
        for name in [
            "h.2.ln_1.weight",
            "h.01.ln_1.weight",
            "h.+1.ln_1.weight",
            "h.1.ln_3.weight",
            "h.1.ln_1.scale",
            "wte.bias",
            "score.weight",
            "h.",
            "h.1",
            "",
        ] {
            assert!(GPT2.slot_named(&config, name).is_none(), "{name}");
        }
    }

    #[test]
    fn a_matrix_is_transposed_and_back() {
        let (layout, values) = (MatrixLayout::OutputFirst, vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        assert_eq!(layout.shape(Role::Matrix, vec![2, 3]), [3, 2]);
        let transposed = layout.values(Role::Matrix, &[2, 3], values.clone());
        assert_eq!(transposed, [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
        assert_eq!(layout.values(Role::Matrix, &[3, 2], transposed), values);
        assert_eq!(layout.values(Role::Embedding, &[2, 3], values.clone()), values);
    }

    #[cfg(feature = "ndarray")]
    #[test]
    fn the_table_and_the_model_agree_on_paths_roles_and_shapes() {
        let config = GptConfig { vocab_size: 7, tied_head: false, ..GptConfig::new(2, 1, 4) };
        let model = config.init::<burn_ndarray::NdArray>(1, &Default::default()).expect("valid");
        let parameters = crate::parameters(&model);
        assert_eq!(parameters.len(), GPT2.slots(&config).count());
        for (parameter, listed) in parameters.iter().zip(GPT2.slots(&config)) {
            let [slot] = GPT2.slots_at(&parameter.name)[..] else { panic!("not in the table") };
            assert_eq!(slot.name(), listed.name());
            assert_eq!((slot.role(), slot.shape(&config)), (parameter.role, parameter.shape.clone()));
        }
    }

    #[cfg(feature = "ndarray")]
    #[test]
    fn parameters_are_known_before_there_is_a_model() {
        for (bias, tied_head, residual_scalars) in
            [(true, true, false), (false, true, true), (true, false, false)]
        {
            let bias = bias.into();
            let config =
                GptConfig { vocab_size: 7, bias, tied_head, residual_scalars, ..GptConfig::new(2, 1, 4) };
            let model = config.init::<burn_ndarray::NdArray>(1, &Default::default()).expect("valid");
            let mut found: Vec<_> = crate::parameters(&model)
                .into_iter()
                .map(|parameter| (parameter.name, parameter.shape))
                .collect();
            let mut known = parameter_shapes(&config);
            found.sort();
            known.sort();
            assert_eq!(found, known);
        }
    }
}
