"""Small primitives as users write them: buggy ones that `check` must catch, correct ones that it must not accuse."""
