"""Sites of any number of levels as qubits."""

import numpy as np

from qtnml.arrays import NDArray
from qtnml.states.chains import Chain, compressed


def qubit_chain(chain: Chain) -> Chain:
    """Every site of k levels as ceil(log2 k) qubits, the first one most significant.

    Levels that are no power of two are padded: strings that stand for no level have amplitude zero. Qubits
    are numbered by site, not by place.
    """
    bits = [max(1, (tensor.shape[1] - 1).bit_length()) for tensor in chain.tensors]
    by_site = dict(zip(chain.order, bits, strict=True))
    starts, total = dict[int, int](), 0
    for site in sorted(by_site):
        starts[site] = total
        total += by_site[site]
    tensors, order = list[NDArray](), list[int]()
    for site, tensor, count in zip(chain.order, chain.tensors, bits, strict=True):
        left, level, right = tensor.shape
        padded = np.pad(tensor, ((0, 0), (0, 2**count - level), (0, 0)))
        rest = padded.reshape(left, *[2] * count, right)
        for k in range(count - 1):
            u, s, vh = np.linalg.svd(rest.reshape(rest.shape[0] * 2, -1), full_matrices=False)
            kept = max(1, int((s > 1e-14 * max(s[0], 1e-300)).sum()))
            tensors.append(u[:, :kept].reshape(-1, 2, kept))
            rest = (s[:kept, None] * vh[:kept]).reshape(kept, *[2] * (count - 1 - k), right)
        tensors.append(rest)
        order += range(starts[site], starts[site] + count)
    return Chain(tuple(compressed(tensors)), tuple(order))
