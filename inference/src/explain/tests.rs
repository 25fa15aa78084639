//! The numbers of the book "Build a Large Language Model (From Scratch)", chapters 3 and 4, by the formulas that the panels use;
//! and the panels against the model that they explain.

use burn::tensor::Tensor;
use burn_autodiff::Autodiff;
use burn_ndarray::NdArray;
use kiln_model::{Activation, GptConfig, GptModel, NormKind};

use super::gradients::mean_absolute;
use super::matrix::softmax;
use super::*;

type Learning = Autodiff<NdArray>;

fn close(ours: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(ours.len(), expected.len());
    for (ours, expected) in ours.iter().zip(expected) {
        assert!((ours - expected).abs() <= tolerance, "{ours} against {expected}");
    }
}

/// "Your journey starts with one step", chapter 3.
fn journey() -> Matrix {
    let inputs = [
        [0.43, 0.15, 0.89],
        [0.55, 0.87, 0.66],
        [0.57, 0.85, 0.64],
        [0.22, 0.58, 0.33],
        [0.77, 0.25, 0.10],
        [0.05, 0.80, 0.55],
    ];
    Matrix::new(3, inputs.concat())
}

#[test]
fn attention_without_weights_is_the_books() {
    let inputs = journey();
    let second = Matrix::new(3, inputs.row(1).to_vec());
    let scores = second.times_transposed(&inputs);
    close(scores.row(0), &[0.9544, 1.4950, 1.4754, 0.8434, 0.7070, 1.0865], 5e-5);
    let weights = Matrix::new(6, softmax(scores.row(0)));
    close(weights.row(0), &[0.1385, 0.2379, 0.2333, 0.1240, 0.1082, 0.1581], 5e-5);
    close(weights.times(&inputs).row(0), &[0.4419, 0.6515, 0.5683], 5e-5);
}

/// The second batch of numbers of chapter 3: causal weights are the same whether the mask comes before the softmax, or the rows
/// are divided by their sums after it.
#[test]
fn a_mask_before_softmax_is_as_good_as_rows_divided_after_it() {
    let head = HeadPanel::from_vectors(journey(), journey(), journey(), 3f32.sqrt().recip());
    let open = head.scaled.softmax();
    for (i, (row, unmasked)) in head.pattern.rows().zip(open.rows()).enumerate() {
        let seen: f32 = unmasked[..=i].iter().sum();
        let expected = unmasked.iter().enumerate().map(|(j, a)| if j > i { 0.0 } else { a / seen });
        close(row, &expected.collect::<Vec<f32>>(), 1e-6);
    }
    assert_eq!(head.context.row(0), journey().row(0), "the first position sees only itself");
}

/// Chapter 4: `torch.manual_seed(123)`, a batch of two examples through `Linear(5, 6)` and `ReLU`. The book divides by n - 1.
#[test]
fn the_layer_norm_example_is_the_books() {
    let outputs = [
        [0.225_952_13, 0.346_953_8, 0.0, 0.221_604_32, 0.0, 0.0],
        [0.213_283_48, 0.239_421_22, 0.0, 0.519_836_37, 0.329_747_23, 0.0],
    ];
    for (output, (mean, variance)) in outputs.iter().zip([(0.1324, 0.0231), (0.2170, 0.0398)]) {
        let (row, normalized) = NormRow::of(output, NormKind::LayerNorm, 1e-12);
        close(&[row.mean, row.variance * 6.0 / 5.0], &[mean, variance], 5e-5);
        close(&[row.normalized_mean, row.normalized_variance], &[0.0, 1.0], 1e-5);
        assert_eq!(normalized.len(), 6);
    }
}

/// Weights and biases of the five layers of chapter 4, `[out][in]`: `torch.manual_seed(123)`, then `nn.Linear` five times.
fn five_layers() -> Vec<(Vec<[f32; 3]>, Vec<f32>)> {
    serde_json::from_str(include_str!("tests/five_layers.json")).expect("a fixture")
}

