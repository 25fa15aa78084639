//! Errors at the edge of the program: one message, one exit code.

use std::io::ErrorKind;

/// The chain of causes in one text; a cause that its outer error already spells out is not repeated.
pub fn message(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain() {
        let cause = cause.to_string();
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

/// 2 for what the user can put right in the command or in a file, 1 for what failed on the way.
pub fn exit_code(error: &anyhow::Error) -> u8 {
    use kiln_training::Error::{Diverged, RunRemoved};
    let on_the_way = error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<kiln_training::Error>())
        .any(|error| matches!(error, Diverged { .. } | RunRemoved { .. }));
    let not_downloaded = error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<kiln_datasets::Error>())
        .any(|error| matches!(error, kiln_datasets::Error::Download { .. }));
    let failed = io_kinds(error).any(|kind| {
        let about_the_command = matches!(
            kind,
            ErrorKind::NotFound | ErrorKind::IsADirectory | ErrorKind::NotADirectory | ErrorKind::InvalidData
        );
        !about_the_command
    });
    if on_the_way || not_downloaded || failed { 1 } else { 2 }
}

/// Whoever read our output has seen enough.
pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    io_kinds(error).any(|kind| kind == ErrorKind::BrokenPipe)
}

fn io_kinds(error: &anyhow::Error) -> impl Iterator<Item = ErrorKind> + '_ {
    error.chain().filter_map(|cause| cause.downcast_ref::<std::io::Error>()).map(std::io::Error::kind)
}
