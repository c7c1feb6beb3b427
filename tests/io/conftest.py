"""What the tests of bad input share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from bad_input import COUNT, Corpus
from particle_files import two_views


@pytest.fixture(scope="session")
def tally(request: pytest.FixtureRequest) -> Iterator[Counter[str]]:
    """How many cases were tried, said when all are done."""
    counts: Counter[str] = Counter()
    yield counts
    with request.config.pluginmanager.get_plugin("capturemanager").global_and_fixture_disabled():
        print(f"\nBad input: {sum(counts.values())} cases tried: {dict(counts)}")


@pytest.fixture
def corpus(run_cli: Callable[..., Any], tmp_path: Path, tally: Counter[str]) -> Corpus:
    corpus = Corpus(run_cli, tmp_path, tally)
    corpus.files.write(two_views(COUNT))
    return corpus
