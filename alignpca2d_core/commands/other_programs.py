"""Options of RELION, cryoSPARC, Xmipp and EMAN2, typed from habit: which of ours does the same."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Sequence

_POSITIONAL = "give the particles without an option: alignpca2d {command} PARTICLES -o DIR"
_GRIDS = "is not needed: angles and shifts are searched on grids that follow from --resolution"
_NOT_NEEDED = "is not needed here: leave it out"
_SAY = {
    "--classes": "-K -k --K --k --nr_classes --nclasses --n-classes --num-classes --number-of-classes "
    "--numberOfClasses --nref --nref0 --ncls --class2D_K",
    "--output DIR": "-odir --odir --oroot --out_dir --outdir --path",
    "--device cuda (cuda:N for one GPU, cpu for none)": "--gpu --gpus --gpu_list --use_gpu --useGpu --cuda -g",
    "--threads": "--j -j --thr --cpu --cpus --nproc --ncpus --num-threads --n-threads -t --parallel",
    "--iterations": "--iter --niter --n-iter --num-iterations",
    "--mask-diameter (Å)": "--particle_diameter --particle-diameter --diameter --maskDiameter --window-diameter",
    "--sampling-rate (Å/px)": "--angpix --apix --pixel_size --pixel-size --psize --samplingRate --sampling",
    "--resolution (Å)": "--strict_highres_exp --ini_high --max-res --max_resolution --class2D_max_res --highres",
    "--seed": "--random_seed --random-seed --randomseed",
    "--resume": "--continue",
    "--references": "--ref --refs --ref0 --reference --initial_classes --initialClasses",
    "--phase-flipped": "--ctf_phase_flipped --only_flip_phases --phaseFlipped",
    "--invert": "--invert_contrast --invertContrast --inverse",
    "--no-align": "--skip_align --skip-align --skipalign --no_align",
    "--psi-range (degrees)": "--sigma_psi --bimodal_psi --range_psi",
    "--tube-diameter (Å)": "--helical_outer_diameter --helical-outer-diameter --tube_diameter",
    "--low-resolution (Å)": "--lowres_limit --low-res --min-res --highpass --hp",
    "--batch-size": "--pool --batchSize --batchsize --class2D_batchsize",
}
_PARTICLES = "-i --i --input --in --particles --star"
_SEARCH = "--psi_step --offset_range --offset_step --oversampling --healpix_order --maxShift"
_SUPERFLUOUS = (
    "--tau2_fudge --T --flatten_solvent --zero_mask --norm --scale --pad --grad --vdam --center_classes --verbose -v "
    "--preread_images --dont_combine_weights_via_disc --scratch_dir --class_inactivity_threshold --lane --mpi"
)
_INSTEAD = {
    **{word: f"say {ours}" for ours, words in _SAY.items() for word in words.split()},
    **dict.fromkeys(_PARTICLES.split(), _POSITIONAL),
    **dict.fromkeys(_SEARCH.split(), _GRIDS),
    **dict.fromkeys(_SUPERFLUOUS.split(), _NOT_NEEDED),
}
_JOINED = re.compile(r"(-[A-Za-z])\d+")


def refuse_foreign(words: Iterable[str], known: Collection[str], command: str) -> str | None:
    """What to say of the first word that is an option of another program and none of ours; None where none is.

    Parameters
    ----------
    words : iterable of str
        The words after the subcommand.
    known : collection of str
        The subcommand's own options, which may be abbreviated.
    command : str
    """
    for word in words:
        option = word.partition("=")[0]
        joined = _JOINED.fullmatch(word)
        option = joined[1] if joined else option
        if option in _INSTEAD and option not in known and sum(one.startswith(option) for one in known) != 1:
            return f"{option}: {_INSTEAD[option].format(command=command)}"
    return None


def unknown_message(words: Sequence[str], known: Sequence[str]) -> str:
    """What to say of words that nothing was made of: files too many, or options that are none."""
    options = [word.partition("=")[0] for word in words if word.startswith("-")]
    if not options:
        count = len(words) + 1
        return (
            f"{count} files are given ({words[0]} is the second), one is taken: put their rows into one .star or .xmd "
            "file (relion_star_handler --combine does), or give one after the other to update"
        )
    close = difflib.get_close_matches(options[0].replace("_", "-").lower(), known, n=1, cutoff=0.7)
    meant = f"; did you mean {close[0]}?" if close else ""
    return f"{options[0]} is no option{meant}"


def subcommand_message(word: str, known: Sequence[str]) -> str:
    """What to say of a first word that is no subcommand."""
    close = difflib.get_close_matches(word, known, n=1)
    if close:
        return f"{word} is no subcommand; did you mean {close[0]}?"
    return f"{word} is no subcommand ({', '.join(known)}); to classify: alignpca2d classify PARTICLES -o DIR"
