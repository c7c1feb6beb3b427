"""What a classification delivers: files, verdicts, checks of consistency, exports."""

from .class_quality import ClassVerdicts, judge
from .from_classifier import as_classification
from .relion_export import export_relion
from .result_files import Classification, read_results, write_results

__all__ = [
    "ClassVerdicts",
    "Classification",
    "as_classification",
    "export_relion",
    "judge",
    "read_results",
    "write_results",
]
