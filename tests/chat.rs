//! `kiln chat`, piped and at a terminal.

mod common;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use common::{kiln, refuse, stdout, train};
use tempfile::TempDir;

/// A folder with a small model of bytes in `base`, which has read a few tales.
fn base(context_length: usize) -> TempDir {
    base_with(&[&format!("model.context_length={context_length}")])
}

fn base_with(more: &[&str]) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let sets = ["tokenizer.kind=byte", "tokenizer.chat=true", "training.steps=4"];
    let sets = sets.iter().chain(more).flat_map(|change| ["--set", change]);
    stdout(&train(folder.path(), ["--run-dir", "base"].into_iter().chain(sets)));
    folder
}

/// The same, and in `tuned` a model that answers numbers with "yes" and "no".
fn tuned() -> TempDir {
    let folder = base(64);
    let lines = (0..80).map(|n| {
        let answer = if n % 2 == 0 { "yes" } else { "no" };
        let messages = serde_json::json!([
            { "role": "user", "content": format!("{n}?") }, { "role": "assistant", "content": answer }
        ]);
        format!("{}\n", serde_json::json!({ "messages": messages }))
    });
    std::fs::write(folder.path().join("talks.jsonl"), lines.collect::<String>()).expect("writable");
    let task = ["finetune", "instruct", "--plain", "--model", "base", "--data", "talks.jsonl"];
    let more = ["--epochs", "12", "--lr", "0.01", "--run-dir", "tuned"];
    stdout(&kiln(folder.path(), task.into_iter().chain(more)));
    folder
}

/// `kiln chat ARGS` with `input` on standard input.
fn piped(folder: &Path, args: &[&str], input: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kiln"));
    command.arg("chat").args(args).current_dir(folder);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary runs");
    child.stdin.take().expect("piped").write_all(input.as_bytes()).expect("it reads");
    child.wait_with_output().expect("it ends")
}

#[test]
fn a_question_has_one_reply_and_standard_output_nothing_else() {
    let folder = tuned();
    let path = folder.path();
    let greedy = ["--model", "tuned", "--temperature", "0"];
    let reply = stdout(&piped(path, &greedy, "3?\n"));
    assert!(["yes\n", "no\n"].contains(&reply.as_str()), "{reply:?}");
    let generated = ["generate", "--model", "tuned", "--temperature", "0", "--chat", "--prompt", "3?"];
    assert_eq!(reply, stdout(&kiln(path, generated)), "it is the same template");

    // The prompt as an argument, behind the model or in its place, and with more piped in.
    assert_eq!(reply, stdout(&piped(path, &["tuned", "3?", "--temperature", "0"], "")));
    assert_eq!(reply, stdout(&piped(path, &[&greedy[..], &["3?"]].concat(), "")));
    let both = stdout(&piped(path, &[&greedy[..], &["3?"]].concat(), "4?\n"));
    assert_eq!(both, stdout(&piped(path, &greedy, "3?\n\n4?")));

    let verbose = piped(path, &[&greedy[..], &["--verbose"]].concat(), "3?");
    assert_eq!(stdout(&verbose), reply);
    let told = String::from_utf8_lossy(&verbose.stderr);
    assert!(told.contains("tokens/s") && told.contains("of 64 tokens of the context used"), "{told}");

    // A system text is read before the question.
    let told_with = |system: &str| {
        let output = piped(path, &[&greedy[..], &["-v", "--system", system, "3?"]].concat(), "");
        let told = String::from_utf8(output.stderr).expect("UTF-8");
        let used = told.split("; ").nth(1).and_then(|rest| rest.split(' ').next()).map(str::parse::<usize>);
        used.expect("a figure").expect("a number")
    };
    assert_eq!(told_with("Be brief."), told_with("Be") + " brief.".len());

    let drawn = |seed| {
        let args =
            ["tuned", "--seed", seed, "--temperature", "9", "--max-tokens", "20", "--template", "plain"];
        stdout(&piped(path, &args, "3?"))
    };
    assert_eq!(drawn("1"), drawn("1"));
    assert_ne!(drawn("1"), drawn("2"));
}

#[test]
fn a_reply_is_whole_characters_and_says_why_it_ends() {
    let folder = base(64);
    let flat = ["base", "--template", "plain", "--temperature", "9"];
    for (seed, most) in [("1", "-1"), ("2", "12"), ("3", "1")] {
        let output =
            piped(folder.path(), &[&flat[..], &["--seed", seed, "--max-tokens", most]].concat(), "🧀 é");
        // It is UTF-8, or this fails: nearly every byte that such a model draws is a part of a character at best.
        let reply = stdout(&output);
        assert!(
            reply.chars().all(|letter| matches!(letter, '\n' | '\t') || !letter.is_control()),
            "{reply:?}"
        );
        let told = String::from_utf8_lossy(&output.stderr);
        let expected = if most == "-1" { "the context of 64 tokens is full" } else { "as max_tokens says" };
        assert!(told.contains(expected), "{told}");
    }
}

