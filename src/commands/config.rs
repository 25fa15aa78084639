//! `kiln config`: every key of a run's configuration.

use std::io::Write as _;

use anyhow::{Result, bail};

use crate::cli::training::Config;
use crate::output;
use crate::settings::{self, EMBEDDED, Row};

/// Widest column of names and of defaults.
const WIDEST: usize = 28;

pub fn run(args: Config) -> Result<()> {
    let mut out = output::stdout();
    if args.file {
        write!(out, "{EMBEDDED}")?;
        return Ok(());
    }
    let rows = chosen(args.key.as_deref())?;
    let width = |text: fn(&Row) -> String| {
        rows.iter().map(|row| text(row).chars().count()).max().unwrap_or(0).min(WIDEST)
    };
    let (names, defaults) = (width(names), width(|row| row.default.clone()));
    let mut section = "";
    for row in &rows {
        if row.section != section {
            let gap = if section.is_empty() { "" } else { "\n" };
            writeln!(out, "{gap}[{}]", row.section)?;
            section = &row.section;
        }
        let line = format!("{:<names$}  {:<defaults$}  {}", self::names(row), row.default, row.meaning);
        writeln!(out, "{}", line.trim_end())?;
    }
    writeln!(out, "\nchange one for a run:  kiln train --set {}=…", example(&rows[0]))?;
    Ok(())
}

/// All rows, those of a section, or that of a key, with or without its section.
fn chosen(key: Option<&str>) -> Result<Vec<Row>> {
    let mut rows = settings::table();
    let Some(wanted) = key else { return Ok(rows) };
    rows.retain(|row| {
        let is = |key: &String| key == wanted || format!("{}.{key}", row.section) == wanted;
        row.section == wanted || row.keys.iter().any(is)
    });
    if rows.is_empty() {
        match settings::key_named(wanted) {
            Some(key) => bail!("{wanted}: no such key\nhint: did you mean `{key}`?"),
            None => bail!("{wanted}: no such key or section\nhint: `kiln config` lists all"),
        }
    }
    Ok(rows)
}

fn names(row: &Row) -> String {
    row.keys.join(", ")
}

fn example(row: &Row) -> String {
    format!("{}.{}", row.section, row.keys[0])
}
