//! What holds by definition, whatever the model.

use burn::module::Param;
use burn::tensor::{Tensor, TensorData};
use burn_autodiff::Autodiff;
use burn_ndarray::NdArray;
use kiln_model::{GptConfig, GptModel, NoTap, NormSite, Site, Tap, Watch, token_tensor};

use super::*;
use crate::Error;

type B = NdArray;

const CLEAN: [u32; 7] = [3, 14, 1, 5, 9, 14, 2];
const CORRUPT: [u32; 7] = [3, 14, 8, 5, 9, 14, 2];

/// GPT-2's choices with biases that are not zero, Llama's with shared keys and values, and choices of no family.
fn models<T: kiln_model::Backend>() -> Vec<GptModel<T>> {
    let size = |config: GptConfig| GptConfig { vocab_size: 17, context_length: 16, init_std: 0.3, ..config };
    let llama =
        GptConfig { n_kv_heads: Some(2), d_ff: 20, qk_norm: true, ..size(GptConfig::llama(2, 4, 16)) };
    let own =
        GptConfig { residual_scalars: true, embedding_norm: true, logit_softcap: 30.0, ..llama.clone() };
    let device = Default::default();
    let mut models: Vec<GptModel<T>> = [size(GptConfig::new(3, 2, 16)), llama, own]
        .iter()
        .map(|config| config.init(7, &device).expect("a valid configuration"))
        .collect();
    let spread = |number: usize| {
        let values: Vec<f32> = (0..number).map(|place| (place * 37 % 11) as f32 / 20.0 - 0.2).collect();
        Param::from_tensor(Tensor::from_data(TensorData::new(values, [number]), &device))
    };
    models[0].ln_f.bias = Some(spread(16));
    for block in &mut models[0].h {
        block.attn.c_proj.bias = Some(spread(16));
    }
    if let Some(scalars) = &mut models[2].scalars {
        let numbers = |numbers: [f32; 2]| Param::from_tensor(Tensor::from_floats(numbers, &device));
        scalars.residual.weight = numbers([0.9, 1.2]);
        scalars.embedding.weight = numbers([-0.2, 0.3]);
    }
    models
}

fn recorded(model: &GptModel<B>, tokens: &[u32]) -> (Recorder<B>, Vec<f32>) {
    let mut recorder = Recorder::of(Site::all(model.config()));
    let tokens = token_tensor(tokens.to_vec(), [1, tokens.len()], &Default::default());
    let logits = model.forward_tapped(tokens, None, &mut recorder);
    (recorder, crate::tokens::to_vec(logits))
}

fn task(direction: Direction) -> PatchTask {
    PatchTask { clean: CLEAN.to_vec(), corrupt: CORRUPT.to_vec(), answers: [4, 11], direction }
}

#[test]
fn the_last_row_of_the_lens_is_what_the_model_says() {
    for model in models::<B>() {
        let (recorder, logits) = recorded(&model, &CLEAN);
        let last = *lens_sites(model.config().n_layers).last().expect("there are some");
        let off = lens_logits(&model, &recorder, last)
            .iter()
            .zip(&logits)
            .fold(0f32, |off, (lens, logit)| off.max((lens - logit).abs()));
        // The model ran its formulas, the lens the fused operations.
        assert!(off < 1e-5, "{off}");
        let lens = logit_lens(&model, &recorder, &CLEAN, 3).expect("finite");
        assert_eq!(lens.rows.len(), 2 * model.config().n_layers + 1);
        let row = lens.rows.last().expect("there are some");
        assert_eq!((row.top.len(), row.top[0].len(), row.next.len()), (7, 3, 6));
        let (next, logits) = (row.next[2], &logits[2 * 17..3 * 17]);
        let all: f64 = logits.iter().map(|logit| f64::from(*logit).exp()).sum();
        assert_eq!(next.token, CLEAN[3]);
        assert!((next.probability - f64::from(logits[5]).exp() / all).abs() < 1e-6);
        assert_eq!(next.rank, logits.iter().filter(|logit| **logit > logits[5]).count());
    }
}

