//! What to do about examples that cannot be learned from.

use kiln_datasets::examples::{Flaw, Form};

use super::Reading;

/// What the user can do about `flaw` of a command that reads examples in this way, if there is something.
pub fn hint(flaw: &Flaw, reading: Reading) -> Option<String> {
    Some(match flaw {
        Flaw::NoRecords => {
            "examples are in .jsonl, .json, .csv, .tsv or .parquet files; `kiln train FILE --init-from MODEL` learns plain text"
                .into()
        }
        Flaw::NoColumn { of, .. } => format!(
            "name the column with `--set finetune.{of}_column=NAME`; in a table without a header row name both columns by \
             number, from 1 on"
        ),
        Flaw::OneClass { .. } => "add texts of another class".into(),
        Flaw::UnknownLabel { .. } => "correct it, or put a text with this label among the training texts".into(),
        Flaw::UnknownKeys { .. } => {
            let mut keys: Vec<&str> = Form::ALL.iter().map(|form| form.keys()).collect();
            keys.dedup();
            format!("understood are {}", keys.join("; "))
        }
        Flaw::Mixed { .. } => "keep examples of each form in a file of their own".into(),
        Flaw::OtherForm { found, .. } if found.is_preference() => {
            "`kiln finetune dpo` learns from pairs of answers".into()
        }
        Flaw::OtherForm { .. } => "`kiln finetune instruct` learns from conversations".into(),
        Flaw::EmptyAnswer => "leave the example out, or give that answer a `\"weight\": 0`".into(),
        Flaw::NothingTrained => "an answer has the role assistant, and no weight or `\"weight\": 1`".into(),
        Flaw::Template { .. } if reading == Reading::Fixed => {
            "the template of a model may allow no system text, or only some; `kiln chat --template` takes another".into()
        }
        Flaw::Template { .. } => {
            "correct the example, or choose another template with `--set finetune.template=NAME`: chatml, alpaca, plain, or a Jinja file"
                .into()
        }
        Flaw::NoTurnEnd { .. } => {
            "train the model with `--set tokenizer.chat=true`, which reserves such a token from the start".into()
        }
        Flaw::PromptTooLong { .. } => "shorten the prompts, or use a model with a longer context".into(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_that_is_understood_is_named() {
        let told = hint(&Flaw::UnknownKeys { found: vec!["q".into()] }, Reading::Settings)
            .expect("there is something to do");
        assert!(Form::ALL.iter().all(|form| told.contains(form.keys())), "{told}");
        let preference = Flaw::OtherForm { expected: "conversations", found: Form::Transcripts };
        assert!(hint(&preference, Reading::Settings).expect("another command").contains("finetune dpo"));
        let column = Flaw::NoColumn { of: "label", column: "label".into(), names: Vec::new() };
        assert!(
            hint(&column, Reading::Settings).expect("another name").contains("finetune.label_column=NAME")
        );
    }
}
