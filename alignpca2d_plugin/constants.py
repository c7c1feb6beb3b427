"""Names that the plugin shares with Scipion's configuration and with the core's command line."""

V0_2_0 = "0.2.0"

PACKAGE = "alignpca2d"
DISTRIBUTION = "scipion-em-alignpca2d"
CORE_MODULE = "alignpca2d_core"

# Configuration variables
ALIGNPCA2D_PYTHON = "ALIGNPCA2D_PYTHON"
ALIGNPCA2D_TORCH = "ALIGNPCA2D_TORCH"

# Files of the core's output folder
PARTICLES_XMD = "particles.xmd"
CHANGED_XMD = "changed.xmd"
CLASSES_XMD = "classes.xmd"
CLASSES_STACK = "classes.mrcs"
SUMMARY_JSON = "summary.json"
GALLERY_PNG = "gallery.png"
REPORT_HTML = "report.html"
SELECTION_JSON = "selection.json"

# The protocol's modes
MODE_CREATE = 0
MODE_UPDATE = 1

PRESETS = ["default", "paper"]

# What the core says of a class, best first
VERDICTS = ["good", "doubtful", "junk"]

# Whose particles the protocol delivers as a set of their own
NO_PARTICLES, PARTICLES_OF_GOOD, PARTICLES_OF_GOOD_AND_DOUBTFUL = range(3)

# A number that means "let the program choose", as elsewhere in Scipion
AUTOMATIC = -1

# Labels of the metadata files, which are Xmipp's
ID_LABEL = "itemId"
IMAGE_LABEL = "image"
SAMPLING_LABEL = "samplingRate"
CTF_LABELS = (
    "ctfVoltage",
    "ctfSphericalAberration",
    "ctfQ0",
    "ctfDefocusU",
    "ctfDefocusV",
    "ctfDefocusAngle",
    "ctfVPPphaseshift",
)
PREMULTIPLIED_LABEL = "rlnCtfDataAreCtfPremultiplied"
CLASS_LABEL = "ref"
COUNT_LABEL = "classCount"
PSI_LABEL = "anglePsi"
SHIFT_X_LABEL = "shiftX"
SHIFT_Y_LABEL = "shiftY"
FLIP_LABEL = "flip"
SCORE_LABEL = "scoreByAlignability"
RESOLUTION_LABEL = "resolutionFRC"
QUALITY_LABEL = "fom"
