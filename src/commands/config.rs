//! `kiln config`: every key of a run's configuration.

use std::io::Write as _;

use anyhow::{Result, bail};

use crate::cli::training::Config;
use crate::nearest::nearest;
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
        match settings::key_named(wanted).or_else(|| alike(wanted)) {
            Some(key) => bail!("{wanted}: no such key\nhint: did you mean `{key}`?"),
            None => bail!("{wanted}: no such key or section\nhint: `kiln config` lists all"),
        }
    }
    Ok(rows)
}

/// The key or section that is called almost so, with or without its section.
fn alike(wanted: &str) -> Option<String> {
    let rows = settings::table();
    let keys = rows.iter().flat_map(|row| row.keys.iter().map(|key| format!("{}.{key}", row.section)));
    let keys: Vec<String> = keys.collect();
    let name = |key: &str| key.split_once('.').map_or(key.to_owned(), |(_, name)| name.to_owned());
    let whole = nearest(wanted, keys.iter().map(String::as_str)).map(str::to_owned);
    whole.or_else(|| {
        let names: Vec<String> = keys.iter().map(|key| name(key)).collect();
        let sections = rows.iter().map(|row| row.section.as_str());
        nearest(wanted, names.iter().map(String::as_str).chain(sections)).map(str::to_owned)
    })
}

fn names(row: &Row) -> String {
    row.keys.join(", ")
}

fn example(row: &Row) -> String {
    format!("{}.{}", row.section, row.keys[0])
}
