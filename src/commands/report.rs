//! `kiln report`: runs compared on one page.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Result, bail};
use kiln_training::RunDir;

use crate::cli::training::Report;
use crate::commands::newest;
use crate::output;

pub fn run(args: Report) -> Result<()> {
    if args.to.is_dir() {
        bail!("{}: a directory\nhint: name a file, for instance `--to report.html`", args.to.display());
    }
    let runs = runs(&args.runs)?;
    for run in &runs {
        newest::look(run)?;
    }
    let page = kiln_training::report(&runs)?;
    kiln_model::write_file(&args.to, page)?;
    writeln!(output::stdout(), "{}", args.to.display())?;
    Ok(())
}

/// The runs that were named, each folder of runs with all of them; without a name, the newest.
fn runs(named: &[PathBuf]) -> Result<Vec<PathBuf>> {
    if named.is_empty() {
        return Ok(vec![newest::run_directory(None)?]);
    }
    let mut runs = Vec::new();
    for named in named {
        let path = newest::run_directory(Some(named))?;
        let inside = if RunDir::look(&path).is_ok() { Vec::new() } else { newest::runs_in(&path) };
        if inside.is_empty() { runs.push(path) } else { runs.extend(inside.into_iter().map(|run| run.path)) }
    }
    Ok(runs)
}
