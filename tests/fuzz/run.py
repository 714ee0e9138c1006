"""Run the fuzzer (`python -m tests.fuzz.run --cases 10000 --seed 1`): how cases ended, and every bad one."""

import argparse
import os
import resource
import signal
import sys
import time
import traceback
import warnings
from collections import Counter
from dataclasses import dataclass
from types import FrameType

import numpy as np

from qtnml.errors import QtnmlError
from tests.fuzz.doors import DOORS

_SECONDS = 60  # of one case, beside other work
_GIGABYTES = 6


class Hang(BaseException):
    """A case took too long."""


@dataclass(frozen=True)
class Bad:
    """A case that ended as none may."""

    door: str
    case: int
    kind: str
    words: str


def run(seed: int, cases: int, *, only: str | None = None) -> tuple[Counter[str], list[Bad]]:
    """Run cases; how they ended ("ok", "refused"), and the bad ones.

    Args:
        seed: Of all cases: case k of a seed is always the same.
        cases: Numbers 0 to cases - 1.
        only: This door alone.
    """
    ended, bad, names = Counter[str](), list[Bad](), sorted(DOORS)
    before = signal.signal(signal.SIGALRM, _hang)
    try:
        for case in range(cases):
            rng = np.random.default_rng([seed, case])
            name = names[rng.integers(len(names))]
            if only is None or name == only:
                found = _one(name, case, rng)
                ended[found if isinstance(found, str) else "bad"] += 1
                bad += [found] if isinstance(found, Bad) else []
    finally:
        signal.signal(signal.SIGALRM, before)
    return ended, bad


def _one(name: str, case: int, rng: np.random.Generator) -> str | Bad:
    signal.alarm(_SECONDS)
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            DOORS[name](rng)
        return "ok"
    except QtnmlError:
        return "refused"
    except (Exception, Hang) as error:
        where = traceback.extract_tb(error.__traceback__)
        ours = [frame for frame in where if "/qtnml/" in frame.filename] or where
        place = f"{ours[-1].filename.rpartition('/')[2]}:{ours[-1].lineno}" if ours else ""
        return Bad(name, case, f"{type(error).__name__} {place}", str(error)[:400])
    finally:
        signal.alarm(0)


def _hang(_signal: int, _frame: FrameType | None) -> None:
    raise Hang(f"still running after {_SECONDS} s")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", help="this door alone")
    given = parser.parse_args()
    os.environ |= {"QTNML_JOBS": "/dev/null/none", "COLUMNS": "120"}
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()  # noqa: PTH123, SIM115
    resource.setrlimit(resource.RLIMIT_AS, (used + _GIGABYTES * 2**30,) * 2)
    began = time.monotonic()
    ended, bad = run(given.seed, given.cases, only=given.only)
    for each in bad:
        print(f"BAD {each.door} case {each.case}: {each.kind}: {each.words}")
    kinds = Counter(f"{each.door}: {each.kind}" for each in bad)
    print(dict(ended), f"{len(kinds)} kinds of bad ones, {time.monotonic() - began:.0f} s")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
