"""A seeded fuzzer over the public doors; `python -m tests.fuzz.run` counts, the test runs a short form."""
