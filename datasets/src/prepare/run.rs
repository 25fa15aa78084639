//! Preparing from end to end, new or resumed.

use std::io::ErrorKind;
use std::path::Path;

use super::journal::Journal;
use super::plan::Plan;
use super::{Manifest, PrepareOptions, PrepareProgress, assemble, pipeline};
use crate::error::{Error, Result};
use crate::{Source, Tokenizer};

/// Folder of unfinished work in the output folder.
const SCRATCH: &str = ".prepare";

/// Encodes `sources` with `tokenizer` into two shards in `folder`, and describes them there in a
/// [`Manifest`].
///
/// An attempt that was cut off resumes when this is called again with the same arguments, and gives the same
/// bytes. If everything is there already, only what an attempt left behind is removed.
///
/// # Errors
///
/// What [`Source::files`] says; the first bad document, unless they are skipped; [`Error::Prepared`] if the
/// folder holds something else, [`Error::Busy`] if another process works there; [`Error::NoText`] if there is
/// no document. Nothing is left in `folder` then, except for what another attempt can use after
/// [`Error::Io`].
pub fn prepare(
    sources: &[Source],
    tokenizer: &Tokenizer,
    folder: &Path,
    options: &PrepareOptions,
    progress: &mut dyn FnMut(PrepareProgress),
) -> Result<Manifest> {
    let plan = Plan::make(sources, tokenizer, options)?;
    let scratch = folder.join(SCRATCH);
    // Best effort: what is left there does no harm.
    let clean = || drop(std::fs::remove_dir_all(&scratch));
    if let Some(manifest) = finished(&plan, folder)? {
        clean();
        return Ok(manifest);
    }
    let existed = folder.exists();
    std::fs::create_dir_all(&scratch).map_err(Error::io(&scratch))?;
    let mut journal = Journal::open(&scratch, plan.fingerprint())?;
    // Whoever held the journal until now may have finished.
    if let Some(done) = finished(&plan, folder).transpose() {
        clean();
        return done;
    }
    let outcome = pipeline::run(&plan, &scratch, &mut journal, progress)
        .and_then(|()| assemble::join(&plan, &journal, &scratch, folder));
    if !outcome.as_ref().is_err_and(is_passing) {
        clean();
        if outcome.is_err() && !existed {
            // Only if it is empty: someone else may have written there meanwhile.
            let _ = std::fs::remove_dir(folder);
        }
    }
    outcome
}

/// The manifest of a folder that is complete; an error if it is about another plan.
fn finished(plan: &Plan<'_>, folder: &Path) -> Result<Option<Manifest>> {
    match Manifest::read(folder)? {
        Some(manifest) if manifest.plan != plan.fingerprint() => {
            Err(Error::Prepared { path: folder.to_owned() })
        }
        manifest => Ok(manifest),
    }
}

/// Whether another attempt with the same arguments may succeed, as when the disk was full.
fn is_passing(error: &Error) -> bool {
    matches!(error, Error::Io { source, .. } if source.kind() != ErrorKind::InvalidData)
}
