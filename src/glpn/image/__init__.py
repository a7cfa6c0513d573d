"""Image: the bytes of a file, or an array, become an upright RGB photo."""
