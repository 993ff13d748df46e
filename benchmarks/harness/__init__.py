"""What measurements of a whole process stand on: a fast server, a fresh process, and a look at it from outside."""