/// Mean `|∂loss/∂w|` of each layer, as the book prints them.
#[test]
fn gradients_with_and_without_shortcuts_are_the_books() {
    // In full, from torch 2.9; the book rounds.
    let expected = [
        (false, [0.000_201_735_88, 0.000_120_111_6, 0.000_715_204_05, 0.001_398_873_6, 0.005_049_645_4]),
        (true, [0.221_697_99, 0.206_941_11, 0.328_970_02, 0.266_573_3, 1.325_854_4]),
    ];
    let measured = expected.map(|(shortcuts, expected)| {
        let ours = deep_network(shortcuts);
        for (ours, expected) in ours.iter().zip(expected) {
            assert!((ours / expected - 1.0).abs() < 1e-4, "{ours} against {expected}");
        }
        ours
    });
    let ratio = measured[1][0] / measured[0][0];
    assert!((ratio / 1_098.95 - 1.0).abs() < 1e-4, "{ratio}");
}

fn deep_network(shortcuts: bool) -> Vec<f32> {
    let device = Default::default();
    let mut x = Tensor::<Learning, 2>::from_floats([[1.0, 0.0, -1.0]], &device);
    let mut weights = Vec::new();
    for (weight, bias) in five_layers() {
        let (out, flat) = (bias.len(), weight.concat());
        let weight = Tensor::<Learning, 1>::from_floats(&flat[..], &device).reshape([out, 3]).require_grad();
        let bias = Tensor::<Learning, 1>::from_floats(&bias[..], &device).reshape([1, out]);
        let output = Activation::GeluTanh.apply(x.clone().matmul(weight.clone().transpose()) + bias);
        x = if shortcuts && out == 3 { x + output } else { output };
        weights.push(weight);
    }
    let gradients = x.square().mean().backward();
    weights.iter().map(|weight| mean_absolute(weight.grad(&gradients).expect("it was used"))).collect()
}

/// A model of each family, with weights large enough that attention is not uniform.
fn models() -> Vec<GptModel<Learning>> {
    let gpt2 = GptConfig { init_std: 0.2, ..GptConfig::new(3, 4, 32) };
    let llama = GptConfig { n_kv_heads: Some(2), init_std: 0.2, ..GptConfig::llama(3, 4, 32) };
    let qwen = GptConfig { qk_norm: true, head_dim: Some(16), tied_head: false, ..llama.clone() };
    [gpt2, llama, qwen]
        .map(|config| GptConfig { vocab_size: 97, context_length: 160, ..config })
        .map(|config| config.init(5, &Default::default()).expect("valid"))
        .into()
}

fn quiet(_: usize, _: usize) {}

const TOKENS: [u32; 9] = [5, 17, 3, 44, 17, 3, 8, 90, 17];

#[test]
fn panels_agree_with_the_pass_in_every_family() {
    use kiln_model::{NormSite, Site};
    for model in models() {
        let plain = burn::module::AutodiffModule::valid(&model);
        let pass = super::pass::Pass::new(&plain, &TOKENS, Names::default(), |_| true);
        for (layer, head) in [(0, 0), (2, 3), (1, 2)] {
            let panel = HeadPanel::of(&pass, layer, head);
            close(panel.pattern.values(), pass.head_values(Site::Pattern(layer), head).values(), 1e-5);
            close(panel.context.values(), pass.head_values(Site::Mixed(layer), head).values(), 1e-4);
        }
        let norm = NormPanel::of(&pass, 1, 4);
        let divisors: Vec<f32> = norm.positions.iter().map(|row| row.divisor).collect();
        close(&divisors, pass.values(Site::NormScale(NormSite::Ln1(1))).values(), 1e-4);
        close(&norm.normalized, pass.values(Site::Normalized(NormSite::Ln1(1))).row(4), 1e-4);

        let residual = ResidualPanel::of(&pass);
        let shares = residual.layers.iter().map(|row| row.attention_share + row.mlp_share).sum::<f32>();
        assert!((residual.embedding_share + shares - 1.0).abs() < 1e-4);

        let attribution = AttributionPanel::of(&pass, 6, Some([3, 11])).expect("tokens of the model");
        let difference = attribution.target.value - attribution.against.value;
        assert!((attribution.parts.logit as f32 - difference).abs() < 1e-3, "{difference}");

        let lens = LensPanel::of(&pass);
        let sampling = SamplingPanel::of(&pass, 8);
        assert_eq!(lens.rows.len(), 4);
        let best = &lens.rows[3].top[8][0];
        assert_eq!((best.id, best.value), (sampling.candidates[0].id, sampling.candidates[0].probability));
        assert_eq!(sampling.logits.len() + sampling.rest.2.iter().sum::<usize>(), 97);
        let top_k: f32 = sampling.candidates.iter().map(|candidate| candidate.top_k_5).sum();
        assert!((top_k - 1.0).abs() < 1e-5);
    }
}

