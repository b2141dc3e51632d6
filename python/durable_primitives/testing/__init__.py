"""For tests: the conformance suite that every backend passes."""
