"""Networks in torch, all with the signature ``(B, n, 3, S, S) -> (B, n!/2)``."""
