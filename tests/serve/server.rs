//! A server with a small model, and a client.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use burn_ndarray::NdArray;
use kiln_datasets::Tokenizer;
use kiln_model::{Dtype, GptConfig, GptModel, SpecialTokens};
use serde_json::Value;
use tempfile::TempDir;

/// Tokens that the model sees.
pub const CONTEXT: usize = 8192;

/// A running server; it ends with this.
pub struct Server {
    child: Child,
    pub address: String,
    pub folder: TempDir,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HashMap<String, String>,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        assert_eq!(self.headers["content-type"], "application/json", "{self:?}");
        serde_json::from_str(&self.body).expect("JSON")
    }

    /// The error that it is.
    pub fn error(&self, status: u16) -> Value {
        let object = self.json();
        assert_eq!(self.status, status, "{object}");
        let error = &object["error"];
        let keys: Vec<&String> = error.as_object().expect("an object").keys().take(4).collect();
        assert_eq!(keys, ["message", "type", "param", "code"]);
        assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()));
        error.clone()
    }

    /// The pieces of a stream.
    pub fn pieces(&self) -> Vec<Value> {
        assert_eq!((self.status, &self.headers["content-type"][..]), (200, "text/event-stream"));
        let rest = self.body.strip_suffix("data: [DONE]\n\n").expect("the end of the stream");
        let events = rest.split_terminator("\n\n").filter(|event| !event.starts_with(':'));
        events
            .map(|event| {
                let data = event.strip_prefix("data: ").expect("data and nothing else");
                serde_json::from_str(data).expect("JSON")
            })
            .collect()
    }
}

impl Server {
    /// A server of a model with random weights and the tokens of bytes.
    pub fn start(options: &[&str]) -> Self {
        Self::start_with(options, &[], &Tokenizer::open("byte").expect("built in"))
    }

    /// The same with the tokens of conversations.
    pub fn start_chat(options: &[&str]) -> Self {
        let tokenizer = Tokenizer::open("byte").and_then(|bytes| bytes.with_chat_tokens()).expect("sound");
        Self::start_with(options, &[], &tokenizer)
    }

    pub fn start_with(options: &[&str], environment: &[(&str, &str)], tokenizer: &Tokenizer) -> Self {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let model = folder.path().join("small");
        let config = GptConfig {
            vocab_size: tokenizer.vocab_size(),
            context_length: CONTEXT,
            init_std: 0.15,
            ..GptConfig::new(3, 2, 32)
        };
        let weights: GptModel<NdArray> = config.init(7, &Default::default()).expect("valid");
        let special = SpecialTokens::of_end_of_text(tokenizer.end_of_text());
        kiln_model::save(&weights, &model, Dtype::F32, &special).expect("writable");
        tokenizer.save(&model).expect("writable");
        let mut command = Command::new(env!("CARGO_BIN_EXE_kiln"));
        command.args(["serve", "small", "--port", "0"]).args(options).current_dir(folder.path());
        command.env_remove("KILN_API_KEY").envs(environment.iter().copied());
        let mut child = command.stderr(Stdio::piped()).spawn().expect("the binary runs");
        let mut told = BufReader::new(child.stderr.take().expect("piped"));
        let mut line = String::new();
        told.read_line(&mut line).expect("it tells its address");
        let (_, address) = line.trim().rsplit_once("http://").unwrap_or_else(|| panic!("{line}"));
        let address = address.to_owned();
        // Whatever else it tells has somewhere to go.
        std::thread::spawn(move || std::io::copy(&mut told, &mut std::io::sink()));
        Self { child, address, folder }
    }

    /// Sends a request, and leaves the connection open.
    pub fn open(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a socket");
        let mut head = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
        if !headers.iter().any(|(name, _)| *name == "Host") {
            head += &format!("Host: {}\r\n", self.address);
        }
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        head += &format!("Content-Length: {}\r\n\r\n", body.len());
        stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes())).expect("it reads");
        stream
    }

    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut answer = Vec::new();
        self.open(method, path, headers, body).read_to_end(&mut answer).expect("it answers");
        parse(&answer)
    }

    pub fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], "")
    }

    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, &[], &body.to_string())
    }

    /// The texts of an answer that is whole.
    pub fn ask(&self, path: &str, body: &Value) -> Value {
        let answer = self.post(path, body);
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()
    }

    /// A figure of `/metrics`.
    pub fn metric(&self, name: &str) -> f64 {
        let text = self.get("/metrics").body;
        let line = text.lines().find(|line| line.starts_with(&format!("{name} ")));
        let value = line.and_then(|line| line.rsplit(' ').next());
        value.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {name} in {text}"))
    }

    /// Waits until a figure has a value.
    pub fn wait_for(&self, name: &str, value: f64) {
        let start = Instant::now();
        while self.metric(name) != value {
            assert!(start.elapsed() < Duration::from_secs(10), "{name} is {}", self.metric(name));
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Sends a signal by its name.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(sent.expect("there is kill").success());
    }

    /// Waits for its end: the exit code, and after how long.
    pub fn end(&mut self) -> (Option<i32>, Duration) {
        let start = Instant::now();
        let status = self.child.wait().expect("it ran");
        (status.code(), start.elapsed())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An answer as it was sent.
pub fn parse(answer: &[u8]) -> Answer {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
    let head = std::str::from_utf8(&answer[..end]).expect("ASCII");
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).expect("a status");
    let headers: HashMap<String, String> = lines
        .map(|line| line.split_once(": ").expect("a header"))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let mut body = answer[end + 4..].to_vec();
    if headers.get("transfer-encoding").is_some_and(|coding| coding == "chunked") {
        body = unchunked(&body);
    }
    Answer { status, headers, body: String::from_utf8(body).expect("UTF-8") }
}

fn unchunked(mut rest: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    loop {
        let end = rest.windows(2).position(|two| two == b"\r\n").expect("a size");
        let size = std::str::from_utf8(&rest[..end]).expect("ASCII");
        let size = usize::from_str_radix(size, 16).expect("a number");
        if size == 0 {
            return whole;
        }
        whole.extend_from_slice(&rest[end + 2..end + 2 + size]);
        rest = &rest[end + 4 + size..];
    }
}
