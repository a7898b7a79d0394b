"""Services, and later one module per mesh API."""
