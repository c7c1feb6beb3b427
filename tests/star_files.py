"""Star files of third parties and how each is taken, and star files written for a test."""

from __future__ import annotations

from pathlib import Path

import pytest

from alignpca2d_core.errors import InputError
from alignpca2d_core.io.particle_reading import read_particles

READ = {
    "relion/class_averages.star": 13,
    "relion/cryocat_relion_3.0.star": 3,
    "relion/cryocat_relion_3.1_optics2.star": 3,
    "relion/relion5.star": 17,
    "relion/scipion_input_particles.star": 2021,
    "starfile/one_loop.star": 16,
    "starfile/rln3.1_data_style.star": 2,
    "starfile/single_line_end_of_multiblock.star": 2,
    "starfile/single_line_middle_of_multiblock.star": 1,
    "xmipp/input_particles.xmd": 500,
    "xmipp/input_particles_two_sets.xmd": 2,
    "xmipp/pythoninterface_importObject.xmd": 1,
    "xmipp/pythoninterface_test.xmd": 3,
    "xmipp/pythoninterface_testBlock.xmd": 3,
    "xmipp/pythoninterface_test_row.xmd": 1,
    "xmipp/tux.xmd": 4,
}
"""Files of ../shared/data/metadata that list images, with how many; see REFUSED for the others."""

NO_IMAGES = "no block has a column of images"
REFUSED = {
    "starfile/basic_double_quote.star": NO_IMAGES,
    "starfile/basic_single_quote.star": NO_IMAGES,
    "starfile/default_pipeline.star": NO_IMAGES,
    "starfile/empty_loop.star": NO_IMAGES,
    "starfile/loop_double_quote.star": NO_IMAGES,
    "starfile/loop_single_quote.star": NO_IMAGES,
    "starfile/postprocess.star": NO_IMAGES,
    "starfile/run_it025_optimiser_2D.star": NO_IMAGES,
    "starfile/run_it025_sampling_2D.star": NO_IMAGES,
    "starfile/two_basic_blocks.star": NO_IMAGES,
    "starfile/two_single_line_loop_blocks.star": NO_IMAGES,
    "xmipp/metadata_ReadWriteAppendBlock.xmd": NO_IMAGES,
    "xmipp/metadata_WriteIntermediateBlock.xmd": NO_IMAGES,
    "xmipp/metadata_WriteIntermediateBlock2.xmd": NO_IMAGES,
    "xmipp/metadata_mDsource.sqlite": "is a Scipion set (.sqlite)",
    "xmipp/metadata_mDsource.xmd": NO_IMAGES,
    "xmipp/metadata_mDsource.xml": "is not a STAR file",
    "xmipp/metadata_noXmipp.xmd": NO_IMAGES,
    "xmipp/metadata_symop.star": NO_IMAGES,
    "xmipp/sampling_experimental_images.xmd": "line 14: row 1 has 10 values for 9 labels",
    "xmipp/sampling_neigh_ref_c1_exp_sampling.xmd": NO_IMAGES,
    "xmipp/sampling_ref_c1_exp_sampling.xmd": NO_IMAGES,
    "xmipp/sampling_refkk_sampling.xmd": NO_IMAGES,
    "xmipp/sampling_test_sampling.xmd": NO_IMAGES,
}
"""The other files, with what the refusal says."""

UNREADABLE_BLOCKS = {
    "xmipp/metadata_mDsource.sqlite",
    "xmipp/metadata_mDsource.xml",
    "xmipp/metadata_symop.star",
    "xmipp/sampling_experimental_images.xmd",
}
"""Not STAR, several tables in one block, ragged rows: :func:`read_blocks` refuses these and reads the rest."""


def write(folder: Path, text: str, name: str = "particles.xmd") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def loop(labels: str, *rows: str, block: str = "particles") -> str:
    head = "".join(f" _{label}\n" for label in labels.split())
    return f"data_{block}\nloop_\n{head}" + "".join(f"{row}\n" for row in rows)


def refusal(path: Path | str) -> str:
    """The one line with which :func:`read_particles` refuses a file."""
    with pytest.raises(InputError) as caught:
        read_particles(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)
