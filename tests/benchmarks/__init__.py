"""The benchmarks: ``./dev bench``.  Every figure stands beside the raw limit of the same machine, taken in the same run."""
