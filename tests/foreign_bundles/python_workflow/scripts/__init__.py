"""The training of this bundle."""
