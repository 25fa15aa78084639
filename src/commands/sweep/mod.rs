//! `kiln sweep`: one run for each combination of a grid, each in a process of its own, and a table of how they went.

mod grid;
mod table;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus, Stdio};

use anyhow::{Context, Result, bail};
use kiln_training::{Part, RunDir};

use self::grid::{Dimension, Point, combinations};
use self::table::{Outcome, Row};
use crate::cli::training::Sweep;
use crate::output::print_message;
use crate::{settings, signals};

/// The exit code of a run after which the next one is to start, although it has not come to its end.
pub const STOPPED_BY_HAND: u8 = 3;

pub fn run(args: Sweep) -> Result<ExitCode> {
    let grid = args.grid.iter().map(|text| Dimension::parse(text)).collect::<Result<Vec<_>>>()?;
    let points = combinations(&grid)?;
    crate::backend::check(&args.backend)?;
    // All mistakes before the first run, not hours later.
    let mut steps = Vec::new();
    for point in &points {
        let set: Vec<String> = args.set.iter().cloned().chain(point.changes()).collect();
        steps.push(settings::load(args.config.as_deref(), &set)?.0.training.steps);
    }

    let stop = signals::handle()?;
    let mut rows = Vec::new();
    for (number, (point, steps)) in (1..).zip(points.iter().zip(&steps)) {
        let directory = args.dir.join(point.name());
        let part = Part { number, of: points.len() };
        let done = is_done(&directory, *steps)?;
        let note = if done { " is done" } else { "" };
        print_message(format_args!("run {number} of {}: {}{note}", part.of, directory.display()));
        let mut outcome = Outcome::Finished;
        if !done {
            let status = train(&args, point, part, &directory)?;
            if let Some(code) = interrupted(status) {
                print_message("continue with the same command; what is done stays done");
                return Ok(ExitCode::from(code));
            }
            if let Some(signal) = stop.reason() {
                return Ok(signals::exit_code(signal));
            }
            outcome = match status.code() {
                Some(0) => Outcome::Finished,
                Some(code) if code == i32::from(STOPPED_BY_HAND) => Outcome::Stopped,
                // A learning rate that diverges is a result like another.
                _ => Outcome::Failed(failure(&directory, status)),
            };
        }
        rows.push(Row::read(point.name(), &directory, outcome)?);
    }
    let failed = rows.iter().any(Row::failed);
    table::print(rows, &args.dir, args.json)?;
    Ok(ExitCode::from(u8::from(failed)))
}

/// Why a run failed: what it wrote down, or how its process ended.
fn failure(directory: &Path, status: ExitStatus) -> String {
    let written = RunDir::look(directory).ok().and_then(|run| run.failure());
    let failure = written.unwrap_or_else(|| status.to_string());
    print_message(format_args!("{}: the run failed: {failure}", directory.display()));
    failure
}

/// Whether the run has come to its last step and was evaluated there.
fn is_done(directory: &Path, steps: usize) -> Result<bool> {
    if !RunDir::holds_run(directory) {
        return Ok(false);
    }
    let Ok(run) = RunDir::look(directory) else { return Ok(false) };
    Ok(run.history()?.evaluations.last().is_some_and(|evaluation| evaluation.step >= steps))
}

/// Trains one combination, from its newest checkpoint if it was started before.
fn train(args: &Sweep, point: &Point, part: Part, directory: &Path) -> Result<ExitStatus> {
    let program: PathBuf = std::env::current_exe().context("the path of this program is not known")?;
    let mut command = Command::new(program);
    command.arg("train").arg("--run-dir").arg(directory).arg("--part").arg(part.to_string());
    if RunDir::holds_run(directory) {
        command.arg("--resume");
    }
    if let Some(config) = &args.config {
        command.arg("--config").arg(config);
    }
    for change in args.set.iter().cloned().chain(point.changes()) {
        command.arg("--set").arg(change);
    }
    for (option, value) in [("--backend", &args.backend.backend), ("--device", &args.backend.device)] {
        if let Some(value) = value {
            command.arg(option).arg(value);
        }
    }
    if args.plain {
        command.arg("--plain");
    }
    // Its closing words are the table's. Its standard input ends with this program, and the run with it.
    command.stdout(Stdio::null()).stdin(Stdio::piped());
    let mut run = command.spawn().context("the run could not be started")?;
    let lifeline = run.stdin.take();
    let status = run.wait().context("the run was lost")?;
    drop(lifeline);
    if status.code() == Some(2) {
        bail!("{}: the run was refused, see above", directory.display());
    }
    Ok(status)
}

/// The exit code to pass on where a signal ended the run: Control-C reaches it and this program alike.
fn interrupted(status: ExitStatus) -> Option<u8> {
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    #[cfg(unix)]
    let code = code.or_else(|| {
        use std::os::unix::process::ExitStatusExt;
        status.signal().and_then(|signal| u8::try_from(128 + signal).ok())
    });
    code.filter(|code| *code > 128)
}
