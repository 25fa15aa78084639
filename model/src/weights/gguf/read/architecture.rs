//! What a file says of the architecture that it is of.

use super::file::Gguf;
use super::tensor_info::TensorInfo;
use crate::error::Result;
use crate::weights::gguf::architecture::{ARCHITECTURES, Architecture, HeadsOf};
use crate::weights::gguf::rotary::FREQUENCIES;

impl Architecture {
    /// The architecture of a file.
    pub(super) fn of(gguf: &Gguf<'_>) -> Result<&'static Self> {
        const KEY: &str = "general.architecture";
        let name = gguf.metadata.text(KEY)?;
        let found = ARCHITECTURES.into_iter().find(|known| Some(known.name) == name);
        found.ok_or_else(|| {
            let known = ARCHITECTURES.map(|known| format!("{:?}", known.name)).join(", ");
            gguf.wrong(format!("{}; expected {known}", gguf.metadata.told(KEY)))
        })
    }

    /// Whether a tensor of that name is no parameter, but belongs to the configuration.
    pub(super) fn describes(&self, name: &str) -> bool {
        self.rotary && name == FREQUENCIES
    }

    /// Number of heads, of a tensor whose rows rotate as pairs of neighbours.
    pub(super) fn heads_of_pairs(&self, gguf: &Gguf<'_>, tensor: &TensorInfo<'_>) -> Result<Option<usize>> {
        let heads = match self.neighbours(tensor.name) {
            None => return Ok(None),
            Some(HeadsOf::Queries) => self.heads(gguf)?,
            Some(HeadsOf::Keys) => self.key_value_heads(gguf)?,
        };
        let rows = tensor.shape[0];
        let whole =
            heads.checked_mul(2).filter(|halves| *halves > 0 && (rows as u64).is_multiple_of(*halves));
        match whole {
            Some(_) => Ok(Some(heads as usize)),
            None => Err(gguf.wrong(format!("`{}` has {rows} rows for {heads} heads", tensor.name))),
        }
    }

    /// Heads of queries.
    pub(super) fn heads(&self, gguf: &Gguf<'_>) -> Result<u64> {
        gguf.metadata.size(&self.key("attention.head_count"))
    }

    /// Heads of keys and values: as many as of queries, where the file does not say otherwise.
    pub(super) fn key_value_heads(&self, gguf: &Gguf<'_>) -> Result<u64> {
        let own = gguf.metadata.whole(&self.key("attention.head_count_kv"))?;
        own.map_or_else(|| self.heads(gguf), Ok)
    }
}
