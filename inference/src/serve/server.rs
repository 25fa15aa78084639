//! From a listener to its end: the two threads, the connections, and how both stop.

use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, mpsc};
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use kiln_datasets::examples::ExampleEncoder;
use kiln_model::{Backend, GptConfig, GptModel};
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, sleep, timeout};

use super::app::{App, Facts, router};
use super::connection::Connection;
use super::fresh;
use super::guard::Guard;
use super::metrics::Metrics;
use super::options::{ServeOptions, ServedModel};
use super::phase::Phase;
use super::worker;
use crate::engine::EngineOptions;
use crate::error::{Error, Result};

/// Connections at the same time.
const CONNECTIONS: usize = 256;

/// Time that the head of a request has to arrive.
const HEAD: Duration = Duration::from_secs(10);

/// How often it is asked whether the server is to end.
const POLL: Duration = Duration::from_millis(20);

/// Time that answers have to reach their clients once everything is over.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Bytes of keys and values that stay of texts that are over, for prompts that start alike.
const KEPT: usize = 256 << 20;

/// Answers whoever connects to `listener`, until `should_stop` says so; then takes nothing new, and returns when all texts are
/// over or cut off.
///
/// # Errors
///
/// [`Error::Server`] if the listener or a thread cannot be used, [`Error::Data`] from a tokenizer that is damaged.
///
/// # Panics
///
/// If the model panics.
pub fn serve<B: Backend>(
    listener: TcpListener,
    served: ServedModel<B>,
    options: ServeOptions,
    should_stop: impl Fn() -> bool + Send,
) -> Result<()> {
    let (sender, phase) = watch::channel(Phase::Serving);
    let (texts, arriving) = mpsc::channel();
    let (metrics, works) = (Arc::<Metrics>::default(), Arc::new(AtomicBool::new(true)));
    let address = listener.local_addr().map_err(Error::Server)?;
    let (model, facts) = facts(served)?;
    let room = EngineOptions::new(options.slots).keeping(kept_positions(model.config()));
    let guard = Guard::new(&options, address.ip());
    let (shared, still) = (Arc::clone(&metrics), Arc::clone(&works));
    let app = App { facts, options, metrics: shared, texts, phase, guard, works: still };
    std::thread::scope(|scope| {
        let http = std::thread::Builder::new().name("http".to_owned());
        let http = http.spawn_scoped(scope, move || answer(listener, app, &sender, &should_stop));
        let http = http.map_err(Error::Server)?;
        // Of a panic too: then nobody answers any more, and the other thread must end.
        let _ending = Ending(works);
        worker::run(&model, room, &arriving, &metrics);
        http.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)).map_err(Error::Server)
    })
}

/// Says that the worker is gone when it goes.
struct Ending(Arc<AtomicBool>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// The model, and what is known of it.
fn facts<B: Backend>(served: ServedModel<B>) -> Result<(GptModel<B>, Facts)> {
    let ServedModel { id, model, template, kit } = served;
    let (model, tokenizer, special_tokens) = model.into_parts();
    let (rows, context_length) = (model.config().vocab_size, model.config().context_length);
    let turn_end = tokenizer.turn_end().filter(|token| (*token as usize) < rows);
    let encoder =
        template.clone().map(|template| ExampleEncoder::new(&tokenizer, template, context_length, false));
    let facts = Facts {
        id,
        created: fresh::now(),
        ends_of_turns: special_tokens.end.iter().copied().chain(turn_end).collect(),
        special_tokens,
        encoder: encoder.transpose()?,
        chat_template: template.map(|template| template.jinja(&tokenizer)).transpose()?,
        kit,
        schemas: OnceLock::new(),
        tokenizer,
        context_length,
        rows,
    };
    Ok((model, facts))
}

/// Positions whose keys and values have room in [`KEPT`].
fn kept_positions(config: &GptConfig) -> usize {
    let heads = config.n_kv_heads.unwrap_or(config.n_heads);
    KEPT / (2 * config.n_layers * heads * config.head_dim() * size_of::<f32>())
}

/// The thread that speaks HTTP.
fn answer(
    listener: TcpListener,
    app: App,
    phase: &watch::Sender<Phase>,
    should_stop: &dyn Fn() -> bool,
) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    listener.set_nonblocking(true)?;
    let app = Arc::new(app);
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let connections = GracefulShutdown::new();
        tokio::select! {
            () = accept(&listener, router(Arc::clone(&app)), &connections) => {}
            () = end(&app, phase, should_stop) => {}
        }
        // Those that still talk are cut off when the runtime goes.
        let _ = timeout(LAST_WORDS, connections.shutdown()).await;
        Ok(())
    })
}

/// Takes connections, for ever.
async fn accept(listener: &tokio::net::TcpListener, router: Router, connections: &GracefulShutdown) {
    let free = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(permit) = Arc::clone(&free).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file descriptors, most likely: some will be free soon.
            sleep(POLL).await;
            continue;
        };
        // Tokens are small, and are to arrive one by one.
        let _ = stream.set_nodelay(true);
        let mut server = http1::Builder::new();
        server.timer(TokioTimer::new()).header_read_timeout(HEAD);
        let service = TowerToHyperService::new(router.clone());
        let connection = server.serve_connection(TokioIo::new(Connection::new(stream)), service);
        let connection = connections.watch(connection);
        tokio::spawn(async move {
            // Clients break off as they like.
            let _ = connection.await;
            drop(permit);
        });
    }
}

/// Returns when the server is to end and has nothing more to do, or no more time.
async fn end(app: &App, phase: &watch::Sender<Phase>, should_stop: &dyn Fn() -> bool) {
    let works = || app.works.load(Ordering::Relaxed);
    while !should_stop() && works() {
        sleep(POLL).await;
    }
    phase.send_replace(Phase::Draining);
    let deadline = Instant::now() + app.options.drain;
    while app.metrics.load() > 0 && Instant::now() < deadline && works() {
        sleep(POLL).await;
    }
    phase.send_replace(Phase::Over);
}
