"""The init container that brings the weights: its own process, and the only code that reads from stores."""
