//! The operations on a differentiating backend: [`forward`] records them, [`backward`] has their backward passes.

mod backward;
mod forward;

pub use forward::AutodiffBackend;
