"""What older versions wrote, in today's form."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from qtnml.arrays import NDArray
from qtnml.contract import AmplitudeModel, AmplitudeNetwork
from qtnml.encoding import get_encoding
from qtnml.errors import ModelFileError
from qtnml.models.objects import stored_object


def with_trimmed_cores(
    header: dict[str, Any], arrays: Mapping[str, NDArray]
) -> tuple[dict[str, Any], dict[str, NDArray]]:
    """An amplitude MPS of version 0.1: three stacks of cores, all bonds filled up with zeros.

    Left of the label (n, D, 2, D) from the left end inwards, right of it from the right end inwards, and the
    label's own core (D, 2, classes, D); the outermost bonds use their first entry.
    """
    features, classes, bond = map(int, header["network"]["amplitude_mps"])
    encoding = get_encoding(stored_object("encoding", header["network"]["encoding"]))
    network = AmplitudeModel.mps(features, classes, bond, encoding).network
    left, right, centre = (np.asarray(arrays[f"nodes_{k}"]) for k in range(3))
    sites = network.tree.num_leaves
    expected = [
        (sites // 2, bond, 2, bond),
        (sites - sites // 2 - 1, bond, 2, bond),
        (bond, 2, classes, bond),
    ]
    if [array.shape for array in (left, right, centre)] != expected:
        raise ModelFileError("its nodes do not fit its chain")
    cores, bonds, arms = list[NDArray](), list[int](), list[int]()
    for half in (left, right):
        before = 1
        for place, core in enumerate(half):
            used = int(np.flatnonzero(np.abs(core).max(axis=(0, 1)) > 0).max(initial=0)) + 1
            cut = core[:before, :, :used].transpose(2, 0, 1)[..., None]
            cores.append(cut[:, 0] if place == 0 else cut)
            bonds.append(used)
            before = used
        arms.append(before if len(half) else 0)
    middle = centre[: arms[0] or 1, :, :, : arms[1] or 1].transpose(0, 3, 1, 2)
    kept = [size for size in arms if size]
    cores.append(middle.reshape(1, *kept, *middle.shape[2:]))
    trimmed = AmplitudeNetwork(network.tree, network.leaf_dims, (*bonds, 1), classes, network.tree.root)
    entry = {
        "tree": network.tree.to_dict(),
        "leaf_dims": list(trimmed.leaf_dims),
        "bond_dims": list(trimmed.bond_dims),
        "classes": [trimmed.num_classes, trimmed.label_node],
    }
    stacks = {f"nodes_{k}": np.ascontiguousarray(s) for k, s in enumerate(trimmed.stacks(cores))}
    others = {name: array for name, array in arrays.items() if not name.startswith("nodes_")}
    stored = {name: value for name, value in header["network"].items() if name != "amplitude_mps"}
    return header | {"network": stored | {"amplitudes": entry}}, others | stacks
