//! Templates: which is taken, what they refuse, and how they say where answers are.

use serde_json::json;

use super::*;

fn chat(source: &str) -> Template {
    let template = ChatTemplate::parse(source, "mine.jinja").expect("a template");
    Template::Chat(template.with_tokens_of(&bytes()))
}

fn learned(template: Template, turns: &[&str]) -> Result<String, String> {
    let encoder = ExampleEncoder::new(&bytes(), template, 1000, false).expect("sound");
    let encoded = encoder.encode(&conversation(turns)).map_err(|error| error.to_string())?;
    Ok(shown(&encoded, &bytes(), false).expect("own tokens"))
}

const TURNS: [&str; 4] = ["user: u", "assistant: a", "user: v", "assistant: b"];

#[test]
fn blocks_of_generation_say_where_answers_are() {
    let marked = "{%- for m in messages %}{% if m.role == 'user' %}[{{ m.content }}]{% else %}\
                  {% generation %}{{ m.content }}{{ eos_token }}{% endgeneration %} {% endif %}{% endfor -%}";
    assert_eq!(learned(chat(marked), &TURNS).expect("sound"), "[u]⟦a<|im_end|>⟧ [v]⟦b<|im_end|>⟧ ");
    let plain = marked.replace("{% generation %}", "").replace("{% endgeneration %}", "");
    assert_eq!(learned(chat(&plain), &TURNS).expect("sound"), "[u]⟦a<|im_end|>⟧ [v]⟦b<|im_end|>⟧ ");
    let none = marked.replace("m.role == 'user'", "m.content != 'b'");
    let refused = learned(chat(&none), &TURNS).expect_err("an answer is not marked");
    assert_eq!(
        refused,
        "data.jsonl:3: the template mine.jinja refuses it: it marks 1 answers where there are 2"
    );
}

#[test]
fn a_template_that_hides_its_answers_is_refused() {
    // Earlier answers lose what the last one has, as thoughts do.
    let changing = "{% for m in messages %}{{ m.content }}{{ '!' if loop.last else '' }}{% endfor %}";
    let refused = learned(chat(changing), &TURNS).expect_err("answers change");
    assert!(refused.contains("it writes turn 2 in another way when it goes on"), "{refused}");

    // To go on with it, nobody need know where they are.
    let encoder = ExampleEncoder::new(&bytes(), chat(changing), 1000, false).expect("sound");
    let prompt = encoder.prompt(&conversation(&TURNS[..3])).expect("no answer is learned");
    assert_eq!(bytes().decode(&prompt).expect("own tokens"), "uav!");
}

#[test]
fn what_a_template_raises_is_told_with_file_and_line() {
    let alternate = "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}\
                     {{ raise_exception('Roles must alternate.') }}{% endif %}{{ m.content }}{% endfor %}";
    let refused = learned(chat(alternate), &["user: u", "user: v", "assistant: a"]).expect_err("raises");
    assert_eq!(refused, "data.jsonl:3: the template mine.jinja refuses it: Roles must alternate.");
    let refused =
        learned(Template::Alpaca, &["user: u", "user: v", "assistant: a"]).expect_err("no such turns");
    assert!(
        refused.ends_with("the template alpaca refuses it: it has no place for a turn of user after user")
    );
    assert!(ChatTemplate::parse("{% if %}", "x").is_err());
    let noncharacter =
        learned(Template::Alpaca, &["user: \u{FDD1}", "assistant: a"]).expect_err("no character");
    assert!(noncharacter.contains("U+FDD1"), "{noncharacter}");
}

#[test]
fn a_tokenizer_that_cannot_end_an_answer_is_refused() {
    let byte = Tokenizer::open("byte").expect("embedded");
    let refused =
        encoder(&byte, "alpaca", 100).encode(&conversation(&TURNS)).expect_err("no end").to_string();
    assert_eq!(refused, "data.jsonl:3: the tokenizer byte has no token that could end an answer");
    let few = Tokenizer::characters_of("usermain ta\n").with_chat_tokens().expect("sound");
    let refused = encoder(&few, "chatml", 100).encode(&conversation(&TURNS)).expect_err("no v").to_string();
    assert!(refused.starts_with("data.jsonl:3: the tokenizer has no token for"), "{refused}");
}

#[test]
fn the_model_s_own_template_comes_first() {
    let name = |tokenizer: &Tokenizer, form| Template::of(tokenizer, form).expect("sound").name().to_owned();
    let gpt2 = Tokenizer::open("gpt2").expect("embedded");
    assert_eq!(name(&gpt2, Some(Form::Messages)), "alpaca");
    assert_eq!(name(&bytes(), Some(Form::Messages)), "of the model");
    assert_eq!(name(&bytes(), Some(Form::Text)), "plain");
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = write(folder.path(), "mine.jinja", "{{ x }");
    let refused = Template::open(&path.to_string_lossy(), &gpt2).expect_err("broken").to_string();
    assert!(refused.contains("mine.jinja: not a template: line 1"), "{refused}");
    assert!(matches!(Template::open("chatlm", &gpt2), Err(crate::Error::Io { .. })));
}

