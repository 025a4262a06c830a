"""Made-up people for development and for tests of size: the same seed makes the same ones.

One step per table (`steps.py`); each says what rows a person has in it, and `run.py` does the rest.
"""
