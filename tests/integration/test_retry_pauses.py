"""Environments pause differently before a retry, also if AWS restored them from one snapshot."""

import random
import time

import pytest

from tests.support.bundle import deployed, turn


def test_environments_restored_from_one_snapshot_pause_differently(monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot = random.getstate()
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    for _ in range(2):
        random.setstate(snapshot)
        with deployed({"DATABASE_URL": "postgresql://u:p@127.0.0.1:1/d"}) as functions:
            assert functions.write("s", turn()).status == 503
    first, second = pauses[:2], pauses[2:]
    assert len(first) == len(second) == 2
    assert all(0 <= pause <= 0.4 for pause in pauses)
    assert first != second
