"""The documentation, held against the package."""
