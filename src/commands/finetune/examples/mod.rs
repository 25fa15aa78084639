//! The examples of a run: read, parted and encoded.

mod conversations;
mod labelled;
mod pairs;
mod parted;
mod read;
mod remembered;
mod tales;
mod templates;
mod turn_end;

pub use self::read::{Examples, Kind, TALES};
pub use self::templates::OWN;
