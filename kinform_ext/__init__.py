"""The compiled floor: bytes in, bytes out. Imports nothing of kinform."""
