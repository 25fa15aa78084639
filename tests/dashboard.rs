//! The dashboard as a person sees it: the real program on a real terminal, which tmux plays, and the screen read back.

#![cfg(unix)]

mod common;

use std::process::Command;
use std::time::{Duration, Instant};

use common::TINY;
use common::terminal::Terminal;

/// Types a long run with the tiny settings, and then `echo` with its exit code.
fn start_training(terminal: &Terminal) {
    let settings: Vec<String> = TINY.iter().map(|word| (*word).to_owned()).collect();
    let command = format!(
        "{} train --run-dir run {} --set training.steps=100000 --set training.eval_interval=20; echo code $?",
        env!("CARGO_BIN_EXE_kiln"),
        settings.join(" ")
    );
    terminal.keys(&[&command, "Enter"]);
}

#[test]
fn shows_the_run_obeys_keys_and_leaves_the_terminal_clean() {
    let Some(terminal) = Terminal::open("keys", 80, 24) else { return };
    start_training(&terminal);
    let screen = terminal.wait("whole dashboard", |screen| {
        let shown = [
            "training loss",
            "validation loss",
            "best validation",
            "at step",
            "learning rate",
            "gradient norm",
        ];
        let more = [
            "tokens/s",
            "MFU",
            "memory",
            "last checkpoint",
            "sample at step",
            "quit",
            "save",
            "pause",
            "charts",
            "help",
            "left",
        ];
        shown.iter().chain(&more).all(|word| screen.contains(word))
    });
    assert!(screen.lines().all(|line| line.chars().count() <= 80), "{screen}");

    terminal.keys(&["p"]);
    terminal.wait("pause", |screen| screen.contains("paused"));
    let checkpoints = || {
        let entries = std::fs::read_dir(terminal.path().join("run/checkpoint")).expect("there");
        let mut names: Vec<String> = entries
            .map(|entry| entry.expect("readable").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    };
    let before = checkpoints();
    terminal.keys(&["s"]);
    let began = Instant::now();
    // A pause that happens to begin right after an evaluation has nothing new to save.
    while checkpoints() == before && began.elapsed() < Duration::from_secs(3) {
        std::thread::sleep(Duration::from_millis(20));
    }
    terminal.keys(&["p"]);
    terminal.wait("end of the pause", |screen| !screen.contains("paused"));

    let resize = ["resize-window", "-x", "140", "-y", "40"];
    assert!(terminal.command(&resize).expect("tmux is there").status.success());
    let wide = terminal.wait("wide picture", |screen| screen.lines().any(|line| line.chars().count() > 130));
    assert!(wide.contains("numbers") && wide.contains("sample"), "{wide}");

    terminal.keys(&["q"]);
    let end = terminal.wait("exit code", |screen| screen.contains("code 0"));
    assert!(end.contains("--run-dir run --resume"), "{end}");
    terminal.assert_clean();
}

#[test]
fn control_c_ends_the_run_with_130_and_a_clean_terminal() {
    let Some(terminal) = Terminal::open("interrupt", 100, 30) else { return };
    start_training(&terminal);
    terminal.wait("dashboard", |screen| screen.contains("tokens/s"));
    let began = Instant::now();
    terminal.keys(&["C-c"]);
    terminal.wait("exit code", |screen| screen.contains("code 130"));
    assert!(began.elapsed() < Duration::from_secs(10), "a checkpoint within ten seconds");
    terminal.assert_clean();
}

#[test]
fn signals_leave_the_terminal_clean() {
    for (signal, code) in [("TERM", "code 143"), ("HUP", "code 129")] {
        let Some(terminal) = Terminal::open(signal, 80, 24) else { return };
        start_training(&terminal);
        terminal.wait("dashboard", |screen| screen.contains("tokens/s"));
        let pids = terminal.command(&["display-message", "-p", "#{pane_pid}"]).expect("tmux is there");
        let shell = String::from_utf8_lossy(&pids.stdout).trim().to_owned();
        let children = Command::new("pgrep").args(["-P", &shell]).output().expect("pgrep is there");
        let child = String::from_utf8_lossy(&children.stdout).trim().to_owned();
        assert!(Command::new("kill").args([&format!("-{signal}"), &child]).status().expect("kill").success());
        terminal.wait("exit code", |screen| screen.contains(code));
        terminal.assert_clean();
    }
}

#[test]
fn keys_change_what_is_seen_and_not_the_run() {
    let Some(terminal) = Terminal::open("look", 80, 24) else { return };
    start_training(&terminal);
    terminal.wait("dashboard", |screen| screen.contains("tokens/s") && screen.contains("sample at step"));

    terminal.keys(&["Tab"]);
    let charts = ["╭ learning rate", "╭ gradient norm", "╭ tokens/s", "╭ memory", "tab loss"];
    terminal.wait("charts", |screen| charts.iter().all(|chart| screen.contains(chart)));
    terminal.keys(&["1"]);
    terminal.wait("losses", |screen| screen.contains("╭ loss") && screen.contains("tab charts"));
    for shown in ["last half", "last fifth", "full height"] {
        terminal.keys(&["z"]);
        terminal.wait(shown, |screen| screen.contains(shown));
    }
    terminal.keys(&["l"]);
    terminal.wait("scale", |screen| screen.contains("full height · logarithmic"));

    terminal.keys(&["?"]);
    terminal.wait("help", |screen| screen.contains("save a checkpoint now") && screen.contains("perplexity"));
    terminal.keys(&["End"]);
    terminal.wait("end of the help", |screen| screen.contains("MFU") && screen.contains("budget"));
    // In the help `q` leaves the help.
    terminal.keys(&["q"]);
    terminal.wait("no help", |screen| screen.contains("● training") && screen.contains("╭ loss"));
    terminal.keys(&["h"]);
    terminal.wait("help again", |screen| screen.contains("╭ help"));
    terminal.keys(&["Escape"]);
    terminal.wait("no help", |screen| !screen.contains("╭ help") && screen.contains("tab charts"));

    let resize = ["resize-window", "-x", "60", "-y", "15"];
    assert!(terminal.command(&resize).expect("tmux is there").status.success());
    // Drawn anew, without frames, and not what tmux has cut off.
    terminal.wait("sample in a small terminal", |screen| {
        screen.contains("sample at step") && screen.contains("? help") && !screen.contains('╭')
    });
    terminal.keys(&["q"]);
    terminal.wait("exit code", |screen| screen.contains("code 0"));
    terminal.assert_clean();
}

/// A terminal that is closed under the dashboard, which a signal alone does not show: reading it fails from then on.
#[test]
fn a_terminal_that_is_closed_ends_the_run_with_a_checkpoint() {
    let Some(terminal) = Terminal::open("closed", 80, 24) else { return };
    // Run by a shell that outlives the terminal, to see the exit code.
    let settings = TINY.join(" ");
    let command = format!(
        "exec sh -c 'trap : HUP; {} train --run-dir run {settings} --set training.steps=1000000; echo $? > code'",
        env!("CARGO_BIN_EXE_kiln")
    );
    terminal.keys(&[&command, "Enter"]);
    terminal.wait("dashboard", |screen| screen.contains("tokens/s"));
    assert!(terminal.command(&["kill-server"]).expect("tmux is there").status.success());
    let began = Instant::now();
    let code = loop {
        match std::fs::read_to_string(terminal.path().join("code")) {
            Ok(code) if !code.is_empty() => break code,
            _ => assert!(began.elapsed() < Duration::from_secs(30), "the run goes on without its terminal"),
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    assert_eq!(code.trim(), "129");
    assert!(std::fs::read_dir(terminal.path().join("run/checkpoint")).expect("readable").count() > 0);
}

#[test]
fn in_a_sweep_n_starts_the_next_run_and_q_ends_it() {
    let Some(terminal) = Terminal::open("sweep", 80, 24) else { return };
    let settings = TINY.join(" ");
    let command = format!(
        "{} sweep --dir grid {settings} --set training.steps=1000000 --grid model.dropout=0.0,0.1,0.2; echo code $?",
        env!("CARGO_BIN_EXE_kiln")
    );
    terminal.keys(&[&command, "Enter"]);
    terminal.wait("first run", |screen| screen.contains("run 1 of 3") && screen.contains("tokens/s"));
    terminal.keys(&["n"]);
    terminal.wait("second run", |screen| screen.contains("run 2 of 3") && screen.contains("tokens/s"));
    terminal.keys(&["q"]);
    let end = terminal.wait("exit code", |screen| screen.contains("code 130"));
    assert!(end.contains("the same command"), "{end}");
}

/// Whoever presses `q` waits for no figures; the run says how to go on instead.
#[test]
fn q_ends_a_run_of_fine_tuning_without_figures() {
    let Some(terminal) = Terminal::open("tuning", 100, 30) else { return };
    let base = ["--run-dir", "base", "--set", "training.steps=4"];
    common::stdout(&common::train(terminal.path(), base));
    let lines = (0..60).map(|n| format!("{n} {}\n", if n % 2 == 0 { "prize,spam" } else { "lunch,ham" }));
    std::fs::write(terminal.path().join("texts.csv"), format!("text,label\n{}", lines.collect::<String>()))
        .expect("writable");
    let command = format!(
        "{} finetune classify --model base --data texts.csv --run-dir tuned --epochs 100000 --set \
         training.eval_interval=20; echo code $?",
        env!("CARGO_BIN_EXE_kiln")
    );
    terminal.keys(&[&command, "Enter"]);
    terminal.wait("an evaluation", |screen| screen.contains("best validation") && screen.contains("at step"));
    terminal.keys(&["q"]);
    let end = terminal.wait("exit code", |screen| screen.contains("code 0"));
    assert!(end.contains("--run-dir tuned --resume"), "{end}");
    assert!(terminal.path().join("tuned/model").is_dir());
    assert!(!terminal.path().join("tuned/results.json").exists());
    terminal.assert_clean();
}
