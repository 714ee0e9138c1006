"""Figures of networks: the tree, its leaves, and the dimension of every bond."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from qtnml.born import TreeState
from qtnml.contract import AmplitudeModel, AmplitudeNetwork, Model
from qtnml.errors import InvalidInputError
from qtnml.plots.shown import ShownFigure
from qtnml.structure import Topology, Tree

_MOST_NAMES, _MOST_NUMBERS = 32, 48
_NODE, _LEAF, _BOND = "#1f5fa8", "#b3261e", "0.45"


def plot_network(network: Any, *, names: Sequence[str] | None = None, title: str = "") -> Figure:
    """Draw the tree of a network; numbers at its edges are bond dimensions, thicker lines are wider bonds.

    Args:
        network: A `TreeState`, an `AmplitudeNetwork` or `AmplitudeModel`, a `Model`, a `Topology` or `Tree`,
            or a fitted estimator that has one of them.
        names: Names of the leaves; by default the feature names of the estimator, otherwise their numbers.
        title: Title above the figure.

    >>> from qtnml.structure import balanced
    >>> len(plot_network(balanced(4)).axes)
    1
    """
    tree, bonds, label = _told(network)
    if names is None:
        names = _names(network, tree)
    if len(names) != tree.num_leaves:
        raise InvalidInputError(f"the network has {tree.num_leaves} leaves, got {len(names)} names")
    places = _places(tree)
    width = min(18.0, max(5.0, 0.45 * tree.num_leaves + 1))
    height = min(10.0, max(3.2, 0.55 * max(y for _, y in places) + 1.6))
    figure = ShownFigure(figsize=(width, height), layout="constrained")
    axes: Any = figure.subplots()
    widest = max(bonds.values(), default=1)
    for node, wires in enumerate(tree.nodes):
        for wire in wires:
            (x, y), (above, top) = places[wire], places[tree.num_leaves + node]
            bond = bonds.get(wire - tree.num_leaves, 1)
            weight = 1 + 4 * np.log2(bond) / max(np.log2(widest), 1) if wire >= tree.num_leaves else 0.8
            axes.plot([x, above], [y, top], color=_BOND, linewidth=weight, zorder=1)
            if wire >= tree.num_leaves and bonds and len(tree.nodes) <= _MOST_NUMBERS:
                axes.annotate(
                    str(bond),
                    ((x + above) / 2, (y + top) / 2),
                    ha="center",
                    va="center",
                    fontsize=8,
                    bbox={"boxstyle": "round,pad=0.15", "fc": "white", "ec": "none"},
                    zorder=3,
                )
    x, y = np.array(places).T
    axes.scatter(x[tree.num_leaves :], y[tree.num_leaves :], color=_NODE, s=36, zorder=2)
    axes.scatter(x[: tree.num_leaves], y[: tree.num_leaves], color=_LEAF, s=18, marker="s", zorder=2)
    if label is not None:
        at = places[tree.num_leaves + label]
        axes.annotate("label", at, (0, 8), textcoords="offset points", ha="center", fontsize=9, color=_NODE)
    if tree.num_leaves <= _MOST_NAMES:
        order = np.argsort(x[: tree.num_leaves])
        axes.set_xticks(x[: tree.num_leaves][order], [str(names[k]) for k in order], fontsize=8)
        axes.tick_params(axis="x", rotation=0 if max(map(len, map(str, names))) < 4 else 60, length=0)
    else:
        axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    axes.margins(0.04, 0.08)
    told = f", bond dimensions up to {widest}" if bonds else ""
    axes.set_title(title or f"{tree.num_leaves} leaves, {len(tree.nodes)} nodes{told}", fontsize=11)
    return figure


def _told(network: Any) -> tuple[Tree, dict[int, int], int | None]:
    """The tree, bond dimension above each node but the root, and the node of a label."""
    if isinstance(network, Tree):
        return network, {}, None
    if isinstance(network, TreeState):
        return network.tree, dict(enumerate(network.bond_dims)), None
    if isinstance(network, AmplitudeModel):
        network = network.network
    if isinstance(network, AmplitudeNetwork):
        tree = network.tree
        return tree, dict(enumerate(network.useful_bonds[:-1])), network.label_node
    if isinstance(network, Model):
        network = network.topology
    if isinstance(network, Topology):
        bonds = {k: 2**node.width for k, node in enumerate(network.nodes[:-1])}
        return network.tree, bonds, len(network.nodes) - 1
    for name in ("state_", "model_", "state", "model"):
        inner = getattr(network, name, None)
        if inner is not None:
            return _told(inner)
    raise InvalidInputError(
        f"plot_network draws a state, a model, a topology or a fitted estimator, got {type(network).__name__}"
    )


def _names(network: Any, tree: Tree) -> list[str]:
    known = [str(name) for name in getattr(network, "feature_names_in_", [])]
    if len(known) == tree.num_leaves:
        return known
    if len(known) == tree.num_leaves - 1 and hasattr(network, "classes_"):
        return [*known, "class"]
    return [str(leaf) for leaf in range(tree.num_leaves)]


def _places(tree: Tree) -> list[tuple[float, float]]:
    """(x, y) of every wire's lower end: leaves side by side, nodes above the middle of what they join."""
    in_order = range(tree.num_leaves) if _is_planar(tree) else tree.leaves_in_order
    x = {leaf: float(place) for place, leaf in enumerate(in_order)}
    places = [(x[leaf], 0.0) for leaf in range(tree.num_leaves)]
    for node, wires in enumerate(tree.nodes):
        middle = sum(places[wire][0] for wire in wires) / len(wires)
        places.append((middle, float(tree.heights[node])))
    return places


def _is_planar(tree: Tree) -> bool:
    """Whether the leaves below every node stand side by side in their own order."""
    ends = [(leaf, leaf) for leaf in range(tree.num_leaves)]
    for node, wires in enumerate(tree.nodes):
        low, high = min(ends[wire][0] for wire in wires), max(ends[wire][1] for wire in wires)
        if high - low + 1 != tree.num_below[node]:
            return False
        ends.append((low, high))
    return True
