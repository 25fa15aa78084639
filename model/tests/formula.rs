//! Each layer's formula against the fused operations that run otherwise: values and gradients, on every backend of the
//! build.

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::backend::AutodiffBackend;
use burn::tensor::{Distribution, ElementConversion, Int, Tensor};
use burn_autodiff::Autodiff;
use kiln_model::{
    Activation, Backend, GptConfig, GptModel, KvCache, NoTap, NormSite, Place, Site, Tap, Watch,
    cross_entropy, token_tensor,
};

/// Largest difference, relative to the largest value of the result.
const TOLERANCE: f64 = 1e-5;

/// Watches as much as it is told to, and keeps the names of what it saw.
struct Watching(Watch, Vec<String>);

impl<B: Backend> Tap<B> for Watching {
    fn watches(&self) -> Watch {
        self.0
    }

    fn at<const D: usize>(&mut self, site: Site, value: Tensor<B, D>) -> Tensor<B, D> {
        self.1.push(site.to_string());
        value
    }
}

fn everything() -> Watching {
    Watching(Watch::Everything, Vec::new())
}

/// Runs a test on every backend of the build.
macro_rules! on_every_backend {
    ($($test:ident),+) => {
        $(mod $test {
            #[cfg(feature = "ndarray")]
            #[test]
            fn on_ndarray() {
                super::checks::$test::<burn_ndarray::NdArray>();
            }

            #[cfg(feature = "flex")]
            #[test]
            fn on_flex() {
                super::checks::$test::<burn_flex::Flex>();
            }

            #[cfg(feature = "tch")]
            #[test]
            fn on_libtorch() {
                super::checks::$test::<burn_tch::LibTorch>();
            }

            #[cfg(feature = "wgpu")]
            #[test]
            fn on_wgpu() {
                super::checks::$test::<burn_wgpu::Wgpu>();
            }
        })+
    };
}

on_every_backend!(
    layer_norm,
    attention,
    feed_forward,
    block,
    model,
    loss,
    cached_positions,
    the_stream_alone_changes_no_bit,
    what_a_tap_gives_is_what_goes_on
);

fn config() -> GptConfig {
    GptConfig { vocab_size: 17, context_length: 12, init_std: 0.3, ..GptConfig::new(2, 3, 12) }
}

fn place<B: Backend>() -> Place<B> {
    Place::rows(&config(), &[0], 9, &Default::default())
}

/// Every choice that GPT-2 does not make: RMS norm, also of each head, rotary positions, shared keys and values, gates.
fn modern() -> GptConfig {
    GptConfig {
        vocab_size: 17,
        context_length: 12,
        n_kv_heads: Some(1),
        head_dim: Some(6),
        d_ff: 20,
        qk_norm: true,
        init_std: 0.3,
        ..GptConfig::llama(2, 3, 12)
    }
}

/// Choices of no published family.
fn own() -> GptConfig {
    GptConfig { residual_scalars: true, embedding_norm: true, logit_softcap: 2.0, ..modern() }
}

fn model_of<B: Backend>(config: &GptConfig) -> GptModel<B> {
    let device = Default::default();
    let mut model: GptModel<B> = config.init(7, &device).expect("a valid configuration");
    if let Some(scalars) = &mut model.scalars {
        // Those of a new model change nothing.
        let numbers = |numbers: [f32; 2]| Param::from_tensor(Tensor::from_floats(numbers, &device));
        scalars.residual.weight = numbers([0.9, 1.2]);
        scalars.embedding.weight = numbers([-0.2, 0.3]);
    }
    model
}

fn tokens<B: Backend>(batch: usize, seq: usize) -> Tensor<B, 2, Int> {
    let ids: Vec<i64> = (0..batch * seq).map(|index| (index * index % 17) as i64).collect();
    token_tensor(ids, [batch, seq], &Default::default())
}

fn numbers<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> Vec<f64> {
    tensor.into_data().iter::<f64>().collect()
}

fn assert_close(what: &str, ours: &[f64], expected: &[f64]) {
    assert_eq!(ours.len(), expected.len(), "{what}");
    let largest = expected.iter().fold(1e-3f64, |largest, value| largest.max(value.abs()));
    for (index, (ours, expected)) in ours.iter().zip(expected).enumerate() {
        let difference = (ours - expected).abs();
        assert!(difference <= TOLERANCE * largest, "{what}, element {index}: {ours} against {expected}");
    }
}

/// The gradient of every parameter of a module.
struct Gradients<'a, B: Backend>(&'a <Autodiff<B> as AutodiffBackend>::Gradients, Vec<Vec<f64>>);

impl<B: Backend> ModuleVisitor<Autodiff<B>> for Gradients<'_, B> {
    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<Autodiff<B>, D>>) {
        self.1.extend(parameter.val().grad(self.0).map(numbers));
    }
}

