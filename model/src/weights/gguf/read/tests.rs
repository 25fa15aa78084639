//! What files say of their model, in the words of Hugging Face.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::config::config_json;
use super::file::Gguf;
use super::open::tensors;
use super::special_tokens;
use crate::Result;
use crate::weights::gguf::write::{Entries, put_string};
use crate::weights::mapped::MappedFile;

/// A tensor of f32: its name, its sizes with the innermost first, its values.
type Floats<'a> = (&'a str, &'a [u64], Vec<f32>);

/// What a file in a temporary folder holds.
struct Written {
    _folder: tempfile::TempDir,
    file: MappedFile,
}

impl Written {
    fn new(entries: &Entries, tensors: &[Floats<'_>]) -> Self {
        let mut bytes = b"GGUF\x03\0\0\0".to_vec();
        bytes.extend((tensors.len() as u64).to_le_bytes());
        bytes.extend(entries.count.to_le_bytes());
        bytes.extend(&entries.bytes);
        let mut data = Vec::new();
        for (name, sizes, values) in tensors {
            put_string(name, &mut bytes);
            bytes.extend((sizes.len() as u32).to_le_bytes());
            sizes.iter().for_each(|size| bytes.extend(size.to_le_bytes()));
            bytes.extend(0u32.to_le_bytes());
            bytes.extend((data.len() as u64).to_le_bytes());
            values.iter().for_each(|value| data.extend(value.to_le_bytes()));
            data.resize(data.len().next_multiple_of(32), 0);
        }
        bytes.resize(bytes.len().next_multiple_of(32), 0);
        bytes.extend(data);
        let folder = tempfile::tempdir().expect("a temporary directory");
        let path: PathBuf = folder.path().join("model.gguf");
        std::fs::write(&path, bytes).expect("writable");
        Self { file: MappedFile::open(&path).expect("just written"), _folder: folder }
    }

    fn config(&self) -> Result<Value> {
        config_json(&Gguf::read(&self.file)?).map(Value::Object)
    }
}

/// What every model of an architecture like Llama's says: two blocks, four heads of width 4, two of keys.
fn llama(architecture: &str) -> Entries {
    let mut entries = Entries::default();
    entries.string("general.architecture", architecture);
    for (key, value) in [
        ("context_length", 64),
        ("embedding_length", 16),
        ("block_count", 2),
        ("feed_forward_length", 40),
        ("attention.head_count", 4),
        ("attention.head_count_kv", 2),
    ] {
        entries.u32(&format!("{architecture}.{key}"), value);
    }
    entries.f32(&format!("{architecture}.rope.freq_base"), 100_000.0);
    entries.f32(&format!("{architecture}.attention.layer_norm_rms_epsilon"), 1e-5);
    entries
}

fn embedding() -> Floats<'static> {
    ("token_embd.weight", &[16, 6], vec![0.5; 96])
}

#[test]
fn a_llama_is_described_as_transformers_would() {
    let mut entries = llama("llama");
    entries.u32("tokenizer.ggml.bos_token_id", 1);
    entries.u32("tokenizer.ggml.eos_token_id", 2);
    entries.u32("llama.rope.dimension_count", 4);
    let expected = json!({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "max_position_embeddings": 64, "hidden_size": 16,
        "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 40, "rms_norm_eps": 1e-5,
        "hidden_act": "silu", "num_key_value_heads": 2, "head_dim": 4,
        "rope_parameters": {"rope_type": "default", "rope_theta": 100_000.0}, "attention_bias": false, "mlp_bias": false,
        "vocab_size": 6, "tie_word_embeddings": true, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": null,
    });
    assert_eq!(Written::new(&entries, &[embedding()]).config().expect("sound"), expected);

    let head = ("output.weight", &[16, 6][..], vec![0.5; 96]);
    let bias = ("blk.0.attn_output.bias", &[16][..], vec![0.5; 16]);
    let untied = Written::new(&entries, &[embedding(), head, bias]).config().expect("sound");
    assert_eq!((&untied["tie_word_embeddings"], &untied["attention_bias"]), (&json!(false), &json!(true)));
}

#[test]
fn a_qwen3_may_have_heads_of_any_width() {
    let mut entries = llama("qwen3");
    entries.u32("qwen3.attention.key_length", 6);
    entries.u32("qwen3.attention.value_length", 6);
    let config = Written::new(&entries, &[embedding()]).config().expect("sound");
    assert_eq!((&config["model_type"], &config["head_dim"]), (&json!("qwen3"), &json!(6)));

    entries.u32("qwen3.rope.scaling.factor", 2);
    entries.string("qwen3.rope.scaling.type", "linear");
    let config = Written::new(&entries, &[embedding()]).config().expect("sound");
    let expected = json!({"rope_type": "linear", "rope_theta": 100_000.0, "factor": 2.0});
    assert_eq!(config["rope_parameters"], expected);
}

