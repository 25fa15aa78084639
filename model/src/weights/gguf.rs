//! GGUF, the file of llama.cpp and the programs around it: one file with numbers, names and vocabulary
//! (<https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>).

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use super::Dtype;
use super::collect::{Parameter, collect};
use crate::error::{Error, Result};
use crate::file::replace_file;
use crate::{Activation, Backend, GptConfig, GptModel};

/// Tensors begin at multiples of this, counted from the first of them.
const ALIGNMENT: usize = 32;

/// A byte-level BPE as GGUF describes it.
#[derive(Clone, Debug)]
pub struct GgufVocabulary {
    /// Tokens in the order of their ids, bytes written as GPT-2's visible characters.
    pub tokens: Vec<String>,
    /// Ids of tokens that stand for no text, such as end-of-text.
    pub special: Vec<u32>,
    /// Pairs of tokens, the most eager first, each joined by a space.
    pub merges: Vec<String>,
    /// How text is split before merging, by llama.cpp's name: `gpt-2`, `gpt-4o`, …
    pub pre_tokenizer: String,
    /// The token that ends a text.
    pub end_of_text: Option<u32>,
}

/// Writes model and vocabulary into one file that llama.cpp loads as architecture `gpt2`.
///
/// Matrices are stored in `dtype`; vectors and position embeddings always in f32, as llama.cpp expects them.
///
/// # Errors
///
/// [`Error::Gguf`] for what llama.cpp's GPT-2 cannot compute: another activation than the tanh GELU, or attention
/// scores scaled otherwise. [`Error::Io`] if the file cannot be written.
pub fn save_gguf<B: Backend>(
    model: &GptModel<B>,
    file: &Path,
    dtype: Dtype,
    vocabulary: Option<&GgufVocabulary>,
) -> Result<()> {
    check(model.config(), vocabulary)?;
    let header = header(model.config(), dtype, vocabulary);
    let tensors: Vec<Tensor> =
        collect(model)?.into_iter().map(|parameter| Tensor::new(parameter, dtype)).collect();
    replace_file(file, |temporary| {
        let file = File::create(temporary).map_err(Error::io(temporary))?;
        write(&header, &tensors, BufWriter::new(file)).map_err(Error::io(temporary))
    })
}

fn check(config: &GptConfig, vocabulary: Option<&GgufVocabulary>) -> Result<()> {
    let refuse = |reason: String| Err(Error::Gguf { reason });
    if config.activation != Activation::GeluTanh {
        return refuse(format!("its GPT-2 has the tanh GELU only, not {:?}", config.activation));
    }
    if !config.scale_attention || config.scale_attention_by_layer {
        return refuse(
            "its GPT-2 always divides attention scores by √head_dim, and by nothing else".to_owned(),
        );
    }
    match vocabulary.map(|vocabulary| vocabulary.tokens.len()) {
        Some(tokens) if tokens > config.vocab_size => {
            refuse(format!("the tokenizer has {tokens} tokens, the model {}", config.vocab_size))
        }
        _ => Ok(()),
    }
}

/// The file up to the first tensor's data. All numbers are little-endian; a string is its length and its bytes.
fn write(header: &Entries, tensors: &[Tensor], mut output: impl Write) -> std::io::Result<()> {
    let mut head = Vec::new();
    head.extend(b"GGUF");
    head.extend(3u32.to_le_bytes()); // version
    head.extend((tensors.len() as u64).to_le_bytes());
    head.extend(header.count.to_le_bytes());
    head.extend(&header.bytes);
    let mut offset = 0;
    for tensor in tensors {
        tensor.describe(offset, &mut head);
        offset += tensor.len().next_multiple_of(ALIGNMENT);
    }
    head.resize(head.len().next_multiple_of(ALIGNMENT), 0);
    output.write_all(&head)?;
    for tensor in tensors {
        let mut bytes = tensor.bytes();
        bytes.resize(bytes.len().next_multiple_of(ALIGNMENT), 0);
        output.write_all(&bytes)?;
    }
    output.flush()
}

