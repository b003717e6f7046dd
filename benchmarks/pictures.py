"""Makes the pictures and the table of the README from one run of ``pong demo``, in a pseudo-terminal.

    python benchmarks/pictures.py

Needs the ``cli`` and ``plot`` extras, on a system with pseudo-terminals.
"""

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

from matplotlib.figure import Figure

ROOT = Path(__file__).resolve().parent.parent
PICTURES = ROOT / "benchmarks" / "pictures"
COMMAND = "pong demo --plot demo.png"
MARKED = re.compile(r"(<!-- demo: .*? -->\n).*?(<!-- /demo -->)", re.S)


def in_a_terminal(command, folder):
    """Run a command in a pseudo-terminal; return the text that it showed."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, cwd=folder, shell=True) as process:
        os.close(theirs)
        shown = b""
        while True:
            try:
                part = os.read(ours, 4096)
            except OSError:  # Linux's way to say that the other end is closed
                break
            if not part:
                break
            shown += part
    os.close(ours)
    if process.returncode:
        sys.exit(f"{command}: exit code {process.returncode}\n{shown.decode()}")
    return shown.decode().replace("\r\n", "\n").rstrip()


def draw_terminal(text, path):
    """Draw what a terminal shows."""
    lines = text.split("\n")
    columns, height = max(map(len, lines)) + 4, len(lines) + 1.5
    # Inches for a character of 10 points, and for a line.
    figure = Figure(figsize=(columns * 0.0837, height * 0.18), facecolor="#1e1e1e")
    for number, line in enumerate(lines):
        # A line at a time: a text of many lines is not evenly spaced.
        place = 1 - (number + 1.5) / height
        figure.text(2 / columns, place, line, family="DejaVu Sans Mono", fontsize=10, color="#d4d4d4")
    figure.savefig(path, dpi=120)


def main():
    """Make everything."""
    PICTURES.mkdir(exist_ok=True)
    shown = in_a_terminal(COMMAND, PICTURES)
    draw_terminal(f"$ {COMMAND}\n{shown}", PICTURES / "terminal.png")
    inside = (
        f"```text\n{shown}\n```\n\n"
        "![the same, in a terminal](benchmarks/pictures/terminal.png)\n\n"
        "![sound delivered over time, by pong and in the customary way](benchmarks/pictures/demo.png)\n"
    )
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    changed, number = MARKED.subn(lambda found: found[1] + inside + found[2], text)
    if number != 1:
        sys.exit("README.md has no place for the demo")
    readme.write_text(changed, encoding="utf-8")


if __name__ == "__main__":
    main()