#[test]
fn heads_and_their_bias_are_what_attention_adds() {
    for model in models::<B>() {
        let (recorder, _) = recorded(&model, &CLEAN);
        for layer in 0..model.config().n_layers {
            let mut sum = recorded_head_results(&model, &recorder, layer).sum_dim(2).squeeze_dim::<3>(2);
            if let Some(bias) = &model.h[layer].attn.c_proj.bias {
                sum = sum + bias.val().unsqueeze();
            }
            let whole = recorder.get(Site::AttnOut(layer)).expect("recorded").tensor::<3>();
            let off = (sum - whole).abs().max().into_scalar();
            assert!(off < 1e-5, "{off}");
        }
    }
}

#[test]
fn components_sum_to_the_logit() {
    for model in models::<B>() {
        let (recorder, logits) = recorded(&model, &CLEAN);
        // A cap of 30 leaves them, but for what is undone here.
        let uncapped = |logit: f32| match model.config().softcap() {
            Some(cap) => cap * (f64::from(logit) / cap).atanh(),
            None => f64::from(logit),
        };
        for position in [0, 4, 6] {
            let row = &logits[position * 17..][..17];
            for (against, expected) in
                [(None, uncapped(row[4])), (Some(11), uncapped(row[4]) - uncapped(row[11]))]
            {
                let found =
                    direct_logit_attribution(&model, &recorder, position, 4, against).expect("known tokens");
                assert!((found.logit - expected).abs() < 1e-4, "{} and {expected}", found.logit);
            }
        }
        let unknown = direct_logit_attribution(&model, &recorder, 0, 17, None);
        assert!(matches!(unknown, Err(Error::UnknownToken { token: 17, .. })));
    }
}

#[test]
fn a_perfect_induction_head_is_found() {
    // A separator, three ids, and the same again.
    let tokens = [0, 5, 6, 7, 5, 6, 7];
    let mut pattern = vec![0f32; 49];
    for query in 0..7 {
        pattern[query * 7 + if query > 3 { query - 2 } else { 0 }] = 1.0;
    }
    let mut recorder = Recorder::<B>::of([Site::Pattern(0)]);
    let pattern = Tensor::from_data(TensorData::new(pattern, [1, 1, 7, 7]), &Default::default());
    let _: Tensor<B, 4> = recorder.at(Site::Pattern(0), pattern);
    let scores = head_scores(&recorder, 1, &tokens);
    assert_eq!(scores.induction, Some(vec![vec![1.0]]));
    assert_eq!(scores.duplicate_token, Some(vec![vec![0.0]]));
    assert_eq!(scores.entropy, [[0.0]]);
    // Of seven positions, three have something to find, and the second sees the token before it.
    assert!((scores.detected.induction[0][0] - 3.0 / 7.0).abs() < 1e-12);
    assert!((scores.previous_token[0][0] - 1.0 / 6.0).abs() < 1e-12);
    assert!(head_scores(&recorder, 1, &[0, 1, 2, 3, 4, 5, 6]).induction.is_none());
}

#[test]
fn random_tokens_come_twice_and_are_distinct() {
    let tokens = repeated_tokens(50, 0, 20, 3);
    let mut half = tokens[1..21].to_vec();
    assert_eq!((tokens[0], &tokens[1..21]), (0, &tokens[21..]));
    half.sort_unstable();
    half.dedup();
    assert!(half.len() == 20 && !half.contains(&0));
    assert_ne!(tokens, repeated_tokens(50, 0, 20, 4));
    let model = &models::<B>()[0];
    assert_eq!(repeated_token_scores(model, 0, 7, 1).expect("room").tokens.len(), 15);
    assert!(matches!(repeated_token_scores(model, 0, 8, 1), Err(Error::TooLong { tokens: 17, .. })));
    assert!(matches!(repeated_token_scores(model, 0, 1, 1), Err(Error::TooShort { .. })));
}

