"""``derecho demo``: members of one group replicate real files; one is killed, a fresh one takes over its share.

`store` is the replicated service, `files` reads the tree and digests it, `member` is one process, `supervisor` starts,
kills and replaces them, `show` draws, `cli` is the command.
"""
