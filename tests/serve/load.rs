//! More than it can do, clients that leave, and the end.

use std::io::Read;
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::server::{Server, parse};

/// A text that takes long.
fn long(stream: bool) -> String {
    json!({ "prompt": "once", "max_tokens": 8000, "stream": stream }).to_string()
}

/// Asks for one, and waits until it is being written.
fn begin(server: &Server) -> TcpStream {
    let mut stream = server.open("POST", "/v1/completions", &[], &long(true));
    stream.read_exact(&mut [0; 400]).expect("it begins");
    stream
}

#[test]
fn who_comes_too_many_is_told_to_come_again() {
    let server = Server::start(&["--slots", "1", "--queue", "1"]);
    let running = begin(&server);
    let waiting = server.open("POST", "/v1/completions", &[], &long(false));
    server.wait_for("kiln_requests_waiting", 1.0);
    let start = Instant::now();
    let refused = server.post("/v1/completions", &json!({ "prompt": "a" }));
    assert!(start.elapsed() < Duration::from_millis(500), "{:?}", start.elapsed());
    assert_eq!(refused.headers["retry-after"], "1");
    refused.error(429);
    assert_eq!(server.get("/health").status, 200);
    // Both leave, the one that waits first: nothing of them stays.
    drop(waiting);
    server.wait_for("kiln_requests_waiting", 0.0);
    assert_eq!(server.metric("kiln_requests_running"), 1.0);
    drop(running);
    server.wait_for("kiln_requests_running", 0.0);
    assert_eq!(server.metric("kiln_cancelled_total"), 2.0);
    let answer = server.ask("/v1/completions", &json!({ "prompt": "a", "max_tokens": 3 }));
    assert_eq!(answer["usage"]["completion_tokens"], 3);
}

#[test]
fn texts_are_the_same_whatever_runs_beside_them() {
    let server = Server::start(&["--slots", "4"]);
    let body = |seed: usize| {
        let prompt = format!("{} number {}", "story ".repeat(20 * (seed % 3)), seed % 2);
        json!({ "prompt": prompt, "seed": seed, "max_tokens": 40, "logprobs": 2 })
    };
    let choice = |seed: usize| server.ask("/v1/completions", &body(seed))["choices"][0].clone();
    let together: Vec<Value> = thread::scope(|scope| {
        let asked: Vec<_> = (0..12).map(|seed| scope.spawn(move || choice(seed))).collect();
        asked.into_iter().map(|one| one.join().expect("an answer")).collect()
    });
    for (seed, together) in together.iter().enumerate() {
        assert_eq!(&choice(seed), together, "seed {seed}");
    }
}

#[test]
fn a_server_that_is_told_to_end_finishes_what_it_has_begun() {
    let mut server = Server::start(&["--drain-seconds", "30"]);
    let body = json!({ "prompt": "once", "max_tokens": 1500, "stream": true }).to_string();
    let mut running = server.open("POST", "/v1/completions", &[], &body);
    running.read_exact(&mut [0; 300]).expect("it begins");
    server.signal("TERM");
    let start = Instant::now();
    while server.get("/health").status != 503 {
        assert!(start.elapsed() < Duration::from_secs(1), "it does not drain");
    }
    server.post("/v1/completions", &json!({ "prompt": "a" })).error(503);
    let mut rest = Vec::new();
    running.read_to_end(&mut rest).expect("it goes on");
    let rest = String::from_utf8_lossy(&rest);
    assert!(rest.contains("\"finish_reason\":\"length\"") && rest.contains("data: [DONE]"));
    assert_eq!(server.end().0, Some(143));
}

#[test]
fn what_takes_too_long_is_cut_off_and_says_so() {
    let mut server = Server::start(&["--drain-seconds", "1"]);
    let mut running = server.open("POST", "/v1/completions", &[], &long(true));
    let mut whole = server.open("POST", "/v1/completions", &[], &long(false));
    server.wait_for("kiln_requests_running", 2.0);
    server.signal("INT");
    let start = Instant::now();
    let (mut stream, mut answer) = (Vec::new(), Vec::new());
    running.read_to_end(&mut stream).expect("it ends");
    whole.read_to_end(&mut answer).expect("it ends");
    let pieces = parse(&stream).pieces();
    assert_eq!(pieces.last().expect("a piece")["error"]["type"], "service_unavailable_error");
    parse(&answer).error(503);
    assert_eq!(server.end().0, Some(130));
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
}

#[test]
fn a_second_signal_or_nothing_to_do_ends_it_at_once() {
    let mut busy = Server::start(&["--drain-seconds", "60"]);
    let _running = begin(&busy);
    busy.signal("TERM");
    thread::sleep(Duration::from_millis(100));
    busy.signal("TERM");
    let (code, time) = busy.end();
    assert!(code == Some(143) && time < Duration::from_secs(1), "{code:?} after {time:?}");
    let mut idle = Server::start(&[]);
    idle.signal("TERM");
    let (code, time) = idle.end();
    assert!(code == Some(143) && time < Duration::from_secs(1), "{code:?} after {time:?}");
}
