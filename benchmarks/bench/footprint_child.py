"""The process in which allocations are counted: the interposer of ``footprint_src`` is in front of the allocator.

It prints, as JSON, what each contender of the hand-over takes: ``times`` and ``bytes`` for each block, and, if asked
to, the bytes ``resident`` beyond the samples of all blocks in flight.
"""

import ctypes
import gc
import json
import os
import sys
from itertools import repeat

from .contest import Missing
from .handover import CONTENDERS
from .handover_race import IN_FLIGHT, random_blocks

BLOCKS = 10_000
STRUCTURES = 64  # resident at once: a page more or less does not matter then
PR_SET_THP_DISABLE = 41


def main(library, resident):
    """Measure everybody in turn and print it."""
    read = ctypes.CDLL(library).asked
    found = {}
    for contender in CONTENDERS:
        try:
            found[contender.name] = count(contender, read)
            if resident == "resident":
                found[contender.name]["resident"] = in_child(lambda contender=contender: resident_beyond(contender))
        except Missing as error:
            found[contender.name] = {"missing": str(error)}
    print(json.dumps(found))


def count(contender, read):
    """Return what a block asks of the allocator: what twice as many blocks ask for more."""
    handover = contender()
    block = handover.prepare(random_blocks(1)[0])
    counts = [(ctypes.c_uint64 * 2)() for _ in range(3)]
    # What is received is taken as an array, but not looked at: that would make numbers.
    handover.same(repeat(block, 2 * BLOCKS), type)
    read(counts[0])
    handover.same(repeat(block, BLOCKS), type)
    read(counts[1])
    handover.same(repeat(block, 2 * BLOCKS), type)
    read(counts[2])
    handover.close()
    return {
        # What the interpreter asks for by the way, once in a while, is rounded off.
        name: round(abs(counts[2][place] - 2 * counts[1][place] + counts[0][place]) / BLOCKS, 2)
        for place, name in enumerate(("times", "bytes"))
    }


def in_child(function):
    """Call a function in a forked process: what it leaves in memory disturbs nobody after it."""
    receiver, sender = os.pipe()
    child = os.fork()
    if not child:
        os.write(sender, json.dumps(function()).encode())
        os._exit(0)
    os.close(sender)
    with open(receiver, "rb") as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    return json.loads(answer)


def resident_beyond(contender):
    """Return the resident bytes of one contender with all blocks in flight, but for their samples."""
    # Huge pages would be counted whole.
    ctypes.CDLL(None).prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0)
    blocks = random_blocks(IN_FLIGHT)
    everybody = []
    for number in range(STRUCTURES + 1):
        if number == 1:  # what is made only once has been made
            gc.collect()
            before = resident_now()
        handover = contender()
        forms = [handover.prepare(block) for block in blocks]
        handover.same(forms, type)
        handover.fill(forms)
        everybody.append(handover)
    gc.collect()
    return max(0.0, (resident_now() - before) / STRUCTURES - sum(block.nbytes for block in blocks))


def resident_now():
    """Return the bytes of this process that are resident."""
    with open("/proc/self/smaps_rollup", encoding="ascii") as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Rss:"))


if __name__ == "__main__":
    main(*sys.argv[1:])
