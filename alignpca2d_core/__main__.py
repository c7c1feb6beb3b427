"""``python -m alignpca2d_core``"""

from .commands.command_line import main

if __name__ == "__main__":
    raise SystemExit(main())
