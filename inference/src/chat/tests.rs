use std::path::Path;

use burn_ndarray::NdArray;
use kiln_datasets::Tokenizer;
use kiln_datasets::examples::{Conversation, ExampleEncoder, Message, Provenance, Role, Template};
use kiln_model::{GptConfig, GptModel};

use super::*;
use crate::{Error, FinishReason, GenerateOptions, Result, Sampling, TextModel, WhenFull};

type Model = TextModel<NdArray>;

fn tokenizer() -> Tokenizer {
    Tokenizer::train_bpe(["so it goes, so it goes"], 270)
        .and_then(|learned| learned.with_chat_tokens())
        .expect("room")
}

fn model_with(context_length: usize, init_std: f64) -> Model {
    let tokenizer = tokenizer();
    let config = GptConfig {
        vocab_size: tokenizer.vocab_size(),
        context_length,
        init_std,
        ..GptConfig::new(1, 2, 16)
    };
    let model: GptModel<NdArray> = config.init(5, &Default::default()).expect("valid");
    TextModel::new(model, tokenizer)
}

fn model(context_length: usize) -> Model {
    model_with(context_length, 0.3)
}

fn template() -> Template {
    Template::open("chatml", &tokenizer()).expect("built in")
}

fn session<'a>(model: &'a Model, max_tokens: impl Into<Option<usize>>) -> ChatSession<'a, NdArray> {
    let settings = ChatSettings { max_tokens: max_tokens.into(), seed: 7, ..ChatSettings::default() };
    ChatSession::new(model, template(), settings).expect("valid")
}

fn whole(reply: Reply<'_, '_, NdArray>) -> String {
    reply.collect::<Result<_>>().expect("finite")
}

fn told(session: &ChatSession<NdArray>) -> Vec<(String, String)> {
    session.history().turns.iter().map(|turn| (turn.user.clone(), turn.assistant.clone())).collect()
}

/// What the model answers if it reads all of this anew.
fn answer(model: &Model, messages: &[(Role, &str)], seed: u64, max_tokens: usize) -> String {
    let context_length = model.model().config().context_length;
    let encoder =
        ExampleEncoder::new(model.tokenizer(), template(), context_length, false).expect("no damage");
    let messages = messages.iter().map(|(role, text)| Message::new(*role, *text)).collect();
    let provenance = Provenance::of_file(Path::new("test"));
    let prompt = encoder.prompt(&Conversation { messages, tools: Vec::new(), provenance }).expect("in turn");
    let stop = model.tokenizer().special_tokens();
    let stop = stop.into_iter().filter(|(text, _)| text == "<|im_end|>").map(|(_, id)| id).collect();
    let when_full = WhenFull::End;
    let options = GenerateOptions { max_tokens, stop, when_full, seed, ..GenerateOptions::default() };
    model.generate_from(&prompt, &options).expect("it fits").collect::<Result<_>>().expect("finite")
}

#[test]
fn replies_are_those_of_a_model_that_reads_the_whole_conversation_anew() {
    let model = model(512);
    let mut session = session(&model, 20);
    session.set_system(Some("Be brief.".to_owned()));
    let long = "so it goes, ".repeat(20);
    let first = whole(session.say(&long).expect("it fits"));
    let mut said = vec![(Role::System, "Be brief."), (Role::User, long.as_str())];
    assert_eq!(first, answer(&model, &said, 7, 20));

    // A reply that is stopped is kept as far as it was seen.
    let mut reply = session.say("and then?").expect("it fits");
    let mut stopped = String::new();
    while stopped.chars().count() < 5 {
        stopped.push_str(&reply.next().expect("there is more").expect("finite"));
    }
    assert!(reply.cached() >= 64, "only {} tokens were not read again", reply.cached());
    assert_eq!(reply.finish_reason(), None);
    drop(reply);
    said.extend([(Role::Assistant, first.as_str()), (Role::User, "and then?")]);
    assert!(answer(&model, &said, 8, 20).starts_with(&stopped));

    said.extend([(Role::Assistant, stopped.as_str()), (Role::User, "is that all?")]);
    let last = whole(session.say("is that all?").expect("it fits"));
    assert_eq!(last, answer(&model, &said, 9, 20));
    let expected = [(long.clone(), first.clone()), ("and then?".into(), stopped.clone())];
    assert_eq!(told(&session)[..2], expected);
}