#[test]
fn a_model_that_tells_tales_tells_one_that_is_asked_for() {
    let folder = base(256);
    let path = folder.path();
    let task = ["finetune", "instruct", "--plain", "--config", "tales-instruct", "--model", "base"];
    let sets = ["training.steps=6", "data.tales_bytes=60000", "generation.max_tokens=8"];
    let sets = sets.into_iter().flat_map(|change| ["--set", change]);
    stdout(&kiln(path, task.into_iter().chain(sets).chain(["--run-dir", "tales"])));
    let ask = |seed| piped(path, &["tales", "--seed", seed], "Tell a tale about Ben and the tent.");
    let tale = stdout(&ask("1"));
    assert!(tale.ends_with('\n') && tale.len() > 1, "{tale:?}");
    assert_eq!(tale, stdout(&ask("1")));
    assert_ne!(tale, stdout(&ask("2")));
}

#[test]
fn what_cannot_be_asked_is_refused_with_what_to_do() {
    let folder = tuned();
    let path = folder.path();
    let words = ["--run-dir", "words", "--set", "training.steps=2", "--set", "tokenizer.chat=true"];
    stdout(&train(path, words));
    let hints = ["words", "a base model", "<|im_end|>", "kiln finetune instruct --model", "--template"];
    refuse(path, ["chat", "--model", "words", "Hello."], &hints);
    stdout(&train(path, ["--run-dir", "plain", "--set", "training.steps=2"]));
    refuse(path, ["chat", "plain", "Hello."], &["plain", "no template for conversations", "--template"]);
    stdout(&piped(path, &["words", "Hi.", "--template", "plain", "--max-tokens", "4"], ""));
    let long = "0123456789".repeat(7);
    refuse(path, ["chat", "tuned", &long], &["the message has ", " tokens", "context of 64", "room for 48"]);
    refuse(path, ["chat", "tuned"], &["standard input is empty", "hint: "]);
    refuse(path, ["chat", "tuned", "Hello.", "--template", "chatlm"], &["chatlm", "chatml, alpaca, plain"]);
    refuse(path, ["chat", "tuned", "Hello.", "--top-p", "2"], &["top_p = 2"]);
    refuse(path, ["chat", "tuned", "Hello.", "--logit-bias", "9999=1"], &["token 9999"]);
    refuse(path, ["chat", "tuned", "Hello.", "--logit-bias", "the=1"], &["198=-5"]);
    refuse(path, ["chat", "--model", "tuned", "Hello.", "again"], &["--model"]);
    refuse(path, ["chat", "Hello there."], &["Hello there.", "a prompt goes after a model"]);
    std::fs::write(path.join("broken.jinja"), "{% if %}").expect("writable");
    refuse(
        path,
        ["chat", "tuned", "Hello.", "--template", "broken.jinja"],
        &["broken.jinja", "not a template"],
    );
    let raised = "{{ raise_exception('Nobody speaks here.') }}";
    std::fs::write(path.join("raising.jinja"), raised).expect("writable");
    refuse(path, ["chat", "tuned", "Hello.", "--template", "raising.jinja"], &["Nobody speaks here."]);
}

#[cfg(unix)]
mod terminal {
    use super::*;
    use crate::common::terminal::Terminal;

    /// `None` where there is no tmux; else a terminal in a folder in which `kiln chat ARGS` waits for a line.
    fn chat(name: &str, folder: &Path, args: &str) -> Option<Terminal> {
        let terminal = Terminal::open(name, 100, 50)?;
        let command =
            format!("cd {}; {} chat {args}; echo code $?", folder.display(), env!("CARGO_BIN_EXE_kiln"));
        terminal.keys(&[&command, "Enter"]);
        terminal.wait("prompt", |screen| screen.trim_end().ends_with("\n>"));
        Some(terminal)
    }

    /// Types a line, and waits until it was dealt with.
    fn say(terminal: &Terminal, line: &str) -> String {
        let before = prompts(&terminal.screen());
        terminal.keys(&["-l", line]);
        terminal.keys(&["Enter"]);
        terminal.wait(line, |screen| prompts(screen) > before && screen.trim_end().ends_with("\n>"))
    }

    /// Lines that were asked for.
    fn prompts(screen: &str) -> usize {
        screen.lines().filter(|line| line.starts_with('>')).count()
    }

