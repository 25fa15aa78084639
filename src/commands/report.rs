//! `kiln report`: runs compared on one page.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Result, bail};
use kiln_training::RunDir;

use crate::cli::training::Report;
use crate::commands::newest;
use crate::output::{self, print_message};

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
    if args.open {
        open(&args.to)?;
    }
    Ok(())
}

/// Shows the page in the browser.
fn open(page: &Path) -> Result<()> {
    let opener = match std::env::consts::OS {
        "macos" => "open",
        "windows" => "explorer",
        _ => "xdg-open",
    };
    let started = Command::new(opener).arg(page).stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !started.is_ok_and(|status| status.success() || opener == "explorer") {
        print_message(format_args!("{opener} shows no page here; open {} in a browser", page.display()));
    }
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
