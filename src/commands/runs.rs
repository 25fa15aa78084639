//! `kiln runs`: the runs of a folder, newest first.

use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::{Result, bail};
use kiln_training::RunDir;
use serde_json::{Value, json};
use toml::Table;

use crate::cli::training::Runs;
use crate::commands::newest::{Found, look, runs_in};
use crate::output;

/// A line of the table.
struct Line {
    found: Found,
    steps: usize,
    /// Steps of the whole run.
    of: Option<i64>,
    /// Best validation loss and its step.
    best: Option<(f64, usize)>,
    tokens: u64,
    seconds: f64,
    /// Millions of parameters cannot be told without the weights; the shape can.
    shape: String,
    state: &'static str,
}

pub fn run(args: Runs) -> Result<()> {
    let runs = runs_in(&args.folder);
    if runs.is_empty() && !args.json {
        bail!("{}: no run here\nhint: `kiln train` makes one, or name another folder", args.folder.display());
    }
    let lines = runs.into_iter().map(Line::read).collect::<Result<Vec<_>>>()?;
    if args.json {
        let runs: Vec<Value> = lines.iter().map(Line::json).collect();
        writeln!(output::stdout(), "{}", json!({ "runs": runs }))?;
        return Ok(());
    }
    print(&lines)
}

impl Line {
    fn read(found: Found) -> Result<Self> {
        let run = look(&found.path)?;
        let history = run.history()?;
        let last = history.steps.last().copied().unwrap_or_default();
        let config: Table = run.config().ok().and_then(|text| text.parse().ok()).unwrap_or_default();
        let number = |section: &str, key: &str| config.get(section)?.get(key)?.as_integer();
        let of = number("training", "steps");
        let shape = match (number("model", "n_layers"), number("model", "d_model")) {
            (Some(layers), Some(width)) => format!("{layers} × {width}"),
            _ => String::new(),
        };
        let state = match () {
            () if RunDir::is_busy(&found.path) => "training",
            () if run.failure().is_some() => "failed",
            () if of.is_some_and(|of| last.step as i64 >= of) => "finished",
            () => "stopped",
        };
        let best = history.best().map(|record| (record.loss, record.step));
        Ok(Self {
            found,
            steps: last.step,
            of,
            best,
            tokens: last.tokens,
            seconds: last.seconds,
            shape,
            state,
        })
    }

    fn json(&self) -> Value {
        json!({ "run_dir": self.found.path.display().to_string(), "state": self.state, "steps": self.steps, "steps_of": self.of,
            "loss": self.best.map(|best| best.0), "best_step": self.best.map(|best| best.1), "tokens": self.tokens,
            "seconds": self.seconds })
    }
}

fn print(lines: &[Line]) -> Result<()> {
    let mut out = output::stdout();
    let name = |line: &Line| line.found.path.display().to_string();
    let width = lines.iter().map(|line| name(line).chars().count()).max().unwrap_or(0).max("run".len());
    writeln!(
        out,
        "{:<width$}  {:<8}  {:>15}  {:>10}  {:>10}  {:>8}  {:>7}",
        "run", "state", "steps", "validation", "model", "trained", "changed"
    )?;
    for line in lines {
        let of = line.of.map_or(String::new(), |of| format!(" / {of}"));
        writeln!(
            out,
            "{:<width$}  {:<8}  {:>15}  {:>10}  {:>10}  {:>8}  {:>7}",
            name(line),
            line.state,
            format!("{}{of}", line.steps),
            line.best.map_or("–".to_owned(), |(loss, _)| format!("{loss:.4}")),
            line.shape,
            short(Duration::try_from_secs_f64(line.seconds).unwrap_or_default()),
            age(line.found.changed),
        )?;
    }
    let newest = name(&lines[0]);
    let newest = Path::new(&newest).strip_prefix("runs").unwrap_or(Path::new(&newest)).display();
    writeln!(out, "\nmore of one:  kiln info {newest}")?;
    Ok(())
}

fn age(changed: SystemTime) -> String {
    let age = SystemTime::now().duration_since(changed).unwrap_or_default();
    format!("{} ago", short(age))
}

/// `45 s`, `12 min`, `5 h`, `3 d`.
fn short(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7_200 => format!("{} min", seconds / 60),
        seconds @ 7_200..172_800 => format!("{} h", seconds / 3_600),
        seconds => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_the_unit_that_suits_them() {
        let times = [0, 119, 120, 7_199, 7_200, 172_800].map(|seconds| short(Duration::from_secs(seconds)));
        assert_eq!(times, ["0 s", "119 s", "2 min", "119 min", "2 h", "2 d"]);
    }
}
