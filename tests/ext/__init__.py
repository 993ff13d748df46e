"""Tests of the compiled floor: bytes in, bytes out."""