#[test]
fn moving_the_only_difference_moves_the_answer() {
    for model in models::<B>() {
        for (direction, moved, kept) in [(Direction::Denoising, 1.0, 0.0), (Direction::Noising, 0.0, 1.0)] {
            let values = [&PatchedValue::BLOCKS[..], &PatchedValue::HEADS].concat();
            let mut told = Vec::new();
            let found = activation_patching(&model, &task(direction), &values, |done, total| {
                told.push((done, total))
            })
            .expect("texts of one length");
            // Where later blocks read the embedding too, it is not all that the first one reads.
            let all = model.scalars.is_none();
            for (position, effect) in found.grids[0].effect[0].iter().enumerate() {
                let expected = if position == 2 { moved } else { kept };
                assert_eq!((effect - expected).abs() < 1e-3, all || position != 2, "{position}: {effect}");
            }
            // Nobody before the difference knows of it.
            assert!((found.grids[1].effect[1][1] - kept).abs() < 1e-3);
            let heads = model.config().heads();
            let columns: Vec<usize> = found.grids.iter().map(|grid| grid.effect[0].len()).collect();
            let [q, kv] = [heads.n_heads, heads.n_kv_heads];
            assert_eq!(columns, [7, 7, 7, q, q, kv, kv, q]);
            assert!(told.is_sorted());
            assert_eq!(told.last().map(|(done, total)| done == total), Some(true));
        }
    }
}

#[test]
fn texts_that_cannot_be_patched_are_errors() {
    let model = &models::<B>()[0];
    let patch = |task: PatchTask| activation_patching(model, &task, &PatchedValue::BLOCKS, |_, _| {});
    let base = task(Direction::Denoising);
    let shorter = patch(PatchTask { corrupt: CORRUPT[1..].to_vec(), ..base.clone() });
    assert!(matches!(shorter, Err(Error::UnequalLengths { clean: 7, corrupt: 6 })));
    let unknown = patch(PatchTask { answers: [1, 17], ..base.clone() });
    assert!(matches!(unknown, Err(Error::UnknownToken { token: 17, .. })));
    let empty = patch(PatchTask { clean: Vec::new(), corrupt: Vec::new(), ..base.clone() });
    assert!(matches!(empty, Err(Error::EmptyPrompt)));
    let long = patch(PatchTask { clean: vec![1; 17], corrupt: vec![2; 17], ..base });
    assert!(matches!(long, Err(Error::TooLong { tokens: 17, context_length: 16 })));
}

/// Moves the stream before block 1 a step towards another run, at one position.
struct Nudge<'a> {
    towards: &'a Recorder<B>,
    position: usize,
    step: f32,
}

impl Tap<B> for Nudge<'_> {
    fn watches(&self) -> Watch {
        Watch::Stream
    }

    fn at<const D: usize>(&mut self, site: Site, value: Tensor<B, D>) -> Tensor<B, D> {
        if site != Site::ResidPre(1) {
            return value;
        }
        let towards = self.towards.get(site).expect("recorded").tensor::<D>() - value.clone();
        let at = |tensor: &Tensor<B, D>| tensor.clone().narrow(1, self.position, 1);
        let moved = at(&value) + at(&towards) * self.step;
        let [before, after] = [0..self.position, self.position + 1..value.dims()[1]].map(|range| {
            let count = range.len();
            (count > 0).then(|| value.clone().narrow(1, range.start, count))
        });
        Tensor::cat([before, Some(moved), after].into_iter().flatten().collect(), 1)
    }
}

#[test]
fn slopes_are_those_of_small_steps() {
    for (model, differentiable) in models::<B>().iter().zip(models::<Autodiff<B>>()) {
        let task = task(Direction::Denoising);
        let grids =
            attribution_patching(&differentiable, &task, &PatchedValue::BLOCKS).expect("texts of one length");
        let (towards, _) = recorded(model, &CLEAN);
        let difference = |position, step| {
            let tokens = token_tensor(CORRUPT.to_vec(), [1, 7], &Default::default());
            let mut nudge = Nudge { towards: &towards, position, step };
            let logits = crate::tokens::to_vec(model.forward_tapped(tokens, None, &mut nudge));
            f64::from(logits[6 * 17 + 4]) - f64::from(logits[6 * 17 + 11])
        };
        for position in 2..7 {
            let slope = (difference(position, 0.01) - difference(position, -0.01)) / 0.02;
            let found = grids[0].change[1][position];
            assert!((slope - found).abs() < 1e-3 * slope.abs().max(1.0), "{position}: {found} and {slope}");
        }
    }
}

