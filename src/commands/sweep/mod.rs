//! `kiln sweep`: one run for each combination of a grid, each in a process of its own, and a table of how they went.

mod grid;
mod table;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus};

use anyhow::{Context, Result, bail};
use kiln_training::RunDir;

use self::grid::{Dimension, Point, combinations};
use self::table::Row;
use crate::cli::training::Sweep;
use crate::{settings, signals};

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
    for (number, (point, steps)) in points.iter().zip(&steps).enumerate() {
        let directory = args.dir.join(point.name());
        if is_done(&directory, *steps)? {
            eprintln!("run {} of {}: {} is done", number + 1, points.len(), directory.display());
            continue;
        }
        eprintln!("run {} of {}: {}", number + 1, points.len(), directory.display());
        let status = train(&args, point, &directory)?;
        if let Some(code) = interrupted(status) {
            eprintln!("continue with the same command; what is done stays done");
            return Ok(ExitCode::from(code));
        }
        if let Some(signal) = stop.reason() {
            return Ok(signals::exit_code(signal));
        }
        if !status.success() {
            // A learning rate that diverges is a result like another.
            eprintln!("{}: the run failed ({status})", directory.display());
        }
    }
    let rows = points
        .iter()
        .map(|point| Row::read(point.name(), &args.dir.join(point.name())))
        .collect::<Result<Vec<_>>>()?;
    table::print(rows, &args.dir, args.json)?;
    Ok(ExitCode::SUCCESS)
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
fn train(args: &Sweep, point: &Point, directory: &Path) -> Result<ExitStatus> {
    let program: PathBuf = std::env::current_exe().context("the path of this program is not known")?;
    let mut command = Command::new(program);
    command.arg("train").arg("--run-dir").arg(directory);
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
    // Its closing words are the table's.
    command.stdout(std::process::Stdio::null());
    let status = command.status().context("the run could not be started")?;
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
