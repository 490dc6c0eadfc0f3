"""The Hugging Face Hub: its cache, fetching files that a card pins, and publishing a model.

On the way to a model that is already there only `cache` is imported: `session`, `trouble` and `download`
import huggingface_hub.
"""

LIBRARY = "imgorder"
