"""Orders of any number of images, from scores of a few of them at a time. NumPy alone."""
