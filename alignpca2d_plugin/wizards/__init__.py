from .wizard_mask import MaskDiameterWizard
from .wizard_resolution import ResolutionWizard

__all__ = ["MaskDiameterWizard", "ResolutionWizard"]
