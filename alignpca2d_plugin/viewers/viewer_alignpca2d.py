"""Analyze results: what ProtAlignPCA2D has found, and how it goes."""

import os
import webbrowser
from pathlib import Path

import pyworkflow.protocol.params as params
import pyworkflow.viewer as pwviewer
from pwem.objects import SetOfAverages, SetOfClasses2D, SetOfParticles
from pwem.viewers.mdviewer.viewer import MDView

from ..protocols import ProtAlignPCA2D
from ..results import read_summary


class AlignPCA2DViewer(pwviewer.ProtocolViewer):
    """Look at the classes of AlignPCA-2D."""

    _label = "viewer alignPCA-2D"
    _targets = [ProtAlignPCA2D]
    _environments = [pwviewer.DESKTOP_TKINTER]

    _labels = {
        "Classes": {
            "showClasses": (
                "Classes and their particles",
                "The classes in Scipion's metadata viewer: select some of them to make a subset of classes, of "
                "averages or of particles. The verdict is a column, to sort by.",
            ),
            "showAverages": (
                "Class averages",
                "The averages in Scipion's metadata viewer, with their size, resolution, quality and verdict.",
            ),
            "showParticles": (
                "Particles of good classes",
                "The particles that the protocol has put into a set of their own, if it was asked to.",
            ),
            "showGallery": (
                "Gallery",
                "A picture of all averages, the largest class first. It follows a running protocol.",
            ),
        },
        "Figures": {
            "showFrc": ("FRC curves", "How well the two halves of each class agree, by resolution."),
            "showSizes": ("Sizes and resolutions", "The particles of each class and its resolution."),
            "showConvergence": (
                "Convergence",
                "How many particles changed their class, and how many classes were distinct, round by round.",
            ),
        },
        "Progress": {
            "showMonitor": (
                "Monitor",
                "Particles, classes and their resolution over time, with the gallery. It renews itself while the "
                "protocol runs.",
            ),
            "showReport": ("Report", "Everything on one page, in the browser."),
        },
    }

    def _defineParams(self, form):
        for section, entries in self._labels.items():
            form.addSection(label=section)
            for name, (label, text) in entries.items():
                form.addParam(name, params.LabelParam, label=label, help=text)

    def _getVisualizeDict(self):
        return {
            "showClasses": lambda _: self._viewOutput("outputClasses"),
            "showAverages": lambda _: self._viewOutput("outputAverages"),
            "showParticles": lambda _: self._viewOutput("outputParticles"),
            "showGallery": self._viewGallery,
            "showFrc": lambda _: self._viewChart("FRC curves", self._drawFrc),
            "showSizes": lambda _: self._viewChart("Sizes and resolutions", self._draw("class_sizes")),
            "showConvergence": lambda _: self._viewChart("Convergence", self._draw("convergence")),
            "showMonitor": self._viewMonitor,
            "showReport": self._viewReport,
        }

    def _viewOutput(self, name):
        output = getattr(self.protocol, name, None)
        if output is None:
            what = "particles of good classes" if name == "outputParticles" else "classes"
            return [self.infoMessage(f"There are no {what} yet, or they were not asked for.", "Results")]
        return [FiguresView(output, self.protocol, self.getProject().port)]

    def _viewGallery(self, paramName=None):
        path = self.protocol.getGallery()
        if not os.path.exists(path):
            return [self.infoMessage("There is no gallery yet.", "Gallery")]
        return [self._window("PictureWindow", "Class averages", path)]

    def _viewChart(self, title, draw):
        return [self._window("ChartWindow", title, self.protocol._getExtraPath("summary.json"), draw)]

    def _viewMonitor(self, paramName=None):
        return [self._window("MonitorWindow", "Monitor", self.protocol, self._summary)]

    def _viewReport(self, paramName=None):
        path = self.protocol.getReport()
        if not os.path.exists(path):
            return [self.infoMessage("There is no report yet: it is made with the first classes.", "Report")]
        address = Path(path).absolute().as_uri()
        if not webbrowser.open(address):
            return [self.infoMessage(f"No browser could be opened. The report is {address}", "Report")]
        return []

    def _window(self, kind, title, *arguments):
        from . import windows  # with Tk, which not every machine has that runs protocols

        return windows.OwnView(
            getattr(windows, kind), f"{title} of {self.protocol.getRunName()}", self.formWindow, *arguments
        )

    def _summary(self):
        return read_summary(self.protocol._getExtraPath())

    def _draw(self, chart):
        from . import charts

        return lambda figure: getattr(charts, chart)(figure, self._summary())

    def _drawFrc(self, figure):
        from . import charts

        return charts.frc_curves(figure, self._summary(), self.protocol.inputParticles.get().getSamplingRate())


class FiguresView(MDView):
    """The metadata viewer with the columns that matter here: picture, size, resolution, quality, verdict."""

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
        labels = self._labels[kind].format("_alignpca2d_resolution _alignpca2d_quality _alignpca2d_verdict")
        return labels, labels, self._images[kind]
