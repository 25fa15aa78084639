//! Keys and values of the positions already seen, so that generating a token costs one position, not all of them.

use burn::tensor::Tensor;

use crate::{Backend, GptConfig};

/// The cache of one block: room for `context_length` positions, filled from the front.
#[derive(Debug, Clone)]
pub struct LayerCache<B: Backend> {
    /// `[batch, n_heads, context_length, head_dim]`
    keys: Tensor<B, 4>,
    /// `[batch, n_heads, context_length, head_dim]`
    values: Tensor<B, 4>,
    len: usize,
}

impl<B: Backend> LayerCache<B> {
    /// Writes new positions behind the cached ones and returns all of them.
    ///
    /// # Shapes
    ///
    /// - key, value: `[batch, n_heads, new, head_dim]`
    /// - output: `[batch, n_heads, cached + new, head_dim]`, keys and values
    ///
    /// # Panics
    ///
    /// If the cache has no room for them: [`GptModel::forward_cached`](crate::GptModel::forward_cached) checks
    /// first.
    pub fn append(&mut self, key: Tensor<B, 4>, value: Tensor<B, 4>) -> (Tensor<B, 4>, Tensor<B, 4>) {
        let [batch, n_heads, new, head_dim] = key.dims();
        let filled = self.len + new;
        let room = [0..batch, 0..n_heads, self.len..filled, 0..head_dim];
        // `inplace` keeps the buffer's only owner inside the call, so that backends write instead of copying.
        self.keys.inplace(|keys| keys.slice_assign(room.clone(), key));
        self.values.inplace(|values| values.slice_assign(room, value));
        self.len = filled;
        (self.keys.clone().narrow(2, 0, filled), self.values.clone().narrow(2, 0, filled))
    }
}

/// Keys and values of every block of a model.
#[derive(Debug, Clone)]
pub struct KvCache<B: Backend> {
    pub(crate) layers: Vec<LayerCache<B>>,
    capacity: usize,
}

impl<B: Backend> KvCache<B> {
    /// An empty cache for `batch` sequences of up to `context_length` tokens.
    pub fn new(config: &GptConfig, batch: usize, device: &B::Device) -> Self {
        let shape = [batch, config.n_heads, config.context_length, config.head_dim()];
        let empty = || LayerCache {
            keys: Tensor::zeros(shape, device),
            values: Tensor::zeros(shape, device),
            len: 0,
        };
        Self { layers: (0..config.n_layers).map(|_| empty()).collect(), capacity: config.context_length }
    }

    /// Positions held.
    pub fn len(&self) -> usize {
        self.layers.first().map_or(0, |layer| layer.len)
    }

    /// Whether nothing has been cached yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Most positions it can hold: the model's context length.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Forgets every position from `len` on.
    pub fn truncate(&mut self, len: usize) {
        for layer in &mut self.layers {
            layer.len = layer.len.min(len);
        }
    }
}
