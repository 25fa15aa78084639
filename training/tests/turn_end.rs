//! A model stops where it has learned to: the token that ends an answer must be a target.

use burn_autodiff::Autodiff;
use burn_ndarray::NdArray;
use kiln_model::{Dtype, GptConfig, GptModel, SpecialTokens, token_tensor};
use kiln_training::{
    AnswerModel, Frontend, Recipe, Run, RunDir, Saving, Segment, Stop, TrainingConfig, Tuning, train,
};

type B = Autodiff<NdArray>;

const QUESTIONS: u32 = 8;
/// Ends a question.
const ASKED: u32 = 30;
/// Ends an answer.
const TURN_END: u32 = 31;

/// A question of one token, an answer of two, and the end of the answer, which is a target or not.
fn examples(ends: bool) -> Vec<Segment> {
    let example = |question| {
        let tokens = [question, ASKED, question + 10, question + 11, TURN_END];
        Segment::new(&tokens, &[false, false, true, true, ends])
    };
    (0..QUESTIONS).map(example).collect()
}

/// The share of answers that end by themselves, of a model that learned the examples.
fn stop_rate(ends: bool) -> f64 {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let run = folder.path().join("run");
    let config = GptConfig { vocab_size: 32, context_length: 16, ..GptConfig::new(1, 2, 32) };
    let gpt: GptModel<B> = config.init(1, &Default::default()).expect("valid");
    let training = TrainingConfig {
        steps: 60,
        batch_size: QUESTIONS as usize,
        eval_interval: 30,
        ..TrainingConfig::default()
    };
    let mut recipe = Recipe { training, ..Recipe::default() };
    recipe.optimizer.learning_rate = 0.01;
    let saving: Saving<AnswerModel<NdArray>> = Saving {
        tokenizer: Box::new(|(), _| Ok(())),
        model: Box::new(|model, directory| {
            Ok(kiln_model::save(&model.gpt, directory, Dtype::F32, &SpecialTokens::default())?)
        }),
    };
    let objective: Tuning<B, AnswerModel<B>, Segment> =
        Tuning::new(examples(ends), examples(ends), &recipe.training, saving);
    let run = Run {
        recipe,
        directory: RunDir::create(&run, "").expect("writable"),
        config: String::new(),
        checkpoint: None,
        frontend: Frontend::Quiet,
        backend: "ndarray".to_owned(),
        floor: None,
        part: None,
        stop: Stop::default(),
    };
    train(objective, AnswerModel { gpt }, run).expect("it trains");
    let model =
        kiln_model::load::<NdArray>(&folder.path().join("run/model"), &Default::default()).expect("saved");
    let stopped = (0..QUESTIONS).filter(|question| ends_by_itself(&model, *question)).count();
    stopped as f64 / f64::from(QUESTIONS)
}

fn ends_by_itself(model: &GptModel<NdArray>, question: u32) -> bool {
    let mut tokens = vec![question, ASKED];
    while tokens.len() < 10 {
        let logits = model.forward(token_tensor(tokens.clone(), [1, tokens.len()], &Default::default()));
        let next: Vec<i64> = logits.argmax(2).into_data().iter::<i64>().collect();
        tokens.push(*next.last().expect("a position") as u32);
        if tokens.ends_with(&[TURN_END]) {
            return true;
        }
    }
    false
}

#[test]
fn answers_end_where_their_end_was_learned_and_nowhere_else() {
    assert_eq!((stop_rate(true), stop_rate(false)), (1.0, 0.0));
}
