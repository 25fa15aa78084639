use std::collections::HashMap;

use burn_ndarray::NdArray;
use kiln_model::{GptConfig, GptModel, Precision};
use proptest::prelude::*;

use super::{Engine, EngineOptions, Event, ROWS, RequestId};
use crate::error::Error;
use crate::generate::FinishReason;
use crate::logprobs::TokenLogprob;
use crate::{GenerateOptions, Request, Sampling, WhenFull};

type Cpu = NdArray;

const VOCAB: u32 = 61;

fn model(precision: Precision) -> GptModel<Cpu> {
    let config = GptConfig {
        vocab_size: VOCAB as usize,
        context_length: 700,
        init_std: 0.2,
        ..GptConfig::new(2, 2, 32)
    };
    config.init::<Cpu>(5, &Default::default()).expect("valid").with_precision(precision).expect("known")
}

/// Tokens without a pattern; those of one `seed` start alike.
fn prompt(seed: u64, length: usize) -> Vec<u32> {
    (0..length as u64).map(|index| (kiln_datasets::mix(seed, index) % u64::from(VOCAB)) as u32).collect()
}

fn request(prompt: Vec<u32>, max_tokens: usize, seed: u64) -> Request {
    let sampling = Sampling { temperature: 1.0, top_p: 0.95, ..Sampling::default() };
    let options = GenerateOptions { max_tokens, seed, sampling, logprobs: Some(3), ..Default::default() };
    Request { prompt, options }
}

/// What an engine tells of a request.
#[derive(Clone, Debug, Default, PartialEq)]
struct Text {
    tokens: Vec<u32>,
    logprobs: Vec<TokenLogprob>,
    of_prompt: Vec<TokenLogprob>,
    cached: usize,
    end: Option<FinishReason>,
}

fn tell(texts: &mut HashMap<RequestId, Text>, event: Event) {
    let text = texts.entry(event.id()).or_default();
    assert_eq!(text.end, None, "nothing comes after the end");
    match event {
        Event::Read { cached, logprobs, .. } => (text.cached, text.of_prompt) = (cached, logprobs),
        Event::Token { token, logprob, .. } => {
            text.tokens.push(token);
            text.logprobs.extend(logprob);
        }
        Event::Ended { reason, .. } => text.end = Some(reason),
        Event::Shortened { .. } => {}
        Event::Failed { error, .. } => panic!("{error}"),
    }
}

/// What becomes of all requests, admitted at once.
fn run(model: &GptModel<Cpu>, options: EngineOptions, requests: &[Request]) -> Vec<Text> {
    let mut engine = Engine::new(model, options);
    let ids: Vec<_> = requests.iter().map(|one| engine.admit(one.clone()).expect("readable")).collect();
    let mut texts = HashMap::new();
    while !engine.is_idle() {
        engine.step().into_iter().for_each(|event| tell(&mut texts, event));
    }
    ids.iter().map(|id| texts.remove(id).expect("it has run")).collect()
}

