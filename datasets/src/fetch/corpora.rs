//! Corpora that are known by name.

use crate::DEFAULT_FIELD;

/// A corpus that everyone trains on.
#[derive(Clone, Copy, Debug)]
pub struct KnownCorpus {
    /// What to call it.
    pub name: &'static str,
    /// What it is.
    pub description: &'static str,
    /// Where it comes from.
    pub origin: Origin,
    /// Field or column that holds the text.
    pub field: &'static str,
}

/// Where a corpus comes from.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Origin {
    /// A dataset of the hub, as [`HubDataset::parse`](super::HubDataset::parse) takes it.
    Hub(&'static str),
    /// A single file.
    Url {
        /// Its address.
        url: &'static str,
        /// Its SHA-256 in hexadecimal digits.
        sha256: &'static str,
    },
}

/// Every corpus that is known by name.
pub const CORPORA: [KnownCorpus; 7] = [
    KnownCorpus {
        name: "tinyshakespeare",
        description: "40,000 lines of Shakespeare's plays, 1.1 MB",
        origin: Origin::Url {
            url: "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",
            sha256: "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
        },
        field: DEFAULT_FIELD,
    },
    KnownCorpus {
        name: "the-verdict",
        description: "a short story by Edith Wharton, 20 kB",
        origin: Origin::Url {
            url: "https://raw.githubusercontent.com/rasbt/LLMs-from-scratch/main/ch02/01_main-chapter-code/the-verdict.txt",
            sha256: "b41e41a68f0398a3154ae69e2e4c0e2694e17fe0d66730536837f1b01935b31f",
        },
        field: DEFAULT_FIELD,
    },
    KnownCorpus {
        name: "tinystories",
        description: "two million stories for small children, 1 GB",
        origin: Origin::Hub("hf://datasets/roneneldan/TinyStories/data/*.parquet"),
        field: DEFAULT_FIELD,
    },
    KnownCorpus {
        name: "fineweb-edu",
        description: "educational web pages, the sample of ten billion tokens, 28 GB",
        origin: Origin::Hub("hf://datasets/HuggingFaceFW/fineweb-edu/sample/10BT/*.parquet"),
        field: DEFAULT_FIELD,
    },
    KnownCorpus {
        name: "openwebtext",
        description: "eight million web pages, as GPT-2's were chosen, 24 GB",
        origin: Origin::Hub("hf://datasets/Skylion007/openwebtext/plain_text/*.parquet"),
        field: DEFAULT_FIELD,
    },
    KnownCorpus {
        name: "alpaca",
        description: "52,000 instructions with answers, 24 MB",
        origin: Origin::Hub("hf://datasets/tatsu-lab/alpaca/data/*.parquet"),
        field: DEFAULT_FIELD,
    },
    KnownCorpus {
        name: "sms-spam",
        description: "5,574 text messages, 0.4 MB",
        origin: Origin::Hub("hf://datasets/ucirvine/sms_spam/plain_text/*.parquet"),
        field: "sms",
    },
];
