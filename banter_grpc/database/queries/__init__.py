"""Query modules, one for each file of ``sql/``, written by ``banter queries generate``. Not to be edited."""
