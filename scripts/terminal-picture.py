#!/usr/bin/env python3
"""Draws a terminal's screen as an SVG picture, colours and all:

    tmux capture-pane -e -p -t SESSION | scripts/terminal-picture.py > docs/dashboard.svg
"""

import re
import sys
from html import escape

CELL = (8.43, 17)  # of DejaVu Sans Mono at 14 pixels
MARGIN = 14
PAPER, INK = "#0d1117", "#d0d7de"
NAMED = ["#484f58", "#ff7b72", "#57ab5a", "#e3b341", "#6cb6ff", "#dcbdfb", "#39c5cf", "#d0d7de",
         "#6e7681", "#ff938a", "#6bc46d", "#f0c75e", "#96d0ff", "#eedcff", "#56d4dd", "#f0f6fc"]


def indexed(number):
    """One of the 256 colours."""
    if number < 16:
        return NAMED[number]
    if number >= 232:
        return "#" + f"{8 + 10 * (number - 232):02x}" * 3
    levels = [0, 95, 135, 175, 215, 255]
    red, rest = divmod(number - 16, 36)
    green, blue = divmod(rest, 6)
    return "#" + "".join(f"{levels[level]:02x}" for level in (red, green, blue))


def styled(codes, style):
    """The style after an escape sequence: foreground, background, bold, reversed."""
    codes = [int(code or 0) for code in codes.replace(":", ";").split(";")]
    style = dict(style)
    while codes:
        code = codes.pop(0)
        if code == 0:
            style = {}
        elif code in (1, 7):
            style["bold" if code == 1 else "reversed"] = True
        elif code in (22, 27):
            style.pop("bold" if code == 22 else "reversed", None)
        elif code in (38, 48):
            key = "ink" if code == 38 else "paper"
            if codes.pop(0) == 5:
                style[key] = indexed(codes.pop(0))
            else:
                style[key] = "#" + "".join(f"{codes.pop(0):02x}" for _ in range(3))
        elif code in (39, 49):
            style.pop("ink" if code == 39 else "paper", None)
        else:
            for first, key, shift in ((30, "ink", 0), (40, "paper", 0), (90, "ink", 8), (100, "paper", 8)):
                if first <= code < first + 8:
                    style[key] = NAMED[code - first + shift]
    return style


def main():
    lines = sys.stdin.read().rstrip("\n").split("\n")
    parts, style, widest = [], {}, 0
    for row, line in enumerate(lines):
        column, y = 0, MARGIN + row * CELL[1]
        for index, piece in enumerate(re.split(r"\x1b\[([\d;:]*)m", line)):
            if index % 2:
                style = styled(piece, style)
                continue
            ink, paper = style.get("ink", INK), style.get("paper")
            if style.get("reversed"):
                ink, paper = paper or PAPER, ink
            if paper and piece:
                parts.append(f'<rect x="{MARGIN + column * CELL[0]:.2f}" y="{y}" width="{len(piece) * CELL[0]:.2f}" '
                             f'height="{CELL[1]}" fill="{paper}"/>')
            for match in re.finditer(r"\S+(?: \S+)*", piece):
                text, x = match.group(), MARGIN + (column + match.start()) * CELL[0]
                bold = ' font-weight="bold"' if style.get("bold") else ""
                parts.append(f'<text x="{x:.2f}" y="{y + 13}" textLength="{len(text) * CELL[0]:.2f}" fill="{ink}"{bold}>'
                             f"{escape(text)}</text>")
            column += len(piece)
        widest = max(widest, column)
    width, height = round(2 * MARGIN + widest * CELL[0]), 2 * MARGIN + len(lines) * CELL[1]
    print(f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">\n'
          f'<rect width="100%" height="100%" rx="8" fill="{PAPER}"/>\n'
          '<g font-family="DejaVu Sans Mono, Menlo, Consolas, monospace" font-size="14" xml:space="preserve">')
    print("\n".join(parts) + "\n</g></svg>")


if __name__ == "__main__":
    main()
