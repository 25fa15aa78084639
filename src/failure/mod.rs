//! Errors at the edge of the program: one message with a hint, one exit code.
//!
//! The libraries say what is wrong, in fields. How to put it right with this command line is said here.

mod adapters;
mod example_hint;
mod hint;
mod inspection;

use std::error::Error;
use std::io::ErrorKind;

use self::hint::hint;

pub use self::hint::Reading;

/// The chain of causes in one text, and what to do about it. A cause that its outer error already spells out
/// is not repeated.
pub fn message(error: &anyhow::Error, reading: Reading) -> String {
    let mut text = String::new();
    for cause in error.chain() {
        let cause = cause.to_string();
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    match hint(error, reading) {
        Some(hint) if !text.contains(&hint) => format!("{text}\nhint: {hint}"),
        _ => text,
    }
}

/// 2 for what the user can put right in the command or in a file, 1 for what failed on the way.
pub fn exit_code(error: &anyhow::Error) -> u8 {
    use ErrorKind::{
        AlreadyExists, InvalidData, InvalidInput, IsADirectory, NotADirectory, NotFound, ResourceBusy,
    };
    match error.chain().find_map(kind) {
        None | Some(NotFound | AlreadyExists | IsADirectory | NotADirectory) => 2,
        Some(InvalidData | InvalidInput | ResourceBusy) => 2,
        Some(_) => 1,
    }
}

/// The class of a cause, where it has one.
fn kind(cause: &(dyn Error + 'static)) -> Option<ErrorKind> {
    let model = || cause.downcast_ref().map(kiln_model::Error::kind);
    let datasets = || cause.downcast_ref().map(kiln_datasets::Error::kind);
    let training = || cause.downcast_ref().map(kiln_training::Error::kind);
    let inference = || cause.downcast_ref().map(kiln_inference::Error::kind);
    let system = || cause.downcast_ref().map(std::io::Error::kind);
    model().or_else(datasets).or_else(training).or_else(inference).or_else(system)
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    fn io(kind: ErrorKind) -> std::io::Error {
        std::io::Error::from(kind)
    }

    #[test]
    fn what_the_user_can_put_right_is_told_from_what_failed() {
        let model = |kind| kiln_model::Error::Io { path: "model".into(), source: io(kind) };
        let training = |kind| kiln_training::Error::Model(model(kind));
        assert_eq!(exit_code(&anyhow::anyhow!("--weights: 2 of them for 1 --data")), 2);
        assert_eq!(exit_code(&io(ErrorKind::NotFound).into()), 2);
        assert_eq!(exit_code(&io(ErrorKind::AlreadyExists).into()), 2);
        assert_eq!(exit_code(&io(ErrorKind::StorageFull).into()), 1);
        assert_eq!(exit_code(&model(ErrorKind::NotFound).into()), 2);
        assert_eq!(exit_code(&training(ErrorKind::StorageFull).into()), 1);
        assert_eq!(exit_code(&kiln_inference::Error::EmptyPrompt.into()), 2);
        let removed = kiln_training::Error::RunRemoved { path: "run".into() };
        assert_eq!(exit_code(&anyhow::Error::from(removed).context("in the end")), 1);
    }

    #[test]
    fn causes_and_hints_are_told_once() {
        let error = anyhow::Error::from(kiln_inference::Error::EmptyPrompt).context("run");
        let told = "run: the prompt is empty\nhint: give at least one character to continue from";
        assert_eq!(message(&error, Reading::Options), told);
        let outer = error.context(told);
        assert_eq!(message(&outer, Reading::Options), told);
        let io: anyhow::Result<()> = Err(io(ErrorKind::NotFound)).context("a.txt");
        assert_eq!(message(&io.expect_err("an error"), Reading::Options), "a.txt: entity not found");
    }
}
