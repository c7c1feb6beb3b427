"""What is said of files that cannot be used: what they are, why they are not found, and the remedy.

Nothing is imported here: the readers of stacks and of metadata use modules of this package.
"""
