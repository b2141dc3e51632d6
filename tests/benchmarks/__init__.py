"""The benchmarks: ``./dev bench``.  Figures stand beside the raw limits of the machine, taken in the same run."""