    #[test]
    fn commands_do_what_they_say() {
        let folder = tuned();
        let Some(terminal) = chat("commands", folder.path(), "tuned --temperature 0") else { return };
        let reply = say(&terminal, "4?");
        assert!(reply.contains("> 4?\nyes\n>") || reply.contains("> 4?\nno\n>"), "{reply}");
        for (line, expected) in [
            ("/rettry", "did you mean /retry?"),
            ("/retry", "/retry\n"),
            ("/set max_tokens 1", "(max_tokens = 1)"),
            ("6?", "cut off after 1 tokens"),
            ("/set max_tokens many", "max_tokens = many"),
            ("/set temperature -1", "temperature = -1"),
            ("/undo", "(taken back: 6?)"),
            ("/save talk.json", "(saved to talk.json)"),
            ("/save talks.jsonl", "talks.jsonl: not a conversation"),
            ("/clear", "(conversation forgotten)"),
            ("/load talk.json", "(questions so far: 1)"),
            ("/show", "max_tokens = 1"),
        ] {
            let screen = say(&terminal, line);
            assert!(screen.contains(expected), "no {expected:?} in:\n{screen}");
        }
        let saved = std::fs::read_to_string(folder.path().join("talk.json")).expect("it was saved");
        let saved: serde_json::Value = serde_json::from_str(&saved).expect("JSON");
        assert_eq!(saved["messages"][0], serde_json::json!({ "role": "user", "content": "4?" }));
        assert_eq!(saved["messages"].as_array().map(Vec::len), Some(2));
        terminal.keys(&["-l", "never mind"]);
        terminal.keys(&["C-c"]);
        terminal.wait("a new line", |screen| screen.contains("> never mind\n>"));
        terminal.keys(&["C-d"]);
        terminal.wait("exit code", |screen| screen.contains("code 0"));
        terminal.assert_clean();
    }

    #[test]
    fn a_text_of_several_lines_is_one_question() {
        let folder = tuned();
        let Some(terminal) = chat("lines", folder.path(), "tuned --max-tokens 3") else { return };
        terminal.keys(&["\"\"\"a", "Enter", "b\"\"\"", "Enter"]);
        terminal.wait("a reply", |screen| prompts(screen) == 2 && screen.trim_end().ends_with("\n>"));
        // As a terminal hands over what is pasted.
        terminal.keys(&["-l", "\u{1b}[200~c\nd\n\u{1b}[201~"]);
        terminal.keys(&["Enter"]);
        terminal.wait("a reply", |screen| prompts(screen) == 3 && screen.trim_end().ends_with("\n>"));
        say(&terminal, "/save talk.json");
        let saved = std::fs::read_to_string(folder.path().join("talk.json")).expect("it was saved");
        let saved: serde_json::Value = serde_json::from_str(&saved).expect("JSON");
        assert_eq!(saved["messages"][0]["content"], "a\nb");
        assert_eq!(saved["messages"][2]["content"], "c\nd");
    }

    #[test]
    fn control_c_stops_a_reply_and_keeps_it() {
        // Seconds of text, with blanks to break lines at, and without the token that ends a reply.
        let slow = ["data.tales_bytes=600000", "model.context_length=4096", "model.d_model=256"];
        let folder = base_with(&slow);
        let args = "base --template plain --temperature 1 --logit-bias 32=4 --logit-bias 257=-100";
        let Some(terminal) = chat("stop", folder.path(), args) else { return };
        terminal.keys(&["so it goes", "Enter"]);
        terminal.wait("a reply", |screen| screen.lines().filter(|line| !line.is_empty()).count() > 6);
        terminal.keys(&["C-c"]);
        let stopped = terminal.wait("a prompt", |screen| screen.trim_end().ends_with("\n>"));
        assert!(!stopped.contains("cut off"), "it was over before:\n{stopped}");
        say(&terminal, "/save talk.json");
        let saved = std::fs::read_to_string(folder.path().join("talk.json")).expect("it was saved");
        let saved: serde_json::Value = serde_json::from_str(&saved).expect("JSON");
        assert!(saved["messages"][1]["content"].as_str().is_some_and(|reply| reply.len() > 100), "{saved}");
        terminal.keys(&["C-d"]);
        terminal.wait("exit code", |screen| screen.contains("code 0"));
        terminal.assert_clean();
    }

    #[test]
    fn turns_that_the_model_no_longer_sees_are_told_of_and_a_pipe_gets_the_replies() {
        let folder = tuned();
        let Some(terminal) = chat("pipe", folder.path(), "tuned --temperature 0 | cat > replies") else {
            return;
        };
        for number in 0..4 {
            say(&terminal, &format!("{number}?"));
        }
        let screen = terminal.screen();
        assert!(
            screen.contains("the context of 64 tokens is full: the model no longer sees the oldest"),
            "{screen}"
        );
        terminal.keys(&["C-d"]);
        terminal.wait("exit code", |screen| screen.contains("code 0"));
        let replies = std::fs::read_to_string(folder.path().join("replies")).expect("it is there");
        assert!(
            replies.lines().count() >= 4 && !replies.contains('>') && !replies.contains('\u{1b}'),
            "{replies}"
        );
    }
}
