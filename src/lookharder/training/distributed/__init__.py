"""Several processes that train as one: devices, ranks, sharding, and the exchange of gradients."""
