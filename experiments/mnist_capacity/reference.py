"""The sweep of arXiv:1709.01662 as one would write it in NumPy: the yardstick for time per sweep.

Batched BLAS, cached environments, exact gradient, one step on every pair with the same search along it, and
`numpy.linalg.svd` for the split; double precision, samples in one batch, no grouping by their bits.
"""

import numpy as np
import scipy.linalg


class Reference:
    """A chain of bits with its centre at site 0; cores (D, 2, D), the others orthonormal from the right."""

    def __init__(self, cores: list[np.ndarray], bits: np.ndarray, max_bond: int) -> None:
        self.cores, self.bits, self.max_bond = [core.copy() for core in cores], bits, max_bond
        samples, sites = bits.shape
        self.left: list[np.ndarray] = [np.ones((samples, 1))] * sites
        self.right: list[np.ndarray] = [np.ones((samples, 1))] * sites
        for k in reversed(range(1, sites)):
            self.right[k - 1] = self._through(self.cores[k].transpose(2, 1, 0), self.right[k], k)

    def _through(self, core: np.ndarray, vectors: np.ndarray, site: int) -> np.ndarray:
        """Vectors (samples, D) behind a core given as (in, bit, out)."""
        both = np.tensordot(vectors, core, (1, 0))
        out = both[np.arange(len(both)), self.bits[:, site]]
        return out / np.linalg.norm(out, axis=1, keepdims=True)

    def _amplitudes(self, pair: np.ndarray, k: int) -> np.ndarray:
        chosen = np.tensordot(self.left[k], pair, (1, 0))[
            np.arange(len(self.bits)), self.bits[:, k], self.bits[:, k + 1]
        ]
        return np.einsum("bi,bi->b", chosen, self.right[k + 1])

    def _gradient(self, pair: np.ndarray, psi: np.ndarray, k: int) -> np.ndarray:
        found = np.zeros_like(pair)
        for a in (0, 1):
            for b in (0, 1):
                rows = (self.bits[:, k] == a) & (self.bits[:, k + 1] == b)
                weighted = self.right[k + 1][rows] / psi[rows, None]
                found[:, a, b] = self.left[k][rows].T @ weighted / len(self.bits)
        return found - pair * np.vdot(pair, found)

    def sweep(self, max_angle: float, cutoff: float = 1e-9) -> None:
        """To the right end and back."""
        sites = self.bits.shape[1]
        angles = np.concatenate([[0.0], np.geomspace(max_angle / 1000, max_angle, 16)])
        for to_right in (True, False):
            for k in range(sites - 1) if to_right else reversed(range(sites - 1)):
                pair = np.tensordot(self.cores[k], self.cores[k + 1], (2, 0))
                pair /= np.linalg.norm(pair)
                psi = self._amplitudes(pair, k)
                gradient = self._gradient(pair, psi, k)
                unit = gradient / np.linalg.norm(gradient)
                slope = self._amplitudes(unit, k)
                tried = np.cos(angles)[:, None] * psi + np.sin(angles)[:, None] * slope
                angle = angles[np.argmax(np.log(tried**2 + 1e-30).mean(axis=1))]
                pair = np.cos(angle) * pair + np.sin(angle) * unit
                left, _, _, right = pair.shape
                u, s, v = _svd(pair.reshape(2 * left, 2 * right))
                keep = max(1, min(int((s > cutoff * s[0]).sum()), self.max_bond))
                s = s[:keep] / np.linalg.norm(s[:keep])
                u, v = u[:, :keep], v[:keep]
                if to_right:
                    self.cores[k] = u.reshape(left, 2, keep)
                    self.cores[k + 1] = (s[:, None] * v).reshape(keep, 2, right)
                    self.left[k + 1] = self._through(self.cores[k], self.left[k], k)
                else:
                    self.cores[k] = (u * s).reshape(left, 2, keep)
                    self.cores[k + 1] = v.reshape(keep, 2, right)
                    self.right[k] = self._through(
                        self.cores[k + 1].transpose(2, 1, 0), self.right[k + 1], k + 1
                    )


def _svd(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    try:
        u, s, v = np.linalg.svd(matrix, full_matrices=False)
    except np.linalg.LinAlgError:  # the quick driver gives up on some matrices of bond 100
        u, s, v = scipy.linalg.svd(matrix, full_matrices=False, lapack_driver="gesvd")
    return u, s, v
