//! What `tests/reference/ids.py` and `benches/peers/encode.py` ask of this crate, fast enough for hundreds of
//! megabytes.
//!
//! ```sh
//! reference tokens NAME                the tokens of gpt2, cl100k_base or o200k_base: one in hexadecimal a line
//! reference lines TOKENIZER < JSONL    a text a line, "…" or {"hex": "…"} for bytes: its ids, or "error" if decoding
//!                                      them gives something else
//! reference special TOKENIZER < JSONL  a text a line: its ids as those of a prompt, special tokens included
//! reference files TOKENIZER PATH…      for each file a line of ids
//! reference time TOKENIZER PATH N…     encodes the file on N threads, for each N a line of wall and processor seconds
//! ```

use std::io::{BufRead, BufWriter, Write};
use std::time::{Duration, Instant};

use kiln_datasets::Tokenizer;
use serde_json::Value;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: reference tokens|lines|special|files|time TOKENIZER [PATH…]";
    let (mode, name) = (arguments.next().ok_or(usage)?, arguments.next().ok_or(usage)?);
    let tokenizer = Tokenizer::open(&name)?;
    let mut output = BufWriter::new(std::io::stdout().lock());
    match mode.as_str() {
        "tokens" => {
            for token in 0..tokenizer.vocab_size() as u32 {
                writeln!(output, "{}", hex(&tokenizer.decode_bytes(&[token])?))?;
            }
        }
        "lines" => {
            for line in std::io::stdin().lock().lines() {
                let bytes = match serde_json::from_str(&line?)? {
                    Value::String(text) => text.into_bytes(),
                    object => bytes(object["hex"].as_str().ok_or("neither a string nor {\"hex\": …}")?)?,
                };
                answer(&mut output, &tokenizer, &bytes)?;
            }
        }
        "special" => {
            for line in std::io::stdin().lock().lines() {
                let text: String = serde_json::from_str(&line?)?;
                serde_json::to_writer(&mut output, &tokenizer.encode_with_special_tokens(&text)?)?;
                writeln!(output)?;
            }
        }
        "files" => {
            for path in arguments {
                answer(&mut output, &tokenizer, &std::fs::read(path)?)?;
            }
        }
        "time" => {
            let text = std::fs::read_to_string(arguments.next().ok_or(usage)?)?;
            for threads in arguments {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.parse()?).build()?;
                // A system that shares out time by the second owes us nothing then.
                std::thread::sleep(Duration::from_secs(1));
                let (wall, cpu) = (Instant::now(), processor_seconds());
                let tokens = pool.install(|| tokenizer.encode(&text))?;
                let (wall, cpu) = (wall.elapsed().as_secs_f64(), processor_seconds() - cpu);
                writeln!(output, "{threads} {wall:.4} {cpu:.2} {}", tokens.len())?;
            }
        }
        _ => return Err(usage.into()),
    }
    Ok(output.flush()?)
}

fn answer(
    output: &mut impl Write,
    tokenizer: &Tokenizer,
    bytes: &[u8],
) -> Result<(), Box<dyn std::error::Error>> {
    let ids = tokenizer.encode_bytes(bytes)?;
    if tokenizer.decode_bytes(&ids)? == bytes {
        serde_json::to_writer(&mut *output, &ids)?;
        writeln!(output)?;
    } else {
        writeln!(output, "\"error\"")?;
    }
    Ok(())
}

/// Of all threads of this process, where the system tells.
fn processor_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(") ").next().unwrap_or_default().split(' ');
    let ticks: f64 = fields.skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
    ticks / 100.0
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(hex: &str) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    let digits = hex.as_bytes().chunks(2).map(std::str::from_utf8).collect::<Result<Vec<_>, _>>()?;
    Ok(digits.into_iter().map(|digits| u8::from_str_radix(digits, 16)).collect::<Result<_, _>>()?)
}
