//! Dictionaries: a sparse autoencoder learns the directions of which the vectors at one place of a model are sums.

mod calibrate;
mod dictionary;
mod harvest;
mod learner;
mod select;
mod vectors;

pub use self::dictionary::{Dictionary, DictionaryConfig, DictionaryModel};
pub use self::harvest::{Harvest, Portion, Texts};
pub use self::learner::{Calibrated, HarvestedSlices, LearnDictionary};
pub use self::vectors::Vectors;
