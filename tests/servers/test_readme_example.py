"""The README's first example, as it stands, on PortAudio."""

import itertools
import re
from pathlib import Path

from programs import finish, program

README = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
CYCLE = round(128 / 48000, 3)  # seconds: of the fixture's server


def test_first_example(synchronous, tmp_path):
    """It hears a second of the server's silence: 47 blocks of 1024 frames and the one that begins after."""
    example = re.search(r"^```(\w+)\n(.*?)^```$", README, re.M | re.S)
    assert example[1] == "py"
    with program(tmp_path, example[2]) as process:
        lines = finish(process).splitlines()
    found = [re.fullmatch(r" *(-?\d+\.\d{3}) s  peak 0\.000  (\d+) frames lost before", line) for line in lines]
    assert all(found), lines
    # PortAudio's clock starts with the stream, and the first callback brings what was heard in the cycle before it.
    times = [float(match[1]) for match in found]
    assert times[0] >= -CYCLE
    assert all(after > before for before, after in itertools.pairwise(times)), lines
    # A block ends before a loss, which a busy machine may have.
    losses = sum(match[2] != "0" for match in found)
    assert len(lines) == 48 or losses, lines
