"""One HTML file that shows an order and how sure it is; it needs no other file."""
