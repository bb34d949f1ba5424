"""The program that checks certificates; it shares nothing with what writes them."""
