//! Token files of other programs, which say little about themselves.
//!
//! - llm.c: 256 numbers of four bytes (magic 20240520, version 1, number of tokens, zeros), then GPT-2's
//!   tokens in two bytes each.
//! - nanoGPT: tokens in two bytes each, and nothing else.

use std::path::Path;

use super::ShardFormat;
use super::header::Header;
use crate::error::{Error, Result};

const LLM_C_MAGIC: u32 = 20_240_520;
const LLM_C_VERSION: u32 = 1;
const LLM_C_HEADER: usize = 1024;
const WIDTH: usize = 2;

/// The header that a file of `size` bytes beginning with `front` stands for.
pub(super) fn header(path: &Path, front: &[u8], size: u64) -> Result<Header> {
    let number = |index: usize| {
        let bytes = front.get(index * 4..index * 4 + 4)?;
        Some(u32::from_le_bytes(bytes.try_into().expect("four bytes")))
    };
    let (format, start, tokens) = if number(0) == Some(LLM_C_MAGIC) {
        let (Some(version), Some(tokens), true) = (number(1), number(2), size >= LLM_C_HEADER as u64) else {
            return Err(Error::format(path, format!("{size} bytes are too few for a token file of llm.c")));
        };
        if version != LLM_C_VERSION {
            let reason = format!("version {version} of llm.c's token files, expected {LLM_C_VERSION}");
            return Err(Error::format(path, reason));
        }
        (ShardFormat::LlmC, LLM_C_HEADER, u64::from(tokens))
    } else if path.extension().is_some_and(|ending| ending == "bin") && size > 0 {
        if !size.is_multiple_of(WIDTH as u64) {
            let reason = format!("{size} bytes are no whole number of tokens of {WIDTH} bytes");
            return Err(Error::format(path, reason));
        }
        (ShardFormat::NanoGpt, 0, size / WIDTH as u64)
    } else {
        return Err(Error::format(path, "not a token shard: it does not begin with KILNTOKS"));
    };
    Ok(Header {
        format,
        start,
        width: WIDTH,
        tokens,
        documents: 0,
        text_bytes: 0,
        checksum: None,
        vocabulary: None,
    })
}
