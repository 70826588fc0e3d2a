"""``derecho stubs``: from an annotated service class, its side of every language.

`model` reads the service, `LANGUAGE.py` writes it in one language, `names` bends names to a language's habits, `cli` is
the command. An emitter is a pure function of the model: the same input always gives the same bytes.
"""
