"""Classical distributions to compare with: independent pixels, the Chow-Liu tree, a mixture."""

import numpy as np

from qtnml.structure.information import level_mutual_information, spanning_tree

_HALF = 0.5  # a count added to every cell, so that nothing is impossible


def independent(train: np.ndarray, test: np.ndarray) -> float:
    """Test NLL (nats) of pixels that know nothing of each other."""
    p = (train.sum(axis=0) + _HALF) / (len(train) + 2 * _HALF)
    return -float((test @ np.log(p) + (1 - test) @ np.log(1 - p)).mean())


def chow_liu(train: np.ndarray, test: np.ndarray) -> float:
    """Of the best tree of pairs (IEEE Trans. Inf. Theory 14, 462, 1968)."""
    n = train.shape[1]
    pairs = spanning_tree(level_mutual_information(train, (2,) * n))
    log_p = np.zeros(len(test))
    degree = np.bincount(np.ravel(pairs), minlength=n)
    for a, b in pairs:
        table = np.bincount(2 * train[:, a] + train[:, b], minlength=4) + _HALF
        log_p += np.log(table / table.sum())[2 * test[:, a] + test[:, b]]
    for k in range(n):  # a pixel of d pairs was counted d - 1 times too often
        single = np.bincount(train[:, k], minlength=2) + 2 * _HALF
        log_p -= (degree[k] - 1) * np.log(single / single.sum())[test[:, k]]
    return -float(log_p.mean())


def mixture(train: np.ndarray, test: np.ndarray, parts: int, rounds: int = 50) -> float:
    """Of a mixture of distributions with independent pixels, by expectation maximisation."""
    X = train.astype(np.float32)
    start = X[np.random.default_rng(0).choice(len(X), parts, replace=False)]
    p, share = (0.25 + 0.5 * start).astype(np.float32), np.full(parts, 1 / parts, np.float32)
    for _ in range(rounds):
        joint = _log_joint(X, p, share)
        joint -= joint.max(axis=1, keepdims=True)
        mine = np.exp(joint)
        mine /= mine.sum(axis=1, keepdims=True)
        size = mine.sum(axis=0)
        p, share = (mine.T @ X + _HALF) / (size[:, None] + 2 * _HALF), size / len(X)
    joint = _log_joint(test.astype(np.float32), p, share).astype(np.float64)
    return -float(np.logaddexp.reduce(joint, axis=1).mean())


def _log_joint(X: np.ndarray, p: np.ndarray, share: np.ndarray) -> np.ndarray:
    return X @ np.log(p / (1 - p)).T + np.log(1 - p).sum(axis=1) + np.log(share + 1e-30)
