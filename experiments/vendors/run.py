"""One environment for each vendor's client, and the contract of backends in it; see README.md.

python experiments/vendors/run.py [--only braket aqt iqm ionq quantinuum gpu] [--keep FOLDER]
"""

import argparse
import json
import subprocess
import tempfile
import venv
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
ROOT = FOLDER.parents[1]
#: Extra, packages whose versions are told, tests that need them.
VENDORS = {
    "braket": (["qiskit-braket-provider", "amazon-braket-sdk"], "braket"),
    "aqt": (["qiskit-aqt-provider"], "aqt"),
    "iqm": (["iqm-client"], "iqm"),
    "ionq": (["qiskit-ionq"], "ionq"),
    "quantinuum": (["qnexus", "pytket-quantinuum", "pytket-qiskit"], "quantinuum"),
    "gpu": (["cuquantum-python-cu13"], "cutensornet-cpu"),
}
BACKENDS = {
    "braket": "braket:local",
    "aqt": "aqt:offline",
    "quantinuum": "quantinuum:H2-1LE",
    "gpu": "cutensornet on the CPU",
}


def run(vendor: str, where: Path) -> dict[str, Any]:
    packages, tests = VENDORS[vendor]
    place = where / vendor
    venv.create(place, with_pip=True)
    python = place / "bin" / "python"
    install = [
        python,
        "-m",
        "pip",
        "install",
        "-q",
        "-e",
        f"{ROOT}[{vendor}]",
        "pytest",
        "pytest-xdist",
        "pandas",
        "hypothesis",
        "qiskit-qasm3-import",
    ]
    installed = subprocess.run(install, capture_output=True, text=True)
    row: dict[str, Any] = {"vendor": vendor}
    if installed.returncode:
        told = installed.stderr.strip().splitlines()[-1]
        conflict = "ResolutionImpossible" in told
        return row | {
            "error": "pip finds no release beside Qiskit 2.4, which the core needs" if conflict else told
        }
    row["versions"] = {name: version(python, name) for name in ["qiskit", *packages]}
    command = [
        python,
        "-W",
        "ignore",
        "-m",
        "pytest",
        "-q",
        "-n",
        "0",
        "-m",
        "",
        "-k",
        tests,
        "-W",
        "ignore",
        "tests/backends",
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    row["tests"] = done.stdout.strip().splitlines()[-1]
    row["passed"] = done.returncode == 0
    if vendor in BACKENDS:
        script = [
            python,
            ROOT / "experiments" / "backends" / "run.py",
            "--only",
            BACKENDS[vendor],
            "--out",
            where / f"{vendor}-out",
        ]
        subprocess.run(script, check=True, cwd=ROOT)
        row["deviation"] = json.loads((where / f"{vendor}-out" / "results.json").read_text())["table"][0]
    return row


def version(python: Path, package: str) -> str:
    code = f"import importlib.metadata as m; print(m.version({package!r}))"
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def markdown(rows: list[dict[str, Any]]) -> str:
    lines = [
        "| extra | versions | contract | largest deviation in sigma: tree, MPS, unrolled |",
        "|---|---|---|---|",
    ]
    for row in rows:
        if "error" in row:
            lines.append(f"| {row['vendor']} | | does not install: {row['error']} | |")
            continue
        versions = ", ".join(f"{name} {number}" for name, number in row["versions"].items())
        kinds = ("tree, reuse", "MPS, reuse", "tree, no reuse")
        found = [row["deviation"][kind] for kind in kinds] if "deviation" in row else []
        cells = ", ".join(
            f"{value:.1f}" if isinstance(value, float) else value.removeprefix("refused: ") for value in found
        )
        lines.append(f"| {row['vendor']} | {versions} | {row['tests'].strip('= ')} | {cells} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", nargs="+", choices=list(VENDORS), default=list(VENDORS))
    parser.add_argument("--keep", type=Path, help="make the environments here and keep them")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        where = options.keep or Path(temporary)
        rows = []
        for vendor in options.only:
            rows.append(run(vendor, where))
            print(rows[-1], flush=True)
    if set(options.only) == set(VENDORS):
        (FOLDER / "results.json").write_text(json.dumps(rows, indent=1) + "\n")
        (FOLDER / "results.md").write_text(markdown(rows))
    print(markdown(rows))


if __name__ == "__main__":
    main()
