"""Random strings over all of Unicode's categories, with what tokenizers treat in a way of its own."""

import random
import unicodedata


def random_strings(count, seed=1, more_specimens=(), damaged=True):
    """`count` strings; with `damaged`, every tenth as bytes that are not UTF-8."""
    random_ = random.Random(seed)
    categories = {}
    for code in range(0x110000):
        if not 0xD800 <= code < 0xE000:
            categories.setdefault(unicodedata.category(chr(code)), []).append(chr(code))
    categories = list(categories.values())
    spaces = [chr(code) for code in range(0x3001) if chr(code).isspace()]
    specimens = ["'s", "'S", "'ſ", "'LL", "'re", "\r\n", "  ", "\n\n", "/", "👩‍👩‍👧", "🇩🇪", "👍🏽", "é", "e\u0301", "<|endoftext|>",
                 *more_specimens]

    def fragment():
        kind = random_.randrange(8)
        if kind == 0:
            return random_.choice(specimens)
        if kind == 1:
            return random_.choice(spaces)
        if kind == 2:
            return random_.choice(random_.choice(categories)) * random_.randrange(2, 60)
        if kind == 3:
            return random_.choice(spaces) * random_.randrange(2, 12)
        if kind == 4:
            return "".join(random_.choice("abcdefghijklmnopqrstuvwxyzABCDEFG0123456789 ") for _ in range(random_.randrange(1, 12)))
        return random_.choice(random_.choice(categories))

    for index in range(count):
        text = "".join(fragment() for _ in range(random_.randrange(0, 16)))
        if damaged and index % 10 == 9:
            data = bytearray(text.encode() + bytes([random_.randrange(0x80, 0x100)]))
            data[random_.randrange(len(data))] = random_.randrange(0x100)
            yield bytes(data)
        else:
            yield text