#[test]
fn every_view_is_there_and_options_that_do_not_fit_are_refused() {
    let model = &models()[1];
    let explanation = explain(model, &TOKENS, &ExplainOptions::default(), None, quiet).expect("it fits");
    let json = serde_json::to_value(&explanation).expect("numbers and names");
    for view in View::ALL.into_iter().filter(|view| !matches!(view, View::Patching | View::Features)) {
        assert!(json[view.name()].is_object(), "{view}");
        let only = ExplainOptions { views: vec![view], ..ExplainOptions::default() };
        let json = serde_json::to_value(explain(model, &TOKENS, &only, None, quiet).expect("it fits"))
            .expect("numbers");
        assert_eq!(json.as_object().expect("an object").len(), 6, "{view}");
    }
    let shapes = explanation.panels.shapes.expect("all were asked for");
    assert_eq!(shapes.rows.last().expect("rows").shape, [2, 9, 97]);

    let refused = |tokens: &[u32], options: ExplainOptions| {
        explain(model, tokens, &options, None, quiet).expect_err("it does not fit").to_string()
    };
    let none = ExplainOptions::default;
    assert_eq!(
        refused(&TOKENS, ExplainOptions { layer: Some(3), ..none() }),
        "layer 3: there are 3 blocks, counted from 0"
    );
    assert!(refused(&TOKENS, ExplainOptions { head: Some(4), ..none() }).starts_with("head 4"));
    assert!(refused(&TOKENS, ExplainOptions { position: Some(9), ..none() }).starts_with("pos 9"));
    assert!(refused(&[1; 129], none()).contains("129"));
    assert!(explain(model, &[1; 129], &ExplainOptions { layer: Some(2), ..none() }, None, quiet).is_ok());
    assert!(refused(&[], none()).contains('0'));
    assert!(refused(&[97], none()).contains("97"));
    let answers = Some([1, 2]);
    let patched = ExplainOptions { corrupt: Some(&[5, 17, 3, 44, 17, 4, 8, 90, 17]), answers, ..none() };
    let patching =
        explain(model, &TOKENS, &patched, None, quiet).expect("as long").panels.patching.expect("asked for");
    close(&patching.restored.row(0)[..6], &[0.0, 0.0, 0.0, 0.0, 0.0, 1.0], 1e-4);
    assert!(explain(model, &[7], &none(), None, quiet).expect("one token").panels.gradients.is_none());
}

/// The loss is that of scoring, and without shortcuts that of the layers one behind the other.
#[test]
fn cut_shortcuts_leave_the_layers_one_behind_the_other() {
    use kiln_model::{NoTap, NormSite, Place};
    let config = GptConfig { vocab_size: 97, context_length: 32, ..GptConfig::new(1, 4, 32) };
    let model: GptModel<Learning> = config.init(5, &Default::default()).expect("valid");
    let panel = GradientsPanel::of(&model, &TOKENS).expect("more than one token");
    let model = burn::module::AutodiffModule::valid(&model);
    let score = crate::score(&model, &TOKENS).expect("short");
    assert!((f64::from(panel.loss) - score.loss).abs() < 1e-4);

    let (device, block, tap) = (model.device(), &model.h[0], &mut NoTap);
    let tokens = |ids: &[u32]| kiln_model::token_tensor(ids.to_vec(), [1, 8], &device);
    let place = Place::rows(&config, &[0], 8, &device);
    let embedded = model.wte.forward(tokens(&TOKENS[..8]));
    let places = kiln_model::token_tensor((0..8).collect::<Vec<u32>>(), [1, 8], &device);
    let x = embedded + model.wpe.as_ref().expect("learned positions").forward(places);
    let x = block.attn.forward(block.ln_1.forward(x, NormSite::Ln1(0), tap), 0, &place, None, tap);
    let x = block.mlp.forward(block.ln_2.forward(x, NormSite::Ln2(0), tap), 0, tap);
    let loss = kiln_model::cross_entropy(model.logits(x, tap), tokens(&TOKENS[1..])).into_scalar();
    assert!((panel.loss_without - loss).abs() < 1e-4, "{} against {loss}", panel.loss_without);
    assert!(panel.layers[0].with_shortcuts > 0.0 && panel.layers[0].without_shortcuts > 0.0);
}
