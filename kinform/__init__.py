"""A live, correct, pruned copy of Kubernetes objects inside a process."""
