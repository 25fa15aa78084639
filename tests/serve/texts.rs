//! Texts that are continued.

use serde_json::{Value, json};

use crate::server::Server;

const COMPLETIONS: &str = "/v1/completions";

/// The texts of the choices of an answer.
fn texts(answer: &Value) -> Vec<String> {
    let choices = answer["choices"].as_array().expect("choices");
    choices.iter().map(|choice| choice["text"].as_str().expect("a text").to_owned()).collect()
}

/// The texts that a stream of completions joins to, and their ends.
fn joined(pieces: &[Value], n: usize) -> (Vec<String>, Vec<Value>) {
    let (mut texts, mut ends) = (vec![String::new(); n], vec![Value::Null; n]);
    for choice in pieces.iter().flat_map(|piece| piece["choices"].as_array().expect("choices")) {
        let index = choice["index"].as_u64().expect("an index") as usize;
        assert_eq!(ends[index], Value::Null, "nothing comes behind the end");
        texts[index] += choice["text"].as_str().expect("a text");
        ends[index] = choice["finish_reason"].clone();
    }
    (texts, ends)
}

#[test]
fn a_text_is_the_one_that_generate_writes_whole_or_streamed() {
    let server = Server::start(&[]);
    let args = "generate small --prompt once --seed 11 --temperature 1 --max-tokens 60 --json".split(' ');
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_kiln"))
        .args(args)
        .current_dir(server.folder.path())
        .output()
        .expect("the binary runs");
    let expected: Value = serde_json::from_slice(&output.stdout).expect("an object");
    let mut body =
        json!({ "model": "any", "prompt": "once", "seed": 11, "max_tokens": 60, "user": "u", "stop": null });
    let whole = server.ask(COMPLETIONS, &body);
    assert_eq!(whole["choices"][0]["text"], expected["text"]);
    assert_eq!((&whole["model"], &whole["object"]), (&json!("small"), &json!("text_completion")));
    let usage = &whole["usage"];
    assert_eq!([&usage["prompt_tokens"], &usage["completion_tokens"], &usage["total_tokens"]], [4, 60, 64]);
    assert_eq!(whole["choices"][0]["finish_reason"], "length");
    // Also without /v1, and from tokens.
    body["prompt"] = json!([111, 110, 99, 101]);
    assert_eq!(texts(&server.ask("/completions", &body)), texts(&whole));

    body["stream"] = json!(true);
    let pieces = server.post(COMPLETIONS, &body).pieces();
    assert!(pieces.len() > 20, "it comes in pieces");
    assert_eq!(joined(&pieces, 1), (texts(&whole), vec![json!("length")]));
    assert!(pieces.iter().all(|piece| piece["id"] == pieces[0]["id"] && piece.get("usage").is_none()));
    body["stream_options"] = json!({ "include_usage": true });
    let pieces = server.post(COMPLETIONS, &body).pieces();
    let last = pieces.last().expect("a piece");
    assert_eq!((&last["choices"], &last["usage"]["completion_tokens"]), (&json!([]), &json!(60)));
    assert!(pieces[..pieces.len() - 1].iter().all(|piece| piece.get("usage").is_none()));
}

#[test]
fn several_texts_come_by_their_index() {
    let server = Server::start(&["--slots", "3"]);
    let body = json!({ "prompt": ["once", [116, 104, 101], "x"], "n": 3, "seed": 5, "max_tokens": 12, "echo": true });
    let answer = server.ask(COMPLETIONS, &body);
    let all = texts(&answer);
    let indices: Vec<u64> = answer["choices"]
        .as_array()
        .expect("choices")
        .iter()
        .map(|choice| choice["index"].as_u64().expect("an index"))
        .collect();
    assert_eq!(indices, (0..9).collect::<Vec<_>>());
    for (index, text) in all.iter().enumerate() {
        assert!(text.starts_with(["once", "the", "x"][index / 3]), "{index}: {text}");
    }
    assert!(all[0] != all[1] && all[1] != all[2]);
    assert_eq!(answer["usage"]["prompt_tokens"], 8);
    let alone =
        server.ask(COMPLETIONS, &json!({ "prompt": "the", "seed": 5, "max_tokens": 12, "echo": true }));
    assert_eq!(texts(&alone)[0], all[3]);
    let mut streamed = body.clone();
    streamed["stream"] = json!(true);
    assert_eq!(joined(&server.post(COMPLETIONS, &streamed).pieces(), 9).0, all);
    // Without a seed, another text each time.
    let free = json!({ "prompt": "once", "max_tokens": 30 });
    assert_ne!(texts(&server.ask(COMPLETIONS, &free)), texts(&server.ask(COMPLETIONS, &free)));
}

