"""Analyze results: classes, averages and the gallery of ProtAlignPCA2D."""

import os

import pyworkflow.protocol.params as params
import pyworkflow.viewer as pwviewer
from pwem.objects import SetOfAverages, SetOfClasses2D
from pwem.viewers.mdviewer.viewer import MDView

from ..protocols import ProtAlignPCA2D


class AlignPCA2DViewer(pwviewer.ProtocolViewer):
    """Look at the classes of AlignPCA-2D."""

    _label = "viewer alignPCA-2D"
    _targets = [ProtAlignPCA2D]
    _environments = [pwviewer.DESKTOP_TKINTER]

    def _defineParams(self, form):
        form.addSection(label="Visualization")
        form.addParam(
            "showClasses",
            params.LabelParam,
            label="Classes and their particles",
            help="The classes in Scipion's metadata viewer: select some of them to make a subset of classes, of "
            "averages or of particles.",
        )
        form.addParam(
            "showAverages",
            params.LabelParam,
            label="Class averages",
            help="The averages in Scipion's metadata viewer, with their size, resolution and quality.",
        )
        form.addParam(
            "showGallery",
            params.LabelParam,
            label="Gallery",
            help="A picture of all averages, the largest class first. It follows a running protocol.",
        )

    def _getVisualizeDict(self):
        return {"showClasses": self._viewClasses, "showAverages": self._viewAverages, "showGallery": self._viewGallery}

    def _viewClasses(self, paramName=None):
        return self._viewOutput("outputClasses")

    def _viewAverages(self, paramName=None):
        return self._viewOutput("outputAverages")

    def _viewGallery(self, paramName=None):
        path = self.protocol.getGallery()
        if not os.path.exists(path):
            return [self.infoMessage("There is no gallery yet.", "Gallery")]
        return [GalleryView(path, self.protocol.getRunName(), self.formWindow)]

    def _viewOutput(self, name):
        output = getattr(self.protocol, name, None)
        if output is None:
            return [self.infoMessage("There are no classes yet.", "Classes")]
        return [FiguresView(output, self.protocol, self.getProject().port)]


class FiguresView(MDView):
    """The metadata viewer with the columns that matter here: picture, size, resolution, quality."""

    _labels = {
        SetOfClasses2D: "enabled id _size {} _representative._filename _filename",
        SetOfAverages: "enabled id _alignpca2d_size {} _filename",
    }
    _images = {SetOfClasses2D: "_representative._filename", SetOfAverages: "_filename"}

    def getVisibleAndOrderLabels(self):
        kind = type(self._emSet)
        labels = self._labels[kind].format("_alignpca2d_resolution _alignpca2d_quality")
        return labels, labels, self._images[kind]


class GalleryView(pwviewer.View):
    """A window with the gallery."""

    def __init__(self, path, title, parent=None):
        super().__init__()
        self._path, self._title, self._parent = path, title, parent

    def getPath(self):
        return self._path

    def show(self):
        from .gallery import GalleryWindow

        window = GalleryWindow(self._path, f"Class averages of {self._title}", self._parent)
        if self._parent is None:
            window.show(center=False)
        else:
            window.root.deiconify()  # show() would enter another loop inside that of Scipion's windows
