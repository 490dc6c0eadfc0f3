"""Trees of photos: listed, looked at once, cut into scenes, and each scene ordered; on one machine or on many."""
