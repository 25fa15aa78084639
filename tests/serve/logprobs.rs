//! Log-probabilities: of what is written, and of what is given.

use std::process::Command;

use serde_json::{Value, json};

use crate::server::Server;

/// What lm-evaluation-harness asks to score a text.
fn score(server: &Server, tokens: &[u32]) -> Value {
    let body = json!({
        "model": "kiln", "prompt": [tokens], "temperature": 0, "max_tokens": 1, "logprobs": 1, "seed": 1234, "echo": true,
    });
    server.ask("/v1/completions", &body)["choices"][0]["logprobs"].clone()
}

#[test]
fn a_prompt_has_the_log_probabilities_that_score_computes() {
    let server = Server::start(&[]);
    let tokens: Vec<u32> = "Once upon a tíme, a fox.".bytes().map(u32::from).collect();
    let found = score(&server, &tokens);
    let joined = tokens.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
    let output = Command::new(env!("CARGO_BIN_EXE_kiln"))
        .args(["score", "--model", "small", "--json", "--tokens", &joined])
        .current_dir(server.folder.path())
        .output()
        .expect("the binary runs");
    let expected: Value = serde_json::from_slice(&output.stdout).expect("an object");
    let logprobs = found["token_logprobs"].as_array().expect("a list");
    assert_eq!(logprobs.len(), tokens.len() + 1);
    assert!(logprobs[0].is_null() && found["top_logprobs"][0].is_null());
    for (found, expected) in logprobs[1..].iter().zip(&expected["logprobs"].as_array().expect("a list")[1..])
    {
        let (found, expected) = (found.as_f64().expect("a number"), expected.as_f64().expect("a number"));
        assert!((found - expected).abs() < 1e-4, "{found} and {expected}");
    }
    // The last token is greedy, so it is the most probable one, to the last bit.
    let top = found["top_logprobs"][tokens.len()].as_object().expect("a dictionary");
    assert_eq!(top.values().collect::<Vec<_>>(), [&logprobs[tokens.len()]]);
    let offsets: Vec<usize> = found["text_offset"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|offset| offset.as_u64().expect("a number") as usize)
        .collect();
    // Both bytes of the í stand behind 13 characters.
    assert_eq!(offsets[12..17], [12, 13, 13, 14, 15]);
}

#[test]
fn the_token_that_ends_a_text_has_an_entry() {
    let tokenizer = kiln_datasets::Tokenizer::train_bpe(["so it goes, so it goes"], 270).expect("room");
    let server = Server::start_with(&[], &[], &tokenizer);
    let body = |max_tokens: u32| {
        let bias = json!({ "0": 100 });
        json!({ "prompt": [[5, 6, 7]], "max_tokens": max_tokens, "logprobs": 1, "echo": true, "logit_bias": bias })
    };
    let ended = server.ask("/v1/completions", &body(1));
    let choice = &ended["choices"][0];
    assert_eq!((&choice["finish_reason"], &ended["usage"]["completion_tokens"]), (&json!("stop"), &json!(1)));
    let logprobs = &choice["logprobs"];
    for list in ["tokens", "token_logprobs", "top_logprobs", "text_offset"] {
        assert_eq!(logprobs[list].as_array().map(Vec::len), Some(4), "{list}");
    }
    assert_eq!(logprobs["tokens"][3], "<|endoftext|>");
    assert!(!choice["text"].as_str().expect("a text").contains("endoftext"));
    // Nothing is generated, everything is judged.
    let judged = server.ask("/v1/completions", &body(0));
    assert_eq!(judged["choices"][0]["logprobs"]["tokens"].as_array().map(Vec::len), Some(3));
    assert_eq!(judged["choices"][0]["finish_reason"], "length");
}

#[test]
fn tokens_join_to_the_text() {
    let server = Server::start_chat(&[]);
    let body = json!({
        "messages": [{ "role": "user", "content": "Hello" }], "max_tokens": 80, "seed": 2, "logprobs": true, "top_logprobs": 3,
        "ignore_eos": true,
    });
    let answer = server.ask("/v1/chat/completions", &body);
    let content = answer["choices"][0]["logprobs"]["content"].as_array().expect("a list").clone();
    assert_eq!(content.len(), 80);
    let bytes: Vec<u8> = content
        .iter()
        .flat_map(|token| token["bytes"].as_array().expect("bytes"))
        .map(|byte| byte.as_u64().expect("a byte") as u8)
        .collect();
    let text = answer["choices"][0]["message"]["content"].as_str().expect("a text");
    assert_eq!(String::from_utf8_lossy(&bytes), text);
    for token in &content {
        let top = token["top_logprobs"].as_array().expect("a list");
        assert!(top.len() == 3 && top[0]["logprob"].as_f64() >= token["logprob"].as_f64());
    }
    let mut streamed = body.clone();
    streamed["stream"] = json!(true);
    let pieces = server.post("/v1/chat/completions", &streamed).pieces();
    let joined: Vec<Value> = pieces
        .iter()
        .filter_map(|piece| piece["choices"][0]["logprobs"]["content"].as_array().cloned())
        .flatten()
        .collect();
    assert_eq!(joined, content);

    // One entry a token, also where a string cuts the text.
    let stop: String = text.chars().skip(20).take(2).collect();
    let body = json!({ "prompt": "once", "logprobs": 0, "max_tokens": 50, "seed": 1, "stop": stop });
    let answer = server.ask("/v1/completions", &body);
    let tokens = answer["choices"][0]["logprobs"]["tokens"].as_array().expect("a list");
    assert_eq!(json!(tokens.len()), answer["usage"]["completion_tokens"]);
}
