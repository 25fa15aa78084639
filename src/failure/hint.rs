//! What to do about an error of a library, in the words of the command line.
//!
//! A hint is found as long as the error is in the chain of causes: add to it with `context`, and do not turn it into
//! text.

use std::error::Error;

/// What the user can do about `error`, if there is something.
pub fn hint(error: &anyhow::Error) -> Option<String> {
    error.chain().find_map(|cause: &(dyn Error + 'static)| {
        let model = || cause.downcast_ref().and_then(model);
        let datasets = || cause.downcast_ref().and_then(datasets);
        let training = || cause.downcast_ref().and_then(training);
        let inference = || cause.downcast_ref().and_then(inference);
        model().or_else(datasets).or_else(training).or_else(inference)
    })
}

fn model(error: &kiln_model::Error) -> Option<String> {
    use kiln_model::Error;
    Some(match error {
        Error::NoModel { .. } => {
            "name a directory that `kiln train` or transformers' `save_pretrained` wrote".to_owned()
        }
        _ => return None,
    })
}

fn datasets(error: &kiln_datasets::Error) -> Option<String> {
    use kiln_datasets::Error;
    Some(match error {
        Error::Prepared { .. } => "choose another --out, or remove this folder".to_owned(),
        _ => return None,
    })
}

fn training(error: &kiln_training::Error) -> Option<String> {
    use kiln_training::Error;
    Some(match error {
        Error::RunExists { path } => {
            let path = path.display();
            format!(
                "continue it with `kiln train --run-dir {path} --resume`, or choose another place with `--run-dir`"
            )
        }
        Error::Model(source) => return model(source),
        Error::Data(source) => return datasets(source),
        _ => return None,
    })
}

fn inference(error: &kiln_inference::Error) -> Option<String> {
    use kiln_inference::Error;
    Some(match error {
        Error::EmptyPrompt => "give at least one character to continue from".to_owned(),
        _ => return None,
    })
}
