"""One class per service: a request becomes parameters of queries, their rows become the response."""
