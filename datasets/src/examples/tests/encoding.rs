//! Tokens and masks against those worked out by hand.

use super::*;

const START: u32 = 256;
const END: u32 = 257;

/// Tokens of bytes, and of what is no byte.
fn ids(parts: &[&dyn Fn() -> Vec<u32>]) -> Vec<u32> {
    parts.iter().flat_map(|part| part()).collect()
}

fn text(text: &'static str) -> impl Fn() -> Vec<u32> {
    move || text.bytes().map(u32::from).collect()
}

fn token(token: u32) -> impl Fn() -> Vec<u32> {
    move || vec![token]
}

#[test]
fn chatml_masks_all_but_answers_and_the_tokens_that_end_them() {
    let encoder = encoder(&bytes(), "chatml", 1000);
    let asked = conversation(&["system: s", "user: u<|im_end|>", "assistant: a", "user: v", "assistant: bc"]);
    let encoded = encoder.encode(&asked).expect("sound");
    let (start, end) = (token(START), token(END));
    let expected: [(&dyn Fn() -> Vec<u32>, bool); 19] = [
        (&start, false),
        (&text("system\ns"), false),
        (&end, false),
        (&text("\n"), false),
        (&start, false),
        // A special token that someone wrote is text.
        (&text("user\nu<|im_end|>"), false),
        (&end, false),
        (&text("\n"), false),
        (&start, false),
        (&text("assistant\n"), false),
        (&text("a"), true),
        (&end, true),
        (&text("\n"), false),
        (&start, false),
        (&text("user\nv"), false),
        (&end, false),
        (&text("\n"), false),
        (&start, false),
        (&text("assistant\n"), false),
    ];
    let mut tokens: Vec<u32> = expected.iter().flat_map(|(part, _)| part()).collect();
    let mut trained: Vec<bool> =
        expected.iter().flat_map(|(part, trained)| vec![*trained; part().len()]).collect();
    tokens.extend(ids(&[&text("bc"), &end, &text("\n")]));
    trained.extend([true, true, true, false]);
    assert_eq!((&encoded.tokens, &encoded.trained), (&tokens, &trained));
    assert_eq!((encoded.num_targets(), encoded.prompt_length()), (5, 41));
    assert_eq!(
        shown(&encoded, &bytes(), false).expect("own tokens"),
        "<|im_start|>system\ns<|im_end|>\n<|im_start|>user\nu<|im_end|><|im_end|>\n<|im_start|>assistant\n\
         ⟦a<|im_end|>⟧\n<|im_start|>user\nv<|im_end|>\n<|im_start|>assistant\n⟦bc<|im_end|>⟧\n"
    );
    let coloured = shown(&encoded, &bytes(), true).expect("own tokens");
    assert!(coloured.contains("\u{1b}[1;32mbc<|im_end|>\u{1b}[0m"));
}

#[test]
fn what_weighs_nothing_is_masked_and_prompts_are_learned_on_request() {
    let mut asked = conversation(&["user: u", "assistant: a", "user: v", "assistant: b"]);
    asked.messages[1].trained = false;
    let encoded = encoder(&bytes(), "chatml", 1000).encode(&asked).expect("sound");
    assert_eq!(encoded.num_targets(), 2);
    assert!(shown(&encoded, &bytes(), false).expect("own tokens").ends_with("⟦b<|im_end|>⟧\n"));
    let template = Template::open("chatml", &bytes()).expect("known");
    let all =
        ExampleEncoder::new(&bytes(), template, 1000, true).expect("sound").encode(&asked).expect("sound");
    assert_eq!((all.num_targets(), all.tokens), (encoded.tokens.len() - 1, encoded.tokens));
    asked.messages[3].trained = false;
    let refused = encoder(&bytes(), "chatml", 1000).encode(&asked).expect_err("nothing is left").to_string();
    assert_eq!(refused, "data.jsonl:3: nothing to learn: no answer, or none with a weight");
}

#[test]
fn what_ends_an_answer_does_not_depend_on_what_is_learned_or_has_room() {
    let gpt2 = Tokenizer::open("gpt2").expect("embedded");
    let mut asked = conversation(&["user: u", "assistant: ab", "user: v", "assistant: cd"]);
    for (tokenizer, template, end) in [(&bytes(), "chatml", END), (&gpt2, "alpaca", 50_256)] {
        for (trained, train_on_prompt) in [(true, false), (true, true), (false, false)] {
            asked.messages[3].trained = trained;
            let template = Template::open(template, tokenizer).expect("known");
            let encoder = ExampleEncoder::new(tokenizer, template, 20, train_on_prompt).expect("sound");
            assert_eq!(encoder.turn_end(&asked).expect("sound"), Some(end));
        }
        let unanswered = conversation(&["user: u"]);
        assert_eq!(encoder(tokenizer, "plain", 20).turn_end(&unanswered).expect("sound"), None);
    }
}

