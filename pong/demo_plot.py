"""The picture of ``pong demo``: sound delivered over time, in both ways."""

import os

import matplotlib.figure

__all__ = ["check_plot", "draw"]

# What matplotlib writes without other programs.
FORMATS = ("png", "svg", "pdf", "jpg")
COLOURS = ("#1b7837", "#b2182b")


def check_plot(path):
    """Raise an error if a picture cannot be written: an OSError, or a ValueError for an unknown format."""
    if os.path.splitext(path)[1][1:].lower() not in FORMATS:
        raise ValueError(f"{path}: the ending must name a format: one of {', '.join(FORMATS)}")
    existed = os.path.lexists(path)
    with open(path, "ab"):
        pass
    if not existed:
        os.remove(path)


def draw(outcomes, path):
    """Draw how much sound each way has delivered, over time.

    Parameters
    ----------
    outcomes : list of Outcome
        From `pong.demo.demonstrate`.
    path : str
        File to write; its ending names the format.

    Notes
    -----
    Thread: any. Blocks: while drawing. Allocates: yes.
    """
    figure = matplotlib.figure.Figure(figsize=(8, 4), layout="constrained")
    axes = figure.add_subplot()
    seconds = max(sound for outcome in outcomes for _, sound in outcome.curve)
    axes.plot([0, seconds], [0, seconds], color="0.75", linewidth=1, linestyle=":", label="spoken")
    for outcome, colour in zip(outcomes, COLOURS, strict=True):
        times, sound = zip(*outcome.curve, strict=True)
        name = f"{outcome.way}: {outcome.delivered} of {outcome.expected} blocks"
        axes.step(times, sound, where="post", color=colour, linewidth=2, label=name)
    axes.set(
        xlabel="seconds since the beginning", ylabel="seconds of speech delivered", xlim=(0, None), ylim=(0, None),
        title="Delivered to Python while other threads hold the GIL",
    )
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="upper left", frameon=False)
    figure.savefig(path, dpi=120)
