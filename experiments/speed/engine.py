"""The engine beside an earlier commit, both in turn in fresh processes; see README.md.

python experiments/speed/engine.py [--smoke] [--before COMMIT] [--only TEXT]
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from cases import CASES

FOLDER = Path(__file__).parent
ROOT = FOLDER.parents[1]
BEFORE = "5945f82"  # the last commit with an engine each for circuits, amplitude MPS and Born machines


def timed(case: str, package: Path, smoke: bool) -> dict[str, Any]:
    """One case in a fresh process, with the package of a folder."""
    command = [sys.executable, str(FOLDER / "cases.py"), case, *(["--smoke"] if smoke else [])]
    environment = os.environ | {"PYTHONPATH": str(package)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, cwd=package)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def compared(case: str, before: Path, rounds: int, smoke: bool) -> dict[str, Any]:
    """Medians over rounds, and the median of their ratios."""
    pairs = [(timed(case, before, smoke), timed(case, ROOT, smoke)) for _ in range(rounds)]
    old, new = ([pair[k]["value"] for pair in pairs] for k in (0, 1))
    return {
        "case": case,
        "unit": pairs[0][0]["unit"],
        "before": statistics.median(old),
        "now": statistics.median(new),
        "ratio": statistics.median(a / b for a, b in zip(old, new, strict=True)),
    }


def table(rows: list[dict[str, Any]]) -> str:
    lines = ["| case | unit | before | now | times faster |", "|---|---|---|---|---|"]
    lines += [
        f"| {row['case']} | {row['unit']} | {row['before']:.2f} | {row['now']:.2f} | {row['ratio']:.2f} |"
        for row in rows
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--before", default=BEFORE)
    parser.add_argument(
        "--only", default="", help="only cases whose names hold this text; the other rows stay"
    )
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        before = Path(folder) / "before"
        git = ["git", "-C", str(ROOT), "worktree"]
        subprocess.run(
            [*git, "add", "--detach", str(before), options.before], check=True, capture_output=True
        )
        try:
            rows = []
            for case in CASES:
                if options.only in case:
                    rows.append(compared(case, before, 1 if options.smoke else options.rounds, options.smoke))
                    print(table(rows[-1:]).splitlines()[-1], flush=True)
        finally:
            subprocess.run([*git, "remove", "--force", str(before)], check=True, capture_output=True)
    if not options.smoke:
        file = FOLDER / "results_engine.json"
        known = {row["case"]: row for row in json.loads(file.read_text())} if file.exists() else {}
        known |= {row["case"]: row for row in rows}
        rows = [known[case] for case in CASES if case in known]
        file.write_text(json.dumps(rows, indent=1) + "\n")
        (FOLDER / "results_engine.md").write_text(table(rows) + "\n")


if __name__ == "__main__":
    main()
