//! The examples of a source: every record by the form that the first has.

use std::path::Path;
use std::sync::Arc;

use super::fields::Fields;
use super::{Flaw, Form, Provenance};
use crate::error::Result;
use crate::source::{ReadOptions, Record, Source};

/// Reads every record with `example`, and tells their form.
pub(super) fn read_examples<T>(
    source: &Source,
    options: &ReadOptions,
    example: impl Fn(Form, &Fields, Provenance) -> Result<T, Flaw>,
) -> Result<(Form, Vec<T>)> {
    let (mut first, mut examples) = (None, Vec::new());
    for file in source.files()? {
        let path: Arc<Path> = file.path.as_path().into();
        file.records(options, true, &mut |Record { location, fields }| {
            let provenance = Provenance { path: Arc::clone(&path), location };
            let read = form(&fields, &mut first).and_then(|form| example(form, &fields, provenance.clone()));
            examples.push(read.map_err(|flaw| provenance.error(flaw))?);
            Ok(())
        })?;
    }
    match first {
        Some(form) => Ok((form, examples)),
        None => Err(Provenance::of_file(&source.location).error(Flaw::NoExamples)),
    }
}

/// The form of a record, which must be that of the first.
fn form(fields: &Fields, first: &mut Option<Form>) -> Result<Form, Flaw> {
    let unknown = || Flaw::UnknownKeys { found: fields.keys().cloned().collect() };
    let found = Form::of(fields).ok_or_else(unknown)?;
    match *first.get_or_insert(found) {
        first if first != found => Err(Flaw::Mixed { first, found }),
        form => Ok(form),
    }
}
