"""The main job: sets of photos in the order in which they were taken, found now or read from a file."""
