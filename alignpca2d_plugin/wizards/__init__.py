from .wizard_mask import MaskDiameterWizard

__all__ = ["MaskDiameterWizard"]
