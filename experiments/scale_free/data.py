"""Spins on a scale-free graph, made as arXiv:2503.02934 makes them, and the distance they are judged by."""

import numpy as np

# Squared MMD (mean over test parts) of their best model and of uniform bits at nine widths of the kernel:
# paper/plots/tables/scale_free-mmd_loss.csv of github XanaduAI/scaling-gqml.
WIDTHS = (10.35654, 9.54393, 8.73132, 7.91871, 7.1061, 6.29348, 5.48087, 4.66826, 3.85565)
PUBLISHED = {
    "IQP circuit": (0.02425, 0.02103, 0.01807, 0.01411, 0.01012, 0.00608, 0.00293, 0.00110, 0.00023),
    "uniform bits": (0.15565, 0.14681, 0.13088, 0.10757, 0.07850, 0.04795, 0.02222, 0.00650, 0.00081),
}
FIELD = -0.01  # on each spin, for each of its neighbours
THIN = 20  # sweeps between two samples of a chain


def graph(spins: int, rng: np.random.Generator, joined: int = 2) -> np.ndarray:
    """Couplings (spins, spins), uniform in 0 to 1, on a graph of preferential attachment (Barabasi, 1999)."""
    couplings = np.zeros((spins, spins))
    ends = list(range(joined))  # every node as often as it has neighbours
    for node in range(joined, spins):
        chosen: set[int] = set()
        while len(chosen) < joined:
            chosen.add(ends[rng.integers(len(ends))])
        for other in chosen:
            couplings[node, other] = couplings[other, node] = rng.random()
            ends += [node, other]
    return couplings


def drawn(couplings: np.ndarray, count: int, rng: np.random.Generator, sweeps: int = 300) -> np.ndarray:
    """Bits (count, spins) at temperature 1: ten from each of many heat-bath chains that start at random."""
    spins, chains = len(couplings), -(-count // 10)
    near = [np.flatnonzero(row) for row in couplings]
    weights = [row[own].astype(np.float32) for row, own in zip(couplings, near, strict=True)]
    field = FIELD * np.array([len(own) for own in near])
    state = np.where(rng.random((spins, chains)) < 0.5, 1, -1).astype(np.float32)
    kept = []
    for sweep in range(sweeps + 10 * THIN):
        uniform = rng.random((spins, chains), dtype=np.float32)
        for k, (own, row) in enumerate(zip(near, weights, strict=True)):
            up = 1 / (1 + np.exp(-2 * (row @ state[own] + field[k])))
            state[k] = np.where(uniform[k] < up, 1, -1)
        if sweep >= sweeps and (sweep - sweeps) % THIN == THIN - 1:
            kept.append((state.T > 0).astype(np.int8))
    bits = np.concatenate(kept)
    return bits[rng.permutation(len(bits))[:count]]


def squared_mmd(one: np.ndarray, other: np.ndarray, width: float) -> float:
    """Of two sets of bits, unbiased, under exp(-distance / (2 width**2)); distance counts different bits."""

    def summed(first: np.ndarray, second: np.ndarray) -> float:
        second = second.astype(np.float32)
        total = 0.0
        for start in range(0, len(first), 2000):
            part = first[start : start + 2000].astype(np.float32)
            distances = part.sum(1)[:, None] + second.sum(1)[None] - 2 * part @ second.T
            total += float(np.exp(-distances / (2 * width**2)).sum(dtype=np.float64))
        return total

    n, m = len(one), len(other)
    own = (summed(one, one) - n) / (n * (n - 1)) + (summed(other, other) - m) / (m * (m - 1))
    return own - 2 * summed(one, other) / (n * m)
