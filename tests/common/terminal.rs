//! A terminal for the program, which tmux plays, and its screen read back.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// How long the program may take for anything.
const PATIENCE: Duration = Duration::from_secs(120);

/// A shell in a terminal of its own.
pub struct Terminal {
    socket: String,
    folder: tempfile::TempDir,
}

impl Terminal {
    /// `None` where there is no tmux.
    pub fn open(name: &str, width: u16, height: u16) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let socket = folder.path().join(name).display().to_string();
        let terminal = Self { socket, folder };
        let (width, height) = (width.to_string(), height.to_string());
        let path = terminal.path().display().to_string();
        let started = terminal.command(&[
            "-f",
            "/dev/null",
            "new-session",
            "-d",
            "-x",
            &width,
            "-y",
            &height,
            "-c",
            &path,
            "sh",
        ]);
        match started {
            Ok(output) if output.status.success() => {}
            Ok(output) => panic!("tmux: {}", String::from_utf8_lossy(&output.stderr)),
            Err(_) => {
                eprintln!("skipped: tmux is not installed");
                return None;
            }
        }
        terminal.keys(&["PS1='ready> '; clear", "Enter"]);
        terminal.wait("ready>", |screen| screen.trim_end() == "ready>");
        Some(terminal)
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn command(&self, args: &[&str]) -> std::io::Result<std::process::Output> {
        Command::new("tmux").args(["-S", &self.socket]).args(args).env_remove("TMUX").output()
    }

    pub fn keys(&self, keys: &[&str]) {
        let args: Vec<&str> = ["send-keys"].into_iter().chain(keys.iter().copied()).collect();
        assert!(self.command(&args).expect("tmux is there").status.success());
    }

    pub fn screen(&self) -> String {
        let output = self.command(&["capture-pane", "-p"]).expect("tmux is there");
        String::from_utf8(output.stdout).expect("a screen is text")
    }

    /// Waits until the screen is as wanted.
    pub fn wait(&self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let began = Instant::now();
        loop {
            let screen = self.screen();
            if wanted(&screen) {
                return screen;
            }
            assert!(began.elapsed() < PATIENCE, "no {what}:\n{screen}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Whether the terminal is a plain one again: a prompt, an echo of what is typed, a cursor.
    pub fn assert_clean(&self) {
        self.wait("prompt", |screen| screen.trim_end().ends_with("ready>"));
        self.keys(&["echo st''ill here", "Enter"]);
        self.wait("echo", |screen| screen.contains("\nstill here") && screen.contains("echo st''ill here"));
        let state = ["display-message", "-p", "#{cursor_flag} #{alternate_on}"];
        let state = self.command(&state).expect("tmux is there");
        assert_eq!(
            String::from_utf8_lossy(&state.stdout).trim(),
            "1 0",
            "a cursor, and not the alternate screen"
        );
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.command(&["kill-server"]);
    }
}
