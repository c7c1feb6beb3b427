"""A rank of the program with two pretended GPUs; torchrun starts it with the arguments of the program.

``RANK_1_BYTES`` is the memory of the GPU of rank 1, where it is to be less than usual.
"""

from __future__ import annotations

import os
import sys

import torch
from pretended_cuda import MEMORY, pretended_gpus

from alignpca2d_core.__main__ import main
from alignpca2d_core.alignment.scoring_precision import scoring_type

fast = scoring_type(torch.device("cpu")) is torch.bfloat16
least = int(os.environ.get("RANK_1_BYTES", MEMORY)) if os.environ["RANK"] == "1" else MEMORY
with pretended_gpus(count=2, capability=8 if fast else 7, memory=least):
    code = main()
sys.exit(code)
