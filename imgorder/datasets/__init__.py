"""Sets with a known order: made from videos, frame folders and photos, written down as manifests."""
