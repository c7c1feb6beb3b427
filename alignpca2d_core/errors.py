"""The exception for input that cannot be used."""


class InputError(Exception):
    """An input file or an option is wrong: the command line prints the message and exits with 2.

    The message is one line that says what is wrong and where (file, row, column, option).
    """


class NoParticles(InputError):
    """The metadata is as it should be, but has no rows."""