#[test]
fn what_was_said_can_be_taken_back_and_asked_again() {
    let model = model(256);
    let mut session = session(&model, 20);
    assert!(session.retry().expect("nothing to ask").is_none());
    assert_eq!(session.undo(), None);
    let first = whole(session.say("a").expect("it fits"));
    whole(session.say("b").expect("it fits"));
    let again = whole(session.retry().expect("it fits").expect("it was asked"));
    let said = [(Role::User, "a"), (Role::Assistant, &first), (Role::User, "b")];
    assert_eq!(again, answer(&model, &said, 9, 20), "drawn anew");
    assert_eq!(told(&session), [("a".into(), first.clone()), ("b".into(), again.clone())]);
    assert_eq!(session.undo(), Some(Turn { user: "b".into(), assistant: again }));
    assert_eq!(session.history().turns.len(), 1);
    session.set_system(Some("s".to_owned()));
    session.clear();
    assert_eq!(session.history(), &ChatHistory { system: Some("s".to_owned()), turns: Vec::new() });
}

#[test]
fn the_oldest_turns_make_room_and_a_message_alone_does_not() {
    let model = model(160);
    let mut session = session(&model, 4);
    session.set_system(Some("S".to_owned()));
    let forgotten: Vec<usize> = (0..8)
        .map(|number| {
            let reply = session.say(&format!("{number}")).expect("it fits");
            let (forgotten, tokens) = (reply.forgotten(), reply.prompt_tokens());
            assert!(tokens <= 120, "{tokens} of 160 leave no quarter for the reply");
            whole(reply);
            forgotten
        })
        .collect();
    assert_eq!(forgotten[0], 0);
    assert!(forgotten.is_sorted() && forgotten[7] > 0 && forgotten[7] < 7, "{forgotten:?}");
    let history = told(&session);
    assert_eq!(history.len(), 8, "they are only not seen any more");
    let mut said = vec![(Role::System, "S")];
    for (user, assistant) in &history[forgotten[7]..7] {
        said.extend([(Role::User, user.as_str()), (Role::Assistant, assistant.as_str())]);
    }
    said.push((Role::User, "7"));
    assert_eq!(history[7].1, answer(&model, &said, 14, 4));

    let refused = session.say(&"x".repeat(120)).map(drop).expect_err("it is too long");
    assert!(
        matches!(refused, Error::MessageTooLong { tokens: 121.., room: 120, context_length: 160 }),
        "{refused}"
    );
    assert_eq!(told(&session), history);
    session.undo();
    assert!(session.say("8").expect("it fits").forgotten() <= forgotten[7]);
}

#[test]
fn a_reply_ends_at_a_string_at_its_length_or_when_the_context_is_full() {
    let model = model(64);
    let mut session = session(&model, None);
    let mut reply = session.say("so").expect("it fits");
    let text: String = reply.by_ref().collect::<Result<_>>().expect("finite");
    assert_eq!(reply.finish_reason(), Some(FinishReason::Length));
    assert_eq!(reply.prompt_tokens() + reply.tokens(), 64);
    drop(reply);

    let stop: String = text.chars().skip(10).take(2).collect();
    let settings = ChatSettings { stop: vec![stop.clone()], ..session.settings().clone() };
    let mut session = ChatSession::new(&model, template(), settings).expect("valid");
    let mut reply = session.say("so").expect("it fits");
    let stopped: String = reply.by_ref().collect::<Result<_>>().expect("finite");
    assert_eq!(Some(stopped.as_str()), text.split(&stop).next());
    assert_eq!(reply.finish_reason(), Some(FinishReason::Stop));
    drop(reply);
    assert_eq!(session.history().turns[0].assistant, stopped);
}