/// `Build a Large Language Model (From Scratch)`, chapter 7: of the rows `[0, 1, 2, 3, 4]`, `[5, 6]` and `[7, 8, 9]`, one
/// end token each is a target, and no padding.
#[test]
fn the_rows_of_the_book_have_its_targets() {
    for (row, targets) in
        [(&[0, 1, 2, 3, 4][..], &[1, 2, 3, 4, END][..]), (&[5, 6], &[6, END]), (&[7, 8, 9], &[8, 9, END])]
    {
        let row: String = row.iter().map(|byte: &u8| char::from(*byte)).collect();
        let said = Conversation { messages: vec![Message::new(Role::Assistant, row)], ..conversation(&[]) };
        let encoded = encoder(&bytes(), "plain", 1000).encode(&said).expect("sound");
        assert_eq!(&encoded.tokens[1..], targets);
        assert!(encoded.trained.iter().all(|trained| *trained));
    }
}

/// The prompt of the book's chapter 7, written out. In its exercise on masked instructions the heading of the response is
/// learned; here it is not, since nobody asks for it.
#[test]
fn alpaca_is_the_prompt_of_the_book() {
    let gpt2 = Tokenizer::open("gpt2").expect("embedded");
    let mut asked = conversation(&["user: Name the colour.", "assistant: It is blue."]);
    for (input, heading) in [(None, ""), (Some("the sky"), "\n\n### Input:\nthe sky")] {
        asked.messages[0].input = input.map(str::to_owned);
        let instruction = format!(
            "Below is an instruction that describes a task. Write a response that appropriately completes the request.\
             \n\n### Instruction:\nName the colour.{heading}"
        );
        let prompt = format!("{instruction}\n\n### Response:\n");
        let whole = gpt2.encode(&format!("{prompt}It is blue.")).expect("any text");
        let encoded = encoder(&gpt2, "alpaca", 1000).encode(&asked).expect("sound");
        assert_eq!(encoded.tokens, [&whole[..], &[50_256]].concat());
        let prompt_length = gpt2.encode(&prompt).expect("any text").len();
        let trained =
            encoded.trained.iter().enumerate().all(|(at, trained)| *trained == (at >= prompt_length));
        assert!(trained && encoded.prompt_length() == prompt_length);
        let masked_in_the_book = gpt2.encode(&instruction).expect("any text").len();
        let response = gpt2.encode("\n\n### Response:\n").expect("any text").len();
        assert_eq!(prompt_length, masked_in_the_book + response);
    }
}

#[test]
fn a_prompt_has_the_tokens_that_it_has_in_training() {
    let gpt2 = Tokenizer::open("gpt2").expect("embedded");
    let chat = gpt2.with_chat_tokens().expect("sound");
    // The answers begin with what would join a line break.
    let turns = ["user: u\n", "assistant: \n\n a ", "user: v", "assistant:   b"];
    for (tokenizer, template) in [(&chat, "chatml"), (&gpt2, "alpaca"), (&gpt2, "plain"), (&chat, "alpaca")] {
        let encoder = encoder(tokenizer, template, 1000);
        for answered in [2, 4] {
            let whole = encoder.encode(&conversation(&turns[..answered])).expect("sound");
            let prompt = encoder.prompt(&conversation(&turns[..answered - 1])).expect("sound");
            assert_eq!(whole.tokens[..prompt.len()], prompt, "{template}");
            assert!(!whole.trained[prompt.len() - 1] && whole.trained[prompt.len()], "{template}");
        }
    }
}

#[test]
fn the_beginning_stays_and_what_has_no_answer_left_is_dropped() {
    let long = |length: usize| conversation(&[&format!("user: {}", "u".repeat(length)), "assistant: abc"]);
    // `<|im_start|>user\n` has 6 tokens, `<|im_end|>\n<|im_start|>assistant\n` has 13.
    let conversations = [long(1), long(12), long(30)];
    let encoder = encoder(&bytes(), "chatml", 32);
    let encoded = encoder.encode_all(&conversations).expect("most fit");
    assert_eq!((encoded.truncated, encoded.dropped, encoded.examples.len()), (1, 1, 2));
    // The model reads 32 tokens; the last of 33 is a target only.
    assert_eq!((encoded.examples[1].tokens.len(), encoded.examples[1].num_targets()), (33, 2));
    assert_eq!(encoded.examples[0].num_targets(), 4);
    let refused = encoder.encode_all(&[long(1), long(30), long(31)]).expect_err("most do not").to_string();
    assert_eq!(
        refused,
        "data.jsonl:3: the prompt has 49 tokens, which fills the context of 32; so it is with 2 of 3 examples"
    );
}
