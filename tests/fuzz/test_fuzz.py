"""Values, files, ledgers and command lines never end in a traceback of internals, a hang or a silent NaN."""

import pytest

pytest.importorskip("resource", reason="bounds memory and time as Unix does")

from tests.fuzz.run import run


def _words(bad: list) -> str:
    return "\n".join(f"{each.door} case {each.case}: {each.kind}: {each.words}" for each in bad)


def test_a_hundred_cases() -> None:
    ended, bad = run(seed=0, cases=100)
    assert not bad, _words(bad)
    assert ended["ok"] > 30
    assert ended["refused"] > 30


@pytest.mark.slow
def test_ten_thousand_cases() -> None:
    ended, bad = run(seed=1, cases=10_000)
    assert not bad, _words(bad)
    assert sum(ended.values()) == 10_000
