"""One HTML file that shows an order, and what speaks for and against it; it needs nothing but itself."""
