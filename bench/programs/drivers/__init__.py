"""Small tests put beside programs that come without any; each runs in the program's environment."""
