//! An answer piece by piece, as server-sent events: lines of `data:`, and comments while there is nothing to say. Clients of
//! OpenAI's interface stumble over anything else.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName};
use axum::response::Response;
use futures_util::stream;
use serde_json::Value;

use super::choice::Update;
use super::generation::Generation;
use super::reply::Reply;

/// Silence after which a comment says that somebody is there.
const PING: Duration = Duration::from_secs(10);

/// What ends every stream.
const DONE: &str = "data: [DONE]\n\n";

/// Keeps proxies from collecting the pieces.
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// A stream of the pieces of `generation`, with the numbers of tokens at its end if `include_usage`.
pub(super) fn stream(generation: Generation, reply: Reply, include_usage: bool) -> Response {
    let pieces = (0..generation.len()).filter_map(|index| reply.start(index));
    let frames = pieces.map(|piece| frame(&piece)).collect();
    let events = Events { generation, reply, include_usage, frames, is_over: false };
    let body = Body::from_stream(stream::unfold(events, async |mut events| {
        let frame = events.next().await?;
        Some((Ok::<_, Infallible>(Bytes::from(frame)), events))
    }));
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
    response
}

fn frame(piece: &Value) -> String {
    format!("data: {piece}\n\n")
}

struct Events {
    generation: Generation,
    reply: Reply,
    include_usage: bool,
    /// What is to be sent next.
    frames: VecDeque<String>,
    is_over: bool,
}

impl Events {
    async fn next(&mut self) -> Option<String> {
        loop {
            if let Some(frame) = self.frames.pop_front() {
                return Some(frame);
            }
            if self.is_over {
                return None;
            }
            match tokio::time::timeout(PING, self.generation.next()).await {
                Err(_) => return Some(": ping\n\n".to_owned()),
                Ok(Some(Ok((index, update)))) => self.tell(index, &update),
                Ok(Some(Err(error))) => self.end(Some(error.object())),
                Ok(None) => {
                    let usage = self.generation.usage();
                    self.end(self.include_usage.then(|| self.reply.usage(usage)));
                }
            }
        }
    }

    fn tell(&mut self, index: usize, update: &Update) {
        let tokenizer = &self.generation.app().facts.tokenizer;
        let delta = self.reply.delta(index, &update.text, &update.entries, tokenizer);
        let end = update.end.map(|reason| self.reply.end(index, reason));
        self.frames.extend(delta.iter().chain(&end).map(frame));
    }

    fn end(&mut self, last: Option<Value>) {
        self.frames.extend(last.iter().map(frame));
        self.frames.push_back(DONE.to_owned());
        self.is_over = true;
    }
}
