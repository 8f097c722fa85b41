"""What tests stand on: real brokers, real sockets, and the peers that talk to the gateway over them."""
