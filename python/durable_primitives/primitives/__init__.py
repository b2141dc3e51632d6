"""What users define.  One folder per primitive; they never import each other."""
