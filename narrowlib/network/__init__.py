"""The network with one hidden layer: its outputs, derivatives and starts."""
