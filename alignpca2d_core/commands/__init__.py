"""The command line, one module per subcommand that needs more than a call.

Nothing is imported here, so that ``alignpca2d --help`` is quick.
"""
