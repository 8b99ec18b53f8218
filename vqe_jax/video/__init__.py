"""The only room that touches picture files."""
