"""The vocabulary every other layer speaks: identities, records, transitions, decisions, descriptors.  No I/O."""
