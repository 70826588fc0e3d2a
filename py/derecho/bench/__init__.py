"""``derecho bench``: measures this machine, then libderecho on it, each figure beside the limit of the same run."""