#[test]
fn the_best_of_several_are_the_most_probable() {
    let server = Server::start(&[]);
    let body = json!({ "prompt": "once", "n": 4, "seed": 5, "max_tokens": 6, "logprobs": 0 });
    let four = server.ask(COMPLETIONS, &body);
    let mean = |choice: &Value| -> f64 {
        let logprobs = choice["logprobs"]["token_logprobs"].as_array().expect("a list");
        logprobs.iter().map(|one| one.as_f64().expect("a number")).sum::<f64>() / logprobs.len() as f64
    };
    let mut choices = four["choices"].as_array().expect("choices").clone();
    choices.sort_by(|one, other| mean(other).total_cmp(&mean(one)));
    let best = json!({ "prompt": "once", "n": 2, "best_of": 4, "seed": 5, "max_tokens": 6 });
    let best = server.ask(COMPLETIONS, &best);
    let expected: Vec<&Value> = choices.iter().take(2).map(|choice| &choice["text"]).collect();
    assert_eq!([&best["choices"][0]["text"], &best["choices"][1]["text"]], expected[..]);
    assert_eq!(best["usage"]["completion_tokens"], 24);
}

#[test]
fn a_text_ends_before_a_stop_string() {
    let server = Server::start(&[]);
    let mut body = json!({ "prompt": "once", "seed": 3, "max_tokens": 200 });
    let whole = texts(&server.ask(COMPLETIONS, &body)).remove(0);
    let characters: Vec<char> = whole.chars().collect();
    for (at, length) in [(0, 1), (40, 1), (50, 3), (90, 5)] {
        let stop: String = characters[at..at + length].iter().collect();
        let expected = whole.split(&stop).next().expect("the part before");
        body["stop"] = if length == 1 { json!(stop) } else { json!(["never in it, surely", stop]) };
        body["stream"] = json!(false);
        let answer = server.ask(COMPLETIONS, &body);
        assert_eq!(
            (&answer["choices"][0]["text"], &answer["choices"][0]["finish_reason"]),
            (&json!(expected), &json!("stop"))
        );
        body["stream"] = json!(true);
        let (streamed, ends) = joined(&server.post(COMPLETIONS, &body).pieces(), 1);
        assert_eq!((&streamed[0][..], &ends[0]), (expected, &json!("stop")));
    }
    server.wait_for("kiln_requests_running", 0.0);
    assert_eq!(server.metric("kiln_cancelled_total"), 0.0, "nobody left");
}

#[test]
fn an_answer_is_json_of_the_schema_that_it_is_asked_for() {
    let server = Server::start_chat(&[]);
    let schema = json!({
        "type": "object",
        "properties": { "tale": { "type": "string", "maxLength": 5 }, "foxes": { "type": "integer", "minimum": 1, "maximum": 9 } },
        "required": ["tale", "foxes"],
        "additionalProperties": false,
    });
    let format = json!({ "type": "json_schema", "json_schema": { "name": "any", "schema": schema } });
    for seed in 0..5 {
        let mut body = json!({ "prompt": "a", "seed": seed, "max_tokens": 100, "response_format": format });
        let answer = server.ask(COMPLETIONS, &body);
        let text = texts(&answer).remove(0);
        let value: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        assert!(value["tale"].as_str().is_some_and(|tale| tale.chars().count() <= 5), "{text}");
        assert!(value["foxes"].as_u64().is_some_and(|foxes| (1..=9).contains(&foxes)), "{text}");
        assert_eq!(answer["choices"][0]["finish_reason"], "stop");
        body["stream"] = json!(true);
        assert_eq!(joined(&server.post(COMPLETIONS, &body).pieces(), 1), (vec![text], vec![json!("stop")]));
    }
}

#[test]
fn tokens_and_texts_are_told() {
    let server = Server::start_chat(&[]);
    let tokens = |body: Value| server.ask("/tokenize", &body)["tokens"].clone();
    assert_eq!(tokens(json!({ "prompt": "hé", "add_special_tokens": false })), json!([104, 195, 169]));
    assert_eq!(tokens(json!({ "content": "h" })), json!([104]));
    let special = tokens(json!({ "prompt": "<|im_end|>" }));
    assert_eq!(special.as_array().map(Vec::len), Some(1), "{special}");
    assert_eq!(
        tokens(json!({ "content": "<|im_end|>", "parse_special": false })).as_array().map(Vec::len),
        Some(10)
    );
    assert_eq!(tokens(json!({ "content": "h", "with_pieces": true })), json!([{ "id": 104, "piece": "h" }]));
    assert_eq!(server.ask("/detokenize", &json!({ "tokens": [104, 195, 169] }))["prompt"], "hé");
    let info = server.get("/tokenizer_info").json();
    assert_eq!(info["eos_token"], "<|im_end|>");
    assert!(info["chat_template"].as_str().is_some_and(|template| template.contains("im_start")));
    let models = server.get("/v1/models").json();
    assert_eq!((&models["data"][0]["id"], &models["object"]), (&json!("small"), &json!("list")));
    assert_eq!(server.get("/models/small").json()["max_model_len"], crate::server::CONTEXT);
    server.get("/v1/models/other/one").error(404);
}
