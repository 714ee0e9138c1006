"""Conversion from and to states of other libraries (quimb, TeNPy); neither library is a dependency."""

from inspect import signature
from typing import Any

import numpy as np

from qtnml.arrays import NDArray
from qtnml.born import TreeState
from qtnml.errors import InvalidInputError, MissingExtraError
from qtnml.states.chains import Chain, chain_of, path_of


def is_quimb(candidate: Any) -> bool:
    """Whether it looks like a tensor network of quimb."""
    return hasattr(candidate, "site_ind_id") and hasattr(candidate, "permute_arrays")


def is_tenpy(candidate: Any) -> bool:
    """Whether it looks like a matrix product state of TeNPy."""
    return hasattr(candidate, "get_B") and hasattr(candidate, "sites") and hasattr(candidate, "bc")


def tensors_of_quimb(psi: Any) -> list[NDArray]:
    """Tensors (left, level, right) of quimb's `MatrixProductState`.

    Raises:
        InvalidInputError: Another class, or a periodic state.
    """
    if not is_quimb(psi):
        raise InvalidInputError(
            f"expected quimb's MatrixProductState, got {type(psi).__name__}; other tensor networks come in "
            "by from_arrays, or as a dense vector by from_vector"
        )
    if getattr(psi, "cyclic", False):
        raise InvalidInputError(
            "a periodic matrix product state has no circuit of isometries; open it: join its last bond to "
            "the first tensors (the bond of the open chain is at most the square), or "
            "from_vector(psi.to_dense())"
        )
    psi = psi.copy()
    psi.permute_arrays("lpr")
    arrays = [np.asarray(array) for array in psi.arrays]
    if len(arrays) == 1:
        return [arrays[0].reshape(1, -1, 1)]
    return [
        array[None] if place == 0 else array[..., None] if place == len(arrays) - 1 else array
        for place, array in enumerate(arrays)
    ]


def tensors_of_tenpy(psi: Any) -> list[NDArray]:
    """Tensors (left, level, right) of TeNPy's `MPS`; of conserved charges nothing but the order of levels is
    left, in which they are those of sites without charges.

    Raises:
        InvalidInputError: Another class, or an infinite state.
    """
    if not is_tenpy(psi):
        raise InvalidInputError(f"expected TeNPy's MPS, got {type(psi).__name__}")
    if psi.bc != "finite":
        raise InvalidInputError(
            f"expected a finite state, got one with bc={psi.bc!r}; take a segment of it with "
            "psi.extract_segment, or a finite chain"
        )
    found = []
    for k, site in enumerate(psi.sites):
        tensor = psi.get_B(k, "B").itranspose(["vL", "p", "vR"]).to_ndarray()
        # Levels are sorted by charge: entry i of a site with charges is entry perm[i] of one without.
        found.append(tensor[:, np.argsort(site.perm)])
    return found


def to_quimb(state: TreeState) -> Any:
    """quimb's `MatrixProductState` of a chain, or a `TensorNetwork` (indices k0, k1, ...) of another tree."""
    try:
        import quimb.tensor as qtn
    except ImportError as error:
        raise MissingExtraError("to_quimb needs quimb: pip install quimb") from error
    path = path_of(state.tree)
    if path is not None:
        chain = chain_of(state)
        if chain.order == tuple(range(len(chain.order))):
            tensors = list(chain.tensors)
            if len(tensors) == 1:
                return qtn.MatrixProductState([tensors[0].reshape(-1)], shape="lpr")
            ends = [tensors[0][0], *tensors[1:-1], tensors[-1][..., 0]]
            return qtn.MatrixProductState(ends, shape="lpr")
    tree, tensors = state.tree, []
    for k, (core, wires) in enumerate(zip(state.cores, tree.nodes, strict=True)):
        names = [f"k{w}" if w < tree.num_leaves else f"b{w - tree.num_leaves}" for w in wires]
        data, names = (core[0], names) if k == tree.root else (core, [f"b{k}", *names])
        tags = [f"NODE{k}", *(f"I{w}" for w in wires if w < tree.num_leaves)]
        tensors.append(qtn.Tensor(data, inds=names, tags=tags))
    return qtn.TensorNetwork(tensors)


def to_tenpy(chain: Chain) -> Any:
    """TeNPy's `MPS`: sites of two levels are `SpinHalfSite(conserve=None)`, others plain `Site`s."""
    try:
        from tenpy.linalg.np_conserved import LegCharge
        from tenpy.networks.mps import MPS
        from tenpy.networks.site import Site, SpinHalfSite
    except ImportError as error:
        raise MissingExtraError("to_tenpy needs TeNPy: pip install physics-tenpy") from error
    half = SpinHalfSite(conserve=None)
    sites = [
        half if tensor.shape[1] == 2 else Site(LegCharge.from_trivial(tensor.shape[1]))
        for tensor in chain.tensors
    ]
    arrays = [tensor.transpose(1, 0, 2) for tensor in chain.tensors]
    width = "unit_cell_width"  # newer versions want it said
    said = {width: len(sites)} if width in signature(MPS.from_Bflat).parameters else {}
    psi = MPS.from_Bflat(sites, arrays, bc="finite", dtype=np.result_type(*arrays), form=None, **said)
    psi.canonical_form()
    return psi
