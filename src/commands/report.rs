//! `kiln report`: runs compared on one page.

use anyhow::{Result, bail};

use crate::cli::training::Report;

pub fn run(args: Report) -> Result<()> {
    if args.to.is_dir() {
        bail!("{}: a directory\nhint: name a file, for instance `--to report.html`", args.to.display());
    }
    let page = kiln_training::report(&args.runs)?;
    kiln_model::write_file(&args.to, page)?;
    println!("{}", args.to.display());
    Ok(())
}
