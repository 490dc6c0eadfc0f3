"""Networks in torch, all with the signature ``(B, n, 3, 112, 112) -> (B, n!/2)``."""