/// The bytes of [`bytes`] with a token before every text, as Llama's tokenizer has it.
fn with_start_of_text(folder: &Path) -> Tokenizer {
    let name = "tokenizer.json";
    bytes().save(folder).expect("writable");
    let text = std::fs::read_to_string(folder.join(name)).expect("just written");
    let mut document: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let start = "<|im_start|>";
    document["post_processor"] = json!({
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": start, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [],
        "special_tokens": {start: {"id": start, "ids": [256], "tokens": [start]}},
    });
    write(folder, name, &document.to_string());
    Tokenizer::from_directory(folder).expect("sound")
}

#[test]
fn the_template_that_is_saved_gives_the_tokens_that_were_learned() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let with_start = with_start_of_text(folder.path());
    assert_eq!(with_start.start_of_text(), [256]);
    let gpt2 = Tokenizer::open("gpt2").expect("embedded");
    for tokenizer in [with_start, bytes(), gpt2] {
        for name in ["alpaca", "plain"] {
            let template = Template::open(name, &tokenizer).expect("known");
            let jinja = template.jinja(&tokenizer).expect("sound");
            tokenizer
                .with_chat_template(&jinja)
                .and_then(|saved| saved.save(folder.path()))
                .expect("writable");
            let saved = Tokenizer::from_directory(folder.path()).expect("sound");
            let template = Template::of(&saved, None).expect("a template");
            assert_eq!(template.name(), "of the model");
            let theirs = ExampleEncoder::new(&saved, template, 1000, false).expect("sound");
            let ours = encoder(&tokenizer, name, 1000);
            for turns in [&TURNS[..], &["system: s", "user: u", "assistant: \n a"]] {
                let (whole, open) = (conversation(turns), conversation(&turns[..turns.len() - 1]));
                assert_eq!(
                    theirs.encode(&whole).expect("sound"),
                    ours.encode(&whole).expect("sound"),
                    "{jinja}"
                );
                assert_eq!(
                    theirs.prompt(&open).expect("sound"),
                    ours.prompt(&open).expect("sound"),
                    "{jinja}"
                );
            }
        }
    }
}

/// What Python's Jinja prints, and its `json.dumps(…, ensure_ascii=False)`.
#[test]
fn values_are_printed_as_by_python() {
    let template = |source: &str| ChatTemplate::parse(source, "x").expect("a template");
    let tool = json!({"name": "f<a> & 'b'", "b": [1, 2.5, true, null], "a": {"é": "\"\n"}, "e": [], "o": {}});
    let printed =
        |source: &str| template(source).text(&[], std::slice::from_ref(&tool), true).expect("renders");
    assert_eq!(
        printed("{{ tools[0] | tojson }}"),
        "{\"name\": \"f<a> & 'b'\", \"b\": [1, 2.5, true, null], \"a\": {\"é\": \"\\\"\\n\"}, \"e\": [], \"o\": {}}"
    );
    assert_eq!(
        printed("{{ tools[0].b | tojson(indent=2) }}{{ tools[0].e | tojson(indent=2) }}"),
        "[\n  1,\n  2.5,\n  true,\n  null\n][]"
    );
    assert_eq!(printed("{{ tools[0].a | tojson(ensure_ascii=true) }}"), "{\"\\u00e9\": \"\\\"\\n\"}");
    assert_eq!(
        printed("{{ tools[0] }}"),
        "{'name': \"f<a> & 'b'\", 'b': [1, 2.5, True, None], 'a': {'é': '\"\\n'}, 'e': [], 'o': {}}"
    );
    assert_eq!(printed("{{ none }} {{ true }} {{ missing }}{{ documents is none }}"), "None True True");
    assert_eq!(
        printed("{{ none is iterable }} {{ 'x' is sequence }} {{ tools | string | length }}"),
        "False True 88"
    );
    assert_eq!(
        printed("{{ ' \u{1C}x\u{1F}'.strip() }}{{ '\u{1D} y' | trim }}{{ 'xyx' | trim('x') }}"),
        "xyy"
    );
    assert_eq!(printed("{{ ' x '.strip() + 'a b'.split(' ')[-1] }}"), "xb");
    let year: i32 = printed("{{ strftime_now('%Y') }}").parse().expect("a year");
    assert!(year > 2024);
    assert!(template("{{ strftime_now('%Q') }}").text(&[], &[], true).is_err());
}
