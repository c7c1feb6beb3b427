"""What ``--help`` says beside the options: what a subcommand is for, and examples."""

from __future__ import annotations

DESCRIPTIONS = {
    "": "2D classification of cryo-EM particles by PCA-reduced Euclidean alignment.",
    "classify": """Classify a whole set of particles.

PARTICLES is an Xmipp .xmd, a RELION .star (3.0, 3.1, 5), a cryoSPARC .cs or a
bare MRC stack.
DIR then holds report.html and gallery.png to look at; classes.mrcs, classes.xmd
and particles.xmd to go on with; summary.json for scripts.

Distinct views are found on a random part of the set (--initial-particles), then
every particle is compared with them: all angles, shifts up to 12 % of the box,
on grids as fine as --resolution asks for, coarse ones first.""",
    "update": """Take in the next particles of a stream.

PARTICLES names the new particles; those that DIR knows already are left alone,
so that giving the whole set so far is as good. DIR keeps them until there are
enough to start the classes, and then has the files that classify writes, for
all particles so far; changed.xmd holds the rows that this update changed.""",
    "assign": """Assign particles to class averages that stay as they are.

No class is learned: each particle gets the class and the pose of the reference
that is nearest to it.""",
    "subdivide": """Classify some classes of earlier results again, on their own.

DIR is a folder that classify, update, assign or subdivide wrote; it stays as it
is. The particles of the classes that --classes names are classified among
themselves, with the options of the earlier run where no others are given. NEW
then holds what classify writes, for these particles alone: they keep their rows
of the metadata and their itemId, so that report, export and evaluate take NEW
like any other folder of results.""",
    "simulate": """Simulate particles of known views, as in the paper's experiment.

DIR then holds particles.mrcs, particles.xmd and truth.csv, which
`alignpca2d evaluate` compares with. With --realistic the views are continuous
and the particles are cut out of micrographs, with ice, neighbours and junk.""",
    "evaluate": "Compare a classification with the truth or with another one.",
    "report": """Make report.html and gallery.png of a folder of results again.

classify, update, assign and subdivide write them already; this is for results
that were made without Pillow or by an older version, and to show projections of
a map beside the averages. The report is one file that opens offline.""",
    "export": """Write a folder of results for RELION and cryoSPARC.

particles.star has optics groups (RELION 3.1 and later), classes, angles and
origins; class_averages.star lists the averages. Run it where RELION will run:
names of images count from there.""",
}

EXAMPLES = {
    "": """  alignpca2d simulate -o demo
  alignpca2d classify demo/particles.xmd -o demo/classes --classes 20
  alignpca2d evaluate demo/classes --truth demo/truth.csv
  xdg-open demo/classes/report.html""",
    "classify": """  alignpca2d classify particles.star -o classes --classes 50
  # a bare stack, without CTF:
  alignpca2d classify particles.mrcs -o classes --sampling-rate 1.77
  # neighbours reach into the box:
  alignpca2d classify particles.star -o classes --mask-diameter 180
  # a first look:
  alignpca2d classify particles.star -o quick --resolution 15
  # after an interruption:
  alignpca2d classify particles.star -o classes --classes 50 --resume
  # filaments, with the angles of the picker:
  alignpca2d classify segments.star -o classes --psi-range 6 --tube-diameter 120
  # start from the classes of an earlier run:
  alignpca2d classify more.star -o finer --references classes""",
    "update": """  alignpca2d update first.star -o stream --classes 50
  alignpca2d update second.star -o stream --classes 50
  alignpca2d update second.star -o stream --classes 50 --last""",
    "assign": """  alignpca2d assign more.xmd --references classes -o assigned
  alignpca2d assign more.star --references templates.mrcs -o assigned""",
    "subdivide": """  alignpca2d subdivide classes --classes 3,7 --into 10
  # a mixed class parted without moving its particles:
  alignpca2d subdivide classes --classes 5 --into 4 --poses kept -o parts
  # what was set aside, to see whether there are particles in it:
  alignpca2d subdivide classes --classes junk --into 20""",
    "simulate": """  alignpca2d simulate -o easy --snr 0.5 --particles 500
  alignpca2d simulate -o real --structure 5a1a.cif --box 128 \\
      --sampling-rate 1.77 --snr 0.01
  alignpca2d simulate -o junk --junk-fraction 0.3
  alignpca2d simulate -o micrographs --realistic --phantom barrel --symmetry D7
  # continuous views in white noise, and one thing added:
  alignpca2d simulate -o ice --orientations continuous --ice 0.35""",
    "evaluate": """  alignpca2d evaluate classes --truth truth.csv
  alignpca2d evaluate classes --against relion/run_it025_data.star
  alignpca2d evaluate classes --truth truth.csv --json | jq .truth.figures""",
    "report": """  alignpca2d report classes
  # beside the projections of a map that the averages show:
  alignpca2d report classes --map emd_1234.map --symmetry D2
  xdg-open classes/report.html""",
    "export": """  alignpca2d export classes
  alignpca2d export classes --good   # the particles of good classes alone
  alignpca2d export classes --select 1,4-9
  # the classes that were chosen in report.html:
  alignpca2d export classes --select selection.json
  # leave out what is likeliest to be junk, until 2 % of the rest is:
  alignpca2d export classes --max-junk 0.02
  # at most 500 particles of each view, however many classes it has:
  alignpca2d export classes --good --balance 500""",
}

EXIT_CODES = """exit codes:
  0    done
  2    the input or an option is wrong; one line says what and where
  1    a fault of the program
  130  interrupted; classify and subdivide go on with --resume,
       update with the same command"""

GROUPS = {
    "classes": ("classes", "references", "resolution", "variance", "iterations", "rounds", "preset"),
    "start and stream": ("initial_particles", "revisit"),
    "poses": ("no_align", "psi_range", "tube_diameter", "low_resolution"),
    "particles": ("passthrough", "sampling_rate", "ctf", "phase_flipped", "invert", "mask_diameter", "no_sieve"),
    "verdicts and report": ("good_score", "good_resolution", "good_particles", "title"),
    "computing": ("device", "threads", "batch_size", "seed", "quiet", "resume"),
}
"""Headings of the options of the classifying subcommands."""


def description(name: str) -> str:
    """What a subcommand does; the whole program for the empty name."""
    return DESCRIPTIONS[name]


def epilog(name: str) -> str:
    """Examples and exit codes that end the help of a subcommand."""
    examples = f"examples:\n{EXAMPLES[name]}\n\n" if name in EXAMPLES else ""
    return examples + EXIT_CODES


def group_of(option: str) -> str | None:
    """The heading that an option stands under."""
    return next((title for title, names in GROUPS.items() if option in names), None)
