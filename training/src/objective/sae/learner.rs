//! The run that learns a dictionary: which vectors each step reads, and what is saved.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use kiln_datasets::mix;
use kiln_model::{AutodiffBackend, Backend, Parameter, SaeConfig, SparseAutoencoder, parameters};

use super::super::Objective;
use super::calibrate::calibrated;
use super::dictionary::{DictionaryConfig, DictionaryModel};
use super::harvest::{Harvest, Portion};
use super::vectors::Vectors;
use crate::error::Result;

/// Slices that a step takes a part of: vectors of one text are spread over as many steps.
const MIXED: usize = 16;

/// Vectors by step, out of slices that are read once.
pub struct HarvestedSlices<B: Backend> {
    harvest: Harvest<B>,
    /// Vectors of a step, and of a slice.
    at_a_time: usize,
    seed: u64,
    /// The slices that were read last, in the order of their numbers.
    read: Mutex<VecDeque<(usize, Arc<Vectors>)>>,
}

impl<B: Backend> HarvestedSlices<B> {
    /// Steps of `at_a_time` vectors each.
    pub fn new(harvest: Harvest<B>, at_a_time: usize, seed: u64) -> Self {
        Self { harvest, at_a_time, seed, read: Mutex::default() }
    }

    /// The vectors that the first steps are mixed of: those that scale and mean are measured on. `progress` hears how many slices
    /// are read, and of how many.
    pub fn first(&self, mut progress: impl FnMut(usize, usize)) -> Vectors {
        let mut first = Vectors { values: Vec::new(), width: self.harvest.gpt.config().d_model };
        for number in 0..MIXED {
            progress(number, MIXED);
            first.values.extend_from_slice(&self.slice(number).values);
        }
        first
    }

    /// `len` vectors of texts that no step reads.
    pub fn held_out(&self, len: usize, mut progress: impl FnMut(usize, usize)) -> Vec<Vectors> {
        let slices = len.div_ceil(self.at_a_time).max(1);
        let slice = |number: usize| {
            progress(number, slices);
            self.harvest.slice(Portion::HeldOut, number as u64, self.at_a_time)
        };
        (0..slices).map(slice).collect()
    }

    /// The vectors of step `step`: a part of each of some slices in a row, so that no slice is read twice.
    fn step(&self, step: usize) -> Vectors {
        let mut values = Vec::with_capacity(self.at_a_time * self.harvest.gpt.config().d_model);
        let mut width = 0;
        for part in 0..MIXED {
            let number = step + part;
            let slice = self.slice(number);
            width = slice.width;
            let (start, end) = (part * slice.len() / MIXED, (part + 1) * slice.len() / MIXED);
            for row in &shuffled(slice.len(), mix(self.seed, number as u64))[start..end] {
                values.extend_from_slice(&slice.values[row * width..(row + 1) * width]);
            }
        }
        Vectors { values, width }
    }

    fn slice(&self, number: usize) -> Arc<Vectors> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, slice)) = read.iter().find(|(found, _)| *found == number) {
            return Arc::clone(slice);
        }
        let slice = Arc::new(self.harvest.slice(Portion::Training, number as u64, self.at_a_time));
        read.push_back((number, Arc::clone(&slice)));
        if read.len() > MIXED {
            read.pop_front();
        }
        slice
    }
}

/// The numbers below `len` in an order that `seed` decides.
fn shuffled(len: usize, seed: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..len).collect();
    for last in (1..len).rev() {
        order.swap(last, (mix(seed, last as u64) % (last as u64 + 1)) as usize);
    }
    order
}

/// What an autoencoder is saved with.
#[derive(Clone, Debug)]
pub struct Calibrated {
    /// Its description.
    pub config: SaeConfig,
    /// Vectors of texts that no step reads: what it is evaluated on, and its threshold found.
    pub held_out: Arc<Vec<Vectors>>,
}

/// Learns the dictionary of one place of a model.
pub struct LearnDictionary<B: AutodiffBackend> {
    slices: HarvestedSlices<B::InnerBackend>,
    saved: Calibrated,
}

impl<B: AutodiffBackend> LearnDictionary<B> {
    /// Learns from these slices what is saved in this way.
    ///
    /// # Panics
    ///
    /// If there is no held-out vector.
    pub fn new(slices: HarvestedSlices<B::InnerBackend>, saved: Calibrated) -> Self {
        assert!(saved.held_out.iter().any(|vectors| !vectors.is_empty()), "nothing to evaluate on");
        Self { slices, saved }
    }

    /// The autoencoder that has been learned so far, as it is saved.
    pub fn autoencoder(
        &self,
        model: &DictionaryModel<B::InnerBackend>,
    ) -> SparseAutoencoder<B::InnerBackend> {
        let Calibrated { config, held_out } = &self.saved;
        let k = model.config().k;
        calibrated(config.clone(), model.unscaled(), held_out, k, &model.w_enc.device())
    }
}

impl<B: AutodiffBackend> Objective<B> for LearnDictionary<B> {
    type Batch = Vectors;
    type Module = DictionaryModel<B>;
    type Inner = DictionaryModel<B::InnerBackend>;

    fn describe(&self, module: &DictionaryModel<B>) -> String {
        let DictionaryConfig { d_in, d_sae, k, .. } = module.config();
        format!("{d_sae} features × {d_in}, {k} active, of {}", self.slices.harvest.site)
    }

    fn parameters(&self, module: &DictionaryModel<B>) -> Vec<Parameter> {
        // How long a feature has been idle is counted, not learned.
        parameters(module).into_iter().filter(|parameter| parameter.name != "idle").collect()
    }

    fn batches(&self, step: usize) -> Vec<Vectors> {
        vec![self.slices.step(step)]
    }

    fn num_validation_batches(&self) -> usize {
        self.saved.held_out.len()
    }

    fn validation_batches(&self) -> Box<dyn Iterator<Item = Vectors> + '_> {
        Box::new(self.saved.held_out.iter().cloned())
    }

    /// Two products with each matrix forward, and for either one more backward; one for the features' own gradient.
    fn flops_per_token(&self, module: &DictionaryModel<B>) -> f64 {
        let DictionaryConfig { d_in, d_sae, .. } = *module.config();
        5.0 * 2.0 * (d_in * d_sae) as f64
    }

    fn save_tokenizer(&self, _directory: &Path) -> Result<()> {
        Ok(())
    }

    fn save_model(&self, model: &DictionaryModel<B::InnerBackend>, directory: &Path) -> Result<()> {
        Ok(self.autoencoder(model).save(directory)?)
    }

    fn sample(
        &self,
        _model: &DictionaryModel<B::InnerBackend>,
        _stop: &mut dyn FnMut() -> bool,
    ) -> Option<String> {
        None
    }
}
