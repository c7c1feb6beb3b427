"""What every step stands on: processes, memory, threads, progress.

Nothing is imported here: ``thread_waiting`` must run before PyTorch is loaded, and ``alignpca2d --help`` needs neither.
"""
