"""A package, so that its mesh ends with it: the tests beside it want a cluster without one."""
