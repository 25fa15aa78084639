"""Asks `kiln serve` for JSON of random schemas: python tests/reference/json_schema.py KILN MODEL [CASES]

The validator of the `jsonschema` package judges every answer, streamed and whole, and the model answers in the order of the schema.
"""

import json
import random
import sys
from pathlib import Path

import jsonschema
import openai

from serve import serving

NAMES = ["name", "age", "tags", "kind", "who", "place", "is_new", "two words", "größe"]


def some_schema(draw, depth=0):
    """A schema that ends soon, whoever fills it in."""
    kinds = [
        lambda: {"type": "boolean"},
        lambda: {"type": "null"},
        lambda: {"type": "integer", "minimum": (low := draw.randint(-50, 50)), "maximum": low + draw.randint(0, 1000)},
        lambda: {"type": "number", "minimum": 0, "exclusiveMaximum": 10, "multipleOf": 0.5},
        lambda: {"type": "string", "maxLength": draw.randint(0, 8)},
        lambda: {"type": "string", "pattern": draw.choice([r"^[a-z]{1,5}$", r"^\d{3}-\d{4}$", r"^(yes|no)$"])},
        lambda: {"type": "string", "format": "date"},
        lambda: {"enum": draw.sample(["fox", "ox", 3, None, True, "a\nb", "é"], draw.randint(1, 4))},
        lambda: {"const": draw.choice(["fixed", 7, {"a": [1]}])},
    ]
    nested = [
        lambda: {"type": "array", "items": some_schema(draw, depth + 1), "minItems": draw.randint(0, 1), "maxItems": draw.randint(1, 3)},
        lambda: {"anyOf": [some_schema(draw, depth + 1) for _ in range(2)]},
        lambda: some_object(draw, depth),
    ]
    return draw.choice(kinds + (nested if depth < 2 else []))()


def some_object(draw, depth):
    names = draw.sample(NAMES, draw.randint(1, 3))
    return {"type": "object", "properties": {name: some_schema(draw, depth + 1) for name in names},
            "required": draw.sample(names, draw.randint(0, len(names))), "additionalProperties": False}  # fmt: skip


def main():
    kiln, model = str(Path(sys.argv[1]).resolve()), str(Path(sys.argv[2]).resolve())
    cases = int(sys.argv[3]) if len(sys.argv) > 3 else 200
    draw, whole_texts, cut = random.Random(11), 0, 0
    with serving(kiln, model) as address:
        client = openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0)
        for case in range(cases):
            schema = some_object(draw, 0)
            form = {"type": "json_schema", "json_schema": {"name": "any", "strict": True, "schema": schema}}
            asked = dict(model="any", prompt="Once upon a time", max_tokens=150, seed=case, temperature=draw.choice([0, 0.8, 1.5]),
                         extra_body={"response_format": form})  # fmt: skip
            [choice] = client.completions.create(**asked).choices
            pieces = client.completions.create(**asked, stream=True)
            assert "".join(piece.choices[0].text for piece in pieces) == choice.text
            if choice.finish_reason == "length":
                cut += 1
                continue
            value = json.loads(choice.text)
            jsonschema.validate(value, schema)
            order = [name for name in schema["properties"] if name in value]
            assert list(value) == order, (schema, value)
            whole_texts += 1
        assert cut <= cases // 10, f"{cut} of {cases} answers did not come to an end"
        [choice] = client.completions.create(model="any", prompt="Once", max_tokens=100, seed=1, temperature=1.2,
                                             extra_body={"response_format": {"type": "json_object"}}).choices  # fmt: skip
        assert choice.text.startswith("{")
        for schema in [{"type": "tree"}, {"type": "array", "uniqueItems": True}, [], {"$ref": "#/nowhere"}]:
            form = {"type": "json_schema", "json_schema": {"name": "any", "schema": schema}}
            try:
                client.completions.create(model="any", prompt="Once", extra_body={"response_format": form})
            except openai.BadRequestError as error:
                assert error.param == "response_format", error
            else:
                raise AssertionError(f"{schema} was followed")
        print(f"{whole_texts} of {cases} answers are JSON of their schemas, {cut} were cut off by max_tokens")


if __name__ == "__main__":
    main()
