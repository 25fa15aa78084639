//! Every form of conversation, and what is refused.

use super::*;
use crate::{ReadOptions, Source};

fn read(name: &str, text: &str) -> Result<Conversations, String> {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let source = Source::new(write(folder.path(), name, text));
    let shown = |error: crate::Error| error.to_string().replace(&folder.path().display().to_string(), "DIR");
    Conversations::read(&source, &ReadOptions::default()).map_err(shown)
}

/// The form of a record, and its turns as `role: content`, those that are learned with a `*`.
fn turns(record: &str) -> (Form, Vec<String>) {
    let mut read = read("a.jsonl", record).expect(record);
    let conversation = read.conversations.remove(0);
    let turn = |message: &Message| {
        let star = if message.is_learned() { "*" } else { "" };
        format!("{star}{}: {}", message.role.name(), message.text())
    };
    (read.form, conversation.messages.iter().map(turn).collect())
}

#[test]
fn every_form_becomes_turns() {
    for (record, form, expected) in [
        (
            r#"{"instruction": "Add.", "input": "1 2", "output": "3"}"#,
            Form::Alpaca,
            &["user: Add.\n1 2", "*assistant: 3"][..],
        ),
        (
            r#"{"instruction": "Go on.", "input": "", "output": "B", "system": "Be brief.", "history": [["Start.", "A"]]}"#,
            Form::Alpaca,
            &["system: Be brief.", "user: Start.", "*assistant: A", "user: Go on.", "*assistant: B"],
        ),
        (
            r#"{"messages": [{"role": "developer", "content": "s"}, {"role": "user", "content": "u"}, {"role": "assistant", "content": "a", "weight": 0}, {"role": "user", "content": [{"type": "text", "text": "v"}]}, {"role": "assistant", "content": "b", "weight": 1}]}"#,
            Form::Messages,
            &["system: s", "user: u", "assistant: a", "user: v", "*assistant: b"],
        ),
        (
            r#"{"conversations": [{"from": "system", "value": "s"}, {"from": "human", "value": "u"}, {"from": "gpt", "value": "a"}]}"#,
            Form::ShareGpt,
            &["system: s", "user: u", "*assistant: a"],
        ),
        (r#"{"prompt": "p", "completion": "c"}"#, Form::PromptCompletion, &["user: p", "*assistant: c"]),
        (
            r#"{"prompt": [{"role": "user", "content": "p"}, {"role": "assistant", "content": "q"}, {"role": "user", "content": "r"}], "completion": [{"role": "assistant", "content": "c"}]}"#,
            Form::PromptCompletion,
            &["user: p", "assistant: q", "user: r", "*assistant: c"],
        ),
        (r#"{"text": "t", "id": 3}"#, Form::Text, &["*assistant: t"]),
    ] {
        let expected: Vec<String> = expected.iter().map(|turn| (*turn).to_owned()).collect();
        assert_eq!(turns(record), (form, expected), "{record}");
    }
}

#[test]
fn calls_of_tools_are_kept_for_the_template() {
    let record = r#"{"messages": [{"role": "user", "content": "u"}, {"role": "assistant", "content": null, "tool_calls": [{"function": {"name": "f"}}]}, {"role": "tool", "name": "f", "content": "7"}, {"role": "assistant", "content": "seven"}], "tools": "[{\"name\": \"f\"}]"}"#;
    let conversation = read("a.jsonl", record).expect("sound").conversations.remove(0);
    assert_eq!(conversation.tools, [serde_json::json!({"name": "f"})]);
    assert_eq!(conversation.messages[1].fields["tool_calls"][0]["function"]["name"], "f");
    assert_eq!(conversation.messages[2].fields["name"], "f");
    assert!(conversation.messages[1].is_learned() && conversation.messages[1].content.is_empty());
}

#[test]
fn what_is_wrong_is_named_by_file_line_and_key() {
    let good = r#"{"instruction": "i", "output": "o"}"#;
    for (record, told) in [
        (
            r#"{"prompt": "p", "completion": "c"}"#,
            "prompts with completions (`prompt`, `completion`), but the examples before it are instructions (`instruction`, `output`)",
        ),
        (
            r#"{"question": "q", "answer": "a"}"#,
            "keys that make no known form of example: `question`, `answer`",
        ),
        (r#"{"instruction": "i", "output": " "}"#, "an answer that is to be learned is empty"),
        (r#"{"instruction": 7, "output": "o"}"#, "`instruction`: a number, not a string"),
        (
            r#"{"instruction": "i", "output": "o", "history": ["x"]}"#,
            "`history`: a turn of it is not a pair of strings",
        ),
        ("[]", "an array, not an object"),
    ] {
        let refused = read("a.jsonl", &format!("{good}\n\n{record}\n")).expect_err(record);
        assert_eq!(refused, format!("DIR/a.jsonl:3: {told}"));
        let refused = read("a.json", &format!("[{good},\n\n{record}\n]")).expect_err(record);
        assert_eq!(refused, format!("DIR/a.json:3: {told}"));
    }
    for (record, told) in [
        (
            r#"{"messages": [{"role": "user", "content": "u"}]}"#,
            "nothing to learn: no answer, or none with a weight",
        ),
        (
            r#"{"messages": [{"role": "assistant", "content": "a", "weight": 0}]}"#,
            "nothing to learn: no answer, or none with a weight",
        ),
        (
            r#"{"messages": [{"role": "assistant", "content": "a", "weight": 0.5}]}"#,
            "`messages[0].weight`: 0.5, not 0 or 1",
        ),
        (
            r#"{"messages": [{"role": "user", "content": "u"}, {"role": "bot", "content": "b"}]}"#,
            "`messages[1].role`: \"bot\" is none of system, user, assistant, tool, human, gpt",
        ),
        (r#"{"messages": [{"role": "user", "content": null}]}"#, "`messages[0].content`: null, not a string"),
        (r#"{"messages": "u"}"#, "`messages`: a string, not a list of messages"),
        (
            r#"{"prompt": "p", "chosen": "c", "rejected": "r"}"#,
            "prompts with two answers (`prompt`, `chosen`, `rejected`), not conversations",
        ),
    ] {
        assert_eq!(read("a.jsonl", record).expect_err(record), format!("DIR/a.jsonl:1: {told}"));
    }
}

#[test]
fn answers_to_one_question_are_of_one_group() {
    let group = |turns: &[&str]| conversation(turns).group();
    let asked = group(&["system: s", "user: u", "assistant: a"]);
    assert_eq!(asked, "s\nu");
    assert_eq!(group(&["system: s", "user: u", "assistant: b", "user: v", "assistant: c"]), asked);
    assert_ne!(group(&["system: s", "user: v", "assistant: a"]), asked);
    // Where nobody asks, all that is said counts.
    assert_eq!(group(&["assistant: a"]), "a");
    assert_eq!(group(&["system: s", "assistant: a"]), "s\na");
}
