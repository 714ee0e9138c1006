"""results.md and fronts.png from what `ours.py`, `peers.py`, `images.py` and `pennylane_case.py` found."""

import json
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from targets import GOALS

HERE = Path(__file__).parent
MARKS = {"mps-to-circuit": "s", "qiu-mps-initializer": "^", "quimb": "D", "aqc-tensor": "v"}
COLOURS = dict(zip(MARKS, ("#2ca0c0", "#e08020", "#309030", "#c03030"), strict=True))


def fronts() -> dict[str, dict[str, Any]]:
    """Ours, by goal."""
    return {path.stem: json.loads(path.read_text()) for path in sorted((HERE / "fronts").glob("*.json"))}


def peers_of(goal: str) -> dict[str, list[dict[str, Any]]]:
    """Other packages on one goal."""
    path = HERE / "peers" / f"{goal}.json"
    return json.loads(path.read_text()) if path.exists() else {}


def at_most(points: list[dict[str, Any]], gates: int) -> float | None:
    """The lowest infidelity with at most so many CX."""
    fitting = [row["infidelity"] for row in points if row.get("two_qubit_gates", 1e9) <= gates]
    return min(fitting, default=None)


def table(found: dict[str, dict[str, Any]]) -> str:
    """A row for each circuit of ours, the others' best with as many CX beside it."""
    lines = [
        "| state | CX | CX depth | qubits with reuse | 1 - F | mps-to-circuit | qiu | quimb | aqc-tensor |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for goal in (goal.name for goal in GOALS if goal.name in found):
        others = peers_of(goal)
        for row in found[goal]["points"]:
            cells = []
            for name in MARKS:
                known = [each for each in others.get(name, []) if "infidelity" in each]
                best = at_most(known, row["two_qubit_gates"])
                cells.append("" if best is None else f"{max(best, 0):.1e}")
            lines.append(
                f"| {goal} | {row['two_qubit_gates']} | {row['two_qubit_depth']} | "
                f"{row['qubits_with_reuse']} | **{max(row['infidelity'], 0):.1e}** | {' | '.join(cells)} |"
            )
    return "\n".join(lines) + "\n"


def images() -> list[str]:
    """The machine of 784 pixels."""
    ours = json.loads((HERE / "images.json").read_text())
    theirs = json.loads((HERE / "images-mps-to-circuit.json").read_text())
    lines = [
        f"## A Born machine of {ours['sites']} pixels, bond {ours['bond']}",
        "",
        "| circuit | layers | trained on | CX | qubits with reuse | F | ln F / N | NLL of its 1,000 images | "
        "NLL of 1,000 others | s |",
        "|---|---|---|---|---|---|---|---|---|---|",
        f"| (the machine itself) |  |  |  |  | 1 | 0 | {ours['nll']:.1f} | {ours['held_out_nll']:.0f} |  |",
    ]
    for name, rows in (("qtnml", ours["rows"]), ("mps-to-circuit", theirs["rows"])):
        for row in rows:
            lines.append(
                f"| {name} | {row['layers']} | {row.get('loss', '')} | {row['two_qubit_gates']:,} | "
                f"{row.get('qubits_with_reuse', '')} | {row['fidelity']:.1e} | "
                f"{row['ln_fidelity_per_site']:.4f} | {row['nll']:.1f} | {row['held_out_nll']:.0f} | "
                f"{row['seconds']} |"
            )
    return [*lines, ""]


def pennylane() -> list[str]:
    """A random complex chain of ten sites."""
    lines = [
        "## A random complex chain of 10 sites, bond 8",
        "",
        "| | CX | qubits | 1 - F | s |",
        "|---|---|---|---|---|",
    ]
    for row in json.loads((HERE / "pennylane_case.json").read_text()):
        infidelity = "" if "infidelity" not in row else f"{max(row['infidelity'], 0):.1e}"
        lines.append(
            f"| {row['what']} | {row['two_qubit_gates']} | {row['qubits']} | {infidelity} | "
            f"{row.get('seconds', '')} |"
        )
    return [*lines, ""]


def behind(found: dict[str, dict[str, Any]]) -> list[str]:
    """Points of others that no circuit of ours with as many CX reaches."""
    lines = []
    for goal, front in found.items():
        for name, rows in peers_of(goal).items():
            for row in rows:
                if "infidelity" not in row:
                    continue
                own = at_most(front["points"], row["two_qubit_gates"])
                if own is None or own > row["infidelity"] + 1e-9:
                    theirs, gates = f"{row['infidelity']:.2e}", row["two_qubit_gates"]
                    mine = "none" if own is None else f"{own:.2e}"
                    lines.append(f"{goal}: {name} {theirs} at {gates} CX, ours {mine}")
    return lines


def figure(found: dict[str, dict[str, Any]]) -> None:
    """Infidelity against CX, a panel for each state."""
    goals = [goal.name for goal in GOALS if goal.name in found and goal.name not in ("ghz-12", "w-12")]
    columns = 4
    rows = -(-len(goals) // columns)
    plot, panels = plt.subplots(rows, columns, figsize=(3.4 * columns, 2.7 * rows), squeeze=False)
    for axes in panels.flat[len(goals) :]:
        axes.set_visible(False)
    for axes, goal in zip(panels.flat, goals, strict=False):
        points = found[goal]["points"]
        axes.semilogy(
            [row["two_qubit_gates"] for row in points],
            [max(row["infidelity"], 1e-12) for row in points],
            "o-",
            color="#1f4e9c",
            label="qtnml",
            markersize=4,
        )
        for name, others in peers_of(goal).items():
            known = [row for row in others if "infidelity" in row]
            if known:
                axes.semilogy(
                    [row["two_qubit_gates"] for row in known],
                    [max(row["infidelity"], 1e-12) for row in known],
                    MARKS[name],
                    color=COLOURS[name],
                    label=name,
                    markersize=4,
                    alpha=0.8,
                )
        axes.set_title(goal, fontsize=9)
        axes.set_xlabel("CX", fontsize=8)
        axes.tick_params(labelsize=7)
    for axes in panels[:, 0]:
        axes.set_ylabel("1 - fidelity", fontsize=8)
    handles: dict[str, Any] = {}
    for axes in panels.flat:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    plot.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=5, fontsize=8)
    plot.tight_layout(rect=(0, 0.04, 1, 1))
    plot.savefig(HERE / "fronts.png", dpi=130)


def main() -> None:
    """Table and figure."""
    found = fronts()
    text = table(found)
    lines = behind(found)
    text += "\n" + (
        "Nowhere behind.\n" if not lines else "Behind:\n\n" + "\n".join(f"- {x}" for x in lines) + "\n"
    )
    text += "\n" + "\n".join([*images(), *pennylane()])
    (HERE / "results.md").write_text(text)
    print(text)
    figure(found)


if __name__ == "__main__":
    main()
