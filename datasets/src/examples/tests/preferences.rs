//! Every form of preference.

use super::*;
use crate::{ReadOptions, Source};

fn read(text: &str) -> Result<Preferences, String> {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let source = Source::new(write(folder.path(), "a.jsonl", text));
    let shown = |error: crate::Error| error.to_string().replace(&folder.path().display().to_string(), "DIR");
    Preferences::read(&source, &ReadOptions::default()).map_err(shown)
}

fn turns(messages: &[Message]) -> String {
    let turns = messages.iter().map(|message| format!("{}: {}", message.role.name(), message.text()));
    turns.collect::<Vec<_>>().join(" | ")
}

#[test]
fn every_form_becomes_a_prompt_and_two_answers() {
    let message = |role: &str, content: &str| format!(r#"{{"role": "{role}", "content": "{content}"}}"#);
    let (user, good, bad) = (message("user", "u"), message("assistant", "c"), message("assistant", "r"));
    for (record, form) in [
        (r#"{"prompt": "u", "chosen": "c", "rejected": "r"}"#.to_owned(), Form::Preference),
        (format!(r#"{{"prompt": [{user}], "chosen": [{good}], "rejected": [{bad}]}}"#), Form::Preference),
        // The lists repeat the prompt, with a space behind it.
        (
            format!(r#"{{"prompt": "u ", "chosen": [{user}, {good}], "rejected": [{user}, {bad}]}}"#),
            Form::Preference,
        ),
        // UltraFeedback: the lists repeat the prompt, and there are messages as well.
        (
            format!(
                r#"{{"prompt": "u", "prompt_id": "7", "chosen": [{user}, {good}], "rejected": [{user}, {bad}], "messages": [{user}, {good}], "score_chosen": 8.5, "score_rejected": 4}}"#
            ),
            Form::Preference,
        ),
        (format!(r#"{{"chosen": [{user}, {good}], "rejected": [{user}, {bad}]}}"#), Form::ImplicitPreference),
        (
            r#"{"chosen": "\n\nHuman: u\n\nAssistant: c", "rejected": "\n\nHuman: u\n\nAssistant: r"}"#
                .to_owned(),
            Form::Transcripts,
        ),
        (
            format!(
                r#"{{"input": {{"messages": [{user}], "tools": []}}, "preferred_output": [{good}], "non_preferred_output": [{bad}]}}"#
            ),
            Form::OpenAiPreference,
        ),
        (
            r#"{"instruction": "u", "input": "", "output": "o", "chosen": "c", "rejected": "r"}"#.to_owned(),
            Form::AlpacaPreference,
        ),
    ] {
        let mut read = read(&record).expect(&record);
        let preference = read.preferences.remove(0);
        let all = [&preference.prompt, &preference.chosen, &preference.rejected].map(|part| turns(part));
        assert_eq!(all, ["user: u", "assistant: c", "assistant: r"], "{record}");
        assert_eq!((read.form, preference.group()), (form, "u".to_owned()));
    }
}

#[test]
fn tools_stand_beside_the_messages() {
    let tools = r#""tools": [{"type": "function", "function": {"name": "f"}}]"#;
    let user = r#"{"role": "user", "content": "u"}"#;
    let answer = |content: &str| format!(r#"[{{"role": "assistant", "content": "{content}"}}]"#);
    let (good, bad) = (answer("c"), answer("r"));
    for record in [
        format!(r#"{{"prompt": [{user}], "chosen": {good}, "rejected": {bad}, {tools}}}"#),
        format!(
            r#"{{"input": {{"messages": [{user}], {tools}}}, "preferred_output": {good}, "non_preferred_output": {bad}}}"#
        ),
    ] {
        let read = read(&record).expect(&record).preferences.remove(0).tools;
        assert_eq!(read, [serde_json::json!({"type": "function", "function": {"name": "f"}})], "{record}");
    }
}

#[test]
fn the_prompt_is_the_longest_beginning_in_common() {
    let record = r#"{"chosen": "\n\nHuman: a\n\nAssistant: b\n\nHuman: c\n\nAssistant: good: yes", "rejected": "\n\nHuman: a\n\nAssistant: b\n\nHuman: c\n\nAssistant: bad"}"#;
    let preference = read(record).expect("sound").preferences.remove(0);
    assert_eq!(turns(&preference.prompt), "user: a | assistant: b | user: c");
    assert_eq!(turns(&preference.chosen), "assistant: good: yes");
    // Answers of the prompt are not learned.
    assert!(preference.prompt.iter().all(|message| !message.is_learned()));
    // Two that are the same keep an answer each.
    let same = r#"{"chosen": "\n\nHuman: a\n\nAssistant: b", "rejected": "\n\nHuman: a\n\nAssistant: b"}"#;
    let preference = read(same).expect("sound").preferences.remove(0);
    assert_eq!((preference.prompt.len(), preference.chosen == preference.rejected), (1, true));
}

#[test]
fn pairs_share_their_prompt_and_identical_ones_are_dropped() {
    let record = |chosen: &str, rejected: &str| {
        format!(r#"{{"prompt": "{}", "chosen": "{chosen}", "rejected": "{rejected}"}}"#, "u".repeat(10))
    };
    let records = [record("good", "bad"), record("same", "same"), record("fine", "poor")].join("\n");
    let preferences = read(&records).expect("sound").preferences;
    let encoded = encoder(&bytes(), "chatml", 100).encode_pairs(&preferences).expect("they fit");
    assert_eq!((encoded.examples.len(), encoded.identical, encoded.dropped), (2, 1, 0));
    let EncodedPair { chosen, rejected } = &encoded.examples[0];
    let prompt = chosen.prompt_length();
    assert_eq!(chosen.tokens[..prompt], rejected.tokens[..prompt]);
    assert_eq!((chosen.num_targets(), rejected.num_targets()), (5, 4));
    assert_eq!(prompt, rejected.prompt_length());
    let refused =
        encoder(&bytes(), "chatml", 20).encode_pairs(&preferences).expect_err("no room").to_string();
    assert!(refused.contains("a.jsonl:1: the prompt has 29 tokens"), "{refused}");
}

#[test]
fn what_is_wrong_is_named_by_file_line_and_key() {
    for (record, told) in [
        (r#"{"instruction": "i", "output": "o"}"#, "instructions (`instruction`, `output`), not preferences"),
        (r#"{"prompt": "p", "chosen": "", "rejected": "r"}"#, "an answer that is to be learned is empty"),
        (
            r#"{"chosen": "c", "rejected": "r"}"#,
            "`chosen`: a text without a `prompt` beside it and without turns of `Human:` and `Assistant:`",
        ),
        (
            r#"{"chosen": [{"role": "user", "content": "u"}], "rejected": [{"role": "user", "content": "v"}]}"#,
            "`chosen`: it has no turn in common with `rejected`, which would be the prompt",
        ),
        (
            r#"{"input": "i", "preferred_output": [], "non_preferred_output": []}"#,
            "`input`: not an object with `messages`",
        ),
    ] {
        assert_eq!(read(record).expect_err(record), format!("DIR/a.jsonl:1: {told}"));
    }
}
