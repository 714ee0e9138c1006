"""One record: each feature's contribution to its log-likelihood, and its expected value given the others."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from qtnml.arrays import NDArray
from qtnml.born import TreeState
from qtnml.born.evidence import log_marginal, log_prefixes, observed, site_marginals
from qtnml.shown import PrintedHtml

_SHOWN = 5
_MOST_COMPARED = 100  # features: each is left out once
_SURPRISING = 0.5  # nats less than the expected value of a feature


@dataclass(frozen=True)
class FeatureExplanation:
    """One feature of a record.

    Attributes:
        name: Name of the feature.
        value: Its level in words; "missing" for a missing value.
        contribution: ln P(value | features before it), nats. The sum over features is ln P of the record.
        conditional: P(value | all other features); NaN for a missing value.
        marginal: P(value) without other features; NaN for a missing value.
        expected: Most likely level given all other features, in words.
        expected_probability: Probability of this level given all other features.
        surprise: ln expected_probability - ln conditional, nats; 0 if the value is the expected one.
        is_missing: Whether the value is missing.
        given: The number itself where the level is a bin or a cell; empty otherwise.
        against: Name of the feature that speaks most against the value: without it the value is likeliest
            given the rest. Empty where the value is no surprise, or all features agree.
        without: P(value | all other features but that one); NaN without one.
    """

    name: str
    value: str
    contribution: float
    conditional: float
    marginal: float
    expected: str
    expected_probability: float
    surprise: float
    is_missing: bool = False
    given: str = ""
    against: str = ""
    without: float = float("nan")

    @property
    def shown(self) -> str:
        """The value in words, with the number where there is one."""
        return f"{self.given} (bin {self.value})" if self.given else self.value


@dataclass(frozen=True, repr=False)
class RecordExplanation(PrintedHtml):
    """Explanation of a record's likelihood; prints in words.

    Attributes:
        log_likelihood: ln P of the record, nats.
        features: One entry for each feature, in the model's order.
        conditionals: P(level | all other features) of each feature, (levels,) each.
        remarks: What the likelihood does not contain, in words: unseen values, numbers far outside the range.
        log_density: What `score_samples` says of the record, nats, where that is a density; None elsewhere.
    """

    log_likelihood: float
    features: tuple[FeatureExplanation, ...]
    conditionals: tuple[NDArray, ...]
    remarks: tuple[str, ...] = ()
    log_density: float | None = None

    @property
    def ranked(self) -> tuple[FeatureExplanation, ...]:
        """Features in descending order of surprise."""
        present = [feature for feature in self.features if not feature.is_missing]
        return tuple(sorted(present, key=lambda feature: -feature.surprise))

    def in_words(self, most: int = _SHOWN) -> str:
        """The features that make the record unlikely, the most surprising first."""
        density = "" if self.log_density is None else f" of the bins; log-density {self.log_density:.2f}"
        lines = [f"ln P = {self.log_likelihood:.2f} nats{density}."]
        lines += self.remarks
        strange = [feature for feature in self.ranked if feature.surprise >= _SURPRISING][:most]
        if np.isneginf(self.log_likelihood):
            first = next(f for f in self.features if np.isneginf(f.contribution))
            lines = ["The record is impossible under the model (ln P = -inf).", *self.remarks]
            lines.append(f"With the features before it, {first.name} is never {first.shown}.")
        elif not strange and not self.remarks:
            lines.append("No feature is surprising given the others.")
        lines += [_surprise(feature) for feature in strange]
        return "\n".join(lines)

    def __str__(self) -> str:
        return self.in_words()

    def to_dict(self) -> dict[str, Any]:
        """The explanation as JSON types; numbers that are not finite become null."""
        return {
            "log_likelihood": _finite(self.log_likelihood),
            "log_density": _finite(self.log_density),
            "features": [
                {name: _finite(value) for name, value in asdict(feature).items()} for feature in self.features
            ],
            "conditionals": [conditional.tolist() for conditional in self.conditionals],
            "remarks": list(self.remarks),
        }


def _surprise(feature: FeatureExplanation) -> str:
    """One feature in words, and which other one it goes least with."""
    told = (
        f"{feature.name} is {feature.shown}: probability {_share(feature.conditional)} given the other "
        f"features, which make {feature.expected} likeliest ({_share(feature.expected_probability)}); on its "
        f"own {_share(feature.marginal)}."
    )
    if feature.against:
        told += f" It goes least with {feature.against}, without which it would be {_share(feature.without)}."
    return told


def explain_record(
    state: TreeState, levels: NDArray, names: Sequence[str], labels: Sequence[Sequence[str]]
) -> RecordExplanation:
    """Explain one record.

    Args:
        state: State whose squared amplitudes are the distribution.
        levels: Levels of the record, (sites,), -1 for missing values.
        names: Names of the features.
        labels: Labels of each feature's levels.
    """
    sites = state.tree.num_leaves
    row = levels[None]
    alone = site_marginals(state, observed(state.sites, np.full((1, sites), -1)))
    rest = site_marginals(state, observed(state.sites, row), own_evidence=False)
    contributions = chain_rule(state, levels)
    less = _without_each(state, levels)
    features = []
    for k, level in enumerate(levels):
        conditional = rest[k][0]
        best = int(np.argmax(conditional))
        own = float(conditional[level]) if level >= 0 else float("nan")
        with np.errstate(divide="ignore"):
            surprise = float(np.log(conditional[best]) - np.log(conditional[level])) if level >= 0 else 0.0
        against, without = _strongest(less, k, int(level), own) if surprise >= _SURPRISING else (-1, np.nan)
        features.append(
            FeatureExplanation(
                name=names[k],
                value=labels[k][level] if level >= 0 else "missing",
                contribution=float(contributions[k]),
                conditional=own,
                marginal=float(alone[k][0, level]) if level >= 0 else float("nan"),
                expected=labels[k][best],
                expected_probability=float(conditional[best]),
                surprise=surprise,
                is_missing=bool(level < 0),
                against=names[against] if against >= 0 else "",
                without=without,
            )
        )
    total = float(log_marginal(state, row)[0])
    return RecordExplanation(total, tuple(features), tuple(conditional[0] for conditional in rest))


def _without_each(state: TreeState, levels: NDArray) -> tuple[NDArray, ...] | None:
    """P(level | all others but one) of each site, (sites, levels): row j leaves site j out; None of many."""
    if len(levels) > _MOST_COMPARED:
        return None
    rows = np.where(np.eye(len(levels), dtype=bool), -1, levels)
    return site_marginals(state, observed(state.sites, rows), own_evidence=False)


def _strongest(less: tuple[NDArray, ...] | None, site: int, level: int, own: float) -> tuple[int, float]:
    """The site without which a level is likeliest, and how likely; (-1, NaN) if that changes little."""
    if less is None:
        return -1, float("nan")
    others = less[site][:, level].copy()
    others[site] = 0.0
    best = int(np.argmax(others))
    found = best, float(others[best])
    return found if found[1] > own * np.exp(_SURPRISING) else (-1, float("nan"))


def chain_rule(state: TreeState, levels: NDArray) -> NDArray:
    """ln P(x_k | x_0 ... x_k-1) of each site, nats; 0 where missing. They add up to ln P of the record."""
    with np.errstate(invalid="ignore"):
        steps = np.diff(log_prefixes(state, levels), prepend=0.0)
    # What follows an impossible prefix adds nothing.
    return np.where(np.isnan(steps), 0.0, steps)


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _share(probability: float) -> str:
    """For people; neither 100 % nor 0 where it is not."""
    if probability > 0.999:
        return "over 99.9 %"
    if probability > 0.99:
        return f"{100 * probability:.1f} %"
    return f"{100 * probability:.2g} %" if probability >= 1e-3 else f"{probability:.1e}"
