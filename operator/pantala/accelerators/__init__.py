"""One module per vendor of GPUs and of shares of them."""
