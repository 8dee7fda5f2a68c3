"""Formats of datasets, one file each: a function that looks at a listing and says what it recognised, or nothing."""