/// What the file says of the model before it holds its weights.
fn header(config: &GptConfig, dtype: Dtype, vocabulary: Option<&GgufVocabulary>) -> Entries {
    let mut entries = Entries::default();
    entries.string("general.architecture", "gpt2");
    entries.string("general.name", "kiln");
    entries.u32(
        "general.file_type",
        match dtype {
            Dtype::F32 => 0,
            Dtype::F16 => 1,
            Dtype::Bf16 => 32,
        },
    );
    let sizes = [
        ("context_length", config.context_length),
        ("embedding_length", config.d_model),
        ("block_count", config.n_layers),
        ("feed_forward_length", config.d_ff),
        ("attention.head_count", config.n_heads),
        ("vocab_size", config.vocab_size),
    ];
    for (key, value) in sizes {
        entries.u32(&format!("gpt2.{key}"), value as u32);
    }
    entries.f32("gpt2.attention.layer_norm_epsilon", config.layer_norm_epsilon as f32);
    if let Some(vocabulary) = vocabulary {
        describe_vocabulary(vocabulary, config.vocab_size, &mut entries);
    }
    entries
}

fn describe_vocabulary(vocabulary: &GgufVocabulary, vocab_size: usize, entries: &mut Entries) {
    const NORMAL: i32 = 1;
    const CONTROL: i32 = 3;
    const UNUSED: i32 = 5;
    // A model may have more rows than its tokenizer has tokens, for instance to fill up a multiple of 64.
    let fillers = (vocabulary.tokens.len()..vocab_size).map(|id| format!("[PAD{id}]"));
    let tokens: Vec<String> = vocabulary.tokens.iter().cloned().chain(fillers).collect();
    let kinds = (0..tokens.len()).map(|id| match id {
        id if id >= vocabulary.tokens.len() => UNUSED,
        id if vocabulary.special.contains(&(id as u32)) => CONTROL,
        _ => NORMAL,
    });
    entries.string("tokenizer.ggml.model", "gpt2");
    entries.string("tokenizer.ggml.pre", &vocabulary.pre_tokenizer);
    entries.strings("tokenizer.ggml.tokens", &tokens);
    entries.i32s("tokenizer.ggml.token_type", kinds);
    entries.strings("tokenizer.ggml.merges", &vocabulary.merges);
    if let Some(token) = vocabulary.end_of_text {
        entries.u32("tokenizer.ggml.bos_token_id", token);
        entries.u32("tokenizer.ggml.eos_token_id", token);
    }
    entries.bool("tokenizer.ggml.add_bos_token", false);
}

/// Typed keys and values, as they stand in the file.
#[derive(Default)]
struct Entries {
    bytes: Vec<u8>,
    count: u64,
}

impl Entries {
    const U32: u32 = 4;
    const I32: u32 = 5;
    const F32: u32 = 6;
    const BOOL: u32 = 7;
    const STRING: u32 = 8;
    const ARRAY: u32 = 9;

    fn key(&mut self, key: &str, kind: u32) {
        put_string(key, &mut self.bytes);
        self.bytes.extend(kind.to_le_bytes());
        self.count += 1;
    }

    fn array(&mut self, key: &str, kind: u32, length: usize) {
        self.key(key, Self::ARRAY);
        self.bytes.extend(kind.to_le_bytes());
        self.bytes.extend((length as u64).to_le_bytes());
    }

    fn u32(&mut self, key: &str, value: u32) {
        self.key(key, Self::U32);
        self.bytes.extend(value.to_le_bytes());
    }

    fn f32(&mut self, key: &str, value: f32) {
        self.key(key, Self::F32);
        self.bytes.extend(value.to_le_bytes());
    }

    fn bool(&mut self, key: &str, value: bool) {
        self.key(key, Self::BOOL);
        self.bytes.push(u8::from(value));
    }

    fn string(&mut self, key: &str, value: &str) {
        self.key(key, Self::STRING);
        put_string(value, &mut self.bytes);
    }

    fn strings(&mut self, key: &str, values: &[String]) {
        self.array(key, Self::STRING, values.len());
        values.iter().for_each(|value| put_string(value, &mut self.bytes));
    }