#[test]
fn divided_frequencies_are_llama_3s_scaling() {
    let mut entries = llama("llama");
    entries.u32("llama.rope.scaling.original_context_length", 16);
    // Pairs turn 16 / 2π = 2.55 times, and 0.008 times.
    let blend = (16.0 / std::f64::consts::TAU - 1.0) / 3.0;
    let divisors = vec![(1.0 / ((1.0 - blend) / 8.0 + blend)) as f32, 8.0];
    let frequencies = |divisors| ("rope_freqs.weight", &[2][..], divisors);
    let written = Written::new(&entries, &[embedding(), frequencies(divisors)]);
    let expected = json!({
        "rope_type": "llama3", "rope_theta": 100_000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 16,
    });
    assert_eq!(written.config().expect("sound")["rope_parameters"], expected);
    let names: Vec<String> =
        tensors(&written.file).expect("sound").into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["token_embd.weight"]);

    let other = Written::new(&entries, &[embedding(), frequencies(vec![3.0, 8.0])]);
    let refused = other.config().expect_err("not Llama 3's").to_string();
    assert!(refused.contains("divides frequency 0 by 3"), "{refused}");
}

#[test]
fn queries_and_keys_of_a_llama_are_put_in_order() {
    let rows = |count: usize| (0..count).flat_map(|row| [row as f32; 16]).collect::<Vec<_>>();
    let order = |architecture: &str, name: &str, heads: usize| {
        let name = format!("blk.1.{name}.weight");
        let tensor = (name.as_str(), &[16, 4 * heads as u64][..], rows(4 * heads));
        let written = Written::new(&llama(architecture), &[embedding(), tensor]);
        let tensors = tensors(&written.file).expect("sound");
        let values = tensors[1].1.values();
        values.into_iter().step_by(16).take(8).collect::<Vec<_>>()
    };
    assert_eq!(order("llama", "attn_q", 4), [0.0, 2.0, 1.0, 3.0, 4.0, 6.0, 5.0, 7.0]);
    assert_eq!(order("llama", "attn_k", 2), [0.0, 2.0, 1.0, 3.0, 4.0, 6.0, 5.0, 7.0]);
    let plain = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0];
    assert_eq!(order("llama", "attn_v", 2), plain);
    assert_eq!(order("qwen2", "attn_q", 4), plain);
    let odd = ("blk.0.attn_q.weight", &[16, 12][..], rows(12));
    let written = Written::new(&llama("llama"), &[embedding(), odd]);
    let refused = tensors(&written.file).err().expect("12 rows are no 4 heads of pairs").to_string();
    assert!(refused.contains("12 rows for 4 heads"), "{refused}");
}

#[test]
fn every_token_that_ends_something_is_an_end() {
    let mut entries = llama("llama");
    for (name, token) in [("eos", 3), ("eot", 5), ("eom", 3), ("padding", 0)] {
        entries.u32(&format!("tokenizer.ggml.{name}_token_id"), token);
    }
    let written = Written::new(&entries, &[embedding()]);
    let tokens = special_tokens::of(&Gguf::read(&written.file).expect("sound")).expect("sound");
    assert_eq!((tokens.begin, tokens.end, tokens.padding), (None, vec![3, 5], Some(0)));
}

#[test]
fn what_is_not_computed_is_refused_by_name() {
    let refused = |entries: &Entries| {
        let error = Written::new(entries, &[embedding()]).config().expect_err("not supported").to_string();
        error.split_once("model.gguf: ").expect("the path first").1.to_owned()
    };
    let with = |change: &dyn Fn(&mut Entries)| {
        let mut entries = llama("llama");
        change(&mut entries);
        refused(&entries)
    };
    assert_eq!(
        refused(&llama("mamba")),
        "`general.architecture` = \"mamba\"; expected \"gpt2\", \"llama\", \"qwen2\", \"qwen3\""
    );
    assert_eq!(
        with(&|entries| entries.u32("llama.expert_count", 8)),
        "`llama.expert_count` = 8 is not supported"
    );
    assert_eq!(
        with(&|entries| entries.string("llama.rope.scaling.type", "yarn")),
        "`llama.rope.scaling.type` = \"yarn\" is not supported"
    );
    assert_eq!(
        with(&|entries| entries.u32("llama.attention.value_length", 8)),
        "`llama.attention.value_length` = 8, and heads of width 4, is not supported"
    );
    assert_eq!(
        with(&|entries| entries.u32("split.count", 3)),
        "`split.count` = 3: this is a part of a model; `llama-gguf-split --merge` joins all of them"
    );
    let mut missing = Entries::default();
    missing.string("general.architecture", "qwen2");
    missing.string("qwen2.context_length", "long");
    assert_eq!(refused(&missing), "`qwen2.context_length` = \"long\"; expected a whole number");
}
