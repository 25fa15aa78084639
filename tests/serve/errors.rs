//! What cannot be answered: always in one shape, always with the field.

use serde_json::{Value, json};

use crate::server::{CONTEXT, Server};

const COMPLETIONS: &str = "/v1/completions";
const CHAT: &str = "/v1/chat/completions";

/// Asks for JSON of a schema.
fn schema(schema: Value) -> Value {
    json!({ "type": "json_schema", "json_schema": { "name": "any", "schema": schema } })
}

#[test]
fn every_field_is_checked_before_anything_is_answered() {
    let server = Server::start_chat(&[]);
    let hello = json!([{ "role": "user", "content": "Hello" }]);
    let wrong = [
        (COMPLETIONS, "prompt", json!({})),
        (COMPLETIONS, "prompt", json!({ "prompt": 3 })),
        (COMPLETIONS, "prompt", json!({ "prompt": [] })),
        (COMPLETIONS, "prompt", json!({ "prompt": [[]] })),
        (COMPLETIONS, "prompt", json!({ "prompt": [1, 99999] })),
        (COMPLETIONS, "prompt", json!({ "prompt": [1, "a"] })),
        (COMPLETIONS, "temperature", json!({ "prompt": "a", "temperature": "hot" })),
        (COMPLETIONS, "temperature", json!({ "prompt": "a", "temperature": -1 })),
        (COMPLETIONS, "top_p", json!({ "prompt": "a", "top_p": 1.1 })),
        (COMPLETIONS, "max_tokens", json!({ "prompt": "a", "max_tokens": -5 })),
        (COMPLETIONS, "max_tokens", json!({ "prompt": "a", "max_tokens": 1e40 })),
        (COMPLETIONS, "n", json!({ "prompt": "a", "n": 0 })),
        (COMPLETIONS, "n", json!({ "prompt": "a", "n": 1000000 })),
        (COMPLETIONS, "best_of", json!({ "prompt": "a", "n": 2, "best_of": 1 })),
        (COMPLETIONS, "best_of", json!({ "prompt": "a", "best_of": 2, "stream": true })),
        (COMPLETIONS, "logprobs", json!({ "prompt": "a", "logprobs": 21 })),
        (COMPLETIONS, "seed", json!({ "prompt": "a", "seed": 0.5 })),
        (COMPLETIONS, "stop", json!({ "prompt": "a", "stop": [""] })),
        (COMPLETIONS, "stop", json!({ "prompt": "a", "stop": vec!["x"; 17] })),
        (COMPLETIONS, "suffix", json!({ "prompt": "a", "suffix": "b" })),
        (COMPLETIONS, "stream", json!({ "prompt": "a", "stream": "yes" })),
        (COMPLETIONS, "logit_bias", json!({ "prompt": "a", "logit_bias": { "x": 1 } })),
        (COMPLETIONS, "logit_bias", json!({ "prompt": "a", "logit_bias": { "99999": 1 } })),
        (COMPLETIONS, "response_format", json!({ "prompt": "a", "response_format": { "type": "xml" } })),
        (COMPLETIONS, "response_format", json!({ "prompt": "a", "response_format": "json" })),
        (CHAT, "messages", json!({})),
        (CHAT, "messages", json!({ "messages": [] })),
        (CHAT, "messages[0].role", json!({ "messages": [{ "role": "king", "content": "a" }] })),
        (CHAT, "messages[0].content", json!({ "messages": [{ "role": "user", "content": 3 }] })),
        (CHAT, "messages[0]", json!({ "messages": ["a"] })),
        (CHAT, "tools", json!({ "messages": hello, "tools": [{ "type": "function" }] })),
        (CHAT, "top_logprobs", json!({ "messages": hello, "top_logprobs": 2 })),
        (CHAT, "logprobs", json!({ "messages": hello, "logprobs": 2 })),
        ("/tokenize", "prompt", json!({})),
        ("/detokenize", "tokens", json!({ "tokens": [-1] })),
    ];
    for (path, param, mut body) in wrong {
        for stream in [false, true] {
            if stream && body.get("stream").is_none() {
                body["stream"] = json!(true);
            }
            let error = server.post(path, &body).error(400);
            assert_eq!(
                (&error["param"], &error["type"]),
                (&json!(param), &json!("invalid_request_error")),
                "{body}"
            );
        }
    }
    server.wait_for("kiln_requests_waiting", 0.0);
}

#[test]
fn a_form_that_cannot_be_followed_is_refused() {
    let server = Server::start_chat(&[]);
    for format in [
        json!("json"),
        json!({ "type": "xml" }),
        json!({ "type": "json_schema" }),
        schema(json!({ "type": "tree" })),
        schema(json!([])),
        schema(json!({ "type": "array", "uniqueItems": true })),
        schema(json!({ "const": "x".repeat(70_000) })),
    ] {
        let error = server.post(COMPLETIONS, &json!({ "prompt": "a", "response_format": format })).error(400);
        assert_eq!(error["param"], "response_format", "{error}");
    }
}

#[test]
fn what_is_too_long_is_refused_with_both_numbers() {
    let server = Server::start_chat(&[]);
    for stream in [false, true] {
        let body = json!({ "prompt": "a".repeat(CONTEXT + 1), "stream": stream });
        let error = server.post(COMPLETIONS, &body).error(400);
        assert_eq!(error["code"], "context_length_exceeded");
        assert_eq!((&error["n_prompt_tokens"], &error["n_ctx"]), (&json!(CONTEXT + 1), &json!(CONTEXT)));
        let message = error["message"].as_str().expect("a message");
        assert!(message.contains(&format!("This model's maximum context length is {CONTEXT}")), "{message}");
    }
    let long = json!({ "messages": [{ "role": "user", "content": "a".repeat(CONTEXT) }] });
    assert_eq!(server.post(CHAT, &long).error(400)["param"], "messages");
    let error = server.send("POST", COMPLETIONS, &[], &" ".repeat(5 << 20)).error(413);
    assert!(error["message"].as_str().is_some_and(|message| message.contains("4194304")));
}

#[test]
fn what_is_no_request_at_all_has_the_same_shape() {
    let server = Server::start(&[]);
    for body in ["", "{", "[1]", "\u{1}", "\"x\"", "null", "{\"prompt\": NaN}"] {
        server.send("POST", COMPLETIONS, &[], body).error(400);
    }
    server.send("POST", COMPLETIONS, &[], &"[".repeat(100_000)).error(400);
    server.get("/v1/nothing").error(404);
    server.post("/nothing", &json!({})).error(404);
    let error = server.get(COMPLETIONS).error(405);
    assert_eq!(error["type"], "invalid_request_error");
    server.post("/health", &json!({})).error(405);
    // It still answers.
    assert_eq!(server.get("/health").json(), json!({ "status": "ok" }));
    let value: Value = server.ask(COMPLETIONS, &json!({ "prompt": "", "max_tokens": 2 }));
    assert_eq!(value["usage"]["completion_tokens"], 2);
}