    fn i32s(&mut self, key: &str, values: impl ExactSizeIterator<Item = i32>) {
        self.array(key, Self::I32, values.len());
        self.bytes.extend(values.flat_map(i32::to_le_bytes));
    }
}

fn put_string(text: &str, bytes: &mut Vec<u8>) {
    bytes.extend((text.len() as u64).to_le_bytes());
    bytes.extend(text.as_bytes());
}

/// A parameter under its name in llama.cpp.
struct Tensor {
    name: String,
    parameter: Parameter,
    dtype: Dtype,
    /// GPT-2 stores its projections as `[d_in, d_out]`, llama.cpp all of them as `[d_out, d_in]`.
    transposed: bool,
}

impl Tensor {
    fn new(parameter: Parameter, dtype: Dtype) -> Self {
        let name = gguf_name(&parameter.name);
        let transposed = name.starts_with("blk.") && parameter.shape.len() == 2;
        let dtype =
            if parameter.shape.len() == 1 || name.starts_with("position") { Dtype::F32 } else { dtype };
        Self { name, parameter, dtype, transposed }
    }

    fn len(&self) -> usize {
        self.parameter.num_elements() * self.dtype.width()
    }

    /// Name, sizes with the innermost axis first, type, and place behind the header.
    fn describe(&self, offset: usize, bytes: &mut Vec<u8>) {
        put_string(&self.name, bytes);
        let mut innermost_first = self.parameter.shape.clone();
        if !self.transposed {
            innermost_first.reverse();
        }
        bytes.extend((innermost_first.len() as u32).to_le_bytes());
        innermost_first.iter().for_each(|size| bytes.extend((*size as u64).to_le_bytes()));
        let kind: u32 = match self.dtype {
            Dtype::F32 => 0,
            Dtype::F16 => 1,
            Dtype::Bf16 => 30,
        };
        bytes.extend(kind.to_le_bytes());
        bytes.extend((offset as u64).to_le_bytes());
    }

    fn bytes(&self) -> Vec<u8> {
        let values = self.parameter.values();
        if !self.transposed {
            return self.dtype.encode(&values);
        }
        let columns = self.parameter.shape[1];
        let transposed: Vec<f32> =
            (0..columns).flat_map(|column| values.iter().skip(column).step_by(columns).copied()).collect();
        self.dtype.encode(&transposed)
    }
}

/// `h.3.mlp.c_fc.weight` is `blk.3.ffn_up.weight`.
fn gguf_name(name: &str) -> String {
    const NAMES: [(&str, &str); 6] = [
        (".ln_1.", ".attn_norm."),
        (".attn.c_attn.", ".attn_qkv."),
        (".attn.c_proj.", ".attn_output."),
        (".ln_2.", ".ffn_norm."),
        (".mlp.c_fc.", ".ffn_up."),
        (".mlp.c_proj.", ".ffn_down."),
    ];
    match name.strip_prefix("h.") {
        Some(rest) => {
            let (ours, theirs) = NAMES
                .into_iter()
                .find(|(ours, _)| rest.contains(ours))
                .expect("the layout has no other names");
            format!("blk.{}", rest.replace(ours, theirs))
        }
        None => name
            .replace("wte.", "token_embd.")
            .replace("wpe.", "position_embd.")
            .replace("ln_f.", "output_norm.")
            .replace("lm_head.", "output."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names in llama.cpp's conversion of GPT-2.
    #[test]
    fn names_are_llama_cpps() {
        for (ours, theirs) in [
            ("wte.weight", "token_embd.weight"),
            ("wpe.weight", "position_embd.weight"),
            ("h.11.attn.c_attn.bias", "blk.11.attn_qkv.bias"),
            ("h.0.mlp.c_proj.weight", "blk.0.ffn_down.weight"),
            ("h.0.ln_2.bias", "blk.0.ffn_norm.bias"),
            ("ln_f.weight", "output_norm.weight"),
            ("lm_head.weight", "output.weight"),
        ] {
            assert_eq!(gguf_name(ours), theirs);
        }
    }
}
