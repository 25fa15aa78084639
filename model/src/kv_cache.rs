//! Keys and values of the positions already seen, so that generating a token costs one position, not all of them.

use burn::tensor::Tensor;

use crate::{Backend, GptConfig, Heads};

/// Positions that a sequence has room for at first; when they do not suffice, it gets room for twice as many.
const FIRST_ROOM: usize = 64;

/// The cache of one block: room for some positions of each sequence of the batch, filled from the front.
#[derive(Debug, Clone)]
pub struct LayerCache<B: Backend> {
    sequences: Vec<SequenceCache<B>>,
    /// Most positions of a sequence.
    capacity: usize,
}

#[derive(Debug, Clone)]
struct SequenceCache<B: Backend> {
    /// `[1, n_kv_heads, room, head_dim]`
    keys: Tensor<B, 4>,
    /// `[1, n_kv_heads, room, head_dim]`
    values: Tensor<B, 4>,
    len: usize,
}

/// One sequence of a cache, with the positions that were just added.
#[derive(Debug, Clone)]
pub struct CachedSequence<B: Backend> {
    /// `[1, n_kv_heads, room, head_dim]`
    pub keys: Tensor<B, 4>,
    /// `[1, n_kv_heads, room, head_dim]`
    pub values: Tensor<B, 4>,
    /// Positions that count; the rest of the buffers is room.
    pub filled: usize,
}

impl<B: Backend> LayerCache<B> {
    /// Writes new positions of every sequence behind its cached ones and gives all sequences with them: they need not be
    /// equally long.
    ///
    /// # Shapes
    ///
    /// - key, value: `[batch, n_kv_heads, new, head_dim]`
    ///
    /// # Panics
    ///
    /// If the cache has no room for them: [`GptModel::forward_cached`](crate::GptModel::forward_cached) checks
    /// first.
    pub fn append(&mut self, key: Tensor<B, 4>, value: Tensor<B, 4>) -> Vec<CachedSequence<B>> {
        let row = |tensor: &Tensor<B, 4>, row| tensor.clone().narrow(0, row, 1);
        let (sequences, capacity) = (self.sequences.iter_mut().enumerate(), self.capacity);
        sequences
            .map(|(index, sequence)| sequence.append(row(&key, index), row(&value, index), capacity))
            .collect()
    }
}

impl<B: Backend> SequenceCache<B> {
    fn append(&mut self, key: Tensor<B, 4>, value: Tensor<B, 4>, capacity: usize) -> CachedSequence<B> {
        let [_, n_kv_heads, new, head_dim] = key.dims();
        let filled = self.len + new;
        self.make_room(filled, capacity);
        let place = [0..1, 0..n_kv_heads, self.len..filled, 0..head_dim];
        // `inplace` keeps the buffer's only owner inside the call, so that backends write instead of copying.
        self.keys.inplace(|keys| keys.slice_assign(place.clone(), key));
        self.values.inplace(|values| values.slice_assign(place, value));
        self.len = filled;
        CachedSequence { keys: self.keys.clone(), values: self.values.clone(), filled }
    }

    /// Positions that it has room for.
    fn room(&self) -> usize {
        self.keys.dims()[2]
    }

    /// Moves to buffers of at least twice the size if these are too small for so many positions.
    fn make_room(&mut self, positions: usize, capacity: usize) {
        if positions > self.room() {
            self.move_to(positions.max(2 * self.room()).min(capacity));
        }
    }

    /// Moves to buffers with room for so many positions.
    fn move_to(&mut self, room: usize) {
        let [_, n_kv_heads, _, head_dim] = self.keys.dims();
        let held = self.len;
        let larger = |buffer: Tensor<B, 4>| {
            let empty = Tensor::zeros([1, n_kv_heads, room, head_dim], &buffer.device());
            if held == 0 {
                return empty;
            }
            empty.slice_assign([0..1, 0..n_kv_heads, 0..held, 0..head_dim], buffer.narrow(2, 0, held))
        };
        self.keys.inplace(larger);
        self.values.inplace(larger);
    }
}

