"""Analyze results: what ProtAlignPCA2D has found, and how it goes."""

import os
import webbrowser
from functools import partial
from pathlib import Path

import pyworkflow.viewer as pwviewer
from pwem.objects import SetOfAverages, SetOfClasses2D, SetOfParticles
from pwem.viewers.mdviewer.viewer import MDView

from ..protocols import ProtAlignPCA2D, ProtAlignPCA2DSubdivide
from ..protocols.particle_output import ParticleOutput
from ..results import read_summary
from .subsets import KINDS, new_subdivision, new_subset


class AlignPCA2DViewer(pwviewer.Viewer):
    """Opens one page at once: the classes to choose from, with buttons for all else."""

    _name = "alignPCA-2D"
    _targets = [ProtAlignPCA2D, ProtAlignPCA2DSubdivide]
    _environments = [pwviewer.DESKTOP_TKINTER]

    def _visualize(self, obj, **kwargs):
        self.protocol = obj
        return [self._window("ResultsWindow", "Classes", obj, self.views(), self.uses())]

    def views(self):
        """What can be opened from the page, by the label of its button; the report comes first."""
        return {
            "Report": self.showReport,
            "Monitor": self.showMonitor,
            "FRC curves": lambda: self._chart("FRC curves", self._drawFrc),
            "Sizes": lambda: self._chart("Sizes and resolutions", self._draw("class_sizes")),
            "Convergence": lambda: self._chart("Convergence", self._draw("convergence")),
            "Table of classes": lambda: self._table("outputClasses"),
            "Table of averages": lambda: self._table("outputAverages"),
            "Table of particles": lambda: self._table(self._particles()),
        }

    def uses(self):
        """What can be made of chosen classes, by the label of its button."""
        subsets = {kind: partial(self._withClasses, partial(self.makeSubset, kind)) for kind in KINDS}
        return {**subsets, "Subdivide": partial(self._withClasses, self.subdivide)}

    def _particles(self):
        """The name of the set of particles that the protocol delivers by now: each choice makes another."""
        return ParticleOutput.name(ParticleOutput(self.protocol).place)

    def _withClasses(self, use, numbers):
        """Make something of the chosen classes of the protocol as the project has it by now."""
        self.getProject().mapper.commit()
        protocol = self.getProject().getProtocol(self.protocol.getObjId())
        if not hasattr(protocol, "outputClasses"):
            return "There are no classes in Scipion yet."
        return use(protocol, numbers)

    def _view(self):
        """That of the project's window where the runs are; None without such a window."""
        return self.formWindow.getViewWidget() if hasattr(self.formWindow, "getViewWidget") else None

    def makeSubset(self, kind, protocol, numbers):
        """Launch a subset of the chosen classes; return what is to be said of it."""
        subset, view = new_subset(self.getProject(), protocol, kind, numbers), self._view()
        if view is None:
            self.getProject().launchProtocol(subset)
        else:
            view.executeProtocol(subset)
        return f"A subset was made: {subset.getObjLabel()}. It appears in the project's graph."

    def subdivide(self, protocol, numbers):
        """Open the form of the protocol that classifies the chosen classes again; return what is to be said of it."""
        division, view = new_subdivision(self.getProject(), protocol, numbers), self._view()
        if view is None:
            self.getProject().saveProtocol(division)
            return f"{division.getObjLabel()}: it is saved in the project, where it can be executed."
        view._openProtocolForm(division, disableRunMode=True)  # as a double click in the list of protocols does
        return ""

    def showMonitor(self):
        views = {label: action for label, action in self.views().items() if label != "Monitor"}
        self._show("MonitorWindow", "Monitor", self.protocol, views, self.uses())

    def showReport(self):
        path = self.protocol.getReport()
        if not os.path.exists(path):
            self._say("There is no report yet: it is made with the first classes.")
            return
        address = Path(path).absolute().as_uri()
        if not webbrowser.open(address):
            self._say(f"No browser could be opened. The report is {address}")

    def _table(self, name):
        protocol = self.getProject().getProtocol(self.protocol.getObjId())
        output = getattr(protocol, name, None)
        if output is None:
            what = "particles of good or chosen classes" if name.startswith("outputParticles") else "classes"
            self._say(f"There are no {what} yet, or they were not asked for.")
        else:
            FiguresView(output, protocol, self.getProject().port).show()

    def _chart(self, title, draw):
        self._show("ChartWindow", title, self.protocol._getExtraPath("summary.json"), draw)

    def _show(self, kind, title, *arguments):
        self._window(kind, title, *arguments).show()

    def _window(self, kind, title, *arguments):
        from . import windows  # with Tk, which not every machine has that runs protocols

        return windows.OwnView(
            getattr(windows, kind), f"{title} of {self.protocol.getRunName()}", self.formWindow, *arguments
        )

    def _say(self, text):
        self.infoMessage(text, "alignPCA-2D").show()

    def _summary(self):
        return read_summary(self.protocol._getExtraPath())

    def _draw(self, chart):
        from . import charts

        return lambda figure: getattr(charts, chart)(figure, self._summary())

    def _drawFrc(self, figure):
        from . import charts

        return charts.frc_curves(figure, self._summary(), self.protocol.inputParticles.get().getSamplingRate())


class FiguresView(MDView):
    """The metadata viewer with the columns that matter here: picture, size, resolution, quality, verdict, score."""

    _labels = {
        SetOfClasses2D: "enabled id _size {} _representative._filename _filename",
        SetOfAverages: "enabled id _alignpca2d_size {} _filename",
        SetOfParticles: "enabled id _classId _alignpca2d_score _filename",
    }
    _images = {
        SetOfClasses2D: "_representative._filename",
        SetOfAverages: "_filename",
        SetOfParticles: "_filename",
    }

    def getVisibleAndOrderLabels(self):
        kind = type(self._emSet)
        labels = self._labels[kind].format(
            "_alignpca2d_resolution _alignpca2d_quality _alignpca2d_verdict _alignpca2d_score"
        )
        return labels, labels, self._images[kind]
