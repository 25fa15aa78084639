//! `/metrics`: what happens on the server, as Prometheus reads it.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

use super::app::App;
use super::histogram::Histogram;

/// All figures.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    /// Texts that were asked for and are not over.
    load: AtomicUsize,
    /// Those of them that have a slot.
    running: AtomicUsize,
    counters: Mutex<Counters>,
}

#[derive(Debug, Default)]
struct Counters {
    requests: BTreeMap<(String, u16), u64>,
    rejected: BTreeMap<&'static str, u64>,
    prompt_tokens: usize,
    cached_tokens: usize,
    generated_tokens: usize,
    cancelled: usize,
    queued: Histogram,
    first_token: Histogram,
    between_tokens: Histogram,
}

impl Metrics {
    fn counters(&self) -> MutexGuard<'_, Counters> {
        self.counters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Texts that were asked for and are not over.
    pub(super) fn load(&self) -> usize {
        self.load.load(Ordering::Relaxed)
    }

    /// So many texts more were asked for.
    pub(super) fn entered(&self, texts: usize) {
        self.load.fetch_add(texts, Ordering::Relaxed);
    }

    /// So many texts are over.
    pub(super) fn left(&self, texts: usize) {
        self.load.fetch_sub(texts, Ordering::Relaxed);
    }

    /// So many texts have a slot.
    pub(super) fn set_running(&self, texts: usize) {
        self.running.store(texts, Ordering::Relaxed);
    }

    /// A request was answered.
    pub(super) fn answered(&self, route: &str, status: u16) {
        *self.counters().requests.entry((route.to_owned(), status)).or_default() += 1;
    }

    /// A request was not taken.
    pub(super) fn rejected(&self, reason: &'static str) {
        *self.counters().rejected.entry(reason).or_default() += 1;
    }

    /// A client left before so many of its texts were over.
    pub(super) fn cancelled(&self, texts: usize) {
        self.counters().cancelled += texts;
    }

    /// A text got its slot after this time.
    pub(super) fn waited(&self, time: Duration) {
        self.counters().queued.observe(time);
    }

    /// A prompt of `tokens` was read, `cached` of which had been read before.
    pub(super) fn read(&self, tokens: usize, cached: usize) {
        let mut counters = self.counters();
        counters.prompt_tokens += tokens;
        counters.cached_tokens += cached;
    }

    /// The first token of a text came this long after it was asked for.
    pub(super) fn first_token(&self, time: Duration) {
        let mut counters = self.counters();
        counters.generated_tokens += 1;
        counters.first_token.observe(time);
    }

    /// A further token came this long after the one before.
    pub(super) fn next_token(&self, time: Duration) {
        let mut counters = self.counters();
        counters.generated_tokens += 1;
        counters.between_tokens.observe(time);
    }

    fn text(&self) -> String {
        let (running, load, counters) = (self.running.load(Ordering::Relaxed), self.load(), self.counters());
        let mut text = String::new();
        for (kind, name, help, value) in [
            ("gauge", "requests_running", "Texts that are being written.", running),
            ("gauge", "requests_waiting", "Texts that wait for a slot.", load.saturating_sub(running)),
            ("counter", "prompt_tokens_total", "Tokens of prompts.", counters.prompt_tokens),
            ("counter", "cached_prompt_tokens_total", "Those that were read before.", counters.cached_tokens),
            ("counter", "generation_tokens_total", "Tokens that were written.", counters.generated_tokens),
            ("counter", "cancelled_total", "Texts whose client left.", counters.cancelled),
        ] {
            let _ =
                writeln!(text, "# HELP kiln_{name} {help}\n# TYPE kiln_{name} {kind}\nkiln_{name} {value}");
        }
        counters.write(&mut text);
        text
    }
}

impl Counters {
    /// Writes what has labels, and the histograms.
    fn write(&self, text: &mut String) {
        text.push_str("# HELP kiln_requests_total Requests by route and status.\n");
        text.push_str("# TYPE kiln_requests_total counter\n");
        for ((route, status), count) in &self.requests {
            let labels = format!("route=\"{route}\",status=\"{status}\"");
            let _ = writeln!(text, "kiln_requests_total{{{labels}}} {count}");
        }
        text.push_str("# HELP kiln_rejected_total Requests that were not taken.\n");
        text.push_str("# TYPE kiln_rejected_total counter\n");
        for (reason, count) in &self.rejected {
            let _ = writeln!(text, "kiln_rejected_total{{reason=\"{reason}\"}} {count}");
        }
        for (name, help, histogram) in [
            ("kiln_queue_seconds", "Time until a slot was free.", &self.queued),
            ("kiln_time_to_first_token_seconds", "Time until the first token.", &self.first_token),
            ("kiln_inter_token_latency_seconds", "Time between tokens.", &self.between_tokens),
        ] {
            histogram.write(name, help, text);
        }
    }
}

/// All figures, as text.
pub(super) async fn get(State(app): State<Arc<App>>) -> Response {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], app.metrics.text()).into_response()
}
