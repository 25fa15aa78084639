//! What all requests share, and which of them goes where.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, mpsc};

use axum::Router;
use axum::http::StatusCode;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post};
use kiln_datasets::Tokenizer;
use kiln_datasets::examples::ExampleEncoder;
use kiln_model::SpecialTokens;
use tokio::sync::watch;

use super::choice::Prompt;
use super::error::{ApiError, Result};
use super::guard::Guard;
use super::metrics::{self, Metrics};
use super::options::ServeOptions;
use super::phase::Phase;
use super::worker::Text;
use super::{chat_completions, completions, generation, guard, health, models, observe, page, tokenize};
use crate::json_schema::JsonSchemas;
use crate::prompt::encode_prompt;
use crate::steer::SteeringKit;

/// What is known of the model.
pub(super) struct Facts {
    /// Its name.
    pub id: String,
    /// Since when it is served, in seconds since 1970.
    pub created: u64,
    /// Its tokenizer.
    pub tokenizer: Tokenizer,
    /// Tokens that begin and end texts.
    pub special_tokens: SpecialTokens,
    /// Tokens that end what the model answers.
    pub ends_of_turns: Vec<u32>,
    /// From conversations to tokens, where there is a template.
    pub encoder: Option<ExampleEncoder>,
    /// The template, as Jinja.
    pub chat_template: Option<String>,
    /// What requests may steer it with.
    pub kit: SteeringKit,
    /// From JSON schemas to rules for its tokens, once somebody asks for one.
    pub schemas: OnceLock<crate::Result<JsonSchemas>>,
    /// Tokens that it sees at most.
    pub context_length: usize,
    /// Tokens that it knows, among them some that the tokenizer may leave out.
    pub rows: usize,
}

impl Facts {
    /// The prompt of a text.
    pub(super) fn prompt(&self, text: &str) -> Result<Prompt> {
        let tokens = encode_prompt(text, &self.tokenizer, &self.special_tokens)?;
        let hidden = if text.is_empty() { tokens.len() } else { self.tokenizer.start_of_text().len() };
        Ok(Prompt { tokens, hidden })
    }
}

/// What all requests share.
pub(super) struct App {
    pub facts: Facts,
    pub options: ServeOptions,
    pub metrics: Arc<Metrics>,
    /// Where texts are generated.
    pub texts: mpsc::Sender<Vec<Text>>,
    /// How far the server is from its end.
    pub phase: watch::Receiver<Phase>,
    /// Who may ask.
    pub guard: Guard,
    /// Whether the worker is there.
    pub works: Arc<AtomicBool>,
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").field("id", &self.facts.id).finish_non_exhaustive()
    }
}

impl App {
    /// How far the server is from its end.
    pub(super) fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// Makes room for so many texts. Whoever comes first may ask for more than there is room for: their number says nothing
    /// of how long they take.
    pub(super) fn reserve(&self, texts: usize) -> Result<()> {
        if self.phase() != Phase::Serving {
            self.metrics.rejected("draining");
            return Err(ApiError::ending());
        }
        if self.metrics.load() >= self.options.slots + self.options.queue {
            self.metrics.rejected("queue_full");
            return Err(generation::busy());
        }
        if !self.works.load(Ordering::Relaxed) {
            return Err(ApiError::internal());
        }
        self.metrics.entered(texts);
        Ok(())
    }
}

/// Every route, behind what is checked of every request.
pub(super) fn router(app: Arc<App>) -> Router {
    let api = Router::new()
        .route("/chat/completions", post(chat_completions::create))
        .route("/completions", post(completions::create))
        .route("/models", get(models::list))
        .route("/models/{*id}", get(models::get));
    Router::new()
        .merge(api.clone())
        .nest("/v1", api)
        .route("/tokenize", post(tokenize::encode))
        .route("/detokenize", post(tokenize::decode))
        .route("/tokenizer_info", get(tokenize::info))
        .route("/health", get(health::get))
        .route("/metrics", get(metrics::get))
        .route("/", get(page::index))
        .route("/app.css", get(page::style))
        .route("/app.js", get(page::script))
        .fallback(async || ApiError::new(StatusCode::NOT_FOUND, "There is no such route on this server."))
        .method_not_allowed_fallback(async || {
            let message = "This route does not know this method.";
            ApiError::new(StatusCode::METHOD_NOT_ALLOWED, message)
        })
        .layer(from_fn_with_state(Arc::clone(&app), guard::key))
        .layer(from_fn_with_state(Arc::clone(&app), guard::origin))
        .layer(from_fn_with_state(Arc::clone(&app), guard::host))
        .layer(from_fn(observe::panics))
        .layer(from_fn_with_state(Arc::clone(&app), observe::count))
        .with_state(app)
}
