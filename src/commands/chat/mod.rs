//! `kiln chat`: talk with a model at the terminal, or ask it once.

mod command;
mod editor;
mod interrupt;
mod question;
mod settings;
mod speech;
mod talk;
mod template;

use std::path::{Path, PathBuf};

use anyhow::Result;
use kiln_datasets::Tokenizer;
use kiln_datasets::examples::Template;
use kiln_inference::{ChatSession, ChatSettings, ModelFiles, TextModel};
use kiln_model::Backend;

use self::talk::Talk;
use crate::backend::{Job, dispatch};
use crate::cli::chat::Chat;
use crate::commands::shell::quoted;
use crate::commands::{newest, steering};
use crate::failure::{self, Reading};

pub fn run(mut args: Chat) -> Result<()> {
    let settings = args.settings();
    settings.validate()?;
    let prompt = match &args.model {
        Some(_) => args.target.take().map(|prompt| prompt.to_string_lossy().into_owned()),
        None => args.prompt.take(),
    };
    let directory = model(&args)?;
    let files = crate::files::with_adapter(crate::files::open_model(&directory)?, &args.adapter)?;
    let tokenizer = crate::files::tokenizer_of(&files, None)?;
    let template = template::choose(args.template.as_deref(), &tokenizer, &files)?;
    let question = question::read(prompt)?;
    let backend = args.backend.clone();
    dispatch(&backend, Chatting { args, directory, files, tokenizer, template, settings, question })
}

/// The model that was named, in whose place a prompt is easily typed.
fn model(args: &Chat) -> Result<PathBuf> {
    let named = args.model.as_deref().or(args.target.as_deref());
    newest::model_directory(named).map_err(|error| match &args.target {
        Some(target) if args.model.is_none() && target.as_path() != Path::new("-") && !target.exists() => {
            let prompt = quoted(&target.to_string_lossy());
            let message = failure::message(&error, Reading::Fixed);
            error.context(format!("{message}\nhint: a prompt goes after a model: `kiln chat MODEL {prompt}`"))
        }
        _ => error,
    })
}

struct Chatting {
    args: Chat,
    directory: PathBuf,
    files: ModelFiles,
    tokenizer: Tokenizer,
    template: Template,
    settings: ChatSettings,
    /// The only one, where nobody sits at a terminal.
    question: Option<String>,
}

impl Job for Chatting {
    type Output = ();

    fn run<B: Backend>(self, device: B::Device, _name: &'static str) -> Result<()> {
        let Self { args, directory, files, tokenizer, template, settings, question } = self;
        let steering = steering::steering::<B>(&args.steering, files.config(), &device)?;
        let model = files.load_with_precision::<B>(&device, args.dtype)?;
        let model = TextModel::new(model, tokenizer).with_special_tokens(files.special_tokens());
        let about = format!(
            "{}: a context of {} tokens, template {}",
            directory.display(),
            files.config().context_length,
            template.name()
        );
        let mut session = ChatSession::new(&model, template, settings)?;
        session.set_system(args.system);
        session.set_steering(steering);
        match question {
            Some(question) => speech::print(session.say(&question)?, args.verbose, || false),
            None => Talk::new(session, about, args.verbose)?.run(),
        }
    }
}
