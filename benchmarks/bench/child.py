"""One scenario in a process of its own: what breaks or hangs here leaves the others their rows.

The results go to standard output, one JSON object a line; what libraries print there goes to standard error.
"""

import json
import os
import signal
import traceback
from dataclasses import asdict, replace
from importlib import import_module

from .contest import Missing, Plan

__all__ = ["main"]


def private_output():
    """Take standard output for the results alone, away also from programs that the scenario starts."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return out


def interrupt(number, _):
    """End as at Ctrl-C, so that what the scenario has started is ended by its own `finally`."""
    signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def main(module, plan):
    """Run a scenario; its module and the `Plan`, as JSON, come from the runner."""
    signal.signal(signal.SIGTERM, interrupt)
    plan = Plan(**json.loads(plan))
    out = private_output()

    def tell(**message):
        print(json.dumps(message), file=out, flush=True)

    def told(results):
        tell(results=[asdict(each) for each in results])

    try:
        results, goals = import_module(module).run(replace(plan, told=told))
    except Missing as error:
        if plan.required:
            tell(failed=f"missing: {error}")
            return 1
        tell(missing=str(error))
    except Exception as error:
        traceback.print_exc()
        tell(failed=f"{type(error).__name__}: {error}")
        return 1
    else:
        tell(done=[asdict(each) for each in results], goals=[asdict(each) for each in goals if each is not None])
    return 0
