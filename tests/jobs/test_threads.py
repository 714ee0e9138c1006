"""Threads on one ledger: what they ask for is bought once, and no budget is exceeded."""

from pathlib import Path

import pytest

from tests.jobs.threads import Spec, is_sound, specs, trial


@pytest.mark.parametrize("threads", [2, 4, 8])
def test_threads_buy_once_and_keep_to_the_budget(tmp_path: Path, threads: int) -> None:
    for number, spec in enumerate(specs(threads) * 2):
        found = trial(tmp_path, spec, number)
        assert is_sound(found, spec), found


def test_threads_at_a_vendor_that_lists_late(tmp_path: Path) -> None:
    for number in range(4):
        spec = Spec(4, own_stores=bool(number % 2), lag=0.1)
        found = trial(tmp_path, spec, number)
        assert is_sound(found, spec), found


def test_the_trials_tell_when_budgets_are_not_reserved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or they would prove nothing."""
    monkeypatch.setattr("qtnml.ledger.claiming.reserve", lambda *_: None)
    monkeypatch.setattr("qtnml.jobs.purchase.Purchase.check", lambda *_: None)
    spec = Spec(4, different=True)
    found = trial(tmp_path, spec, 0)
    assert found["bought_shots"] > found["budget"]
    assert not is_sound(found, spec)


def test_threads_on_postgresql(postgresql: str, tmp_path: Path) -> None:
    for number, spec in enumerate(specs(4)):
        given = Spec(**{**vars(spec), "url": postgresql})
        found = trial(tmp_path, given, 1000 + number)
        assert is_sound(found, given), found
