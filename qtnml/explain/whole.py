"""A whole model: marginals, information between all pairs of features, entanglement of every bond."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from qtnml.arrays import NDArray
from qtnml.born import TreeState
from qtnml.born.evidence import observed, site_marginals
from qtnml.born.reduced import (
    SpectrumDecay,
    entropy,
    mutual_information,
    reduced_states,
    schmidt_values,
    spectrum_decay,
)
from qtnml.shown import PrintedHtml
from qtnml.structure import Tree

_SHOWN = 5


@dataclass(frozen=True, repr=False)
class ModelExplanation(PrintedHtml):
    """Explanation of what a model has learnt; prints in words.

    Attributes:
        names: Names of the features.
        labels: Labels of each feature's levels.
        marginals: P(level) of each feature, (levels,) each.
        mutual_information: Quantum mutual information of every pair, nats, from exact two-site reduced
            density matrices. The diagonal is each feature's von Neumann entropy. A measurement of the levels
            shows only the part `classical_information`.
        classical_information: Mutual information of every pair's levels, nats. The diagonal is the Shannon
            entropy.
        bond_features: Features on the far side of each bond (below its lower node). Bonds are numbered as
            features are: in a chain, bond k is between features k and k + 1.
        bond_entropies: Von Neumann entropy of each bond, nats.
        schmidt_values: Schmidt values of each bond, in descending order; their squares sum to 1.
        decays: Power law by which each bond's spectrum falls.
    """

    names: tuple[str, ...]
    labels: tuple[tuple[str, ...], ...]
    marginals: tuple[NDArray, ...]
    mutual_information: NDArray
    classical_information: NDArray
    bond_features: tuple[tuple[int, ...], ...]
    bond_entropies: NDArray
    schmidt_values: tuple[NDArray, ...]
    decays: tuple[SpectrumDecay, ...]

    def strongest_pairs(self, most: int = _SHOWN) -> list[tuple[str, str, float]]:
        """Most dependent pairs: their names, and the mutual information of their levels in nats."""
        upper = np.triu(self.classical_information, 1)
        order = np.argsort(-upper, axis=None)[:most]
        pairs = np.column_stack(np.unravel_index(order, upper.shape))
        return [(self.names[i], self.names[j], float(upper[i, j])) for i, j in pairs if upper[i, j] > 0]

    def in_words(self, most: int = _SHOWN) -> str:
        """The main points of the explanation in words."""
        lines = [f"{len(self.names)} features, {len(self.bond_entropies)} bonds."]
        if len(self.bond_entropies):
            top = int(np.argmax(self.bond_entropies))
            below = [self.names[k] for k in self.bond_features[top]]
            shown = ", ".join(below[:most]) + (f" and {len(below) - most} more" if len(below) > most else "")
            lines.append(
                f"Most entangled bond: {self.bond_entropies[top]:.3f} nats, between {shown} and the "
                f"rest; its spectrum falls as rank**-{self.decays[top].exponent:.2f}."
            )
        for first, second, information in self.strongest_pairs(most):
            lines.append(f"{first} and {second} share {information:.3f} nats.")
        return "\n".join(lines)

    def __str__(self) -> str:
        return self.in_words()

    def to_dict(self) -> dict[str, Any]:
        """The explanation as JSON types."""
        return {
            "names": list(self.names),
            "labels": [list(entry) for entry in self.labels],
            "marginals": [marginal.tolist() for marginal in self.marginals],
            "mutual_information": self.mutual_information.tolist(),
            "classical_information": self.classical_information.tolist(),
            "bond_features": [list(entry) for entry in self.bond_features],
            "bond_entropies": self.bond_entropies.tolist(),
            "schmidt_values": [values.tolist() for values in self.schmidt_values],
            "decay_exponents": [
                None if np.isnan(decay.exponent) else decay.exponent for decay in self.decays
            ],
        }


def explain_model(
    state: TreeState, names: Sequence[str], labels: Sequence[Sequence[str]]
) -> ModelExplanation:
    """Explain a state as a whole.

    The time grows as the number of features squared times the bond cubed (784 features at bond 32: half a
    minute).
    """
    tree = state.tree
    reduced = reduced_states(state)
    order = _bonds_in_order(tree)
    below, values = tree.leaves_below, schmidt_values(state)
    spectra = tuple(values[bond] for bond in order)
    marginals = site_marginals(state, observed(state.sites, np.full((1, tree.num_leaves), -1)))
    return ModelExplanation(
        names=tuple(names),
        labels=tuple(tuple(entry) for entry in labels),
        marginals=tuple(marginal[0] for marginal in marginals),
        mutual_information=mutual_information(reduced),
        classical_information=mutual_information(reduced, "classical"),
        bond_features=tuple(below[bond] for bond in order),
        bond_entropies=np.array([entropy(values**2) for values in spectra]),
        schmidt_values=spectra,
        decays=tuple(spectrum_decay(values) for values in spectra),
    )


def _bonds_in_order(tree: Tree) -> list[int]:
    """Nodes but the root by the first place, from left to right, of what is below them; wider ones first."""
    places = {leaf: place for place, leaf in enumerate(tree.leaves_in_order)}
    first: list[int] = []
    for wires in tree.nodes:
        first.append(min(places[w] if w < tree.num_leaves else first[w - tree.num_leaves] for w in wires))
    return sorted(range(tree.root), key=lambda node: (first[node], -tree.num_below[node]))
