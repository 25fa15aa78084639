//! `kiln data fetch`: a corpus from the network.

use std::io::{IsTerminal, Write as _, stderr};

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};
use kiln_datasets::{DEFAULT_FIELD, FetchOptions, FetchProgress};

use crate::cli::data::Fetch;
use crate::output::{self, print_message};

pub fn run(args: Fetch) -> Result<()> {
    let environment = FetchOptions::from_env();
    let options = FetchOptions { offline: args.offline || environment.offline, ..environment };
    let bar = Fetching::new();
    let mut last = FetchProgress::default();
    let fetched = kiln_datasets::fetch(&args.name, args.out.as_deref(), &options, &mut |progress| {
        bar.show(progress, &last);
        last.clone_from(progress);
    });
    bar.0.finish_and_clear();
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

/// A bar in a terminal, a line for each file elsewhere.
struct Fetching(ProgressBar);

impl Fetching {
    fn new() -> Self {
        let template = "{msg} {bar:30} {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left";
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        Self(ProgressBar::new(0).with_style(style))
    }

    fn show(&self, progress: &FetchProgress, last: &FetchProgress) {
        let name = &progress.file;
        if let Some(reason) = progress.retry.as_ref().filter(|_| progress.retry != last.retry) {
            self.0.suspend(|| print_message(format_args!("{name}: trying again after: {reason}")));
        }
        if !stderr().is_terminal() && progress.file != last.file {
            let size =
                progress.total.map_or(String::new(), |total| format!(", {:.1} MB", total as f64 / 1e6));
            print_message(format_args!("{name}{size}"));
        }
        self.0.set_message(name.clone());
        self.0.set_length(progress.total.unwrap_or(progress.bytes));
        self.0.set_position(progress.bytes);
    }
}
