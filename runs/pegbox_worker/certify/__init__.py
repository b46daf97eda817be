"""The conformance kit: tries with a small model on the CPU whether a method is what its card and the contract say."""