/// Output, gradient of the input and of all parameters, of a layer that is given a random input and an upstream gradient
/// that differs everywhere.
fn output_and_gradients<B: Backend, M: Module<Autodiff<B>>>(
    layer: &M,
    forward: impl Fn(&M, Tensor<Autodiff<B>, 3>) -> Tensor<Autodiff<B>, 3>,
) -> Vec<Vec<f64>> {
    let device = Default::default();
    let values: Vec<f32> = (0..2 * 9 * 12).map(|index| ((index * 37 % 101) as f32 / 50.0) - 1.0).collect();
    let input = Tensor::<Autodiff<B>, 1>::from_floats(values.as_slice(), &device);
    let input = input.reshape([2, 9, 12]).require_grad();
    let output = forward(layer, input.clone());
    let gradients = weighted(output.clone()).backward();
    let mut all = Gradients::<B>(&gradients, Vec::new());
    layer.visit(&mut all);
    let mut results = vec![numbers(output), numbers(input.grad(&gradients).expect("it requires one"))];
    results.append(&mut all.1);
    results
}

/// A sum in which every element counts differently.
fn weighted<B: Backend, const D: usize>(output: Tensor<B, D>) -> Tensor<B, 1> {
    let elements = output.shape().num_elements();
    let weights = Tensor::<B, 1, Int>::arange(0..elements as i64, &output.device()).float();
    (output.reshape([elements]) * ((weights * 0.7).sin() + 0.1)).sum()
}

fn assert_all_close(what: &str, ours: &[Vec<f64>], expected: &[Vec<f64>]) {
    assert_eq!(ours.len(), expected.len(), "{what}");
    for (index, (ours, expected)) in ours.iter().zip(expected).enumerate() {
        assert_close(&format!("{what}, result {index}"), ours, expected);
    }
}

mod checks {
    use super::*;

    pub(super) fn layer_norm<B: Backend>() {
        let norm = model_of::<Autodiff<B>>(&config()).h[0].ln_1.clone();
        let site = NormSite::Ln1(0);
        let fused = output_and_gradients::<B, _>(&norm, |norm, x| norm.forward(x, site, &mut NoTap));
        let formula = output_and_gradients::<B, _>(&norm, |norm, x| norm.forward(x, site, &mut everything()));
        assert_eq!(fused.len(), 4, "output, and gradients of input, weight and bias");
        assert_all_close("layer norm", &formula, &fused);
    }

    pub(super) fn attention<B: Backend>() {
        let attention = model_of::<Autodiff<B>>(&config()).h[0].attn.clone();
        let place = place();
        let fused = output_and_gradients::<B, _>(&attention, |layer, x| {
            layer.forward(x, 0, &place, None, &mut NoTap)
        });
        let formula = output_and_gradients::<B, _>(&attention, |layer, x| {
            layer.forward(x, 0, &place, None, &mut everything())
        });
        assert_all_close("attention", &formula, &fused);
    }

    pub(super) fn feed_forward<B: Backend>() {
        for activation in
            [Activation::GeluTanh, Activation::Gelu, Activation::Relu, Activation::Relu2, Activation::Silu]
        {
            let mlp = model_of::<Autodiff<B>>(&GptConfig { activation, ..config() }).h[0].mlp.clone();
            let fused = output_and_gradients::<B, _>(&mlp, |mlp, x| mlp.forward(x, 0, &mut NoTap));
            let formula = output_and_gradients::<B, _>(&mlp, |mlp, x| mlp.forward(x, 0, &mut everything()));
            assert_all_close(&format!("feed-forward with {activation:?}"), &formula, &fused);
        }
    }

    pub(super) fn block<B: Backend>() {
        let block = model_of::<Autodiff<B>>(&config()).h[1].clone();
        let place = place();
        let fused =
            output_and_gradients::<B, _>(&block, |block, x| block.forward(x, 1, &place, None, &mut NoTap));
        let formula = output_and_gradients::<B, _>(&block, |block, x| {
            block.forward(x, 1, &place, None, &mut everything())
        });
        assert_all_close("block", &formula, &fused);
    }

    pub(super) fn model<B: Backend>() {
        for config in
            [config(), GptConfig { bias: false.into(), tied_head: false, ..config() }, modern(), own()]
        {
            let model = model_of::<B>(&config);
            let fused = numbers(model.forward(tokens(2, 12)));
            let mut tap = everything();
            let formula = numbers(model.forward_tapped(tokens(2, 12), None, &mut tap));
            assert_close("logits", &formula, &fused);
            assert_eq!(tap.1.iter().any(|site| site == "embed.ln.hook_scale"), config.embedding_norm);
            for site in ["attn.q_norm.hook_scale", "attn.k_norm.hook_normalized", "mlp.hook_pre_linear"] {
                let seen = tap.1.contains(&format!("blocks.1.{site}"));
                assert_eq!(seen, config.qk_norm, "{site}");
            }
        }
    }

    /// Of the mean over the targets that count, with its gradients.
    pub(super) fn loss<B: Backend>() {
        for config in [config(), modern(), own()] {
            loss_of::<B>(&config);
        }
    }