/// Keys and values of sequences of unequal lengths as one tensor each, `[batch, n_kv_heads, seq, head_dim]` with the length of
/// the longest, and the lengths of all.
pub(crate) fn padded<B: Backend>(
    sequences: Vec<CachedSequence<B>>,
) -> (Tensor<B, 4>, Tensor<B, 4>, Vec<usize>) {
    let lengths: Vec<usize> = sequences.iter().map(|sequence| sequence.filled).collect();
    let longest = lengths.iter().copied().max().unwrap_or(0);
    let resize = |buffer: Tensor<B, 4>| {
        let [_, n_kv_heads, room, head_dim] = buffer.dims();
        if longest <= room {
            return buffer.narrow(2, 0, longest);
        }
        let padding = Tensor::zeros([1, n_kv_heads, longest - room, head_dim], &buffer.device());
        Tensor::cat(vec![buffer, padding], 2)
    };
    let (keys, values) = sequences.into_iter().map(|one| (resize(one.keys), resize(one.values))).unzip();
    (Tensor::cat(keys, 0), Tensor::cat(values, 0), lengths)
}

/// Keys and values of every block of a model, for the sequences of a batch.
///
/// A batch of prompts of different lengths needs no padding: each prompt goes through a cache of its own, and
/// [`stack`](Self::stack) joins them for the steps that follow.
#[derive(Debug, Clone)]
pub struct KvCache<B: Backend> {
    pub(crate) layers: Vec<LayerCache<B>>,
    capacity: usize,
}

impl<B: Backend> KvCache<B> {
    /// An empty cache for `batch` sequences of up to `context_length` tokens. Its memory grows with what it holds.
    pub fn new(config: &GptConfig, batch: usize, device: &B::Device) -> Self {
        let Heads { n_kv_heads, head_dim, .. } = config.heads();
        let capacity = config.context_length;
        let shape = [1, n_kv_heads, FIRST_ROOM.min(capacity), head_dim];
        let empty = || SequenceCache {
            keys: Tensor::zeros(shape, device),
            values: Tensor::zeros(shape, device),
            len: 0,
        };
        let layer = || LayerCache { sequences: (0..batch).map(|_| empty()).collect(), capacity };
        Self { layers: (0..config.n_layers).map(|_| layer()).collect(), capacity }
    }

    /// One cache for all sequences of several, in their order; nothing is copied.
    ///
    /// # Panics
    ///
    /// If there is no cache, or they are not of the same model.
    pub fn stack(caches: impl IntoIterator<Item = Self>) -> Self {
        let mut caches = caches.into_iter();
        let mut stacked = caches.next().expect("at least one cache to stack");
        for cache in caches {
            let alike = (stacked.capacity, stacked.layers.len()) == (cache.capacity, cache.layers.len());
            assert!(alike, "caches of different models cannot be stacked");
            for (ours, theirs) in stacked.layers.iter_mut().zip(cache.layers) {
                ours.sequences.extend(theirs.sequences);
            }
        }
        stacked
    }

    /// The inverse of [`stack`](Self::stack): a cache for each sequence.
    pub fn unstack(self) -> Vec<Self> {
        let batch = self.lengths().len();
        let mut caches: Vec<Self> =
            (0..batch).map(|_| Self { layers: Vec::new(), capacity: self.capacity }).collect();
        for layer in self.layers {
            for (cache, sequence) in caches.iter_mut().zip(layer.sequences) {
                cache.layers.push(LayerCache { sequences: vec![sequence], capacity: cache.capacity });
            }
        }
        caches
    }

    /// Positions held of each sequence.
    pub fn lengths(&self) -> Vec<usize> {
        self.layers.first().map_or_else(Vec::new, |layer| layer.sequences.iter().map(|one| one.len).collect())
    }

    /// Positions held of the longest sequence.
    pub fn len(&self) -> usize {
        self.lengths().into_iter().max().unwrap_or(0)
    }

    /// Whether nothing has been cached yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Most positions it can hold of a sequence: the model's context length.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Makes room for so many positions of each sequence, or as many as a sequence can have, so that buffers need not grow on the way
    /// there.
    pub fn reserve(&mut self, positions: usize) {
        let room = positions.min(self.capacity);
        let sequences = self.layers.iter_mut().flat_map(|layer| &mut layer.sequences);
        sequences.filter(|sequence| sequence.room() < room).for_each(|sequence| sequence.move_to(room));
    }

    /// Positions that it has room for, of all sequences together.
    pub fn room(&self) -> usize {
        self.layers.first().map_or(0, |layer| layer.sequences.iter().map(SequenceCache::room).sum())
    }

    /// Forgets every position from `len` on.
    pub fn truncate(&mut self, len: usize) {
        for sequence in self.layers.iter_mut().flat_map(|layer| &mut layer.sequences) {
            sequence.len = sequence.len.min(len);
        }
    }
}