fn alone(model: &GptModel<Cpu>, request: &Request) -> Text {
    let [text] = &run(model, EngineOptions::new(1), std::slice::from_ref(request))[..] else {
        unreachable!()
    };
    Text { cached: 0, ..text.clone() }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    /// Requests come and go at any time; what is left of each is what it would be alone, to the last bit.
    #[test]
    fn a_text_depends_on_its_request_alone(
        plan in prop::collection::vec((0..4u64, 1..200usize, 1..30usize, 0..20usize, prop::bool::weighted(0.2)), 1..14),
        slots in 1..12usize,
        kept in prop::sample::select(vec![0, 300, 4000]),
        precision in prop::sample::select(vec![Precision::F32, Precision::Bf16, Precision::Int8]),
    ) {
        let model = model(precision);
        let mut engine = Engine::new(&model, EngineOptions::new(slots).keeping(kept));
        let (mut texts, mut admitted, mut step) = (HashMap::new(), Vec::new(), 0);
        while step < 20 || !engine.is_idle() {
            for (index, (family, length, tokens, at, cancelled)) in plan.iter().enumerate() {
                if *at == step {
                    let request = request(prompt(*family, *length), *tokens, index as u64);
                    let id = engine.admit(request.clone()).expect("readable");
                    admitted.push((id, request, *cancelled));
                }
                if *cancelled && *at + 5 == step {
                    admitted.iter().filter(|(.., cancelled)| *cancelled).for_each(|(id, ..)| { engine.cancel(*id); });
                }
            }
            prop_assert!(engine.running() <= slots);
            engine.step().into_iter().for_each(|event| tell(&mut texts, event));
            step += 1;
        }
        for (id, request, cancelled) in admitted {
            let expected = alone(&model, &request);
            let text = Text { cached: 0, ..texts.remove(&id).unwrap_or_default() };
            if cancelled {
                prop_assert!(expected.tokens.starts_with(&text.tokens));
            } else {
                prop_assert_eq!(text, expected);
            }
        }
    }
}

#[test]
fn what_was_read_before_is_not_read_again() {
    let model = model(Precision::F32);
    let (long, seed) = (prompt(1, 150), 3);
    let requests = [
        request(long.clone(), 5, seed),
        // The same prompt, one that goes on, one that parts from it after 100 tokens, and one of its own.
        request(long.clone(), 5, seed + 1),
        request([&long[..], &prompt(2, 40)].concat(), 5, seed),
        request([&long[..100], &prompt(3, 10)].concat(), 5, seed),
        request(prompt(4, 70), 5, seed),
    ];
    for slots in [1, 8] {
        let texts = run(&model, EngineOptions::new(slots).keeping(1000), &requests);
        let cached: Vec<usize> = texts.iter().map(|text| text.cached).collect();
        assert_eq!(cached, [0, 150, 128, 64, 0], "{slots} slots");
        for (text, request) in texts.iter().zip(&requests) {
            assert_eq!(Text { cached: 0, ..text.clone() }, alone(&model, request));
        }
    }
    // Two prompts have room, and the one used last stays.
    let requests = [(1, 0), (2, 0), (1, 0), (3, 0), (1, 0), (2, 0)]
        .map(|(family, seed)| request(prompt(family, 130), 1, seed));
    let texts = run(&model, EngineOptions::new(1).keeping(270), &requests);
    let cached: Vec<usize> = texts.iter().map(|text| text.cached).collect();
    assert_eq!(cached, [0, 0, 130, 0, 130, 0]);
    let texts = run(&model, EngineOptions::new(1), &requests);
    assert!(texts.iter().all(|text| text.cached == 0), "nothing is kept unasked");
}

#[test]
fn a_long_prompt_does_not_hold_up_the_others() {
    let model = model(Precision::F32);
    let mut engine = Engine::new(&model, EngineOptions::new(2));
    let writer = engine.admit(request(vec![1], 50, 0)).expect("readable");
    engine.step();
    let reader = engine.admit(request(prompt(1, 640), 1, 0)).expect("readable");
    // Ten chunks, and a token of the other text beside each.
    for chunk in 1..=10 {
        let events = engine.step();
        let tokens = |id| {
            events.iter().filter(|event| matches!(event, Event::Token { id: of, .. } if *of == id)).count()
        };
        assert_eq!((tokens(writer), tokens(reader)), (1, usize::from(chunk == 10)));
    }
}

#[test]
fn requests_wait_in_order_and_leave_when_they_are_told_to() {
    let model = model(Precision::F32);
    let mut engine = Engine::new(&model, EngineOptions::new(1));
    let ids: Vec<_> = (0..4).map(|seed| engine.admit(request(vec![1], 3, seed)).expect("readable")).collect();
    assert_eq!((engine.running(), engine.waiting()), (0, 4));
    engine.step();
    assert_eq!((engine.running(), engine.waiting()), (1, 3));
    assert!(engine.cancel(ids[0]) && engine.cancel(ids[2]) && !engine.cancel(ids[2]));
    assert_eq!((engine.running(), engine.waiting()), (0, 2));
    let mut ended = Vec::new();
    while !engine.is_idle() {
        let events = engine.step();
        ended.extend(events.iter().filter(|event| matches!(event, Event::Ended { .. })).map(Event::id));
    }
    assert_eq!(ended, [ids[1], ids[3]]);
    assert!(engine.step().is_empty());
}

