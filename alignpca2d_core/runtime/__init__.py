"""Processes, memory, threads and progress, which every step uses.

Nothing is imported here: ``thread_waiting`` must run before PyTorch is loaded, and ``alignpca2d --help`` needs neither.
"""
