"""kinform for programs without an event loop."""
