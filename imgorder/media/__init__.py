"""From files to tensors: photos found, read, and made ready for a network. Nothing here writes."""
