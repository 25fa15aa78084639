//! `kiln report`: runs compared on one page.

use anyhow::{Result, bail};

use crate::cli::Report;

pub fn run(args: Report) -> Result<()> {
    if args.to.is_dir() {
        bail!("{}: a directory\nhint: name a file, for instance `--to report.html`", args.to.display());
    }
    let page = kiln_training::comparison(&args.runs)?;
    let write = |temporary: &std::path::Path| {
        std::fs::write(temporary, &page)
            .map_err(|source| kiln_model::Error::Io { path: temporary.to_owned(), source })
    };
    kiln_model::write_atomically(&args.to, write)?;
    println!("{}", args.to.display());
    Ok(())
}
