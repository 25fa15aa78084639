//! Attaching an adapter to a model: the model stops learning, and the adapter starts.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::Tensor;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::config::{Adapted, LoraConfig};
use super::layer::Lora;
use crate::error::Result;
use crate::{Backend, GptModel, Linear};

impl<B: Backend> GptModel<B> {
    /// The model with a new adapter, which changes no logit by a bit until it learns. From here on only the adapter learns.
    ///
    /// # Errors
    ///
    /// [`Error::Lora`](crate::Error::Lora) if there is no such adapter for this model.
    ///
    /// # Panics
    ///
    /// If it has an adapter already.
    pub fn with_lora(self, config: LoraConfig, seed: u64) -> Result<Self> {
        let mut rng = StdRng::seed_from_u64(seed);
        let (dropout, device) = (config.dropout, self.device());
        self.with_adapters(config, |adapted| Ok(Lora::new(adapted, dropout, &mut rng, &device)))
    }

    /// The model with the adapters that `make` has for each map that `config` names.
    pub(crate) fn with_adapters(
        self,
        config: LoraConfig,
        mut make: impl FnMut(&Adapted) -> Result<Lora<B>>,
    ) -> Result<Self> {
        assert!(self.lora().is_none(), "a model has one adapter at most");
        let adapted = config.adapted(self.config())?;
        let mut model = self.no_grad();
        for (path, linear) in model.linears_mut() {
            let of_layer = adapted.iter().filter(|adapted| adapted.map.layer == path);
            let adapters = of_layer.map(&mut make).collect::<Result<Vec<_>>>()?;
            linear.lora = Some(adapters).filter(|adapters| !adapters.is_empty());
        }
        model.set_lora(Some(config));
        Ok(model)
    }

    /// The model as it was before an adapter was attached; it learns again.
    pub fn without_lora(mut self) -> Self {
        for (_, linear) in self.linears_mut() {
            linear.lora = None;
        }
        self.set_lora(None);
        self.map(&mut Learning)
    }

    /// Every linear layer of the blocks, by its path.
    pub(super) fn linears_mut(&mut self) -> impl Iterator<Item = (String, &mut Linear<B>)> {
        self.h.iter_mut().enumerate().flat_map(|(number, block)| {
            let (attn, mlp) = (&mut block.attn, &mut block.mlp);
            let linears = [
                ("attn.c_attn", Some(&mut attn.c_attn)),
                ("attn.c_proj", Some(&mut attn.c_proj)),
                ("mlp.c_fc", Some(&mut mlp.c_fc)),
                ("mlp.c_gate", mlp.c_gate.as_mut()),
                ("mlp.c_proj", Some(&mut mlp.c_proj)),
            ];
            let named = linears.into_iter().filter_map(|(name, linear)| Some((name, linear?)));
            named.map(move |(name, linear)| (format!("h.{number}.{name}"), linear))
        })
    }

    /// Every adapter, in the order of the maps that it names, with the path of its layer.
    pub(crate) fn adapters(&self) -> impl Iterator<Item = &Lora<B>> {
        self.h.iter().flat_map(|block| {
            let (attn, mlp) = (&block.attn, &block.mlp);
            let linears = [&attn.c_attn, &attn.c_proj, &mlp.c_fc].into_iter().chain(&mlp.c_gate);
            linears.chain([&mlp.c_proj]).flat_map(|linear| linear.lora.iter().flatten())
        })
    }
}

/// Makes every parameter learn.
struct Learning;

impl<B: Backend> ModuleMapper<B> for Learning {
    fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        parameter.set_require_grad(true)
    }
}
