//! Directories of other programs, and what the files in them add to a tokenizer.

use serde_json::{Value, json};

use super::companions::{CONFIG, read_text};
use super::directory::{MERGES, SAVED_FILES, TOKENIZER, VOCABULARY, parse_json};
use super::{Kind, Tokenizer};

/// A learned tokenizer of 300 tokens, in a folder of its own.
fn learned() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let text = crate::tales::corpus(3, 20_000).text();
    Tokenizer::train_bpe([text], 300).expect("room").save(folder.path()).expect("writable");
    folder
}

fn read(folder: &tempfile::TempDir) -> Tokenizer {
    Tokenizer::from_directory(folder.path()).expect("a tokenizer")
}

fn change(folder: &tempfile::TempDir, change: impl Fn(&mut Value)) {
    let path = folder.path().join(TOKENIZER);
    let mut json: Value = parse_json(&path, &read_text(&path).expect("there")).expect("JSON");
    change(&mut json);
    std::fs::write(path, json.to_string()).expect("writable");
}

fn write(folder: &tempfile::TempDir, name: &str, json: &Value) {
    std::fs::write(folder.path().join(name), json.to_string()).expect("writable");
}

/// The lists that older programs keep instead of `tokenizer.json`.
fn as_lists(folder: &tempfile::TempDir) {
    let path = folder.path().join(TOKENIZER);
    let json: Value = parse_json(&path, &read_text(&path).expect("there")).expect("JSON");
    write(folder, VOCABULARY, &json["model"]["vocab"]);
    let merges = json["model"]["merges"].as_array().expect("pairs").iter();
    let merges = merges.map(|pair| format!("{} {}\n", pair[0].as_str().unwrap(), pair[1].as_str().unwrap()));
    std::fs::write(folder.path().join(MERGES), format!("#version: 0.2\n{}", merges.collect::<String>()))
        .unwrap();
    for name in SAVED_FILES {
        std::fs::remove_file(folder.path().join(name)).expect("there");
    }
}

const TEXT: &str = "Once upon a time there was a fox, and the fox went home";

#[test]
fn what_was_set_for_batches_or_for_training_does_not_touch_a_text() {
    let folder = learned();
    let plain = read(&folder);
    let ids = plain.encode(TEXT).expect("any text");
    for word_level in [false, true] {
        change(&folder, |json| {
            json["truncation"] =
                json!({"direction": "Right", "max_length": 8, "strategy": "LongestFirst", "stride": 0});
            json["padding"] = json!({"strategy": {"Fixed": 64}, "direction": "Right", "pad_to_multiple_of": null,
                "pad_id": 0, "pad_type_id": 0, "pad_token": "<|endoftext|>"});
            json["model"]["dropout"] = json!(0.5);
            // Not for our encoder.
            json["added_tokens"][0]["lstrip"] = json!(word_level);
        });
        let changed = read(&folder);
        assert_eq!(matches!(changed.kind, Kind::HuggingFace(_)), word_level);
        for _ in 0..3 {
            assert_eq!(changed.encode(TEXT).expect("any text"), ids);
        }
    }
}

#[test]
fn tokens_are_added_by_the_files_beside() {
    // As transformers 5 reads them: `<mask>` is 600, `<pad>`, which has no id, comes after it.
    let folders = [learned(), learned()];
    let special =
        json!({"mask_token": "<mask>", "pad_token": "<pad>", "eos_token": {"content": "<|endoftext|>"}});
    write(&folders[0], "special_tokens_map.json", &special);
    write(&folders[0], "added_tokens.json", &json!({"<mask>": 600}));
    let mut config = special.clone();
    config["added_tokens_decoder"] = json!({"600": {"content": "<mask>", "special": true}});
    write(&folders[1], CONFIG, &config);
    for lists in [false, true] {
        for folder in &folders {
            if lists {
                as_lists(folder);
                write(folder, CONFIG, &config);
            }
            let tokenizer = read(folder);
            let ids = tokenizer.encode_with_special_tokens("x<mask><pad>").expect("any text");
            assert_eq!(ids[1..], [600, 601]);
            assert_eq!(tokenizer.decode(&ids).expect("own tokens"), "x<mask><pad>");
            assert_eq!(tokenizer.vocab_size(), 602);
            assert!(tokenizer.encode("x<mask>").expect("any text").len() > 2, "not unless it is asked for");
            let roles = ["mask_token", "pad_token", "eos_token", "bos_token"];
            let expected = [
                Some(600),
                Some(601),
                Some(0),
                if lists { None } else { tokenizer.special_token("bos_token") },
            ];
            assert_eq!(roles.map(|role| tokenizer.special_token(role)), expected);

            let again = tempfile::tempdir().expect("a temporary directory");
            tokenizer.save(again.path()).expect("writable");
            assert_eq!(read(&again).encode_with_special_tokens("x<mask><pad>").expect("any text"), ids);
            let pairs = tokenizer.byte_pairs().expect("byte-level");
            assert_eq!((pairs.tokens.len(), pairs.tokens[600].as_str()), (602, "<mask>"));
        }
    }
}

#[test]
fn a_token_that_is_not_special_is_found_in_every_text() {
    let folder = learned();
    write(&folder, "added_tokens.json", &json!({"fox": 300}));
    let tokenizer = read(&folder);
    assert!(tokenizer.encode("a fox").expect("any text").ends_with(&[300]));
    assert_eq!(tokenizer.byte_pairs().expect("byte-level").added, [300]);
}

