"""Writes gguf/blocks.gguf: a few blocks of every format of ggml, and what llama.cpp's Python package makes of them.

    pip install -r requirements.txt && python gguf_blocks.py

The tensor NAME is written in the format NAME, NAME.expected is the same in f32. `cargo test -p kiln-model quantised` compares.
"""

from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type

HERE = Path(__file__).parent / "gguf"
# The package quantises these itself; of the others, random blocks will do.
QUANTISED = [Type.F16, Type.BF16, Type.Q4_0, Type.Q4_1, Type.Q5_0, Type.Q5_1, Type.Q8_0]
# Where f16 numbers stand in the blocks of the others: random bits might be infinite.
SCALES = {Type.Q4_K: [0, 2], Type.Q5_K: [0, 2], Type.Q6_K: [208]}


def random_blocks(random, kind, count):
    _, width = gguf.GGML_QUANT_SIZES[kind]
    blocks = random.integers(0, 256, (count, width), dtype=np.uint8)
    for at in SCALES[kind]:
        blocks[:, at:at + 2] = random.normal(0, 0.01, (count, 1)).astype(np.float16).view(np.uint8)
    return blocks.reshape(1, -1)


def main():
    random = np.random.default_rng(17)
    writer = gguf.GGUFWriter(None, "gpt2")
    for kind in [*QUANTISED, *SCALES]:
        if kind in SCALES:
            data = random_blocks(random, kind, 2)
        else:
            data = gguf.quantize(random.normal(0, 1, (2, 64)).astype(np.float32), kind)
        values = gguf.dequantize(data, kind).astype(np.float32)
        assert np.isfinite(values).all()
        writer.add_tensor(kind.name, data, raw_dtype=kind)
        writer.add_tensor(f"{kind.name}.expected", values)
    HERE.mkdir(exist_ok=True)
    writer.write_header_to_file(HERE / "blocks.gguf")
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    print((HERE / "blocks.gguf").stat().st_size, "bytes")


if __name__ == "__main__":
    main()
