#!/usr/bin/env bash
# A stranger's first ten minutes in a terminal of 100 columns and 30 lines: run, watch, own text, generate, resume, report.
#
#     scripts/first-minutes.sh target/release/kiln docs/first-minutes
#
# writes what the screen shows at each step, as text and as a picture, and fails where a step does not come to its end.
# Needs tmux and Python; chromium, where it is there, draws the report.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
kiln=$(realpath "$1")
out=$(mkdir -p "$2" && realpath "$2")

folder=$(mktemp -d)
mkdir "$folder/bin"
ln -s "$kiln" "$folder/bin/kiln"
cat "$here"/../docs/*.md "$here"/../README.md >"$folder/my-book.txt"
terminal() { tmux -S "$folder/tmux" -f /dev/null "$@"; }
trap 'terminal kill-server 2>/dev/null || true; rm -rf "$folder"' EXIT
terminal new-session -d -x 100 -y 30 -s first -c "$folder" "PATH=$folder/bin:\$PATH PS1='\$ ' sh"

screen() { terminal capture-pane -p -t first; }
type_line() { terminal send-keys -t first -l "$1"; terminal send-keys -t first Enter; }
press() { terminal send-keys -t first "$1"; sleep 1; }
# Waits until the screen shows a pattern: at most that many seconds.
wait_for() {
    for _ in $(seq "$2"); do
        if screen | grep -qE "$1"; then return; fi
        sleep 1
    done
    screen
    echo "first-minutes: the screen never showed: $1" >&2
    exit 1
}
at_prompt() { wait_for "^\\$ ?\$" "${1:-60}"; }
picture() {
    screen >"$out/$1.txt"
    terminal capture-pane -e -p -t first | python3 "$here/terminal-picture.py" >"$out/$1.svg"
    echo "$SECONDS s: $1"
}

at_prompt 10
type_line "kiln"
wait_for "sample at step (25|50)\b" 120
picture 1-noise-turns-into-words
wait_for "step +[56][0-9]{2}\b" 300
picture 2-halfway
press 2
picture 3-charts
press "?"
picture 4-help
press Escape
press 1
wait_for "^more: " 300
picture 5-stories

type_line "clear; kiln train my-book.txt --minutes 1"
wait_for "valid" 120
sleep 20
picture 6-own-text
press q
wait_for "continue with" 60
wait_for "^more: " 60
picture 7-stopped
type_line "clear; kiln train --resume"
wait_for "^more: " 180
picture 8-resumed

type_line "clear; kiln generate tales -p 'Lily and the' -n 2 --seed 7"
at_prompt 60
picture 9-generate
type_line "clear; kiln runs; kiln eval tales; kiln report runs; kiln info"
wait_for "perplexity" 60
sleep 3
picture 10-runs
if command -v chromium >/dev/null; then
    chromium --headless --no-sandbox --hide-scrollbars --window-size=1280,1400 \
        --screenshot="$out/11-report.png" "file://$folder/report.html" 2>/dev/null
fi
echo "$SECONDS s: done"
