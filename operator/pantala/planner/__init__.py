"""Pure: (model, observed, now) to a Plan; composes the features below."""
