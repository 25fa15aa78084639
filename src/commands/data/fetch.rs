//! `kiln data fetch`: a corpus from the network.

use std::io::Write as _;

use anyhow::Result;
use kiln_datasets::{DEFAULT_FIELD, FetchOptions};

use crate::cli::data::Fetch;
use crate::commands::download_bar::DownloadBar;
use crate::output::{self, print_message};

pub fn run(args: Fetch) -> Result<()> {
    let environment = FetchOptions::from_env();
    let options = FetchOptions { offline: args.offline || environment.offline, ..environment };
    let mut bar = DownloadBar::new();
    let fetched = kiln_datasets::fetch(&args.name, args.out.as_deref(), &options, &mut |progress| {
        bar.show(progress);
    });
    bar.finish();
    let fetched = fetched?;
    writeln!(output::stdout(), "{}", fetched.path.display())?;
    let field =
        if fetched.field == DEFAULT_FIELD { String::new() } else { format!(" --field {}", fetched.field) };
    print_message(format_args!(
        "prepare it: kiln data prepare --data {}{field} --tokenizer gpt2 --out data/{}",
        fetched.path.display(),
        args.name.trim_end_matches('/').rsplit('/').next().unwrap_or(&args.name)
    ));
    Ok(())
}