#[test]
fn ids_that_contradict_each_other_or_leave_a_gap_are_refused() {
    for (file, json, words) in [
        ("added_tokens.json", json!({"<mask>": 5}), "id 5 is that of"),
        ("added_tokens.json", json!({"<mask>": 4_294_967_295u64}), "leaves a gap: there are only 301 tokens"),
        ("added_tokens.json", json!({"<mask>": -1}), "-1, of \"<mask>\", is not a token id"),
        (CONFIG, json!({"added_tokens_decoder": {"many": {"content": "x"}}}), "\"many\", of \"x\", is not"),
        (CONFIG, json!([]), "invalid type"),
    ] {
        let folder = learned();
        write(&folder, file, &json);
        let message = Tokenizer::from_directory(folder.path()).expect_err("no such id").to_string();
        assert!(message.contains(words), "{json}: {message}");
    }
    let folder = learned();
    change(&folder, |json| json["model"]["vocab"]["zz"] = json!(100_000_000));
    let message = Tokenizer::from_directory(folder.path()).expect_err("a gap").to_string();
    assert!(message.contains("id 100000000 of \"zz\" leaves a gap"), "{message}");
}

#[test]
fn prompts_begin_with_what_the_post_processor_puts_first() {
    let template = |tokens: &[&str]| {
        let special = |token: &&str| json!({"SpecialToken": {"id": token, "type_id": 0}});
        let text = json!({"Sequence": {"id": "A", "type_id": 0}});
        let single: Vec<Value> = tokens.iter().map(special).chain([text, special(&"</s>")]).collect();
        json!({"type": "TemplateProcessing", "single": single, "pair": single, "special_tokens": {
            "<s>": {"id": "<s>", "ids": [7], "tokens": ["<s>"]}, "</s>": {"id": "</s>", "ids": [9], "tokens": ["</s>"]}}})
    };
    let byte_level =
        json!({"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": false, "use_regex": true});
    let roberta = json!({"type": "RobertaProcessing", "sep": ["</s>", 2], "cls": ["<s>", 3],
        "trim_offsets": true, "add_prefix_space": false});
    for (processor, start) in [
        (Value::Null, &[][..]),
        (byte_level.clone(), &[]),
        (template(&[]), &[]),
        (template(&["<s>"]), &[7]),
        (template(&["<s>", "<s>"]), &[7, 7]),
        (roberta.clone(), &[3]),
        (json!({"type": "Sequence", "processors": [byte_level, template(&["<s>"])]}), &[7]),
        (json!({"type": "Sequence", "processors": [roberta, template(&["<s>"])]}), &[7, 3]),
    ] {
        let folder = learned();
        change(&folder, |json| json["post_processor"] = processor.clone());
        let tokenizer = read(&folder);
        let text = tokenizer.encode(TEXT).expect("any text");
        assert_eq!(
            tokenizer.encode_with_special_tokens(TEXT).expect("any text"),
            [start, &text].concat(),
            "{processor}"
        );
    }
    // Of lists, the configuration says it; the default of transformers' class is end-of-text.
    for (config, start) in [
        (json!({"add_bos_token": true}), &[0][..]),
        (json!({"add_bos_token": true, "bos_token": "<s>"}), &[300]),
        (json!({"add_bos_token": false, "bos_token": "<s>"}), &[]),
    ] {
        let folder = learned();
        as_lists(&folder);
        write(&folder, CONFIG, &config);
        assert_eq!(read(&folder).start_of_text(), start, "{config}");
        let again = tempfile::tempdir().expect("a temporary directory");
        read(&folder).save(again.path()).expect("writable");
        assert_eq!(read(&again).start_of_text(), start, "{config}, saved");
    }
}

#[test]
fn the_end_of_a_text_is_the_token_that_the_configuration_names() {
    let folder = learned();
    assert_eq!(read(&folder).end_of_text(), Some(0));
    let config =
        json!({"eos_token": "<|im_end|>", "tokenizer_class": "GPT2Tokenizer", "model_max_length": 512});
    write(&folder, CONFIG, &config);
    let tokenizer = read(&folder);
    assert_eq!(tokenizer.end_of_text(), Some(300));
    tokenizer.save(folder.path()).expect("writable");
    let kept: Value =
        serde_json::from_str(&read_text(&folder.path().join(CONFIG)).expect("there")).expect("JSON");
    assert_eq!(kept, config, "nothing is lost");
    assert_eq!(read(&folder).end_of_text(), Some(300));
}

#[test]
fn a_space_before_a_text_is_put_if_the_configuration_says_so() {
    let folder = learned();
    let (bare, spaced) = (read(&folder).encode("fox").unwrap(), read(&folder).encode(" fox").unwrap());
    // As transformers 5 has it, by class.
    for (class, wanted, ids) in [
        ("GPT2Tokenizer", true, &spaced),
        ("GPT2TokenizerFast", false, &bare),
        ("PreTrainedTokenizerFast", true, &bare),
    ] {
        write(&folder, CONFIG, &json!({"tokenizer_class": class, "add_prefix_space": wanted}));
        assert_eq!(read(&folder).encode("fox").unwrap(), *ids, "{class}");
    }
    as_lists(&folder);
    write(&folder, CONFIG, &json!({"add_prefix_space": true}));
    assert_eq!(read(&folder).encode("fox").unwrap(), spaced);
}

#[test]
fn a_file_stands_for_its_folder_and_other_kinds_are_named() {
    let folder = learned();
    let file = folder.path().join(TOKENIZER);
    let opened = Tokenizer::open(file.to_str().expect("UTF-8")).expect("the file itself");
    assert_eq!(opened.fingerprint(), read(&folder).fingerprint());
    let folder = tempfile::tempdir().expect("a temporary directory");
    std::fs::write(folder.path().join("tokenizer.model"), "").expect("writable");
    let message = Tokenizer::from_directory(folder.path()).expect_err("another format").to_string();
    assert!(message.contains("`tokenizer.model` alone cannot be read"), "{message}");
}
