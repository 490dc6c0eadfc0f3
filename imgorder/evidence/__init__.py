"""What is known of an order without a look at the pictures: times, cameras, counters in names. Reads no file."""