    fn loss_of<B: Backend>(config: &GptConfig) {
        let model = model_of::<Autodiff<B>>(config);
        for ignored in [0, 1, 7, 23] {
            let ids = (0..24).map(|index| if index < ignored { -100 } else { index * 5 % 17 }).collect();
            let targets = token_tensor::<Autodiff<B>, i64>(ids, [2, 12], &Default::default());
            let of = |tap: &mut Watching| {
                let loss = model.loss_tapped(tokens(2, 12), targets.clone(), tap);
                let gradients = loss.backward();
                let mut all = Gradients::<B>(&gradients, Vec::new());
                model.visit(&mut all);
                all.1.push(numbers(loss));
                all.1
            };
            let fused = of(&mut Watching(Watch::Nothing, Vec::new()));
            let formula = of(&mut everything());
            assert_all_close(&format!("loss with {ignored} targets ignored"), &formula, &fused);
            let logits = model.forward(tokens(2, 12));
            let alone: f64 = cross_entropy(logits, targets.clone()).into_scalar().elem();
            assert_close("loss of given logits", &[alone], fused.last().expect("the loss"));
        }
    }

    /// Sequences of unequal lengths, several new positions at a time.
    pub(super) fn cached_positions<B: Backend>() {
        for config in [config(), modern(), own()] {
            cached_positions_of::<B>(&config);
        }
    }

    fn cached_positions_of<B: Backend>(config: &GptConfig) {
        let config = &GptConfig { context_length: 80, ..config.clone() };
        let (model, device) = (model_of::<B>(config), Default::default());
        let cache = |lengths: [usize; 2]| {
            KvCache::stack(lengths.map(|length| {
                let mut cache = KvCache::new(config, 1, &device);
                model.forward_cached(tokens(1, length), &mut cache);
                cache
            }))
        };
        for new in [1, 4] {
            let fused = model.forward_tapped(tokens(2, new), Some(&mut cache([3, 70])), &mut NoTap);
            let formula = model.forward_tapped(tokens(2, new), Some(&mut cache([3, 70])), &mut everything());
            assert_close(&format!("{new} new positions"), &numbers(formula), &numbers(fused));
        }
    }

    pub(super) fn the_stream_alone_changes_no_bit<B: Backend>() {
        let model = model_of::<B>(&config());
        let mut tap = Watching(Watch::Stream, Vec::new());
        let watched = numbers(model.forward_tapped(tokens(2, 9), None, &mut tap));
        assert_eq!(watched, numbers(model.forward(tokens(2, 9))));
        let block = |layer: usize| {
            let names = ["resid_pre", "attn_out", "resid_mid", "mlp_out", "resid_post"];
            names.map(|name| format!("blocks.{layer}.hook_{name}"))
        };
        let embeddings = ["hook_embed", "hook_pos_embed"].map(str::to_owned);
        let expected: Vec<String> = embeddings.into_iter().chain(block(0)).chain(block(1)).collect();
        assert_eq!(tap.1, expected);
    }

    /// Adds noise at one site.
    struct Noise(Site);

    impl<B: Backend> Tap<B> for Noise {
        fn watches(&self) -> Watch {
            Watch::Everything
        }

        fn at<const D: usize>(&mut self, site: Site, value: Tensor<B, D>) -> Tensor<B, D> {
            if site != self.0 {
                return value;
            }
            let noise = value.random_like(Distribution::Uniform(0.5, 1.0));
            value + noise
        }
    }

    pub(super) fn what_a_tap_gives_is_what_goes_on<B: Backend>() {
        let model = model_of::<B>(&config());
        let mut seen = everything();
        let expected = numbers(model.forward_tapped(tokens(1, 6), None, &mut seen));
        let inside = |layer| {
            [
                Site::ResidPre(layer),
                Site::NormScale(NormSite::Ln1(layer)),
                Site::Normalized(NormSite::Ln1(layer)),
                Site::Query(layer),
                Site::Key(layer),
                Site::Value(layer),
                Site::AttnScores(layer),
                Site::Pattern(layer),
                Site::Mixed(layer),
                Site::AttnOut(layer),
                Site::ResidMid(layer),
                Site::NormScale(NormSite::Ln2(layer)),
                Site::Normalized(NormSite::Ln2(layer)),
                Site::MlpPre(layer),
                Site::MlpPost(layer),
                Site::MlpOut(layer),
                Site::ResidPost(layer),
            ]
        };
        let end = [NormSite::Final].map(|norm| [Site::NormScale(norm), Site::Normalized(norm)]);
        let sites = [Site::Embed, Site::PosEmbed].into_iter().chain(inside(0)).chain(inside(1));
        let sites: Vec<Site> = sites.chain(end.into_iter().flatten()).collect();
        assert_eq!(seen.1, sites.iter().map(Site::to_string).collect::<Vec<_>>(), "in this order");
        for site in sites {
            let changed = numbers(model.forward_tapped(tokens(1, 6), None, &mut Noise(site)));
            assert_ne!(changed, expected, "{site}");
        }
    }
}
