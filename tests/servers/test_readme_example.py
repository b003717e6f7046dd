"""The README's first example, as it stands, on PortAudio."""

import re
from pathlib import Path

from programs import finish, program

README = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")


def test_first_example(synchronous, tmp_path):
    """It hears a second of the server's silence: 47 blocks of 1024 frames and the one that begins after."""
    example = re.search(r"^```(\w+)\n(.*?)^```$", README, re.M | re.S)
    assert example[1] == "py"
    with program(tmp_path, example[2]) as process:
        lines = finish(process).splitlines()
    # The server's clock begins with the server: what came in a cycle before that was heard before 0.
    found = [re.fullmatch(r" *-?\d+\.\d{3} s  peak 0\.000  (\d+) frames lost before", line) for line in lines]
    assert all(found), lines
    # A block ends before a loss, which a busy machine may have.
    losses = sum(match[1] != "0" for match in found)
    assert len(lines) == 48 or losses, lines
