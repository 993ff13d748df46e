"""Facts of the wire and of life with a real kube-apiserver, proved against one."""
