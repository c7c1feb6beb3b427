"""What the protocol says of its outputs: what they are made of, what is missing, and how many particles there are."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("pwem", reason="Scipion is not installed")
pytestmark = [pytest.mark.scipion, pytest.mark.usefixtures("in_folder")]

TABLES = {
    "particles.xmd": "data_particles\nloop_\n _itemId\n _ref\n _anglePsi\n _shiftX\n _shiftY\n _scoreByAlignability\n"
    " _flip\n1 1 0 0 0 5 0\n2 2 0 0 0 5 0\n3 1 0 0 0 5 0\n4 0 0 0 0 0 0\n",
    "classes.xmd": "data_classes\nloop_\n _ref\n _image\n _classCount\n _resolutionFRC\n _fom\n"
    "1 000001@classes.mrcs 2 9 0.5\n2 000002@classes.mrcs 1 9 0.5\n",
}
"""The core's, of four particles, the last of which could not be used."""


@pytest.fixture
def protocol(make_set: Callable[..., Any]) -> Iterator[Any]:
    """One that has run the core, with a database of its own in the folder ``run``; particle 5 is disabled."""
    from pwem import Domain
    from pyworkflow.mapper import SqliteMapper

    Path("run/extra").mkdir(parents=True)
    for name, text in TABLES.items():
        Path("run/extra", name).write_text(text)
    protocols = Domain.getProtocols()
    mapper = SqliteMapper("run.db", Domain.getMapperDict())
    producer, made = protocols["ProtEmitParticles"](), protocols["ProtAlignPCA2D"](workingDir="run")
    for one in (producer, made):
        one.setMapper(mapper)
        mapper.store(one)
    producer._defineOutputs(outputParticles=make_set(range(1, 6), disabled=[5]))
    made.inputParticles.set(producer)
    made.inputParticles.setExtended("outputParticles")
    yield made
    mapper.close()


def sources(protocol: Any, output: Any) -> list[str]:
    """The extensions of the pointers that an output is related to."""
    rows = [row for row in protocol.getRelations() if row["object_child_id"] == output.getObjId()]
    return [row["object_parent_extended"] for row in rows]


def test_a_lock_or_a_kill_loses_no_relation(protocol: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes after an output was defined may fail, and is done once more."""
    from pyworkflow.object import Set

    from alignpca2d_plugin.protocols.particle_output import ParticleOutput

    protocol.goodParticles.set(2)
    monkeypatch.setattr(ParticleOutput, "is_chosen", lambda self, item: True)
    deliver, calls = ParticleOutput.deliver, []

    def locked_once(self: Any, *given: Any) -> Any:
        delivered = deliver(self, *given)
        calls.append(given)
        if len(calls) == 1:
            raise sqlite3.OperationalError("database is locked")
        return delivered

    monkeypatch.setattr(ParticleOutput, "deliver", locked_once)
    protocol._writeOutputs({}, Set.STREAM_CLOSED, ParticleOutput(protocol))
    assert len(calls) == 2
    outputs = [protocol.outputClasses, protocol.outputAverages, protocol.outputParticles]
    assert [sources(protocol, output) for output in outputs] == 3 * [["outputParticles"]]
    protocol.mapper.deleteRelations(protocol)  # as a kill leaves it
    protocol._writeOutputs({}, Set.STREAM_CLOSED, ParticleOutput(protocol))
    assert [sources(protocol, output) for output in outputs] == 3 * [["outputParticles"]]


def test_methods_count_the_particles_in_classes(protocol: Any) -> None:
    from pyworkflow.object import Set

    from alignpca2d_plugin.protocols.particle_output import ParticleOutput

    protocol._writeOutputs({}, Set.STREAM_CLOSED, ParticleOutput(protocol))
    (text,) = protocol._methods()
    assert text.startswith("3 particles (16 px, 2.50 Å/px) were classified into 2 ")
    assert "*3* particles in *2* classes" in " ".join(protocol._summary())


def test_particles_that_the_results_do_not_have_are_counted(protocol: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """One without a class is among the results: it cannot be used."""
    for ids, expected in (({1, 4}, []), ({1, 4, 9, 7}, ["2 particles are not in the results, such as 7."])):
        monkeypatch.setattr(protocol, "getStream", lambda ids=ids: SimpleNamespace(ids=lambda: ids))
        protocol._checkThatAllAreThere()
        assert [str(line) for line in protocol.summaryWarnings] == expected
