//! Tells tales, or says of each of the stories on standard input whether it is one.
//!
//! ```text
//! cargo run -p kiln-datasets --example tales -- 2000000 > tales.txt
//! kiln generate --model runs/tales --prompt "" --max-tokens 2000 | cargo run -p kiln-datasets --example tales
//! ```

use std::io::{Read, Write};

use kiln_datasets::tales::{SEPARATOR, corpus, parse};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    if let Some(bytes) = std::env::args().nth(1) {
        std::io::stdout().write_all(corpus(1337, bytes.parse()?).text().as_bytes())?;
        return Ok(());
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    for story in text.split(SEPARATOR).map(str::trim).filter(|story| !story.is_empty()) {
        match parse(story) {
            Ok(tale) => {
                println!("a tale of {:.1} nats: {}", tale.nats, story.lines().next().unwrap_or_default())
            }
            Err(error) => println!("not a tale: {error}"),
        }
    }
    Ok(())
}
