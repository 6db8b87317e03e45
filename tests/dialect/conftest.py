"""The suite folder has a pytest of its own: see suite/test.cfg."""

collect_ignore = ["suite"]
