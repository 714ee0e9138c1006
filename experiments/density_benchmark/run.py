"""Test log-likelihoods of Born machines on the usual binary sets; see README.md.

python experiments/density_benchmark/run.py [--data FOLDER] [--sets nltcs plants ...] [--smoke]
    # adds to results.json what it does not hold yet; report.py writes results.md and density.png
"""

import argparse
import json
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from sets import PUBLISHED, folder_of, load, made_up

from qtnml import BornMixture, TreeBornMachine
from qtnml.born.markov import MarkovTree
from qtnml.errors import LargeCircuitWarning
from qtnml.structure import Sites, chain, dependence_tree, predictive_information

FOLDER = Path(__file__).parent
LARGEST_BOND = 8  # whose circuit is written out
Split = tuple[np.ndarray, np.ndarray, np.ndarray]


def baselines(data: Split) -> dict[str, Any]:
    """Independent columns, and the Chow-Liu tree that training starts from."""
    X, _, test = data
    dims, weights = (2,) * X.shape[1], np.ones(len(X))
    alone = MarkovTree.of(Sites(dims, chain(len(dims))), X, weights, dependent=False)
    tree = MarkovTree.of(Sites(dims, dependence_tree(predictive_information(X, dims))), X, weights)
    return {
        "independent": {"test": float(alone.log_likelihood(test).mean())},
        "chow-liu": {"test": float(tree.log_likelihood(test).mean())},
    }


def tree(data: Split) -> dict[str, Any]:
    """One Born machine with the settings it has by default, and its circuit."""
    X, valid, test = data
    began = time.perf_counter()
    born = TreeBornMachine(random_state=0).fit(X, validation=valid)
    found = {
        "validation": -born.nll_,
        "seconds": time.perf_counter() - began,
        "test": born.score(test),
        "bond": max(born.bond_dims_),
        "parameters": born.state_.num_parameters,
    }
    return found | circuit(born)


def circuit(born: TreeBornMachine) -> dict[str, Any]:
    """Qubits and CX with reset; nodes of larger bonds take tens of thousands of CX, and nobody runs them."""
    if max(born.bond_dims_) > LARGEST_BOND:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LargeCircuitWarning)
        made = born.compile().circuit
    return {"qubits": made.num_qubits, "cx": made.count_ops().get("cx", 0)}


def mixture(data: Split, components: int, starts: int, bond: int = 32) -> dict[str, Any]:
    """A mixture, of several starts all of which are kept."""
    X, valid, test = data
    began = time.perf_counter()
    model = BornMixture(
        TreeBornMachine(bond), components, n_init=starts, average=starts > 1, random_state=0
    ).fit(X, validation=valid)
    found = {
        "validation": -model.nll_,
        "seconds": time.perf_counter() - began,
        "test": model.score(test),
        "components": len(model.models_),
        "bond": max(max(own.bond_dims_) for own in model.models_),
        "parameters": sum(own.state_.num_parameters for own in model.models_),
    }
    if bond == 2:
        made = [circuit(own) for own in model.models_]
        found |= {"qubits": max(own["qubits"] for own in made), "cx": max(own["cx"] for own in made)}
    return found


MODELS = {
    "tree": tree,
    "mixture": lambda data: mixture(data, 4, 1),
    "average": lambda data: mixture(data, 4, 3),
    "bond 2": lambda data: mixture(data, 16, 1, bond=2),
    "average of 1": lambda data: mixture(data, 1, 3),
}


def main() -> None:
    """Fill results.json."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path)
    parser.add_argument("--sets", nargs="+", default=list(PUBLISHED))
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=list(MODELS))
    parser.add_argument("--smoke", action="store_true")
    options = parser.parse_args()
    if options.smoke:
        data = made_up(np.random.default_rng(0))
        print(json.dumps(baselines(data) | {"tree": tree(data), "mixture": mixture(data, 2, 1)}, indent=1))
        return
    path = FOLDER / "results.json"
    for model in options.models:
        for name in options.sets:
            results = json.loads(path.read_text()) if path.exists() else {}
            rows = results.setdefault(name, {})
            if model in rows:
                continue
            data = load(folder_of(options.data), name)
            found = MODELS[model](data)
            results = json.loads(path.read_text()) if path.exists() else {}
            rows = results.setdefault(
                name, {"rows": len(data[0]), "bits": data[0].shape[1]} | baselines(data)
            )
            rows[model] = found
            scratch = path.with_suffix(".tmp")
            scratch.write_text(json.dumps(results, indent=1) + "\n")
            scratch.replace(path)
            print(name, model, found, flush=True)


if __name__ == "__main__":
    main()
