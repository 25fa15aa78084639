//! Every format against what llama.cpp's Python package makes of the same blocks: see
//! `tests/reference/gguf_blocks.py`.

use std::path::Path;

use super::*;
use crate::weights::gguf;
use crate::weights::mapped::MappedFile;

const BLOCKS_FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/reference/gguf/blocks.gguf");

#[test]
fn blocks_are_decoded_to_the_last_bit() {
    let file = MappedFile::open(Path::new(BLOCKS_FILE)).expect("the fixtures are committed");
    let found = gguf::tensors(&file).expect("the package writes sound files");
    let values = |name: &str| {
        let found = found.iter().find(|(found, _)| found == name);
        found.unwrap_or_else(|| panic!("no {name}")).1.values()
    };
    let formats = ["F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q4_K", "Q5_K", "Q6_K"];
    for format in formats {
        let (ours, theirs) = (values(format), values(&format!("{format}.expected")));
        assert_eq!(ours.len(), theirs.len());
        for (at, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
            assert_eq!(ours.to_bits(), theirs.to_bits(), "{format}: value {at} is {ours}, not {theirs}");
        }
    }
    assert_eq!(found.len(), 2 * formats.len());
}

#[test]
fn many_blocks_are_decoded_as_each_one() {
    let blocks: Vec<[u8; 18]> = (0..3 * BLOCKS + 7)
        .map(|block| std::array::from_fn(|at| if at == 1 { 0x3C } else { (7 * block + 11 * at) as u8 }))
        .collect();
    let mut together = vec![0.0; 32 * blocks.len()];
    Quantised::Q4_0.decode(blocks.as_flattened(), &mut together);
    for (block, values) in blocks.iter().zip(together.chunks(32)) {
        let mut alone = [0.0; 32];
        small::q4_0(block, &mut alone);
        assert_eq!(alone, values);
    }
}
