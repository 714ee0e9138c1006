"""How well chains of each rank learn six small tables by heart, beside a published figure; see README.md.

python experiments/training_likelihoods/run.py --data FOLDER    # results.json, results.md, likelihoods.png
python experiments/training_likelihoods/run.py --smoke
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from sets import PUBLISHED, READ_TO, table

from qtnml import MPSBornMachine, TableEncoder

FOLDER = Path(__file__).parent
KINDS = {"real": False, "complex": True}


def nll(X: np.ndarray, rank: int, starts: int, *, is_complex: bool) -> float:
    """Of all rows, nats for each, of the best of several starts."""
    model = MPSBornMachine(
        rank,
        encoder=TableEncoder(categorical=tuple(range(X.shape[1]))),
        complex_amplitudes=is_complex,
        validation_fraction=0,  # expressive power alone: all rows are learnt
        init="product",
        n_init=starts,
        random_state=0,
    ).fit(X)
    return float(model.nll_)


def report(results: dict[str, Any]) -> str:
    """Ours, and the published value in brackets; bold where it is not above what was read."""
    ranks = sorted({int(rank) for found in results.values() for kind in KINDS for rank in found[kind]})
    lines = [f"| set | rows x columns | amplitudes | {' | '.join(f'rank {r}' for r in ranks)} |"]
    lines.append("|---" * (3 + len(ranks)) + "|")
    for name, found in results.items():
        for kind in KINDS:
            cells = [name, found["shape"], kind]
            for rank in ranks:
                value, bar = found[kind].get(str(rank)), PUBLISHED[name][kind][rank - 1]
                text = "" if value is None else f"{value:.2f}"
                if value is not None and bar is not None and value <= bar + READ_TO:
                    text = f"**{text}**"
                cells.append(text if bar is None else f"{text} ({bar:.2f})")
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def draw(results: dict[str, Any], path: Path) -> None:
    """One panel for each set."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, 3, figsize=(10, 6), layout="constrained")
    for ax, (name, found) in zip(axes.flat, results.items(), strict=False):
        for kind, colour in (("real", "C1"), ("complex", "C0")):
            ranks = sorted(map(int, found[kind]))
            ax.plot(
                ranks, [found[kind][str(r)] for r in ranks], "o-", color=colour, label=f"{kind}, this package"
            )
            bars = [(r, bar) for r, bar in enumerate(PUBLISHED[name][kind], 1) if bar is not None]
            ax.plot(*zip(*bars, strict=True), "x", color=colour, label=f"{kind}, published figure")
        ax.set(title=name, xlabel="rank", ylabel="nats for each row")
    axes.flat[0].legend(fontsize="small")
    figure.savefig(path, dpi=130)


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, default=Path("datasets"))
    parser.add_argument("--ranks", type=int, nargs="+", default=list(range(2, 13)))
    parser.add_argument("--starts", type=int, default=3)
    parser.add_argument("--smoke", action="store_true")
    options = parser.parse_args()
    if options.smoke:
        X = np.random.default_rng(0).integers(0, 3, (30, 5))
        print({kind: nll(X, 2, 1, is_complex=own) for kind, own in KINDS.items()})
        return
    path = FOLDER / "results.json"
    results = json.loads(path.read_text()) if path.exists() else {}
    for name in PUBLISHED:
        X = table(options.data / name)
        found = results.setdefault(name, {"shape": f"{len(X):,} x {X.shape[1]}", "real": {}, "complex": {}})
        for rank in options.ranks:
            for kind, is_complex in KINDS.items():
                if str(rank) in found[kind]:
                    continue
                found[kind][str(rank)] = round(nll(X, rank, options.starts, is_complex=is_complex), 4)
                path.write_text(json.dumps(results, indent=1) + "\n")
                print(name, rank, kind, found[kind][str(rank)], PUBLISHED[name][kind][rank - 1], flush=True)
    (FOLDER / "results.md").write_text(report(results))
    draw(results, FOLDER / "likelihoods.png")


if __name__ == "__main__":
    main()