#[test]
fn a_full_context_ends_the_text_or_shortens_it_and_says_so() {
    let model = model(Precision::F32).with_context_length(20);
    let full = |when_full, length, max_tokens| {
        let mut request = request(prompt(1, length), max_tokens, 0);
        request.options.when_full = when_full;
        request
    };
    for (length, tokens) in [(15, 5), (19, 1), (20, 1)] {
        let text = alone(&model, &full(WhenFull::End, length, 100));
        assert_eq!((text.tokens.len(), text.end), (tokens, Some(FinishReason::Length)));
    }
    // A prompt that fills the context is read to its end, however many chunks that takes.
    let larger = self::model(Precision::F32);
    for others in [0, 1] {
        let mut requests = vec![full(WhenFull::End, 700, 100)];
        requests.extend((0..others).map(|seed| request(vec![1], 90, seed)));
        let text = &run(&larger, EngineOptions::new(2), &requests)[0];
        assert_eq!((text.tokens.len(), text.end), (1, Some(FinishReason::Length)), "{others} others");
    }
    let mut engine = Engine::new(&model, EngineOptions::new(1));
    let refused = engine.admit(full(WhenFull::End, 21, 1));
    assert!(matches!(refused, Err(Error::TooLong { tokens: 21, context_length: 20 })));
    engine.admit(full(WhenFull::Shorten, 25, 12)).expect("readable");
    let mut dropped = Vec::new();
    while !engine.is_idle() {
        dropped.extend(engine.step().iter().filter_map(|event| match event {
            Event::Shortened { dropped, .. } => Some(*dropped),
            _ => None,
        }));
    }
    // 25 to 10 tokens, and 21 to 10.
    assert_eq!(dropped, [15, 11]);
}

#[test]
fn log_probabilities_of_a_prompt_are_its_score() {
    let model = model(Precision::F32);
    let mut asked = request(prompt(1, 150), 0, 0);
    asked.options.prompt_logprobs = Some(2);
    let mut more = request(prompt(1, 150), 4, 0);
    more.options.prompt_logprobs = Some(0);
    let texts = run(&model, EngineOptions::new(2).keeping(1000), &[more.clone(), asked]);
    let expected = crate::score(&model, &prompt(1, 150)).expect("short enough").logprobs;
    for text in &texts {
        assert_eq!((text.of_prompt.len(), text.end, text.cached), (149, Some(FinishReason::Length), 0));
        for (found, expected) in text.of_prompt.iter().zip(&expected[1..]) {
            assert!((found.logprob - expected.expect("predicted")).abs() < 1e-5);
        }
    }
    assert_eq!((texts[0].tokens.len(), texts[1].tokens.len()), (4, 0));
    assert_eq!(texts[1].of_prompt[0].top.len(), 2);
    // The text that follows is the same, whether the prompt is judged or not.
    more.options.prompt_logprobs = None;
    assert_eq!(alone(&model, &more).tokens, texts[0].tokens);
}

/// More texts than share a step, on a backend whose sums depend on how many do.
#[test]
fn no_more_rows_share_a_step_than_keep_their_sums() {
    let model = model(Precision::F32);
    let requests: Vec<_> = (0..2 * ROWS as u64 + 3).map(|seed| request(prompt(seed, 9), 20, seed)).collect();
    let texts = run(&model, EngineOptions::new(requests.len()), &requests);
    for (text, request) in texts.iter().zip(&requests) {
        assert_eq!(text, &alone(&model, request));
    }
}