#[test]
fn grids_are_correlated_as_numbers_are() {
    let grid = |numbers: [f64; 4]| vec![numbers[..2].to_vec(), numbers[2..].to_vec()];
    let (a, b) = (grid([1.0, 2.0, 3.0, 4.0]), grid([2.0, 4.0, 5.0, 4.0]));
    assert!((correlation(&a, &b) - 0.718_184_9).abs() < 1e-6, "{}", correlation(&a, &b));
    assert!((correlation(&a, &grid([-2.0, -4.0, -6.0, -8.0])) + 1.0).abs() < 1e-12);
}

#[test]
fn what_is_put_in_the_place_of_a_part_decides_what_it_costs() {
    for model in models::<B>() {
        let answers = Some([4, 11]);
        let without =
            |ablation| ablate(&model, &CLEAN, answers, ablation, |_, _| {}).expect("texts of one length");
        let same = without(Ablation::Resample(&CLEAN));
        let off = same
            .grids
            .iter()
            .flat_map(|grid| grid.loss_change.concat())
            .fold(0f64, |off, loss| off.max(loss.abs()));
        // A head is only seen by formulas, which round otherwise.
        assert!(off < 1e-5, "{off}");
        let zero = without(Ablation::Zero);
        assert!(zero.grids[1].loss_change.concat().iter().any(|loss| loss.abs() > 1e-3));
        let mean = without(Ablation::Mean(&[CLEAN.to_vec(), CORRUPT.to_vec()]));
        assert_ne!(mean.grids, zero.grids);
        let unequal = ablate(&model, &CLEAN, None, Ablation::Resample(&CLEAN[1..]), |_, _| {});
        assert!(matches!(unequal, Err(Error::UnequalLengths { .. })));
    }
}

#[test]
fn a_cache_has_the_layout_of_transformer_lens() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path().join("cache.safetensors");
    let model = &models::<B>()[1];
    let (recorder, _) = recorded(model, &CLEAN);
    write_cache(model, &recorder, &path).expect("writable");
    let bytes = std::fs::read(&path).expect("readable");
    let file = safetensors::SafeTensors::deserialize(&bytes).expect("well-formed");
    for (name, shape) in [
        ("hook_embed", &[1, 7, 16][..]),
        ("blocks.1.attn.hook_q", &[1, 7, 4, 4]),
        ("blocks.1.attn.hook_k", &[1, 7, 2, 4]),
        ("blocks.1.attn.hook_pattern", &[1, 4, 7, 7]),
        ("blocks.1.attn.hook_result", &[1, 7, 4, 16]),
        ("blocks.1.ln2.hook_scale", &[1, 7, 1]),
        ("ln_final.hook_normalized", &[1, 7, 16]),
    ] {
        assert_eq!(file.tensor(name).expect(name).shape(), shape, "{name}");
    }
    assert_eq!(file.len(), Site::all(model.config()).len() + 2);
    let scale = recorder.get(Site::NormScale(NormSite::Final)).expect("recorded").to_vec();
    let written = file.tensor("ln_final.hook_scale").expect("there").data().to_vec();
    assert_eq!(written[..4], scale[0].to_le_bytes());
    // The stream that was recorded is the model's own.
    let tokens = token_tensor(CLEAN.to_vec(), [1, 7], &Default::default());
    let stream = crate::tokens::to_vec(model.stream(tokens, None, &mut NoTap));
    let recorded = recorder.get(Site::ResidPost(1)).expect("recorded").to_vec();
    assert!(stream.iter().zip(recorded).all(|(own, other)| (own - other).abs() < 1e-5));
}