#[test]
fn special_tokens_that_somebody_types_are_text() {
    let model = model(256);
    let mut session = session(&model, 1);
    let mut length = |text: &str| {
        let tokens = session.say(text).expect("it fits").prompt_tokens();
        session.undo();
        tokens
    };
    assert_eq!(length("<|im_end|>"), length("<|im_xnd|>"));
}

#[test]
fn settings_out_of_range_change_nothing() {
    let model = model(64);
    let mut session = session(&model, 1);
    let before = session.settings().clone();
    let sampling = Sampling { top_p: 2.0, ..Sampling::default() };
    let refused = session.set_settings(ChatSettings { sampling, ..ChatSettings::default() });
    assert!(matches!(refused, Err(Error::Sampling { key: "top_p", .. })));
    assert_eq!(session.settings(), &before);
}

#[test]
fn a_model_that_computes_no_numbers_leaves_the_history_as_it_was() {
    let model = model_with(64, 3e38);
    let mut session = session(&model, 1);
    let reply: Result<String> = session.say("so").expect("it fits").collect();
    assert!(matches!(reply, Err(Error::NotFinite { .. })));
    assert!(session.history().turns.is_empty());
}

#[test]
fn a_conversation_is_saved_and_goes_on() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path().join("chat.json");
    let model = model(256);
    let mut session = session(&model, 9);
    session.set_system(Some("Be \"brief\".\n".to_owned()));
    for text in ["so", "it \u{1f9c0} goes", "<|im_end|>"] {
        whole(session.say(text).expect("it fits"));
    }
    session.save(&path).expect("writable");
    session.undo();
    session.save(&path).expect("it is a conversation");
    let mut other = ChatSession::new(&model, template(), ChatSettings::default()).expect("valid");
    other.load(&path).expect("it was saved");
    assert_eq!((other.history(), other.settings()), (session.history(), session.settings()));

    // As other programs have it.
    let plain = r#"{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}"#;
    std::fs::write(&path, plain).expect("writable");
    other.load(&path).expect("a conversation");
    assert_eq!(told(&other), [("a".to_owned(), "b".to_owned())]);
    assert_eq!(other.settings(), session.settings());
}

#[test]
fn a_file_that_is_no_conversation_is_named_and_stays() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path().join("chat.json");
    let model = model(64);
    let mut session = session(&model, 1);
    whole(session.say("so").expect("it fits"));
    let before = session.history().clone();
    let messages = |list: &str| format!("{{\"messages\": [{list}]}}");
    let user = r#"{"role": "user", "content": "a"}"#;
    for (text, reason) in [
        (String::new(), "EOF"),
        ("[1, 2]".to_owned(), "invalid"),
        ("{}".to_owned(), "`messages`"),
        (messages(r#"{"role": "user"}"#), "`content`"),
        (messages(user), "the last message has no answer"),
        (messages(&format!("{user}, {user}")), "message 2 is of user, not of assistant"),
        (messages(r#"{"role": "judge", "content": "a"}"#), "there is no role \"judge\""),
        (r#"{"messages": [], "settings": {"sampling": {"top_p": 7}}}"#.to_owned(), "top_p = 7"),
        (r#"{"messages": [], "settings": {"colour": 1}}"#.to_owned(), "`colour`"),
    ] {
        std::fs::write(&path, &text).expect("writable");
        for refused in [session.load(&path), session.save(&path)] {
            let refused = refused.expect_err("no conversation").to_string();
            assert!(refused.contains("chat.json") && refused.contains(reason), "{refused}");
        }
        assert_eq!(std::fs::read_to_string(&path).expect("readable"), text);
        assert_eq!(session.history(), &before);
    }
    let missing = session.load(&folder.path().join("none.json")).expect_err("it is not there");
    assert!(missing.to_string().contains("none.json"), "{missing}");
}
