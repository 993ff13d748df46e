"""The tests, one folder a room; a package, so that its modules have full names."""
