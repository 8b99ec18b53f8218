"""Which official tensor each variable of a network is; see weights/conversion.py."""
